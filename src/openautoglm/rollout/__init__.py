"""Promotion of a challenger on evidence, and its rollback when it is worse."""
