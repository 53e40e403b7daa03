"""Mann-Whitney over the per-second rates of one minute, many rollouts at once."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from openautoglm.rollout.analysis.looks import Floats


def seconds_test(looks: Floats) -> Floats:
    """Standardised rank sum of the challenger's seconds, `[...]`; more is worse, 0 if nothing.

    The normal approximation with the variance of the ranks as they are, ties and all. Seconds in
    which an arm served nothing have no rate and are left out.

    Args:
        looks: n0, n1, k0, k1 of each second, `[seconds, 4, ...]`.
    """
    n, k = looks[:, :2], looks[:, 2:]
    known = n > 0
    rates = np.where(known, k / np.maximum(n, 1), np.inf)
    arm = np.moveaxis(known, 0, 1)  # [2, seconds, ...]
    flat = np.concatenate([rates[:, 0], rates[:, 1]])
    there = np.concatenate([arm[0], arm[1]])
    ranks = np.where(there, rankdata(flat, axis=0), 0.0)  # what is left out ranks last
    n0, n1 = arm.sum(1)
    both = np.maximum(n0 + n1, 1)
    centre = (both + 1) / 2
    spread = (np.where(there, ranks - centre, 0.0) ** 2).sum(0)
    variance = n0 * n1 * spread / (both * np.maximum(both - 1, 1))
    excess = ranks[len(looks) :].sum(0) - n1 * centre
    return np.asarray(np.where(variance > 0, excess / np.sqrt(np.maximum(variance, 1e-12)), 0.0))
