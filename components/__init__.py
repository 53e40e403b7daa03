"""One small Kubeflow component a step: it unpacks artifacts and calls the step."""
