"""One replica: a compressed model behind HTTP and gRPC, without torch, mlflow, kfp, evidently."""
