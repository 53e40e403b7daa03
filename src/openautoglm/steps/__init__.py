"""The steps of the chain: paths in, one folder out."""
