"""Does each arm get the share of the requests that it was meant to get?

Sample-ratio mismatch, tested at every look: Lindon & Malek, "Anytime-valid inference for
multinomial count data" (NeurIPS 2022). Where they mix over shares by a Dirichlet, this mixes over
the odds of the challenger, as weights that change in a rollout keep their meaning so.
"""

from __future__ import annotations

import numpy as np

from openautoglm.rollout.analysis.looks import Floats
from openautoglm.rollout.analysis.ratios import RATIOS, log_factors, log_mean

_ODDS: Floats = np.concatenate([RATIOS, 1 / RATIOS])


def start(*shape: int) -> Floats:
    """Before the first look, `float64[odds, ...]`: plain numbers, from which it goes on exactly."""
    return np.zeros((len(_ODDS), *shape))


def add(state: Floats, n0: Floats, n1: Floats, weight: Floats) -> Floats:
    """After one more look.

    Args:
        state: The one before.
        n0: Requests that the champion got, `[...]`.
        n1: Requests that the challenger got.
        weight: The share meant for the challenger, in [0, 1]; 0 and 1 tell nothing.
    """
    inside = (weight > 0) & (weight < 1)
    factors = log_factors(n1, n0 + n1, np.where(inside, weight, 0.5), _ODDS)
    return np.asarray(state + np.where(inside, factors, 0.0))


def log_evidence(state: Floats) -> Floats:
    """Log evidence for another split than the one meant, `[...]`; alarm at `log(1 / alpha)`."""
    return log_mean(state)
