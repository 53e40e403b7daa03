"""A service on this machine: supervisord, a controller, replicas, and Envoy before them."""
