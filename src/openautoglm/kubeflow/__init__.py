"""The chain as Kubeflow pipelines: compiled, checked, run here or on a cluster; kfp's one home."""
