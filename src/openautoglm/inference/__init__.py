"""Run a compressed model: tokenizers and ONNX Runtime, nothing of torch."""
