"""First calls of a model: they find room for results, and tell what a call costs."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from openautoglm.inference.package import NumericInput, TextInput
from openautoglm.serving.batching.batcher import Scorer
from openautoglm.serving.batching.grouping import Costs

_ROWS, _LENGTHS, _CALLS = (1, 8), (4, 32), 5
_CHARACTER = "的"


def warm(scorer: Scorer, input_: TextInput | NumericInput, most: int) -> Costs:
    """Call a model with few and many, short and long rows, and fit what a call costs.

    The fit is least squares of `call + token * rows * length` on the fastest of some calls each:
    what else the machine does can only make a call slower.

    Args:
        scorer: The model.
        input_: What it takes.
        most: Rows in a call.
    """
    sizes = sorted({min(rows, most) for rows in _ROWS})
    if isinstance(input_, NumericInput):
        for rows in sizes:
            scorer.score(scorer.encode([[0.0] * len(input_.features)] * rows))
        return Costs(call=1.0, token=0.0)  # rows of one length: nothing is ever padded
    shapes = [(rows, min(length, input_.max_length)) for rows in sizes for length in _LENGTHS]
    seconds = [_fastest(scorer, rows, length) for rows, length in shapes]
    design = np.array([[1.0, rows * length] for rows, length in shapes])
    call, token = np.linalg.lstsq(design, np.array(seconds), rcond=None)[0]
    return Costs(call=max(float(call), 0.0), token=max(float(token), 1e-9))


def _fastest(scorer: Scorer, rows: int, length: int) -> float:
    values = scorer.encode([_CHARACTER * length] * rows)
    scorer.score(values)
    best = float("inf")
    for _ in range(_CALLS):
        start = perf_counter()
        scorer.score(values)
        best = min(best, perf_counter() - start)
    return best
