"""Champion and challenger side by side for a minute, in a service of their own."""
