"""From a trained module to the ONNX graphs that are served, each checked against the module."""
