"""Pictures and pages: what a step shows to people."""
