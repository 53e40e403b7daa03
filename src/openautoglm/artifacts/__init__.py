"""Folders that appear whole or not at all, and the digests that name them."""
