"""The two model families, the baseline, and how they are fitted."""
