"""Simulated rollouts: traces, our rule on them, and the rules of others."""
