"""Rows: where they come from, which of them count, and how the later steps read them."""
