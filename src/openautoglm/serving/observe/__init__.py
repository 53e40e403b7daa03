"""What a replica tells about itself: metrics, load, traces, logs; cheap on every request."""
