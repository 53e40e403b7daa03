"""Which variant answers a request: weights, endpoints and shadow, put into force by a router."""
