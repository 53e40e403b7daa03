"""gRPC: Open Inference Protocol v2, the numeric call and the standard health check."""
