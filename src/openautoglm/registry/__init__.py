"""MLflow: runs, registered models, comparisons. Nothing else here knows it."""
