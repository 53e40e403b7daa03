"""Rows of many requests become calls of one model: queue, grouping by length, worker."""
