"""One part of compress: a share of its recipes' variants, built for the step to take up."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from openautoglm.config.params import CompressParams
from openautoglm.observability.progress import say
from openautoglm.steps.attempt import attempt_at, part_name
from openautoglm.steps.body import made
from openautoglm.steps.build import MADE, Build
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.elsewhere import put_down
from openautoglm.steps.runtime import Runtime
from openautoglm.tuning.space import Point


def build_part(
    *,
    prepared: Path,
    trained: Path,
    params: CompressParams,
    runtime: Runtime,
    part: int,
    parts: int,
    out: Path,
) -> None:
    """Build one share of the first round of compress, and put it down in `payload/`.

    The rounds that follow are the step's own: what they try depends on all of the first. A part
    that was killed goes on where it was.

    Args:
        prepared: The folder of prepare.
        trained: The folder of train.
        params: What compress sees.
        runtime: Parts that share its work folder do not get into each other's way.
        part: Which part, from 0.
        parts: How many there are.
        out: A folder for `Runtime.finished_work` of the step.

    Raises:
        ArtifactError: An input folder is missing or is not what its manifest says.
        BusyError: The same part is at work in this project.
        StepError: An fp32 graph differs from the framework by more than
            `compress.max_difference`.
    """
    inputs = {"prepared": prepared, "trained": trained}
    attempt = attempt_at(STEPS["compress"].module, inputs, params)
    body = functools.partial(_build, prepared, trained, params, part, parts)
    made(part_name("compress", part, parts), attempt, body, runtime, out)


def share(points: Sequence[Point], part: int, parts: int) -> list[Point]:
    """The points of one part, from 0: every point is in exactly one.

    To make a network takes longer than to store one in every precision: where there are parts
    enough it is all that a part does.
    """
    long = [point for point in points if point.branch in MADE]
    short = [point for point in points if point.branch not in MADE]
    rest = parts - len(long)
    if rest <= 0:
        return long[part::parts] + short[part::parts]
    return [long[part]] if part < len(long) else short[part - len(long) :: rest]


def _build(
    prepared: Path,
    trained: Path,
    params: CompressParams,
    part: int,
    parts: int,
    *,
    runtime: Runtime,
    out: Path,
) -> None:
    build = Build(prepared, trained, params, runtime.device, runtime.work)
    # A network that cannot be made is known at once; about the others its graph must be asked.
    points = [p for p in build.points() if p.branch not in MADE or build.idle(p) is None]
    for point in share(points, part, parts):
        if build.idle(point) is None:
            say(str(point))
            build(point, lambda step, value: None)
    put_down(runtime.work, out)
