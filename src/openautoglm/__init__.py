"""Open-AutoGLM: a text model from data to live traffic."""

__version__ = "0.1.0"
