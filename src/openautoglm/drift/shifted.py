"""A window that is shifted on purpose: a check that the alarm rings, and no finding."""

from __future__ import annotations

import numpy as np

from openautoglm.drift.window import Inputs, Window


def shifted(window: Window) -> Window:
    """Half of the classes gone, and every input changed; as many rows as before.

    Every second class in the order of names goes, and the rows of the others are repeated in
    turn. Of texts the first half is left, rounded up. Of features every second one, from the
    first, is moved by its standard deviation (by 1 where it is constant).

    Args:
        window: Rows that all have a label.
    """
    assert window.labels is not None
    names = sorted({str(label) for label in window.labels})
    kept = np.flatnonzero(np.isin(np.array(window.labels, str), names[::2]))
    half = window.take(np.resize(kept, len(window)))
    return Window(_changed(half.inputs), half.labels)


def _changed(inputs: Inputs) -> Inputs:
    if not isinstance(inputs, np.ndarray):
        return [text[: (len(text) + 1) // 2].rstrip() for text in inputs]
    moved = inputs.copy()
    if len(moved):
        spread = moved[:, ::2].std(0)
        moved[:, ::2] += np.where(spread > 0, spread, 1.0)
    return moved
