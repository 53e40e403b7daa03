"""Is a window of rows like the reference? Effect sizes, a verdict a column, Evidently beside it."""
