"""A service from its `config.yaml`: model resolved and copied, planned, brought up, kept so."""
