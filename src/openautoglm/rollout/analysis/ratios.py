"""Is the challenger's share of the events larger than its share of the exposure?

Given the events of both arms together, how many of them the challenger has does not depend on the
rate, if both arms have the same one: it may change from look to look, and the weights too. Lindon
& Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022), made this sequential;
here the mixture is over a grid of rate ratios, because shares that change have no conjugate prior.

For a ratio r > 1, share w of the exposure, K events of which k are the challenger's, a look has
the factor `r**k / (1 + w (r - 1))**K`. Its mean is at most 1 when the challenger's rate is at most
the champion's: k is hypergeometric then, or stochastically less, and a convex function has no
larger mean under the hypergeometric than under the binomial (Hoeffding, JASA 1963). A product of
such factors, and a mixture of products, exceeds 1/alpha at any look with chance at most alpha
(Ville 1939).
"""

from __future__ import annotations

import numpy as np

from openautoglm.rollout.analysis.looks import Floats

RATIOS: Floats = np.exp(0.1 * (5 / 3) ** np.arange(8))
"""Rate ratios of the mixture, 1.1 to 36: each logarithm is 5/3 of the one before."""


def log_factors(events: Floats, total: Floats, share: Floats, ratios: Floats = RATIOS) -> Floats:
    """Logarithm of a look's factor for each ratio, `[ratios, ...]`.

    Args:
        events: The challenger's events, `[...]`.
        total: Events of both arms, `[...]`.
        share: The challenger's share of the exposure in [0, 1], `[...]` or one for all.
        ratios: Rate ratios, `[ratios]`.
    """
    share = np.broadcast_to(share, np.shape(total))
    growth = np.multiply.outer(np.log(ratios), events)
    return np.asarray(growth - total * np.log1p(np.multiply.outer(ratios - 1, share)))


def log_mean(parts: Floats, prior: Floats | None = None) -> Floats:
    """Logarithm of the mixture of `exp(parts)` over the first axis, `[...]`.

    Args:
        parts: Logarithms, `[components, ...]`.
        prior: The components' shares, `[components]`, summing to 1; equal when None.
    """
    top = parts.max(0)
    spread = np.exp(parts - top)
    mean = spread.mean(0) if prior is None else np.tensordot(prior, spread, axes=1)
    return np.asarray(top + np.log(mean))
