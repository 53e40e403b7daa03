"""One recipe a file: how a variant's graph is made."""
