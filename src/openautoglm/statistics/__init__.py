"""How well a classifier does, how sure we are of it, and whether two differ."""
