"""The promise that direct calls, `dvc repro` and Kubeflow do the same, put to the test."""
