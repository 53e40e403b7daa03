"""Text to integers: the same functions in training, in the exported graph and in the replica."""
