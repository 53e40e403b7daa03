"""Answers that were given, and the labels that come later: one store for all replicas."""
