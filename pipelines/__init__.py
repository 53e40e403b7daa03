"""Kubeflow pipelines that chain components; each is compiled while it is imported."""
