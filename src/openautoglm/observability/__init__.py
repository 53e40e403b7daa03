"""Progress for people, and the protocol by which steps log without knowing MLflow."""
