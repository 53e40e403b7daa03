"""Configuration: strict, frozen models, and errors that name the line and the nearest key."""
