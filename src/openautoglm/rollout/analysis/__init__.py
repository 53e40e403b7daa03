"""Anytime-valid comparisons of challenger and champion; numpy and scipy only."""
