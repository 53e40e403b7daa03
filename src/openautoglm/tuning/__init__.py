"""Search settings: Optuna in rounds that no worker count and no kill can change."""
