"""gRPC: Open Inference Protocol v2, the numeric call and the standard health check."""

import os

# gRPC's core writes lines of its own to standard error, which any client can provoke; the log
# there is JSON. It reads this when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
