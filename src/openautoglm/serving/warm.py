"""First calls of a model: they find room for results, and tell what a call costs."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from openautoglm.errors import ArtifactError
from openautoglm.inference.package import NumericInput, TextInput
from openautoglm.serving.batching.grouping import Costs
from openautoglm.serving.batching.job import Rows
from openautoglm.serving.batching.run import Scorer

_SEVERAL, _LENGTHS, _CALLS = 8, (4, 32), 5
_CHARACTER = "的"
_ENOUGH_SECONDS = 0.2  # for one shape: a slow model need not be measured so finely


def warm(scorer: Scorer, input_: TextInput | NumericInput, labels: int, *, most: int) -> Costs:
    """Call a model with few and many, short and long rows, and fit what a call costs.

    The fit is least squares of `call + token * rows * length` on the fastest of some calls each:
    what else the machine does can only make a call slower.

    Args:
        scorer: The model.
        input_: What it takes.
        labels: How many scores a row gets.
        most: Rows in a call.

    Raises:
        ArtifactError: It gives something else.
    """
    if isinstance(input_, NumericInput):
        row = [0.0] * len(input_.features)
        _fastest(scorer, [row], labels)
        return Costs(call=_fastest(scorer, [row] * most, labels), token=0.0)  # no row is padded
    shapes = [
        (rows, min(length, input_.max_length))
        for rows in (1, min(_SEVERAL, most))
        for length in _LENGTHS
    ]
    seconds = [_fastest(scorer, [_CHARACTER * length] * rows, labels) for rows, length in shapes]
    design = np.array([[1.0, rows * length] for rows, length in shapes])
    call, token = np.linalg.lstsq(design, np.array(seconds), rcond=None)[0]
    return Costs(call=max(float(call), 0.0), token=max(float(token), 1e-9))


def _fastest(scorer: Scorer, rows: Rows, labels: int) -> float:
    values = scorer.encode(rows)
    found = scorer.score(values)
    if found.shape != (len(rows), labels) or not np.isfinite(found).all():
        raise ArtifactError(
            f"the model gives scores of shape {list(found.shape)}, or some that are no numbers",
            allowed=f"[{len(rows)}, {labels}]: one for each label of each row",
        )
    best, began = float("inf"), perf_counter()
    for _ in range(_CALLS):
        start = perf_counter()
        scorer.score(values)
        best = min(best, perf_counter() - start)
        if perf_counter() - began > _ENOUGH_SECONDS:
            break
    return best
