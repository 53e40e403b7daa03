"""How closely a graph follows the framework that trained it, on plain rows and on odd ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openautoglm.inference.model import Rows
from openautoglm.inference.package import NumericInput, TextInput

_UNSEEN = "\ue000\uf8ff\u1680ꙮ𒀀𐍈\u0e3f"
_SCRIPTS = "aßΩжעبहไ한のカ龘𠮷，。!7½²"
_EMOJI = "😀👩🏽‍🚀🇨🇳❤️\u200d"
_SPACES = " \t\n\u00a0\u3000\u2009"
_MAGNITUDES = (0.0, 1e-30, 1e-6, 1.0, 1e3, 1e6)


class Agreement(NamedTuple):
    """Largest probability difference, and the share of rows with the same predicted class."""

    max_difference: float
    agreement: float


def agreement(found: NDArray[np.float32], expected: NDArray[np.float32]) -> Agreement:
    """Compare probabilities `[n, k]`, n at least 1."""
    return Agreement(
        float(np.abs(found.astype(np.float64) - expected).max()),
        float((found.argmax(1) == expected.argmax(1)).mean()),
    )


def odd_inputs(
    input_: TextInput | NumericInput, known: Rows, *, count: int = 64, seed: int = 0
) -> Rows:
    """Rows that no data set holds and every service meets, the same for the same arguments.

    Args:
        input_: What the model takes.
        known: At least one row of train, n texts or features `[n, d]`; odd rows mix with these.
        count: Rows to make, at least 1; from 12 on, every kind is among them.
        seed: Of the choice.

    Returns:
        `count` texts: empty, white space, one character, the longest that counts and longer,
        characters never seen, scripts and emoji mixed into known texts. Or features
        `float32[count, d]`: zeros, and known values at magnitudes from 1e-30 to a million times
        their own, signs flipped.
    """
    if isinstance(input_, NumericInput):
        return _odd_features(np.asarray(known, np.float64), count, seed)
    return _odd_texts([str(text) for text in known], input_.max_length, count, seed)


def _odd_texts(known: Sequence[str], longest: int, count: int, seed: int) -> list[str]:
    rng = random.Random(seed)  # noqa: S311 - odd texts are no secret
    seen = "".join(known) or "a"
    mixed = seen + (_SCRIPTS + _EMOJI + _UNSEEN + _SPACES) * max(1, len(seen) // 50)

    def of(alphabet: str, length: int) -> str:
        return "".join(rng.choices(alphabet, k=length))

    kinds = (
        lambda: "",
        lambda: of(_SPACES, rng.randint(1, 9)),
        lambda: of(seen, 1),
        lambda: of(_UNSEEN, 1),
        lambda: of(seen, longest),
        lambda: of(seen, longest + rng.randint(1, 2 * longest)),
        lambda: of(seen, 1) * longest,
        lambda: of(_UNSEEN, rng.randint(2, longest)),
        lambda: of(_EMOJI, rng.randint(1, 12)),
        lambda: of(_SCRIPTS, rng.randint(2, longest)),
        lambda: of(mixed, rng.randint(2, longest)),
        lambda: rng.choice(known) + of(_EMOJI + _UNSEEN, 3),
    )
    return [kinds[place % len(kinds)]() for place in range(count)]


def _odd_features(known: NDArray[np.float64], count: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    rows = known[rng.integers(0, len(known), count)]
    size = np.resize(np.asarray(_MAGNITUDES), count)[:, None]
    found: NDArray[np.float32] = (rows * size * rng.choice([-1.0, 1.0], rows.shape)).astype(
        np.float32
    )
    return found
