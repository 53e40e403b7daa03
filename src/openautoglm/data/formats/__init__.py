"""One family of formats a file; each reads the wanted columns into a `Table`."""
