"""What a rollout's curves show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

from openautoglm.config.drift import DriftSettings
from openautoglm.reports.curves import CHALLENGER, CHAMPION, GOOD, NEUTRAL, WORSE, Curve, Plot
from openautoglm.rollout.course import Step
from openautoglm.rollout.points import Arm, Point

_ARMS = (("champion", CHAMPION), ("challenger", CHALLENGER))
_QUANTILES = (("p50", ":"), ("p95", "--"), ("p99", "-"))


def plots(steps: Sequence[Step], points: Sequence[Point]) -> Iterator[Plot]:
    """Weight, errors, latency, answers, their drift, and one plot of evidence a metric.

    Args:
        steps: The rollout's course.
        points: Its series.
    """
    marks = [step.after for step in steps if step.record.rollout]
    yield _weight(steps, points, marks)
    errors = _by_arm(points, "{}", lambda arm: _percent(arm.errors, arm.requests))
    yield Plot("errors, % of the requests", errors, marks)
    latency = [
        curve
        for name, style in _QUANTILES
        for curve in _by_arm(points, f"{name} {{}}", attrgetter(name), style)
    ]
    yield Plot("latency, milliseconds", latency, marks, scale="log")
    right = _by_arm(points, "{}", lambda arm: _percent(arm.labelled - arm.wrong, arm.labelled))
    yield Plot("accuracy on feedback, %", right, marks)
    sure = _by_arm(points, "confidence {}", lambda arm: _scaled(arm.confidence), "--")
    agreed = _curve(points, "agreement", lambda point: _scaled(point.agreement), NEUTRAL)
    yield Plot("agreement and confidence, %", [agreed, *sure], marks)
    yield Plot("prediction drift: 0 is alike, 1 nothing in common", _drift(points), marks)
    for metric in dict.fromkeys(name for point in points for name in point.evidence):
        yield _evidence(metric, points, marks)


def _weight(steps: Sequence[Step], points: Sequence[Point], marks: Sequence[float]) -> Plot:
    """From the ledger, which misses no change; points only tell how long the last one held."""
    decided = [step for step in steps if step.record.rollout]
    end = max([decided[-1].after, *(float(point.seconds) for point in points)])
    times = [*(step.after for step in decided), end]
    shares = [float(_share(step)) for step in decided]
    copies = [float(step.record.shadow) for step in decided]
    curves = [Curve("requests", times, [*shares, shares[-1]], CHALLENGER, steps=True)]
    if any(copies):
        curves.append(Curve("copies", times, [*copies, copies[-1]], NEUTRAL, ":", steps=True))
    return Plot("what the challenger gets, % of the requests", curves, marks)


def _share(step: Step) -> int:
    told = step.record.rollout
    if told and told.state == "promoted":  # by then it is called the champion
        return 100
    return step.record.weights.get("challenger", 0)


def _evidence(metric: str, points: Sequence[Point], marks: Sequence[float]) -> Plot:
    found = [point for point in points if metric in point.evidence]
    level = found[-1].evidence[metric].threshold
    curves = [
        _curve(found, "worse", lambda point: point.evidence[metric].worse, WORSE),
        _curve(found, "no worse", lambda point: point.evidence[metric].no_worse, GOOD),
    ]
    return Plot(
        f"evidence of {metric}, logarithm", curves, marks, level, floor=-level, ceiling=2.5 * level
    )


def _drift(points: Sequence[Point]) -> list[Curve]:
    """With the size that counts as drift where nobody asked for another, to see it against."""
    known = [point for point in points if point.drift is not None]
    size = DriftSettings().categorical
    return [
        _curve(points, "drift", attrgetter("drift"), NEUTRAL),
        _curve(known, f"matters from {size:g}", lambda _: size, NEUTRAL, ":"),
    ]


def _by_arm(
    points: Sequence[Point], label: str, value: Callable[[Arm], float | None], style: str = "-"
) -> list[Curve]:
    return [
        _curve(
            points,
            label.format(name),
            lambda point, name=name: value(getattr(point, name)),  # type: ignore[misc]
            colour,
            style,
        )
        for name, colour in _ARMS
    ]


def _curve(
    points: Sequence[Point],
    label: str,
    value: Callable[[Point], float | None],
    colour: str,
    style: str = "-",
) -> Curve:
    return Curve(
        label, [one.seconds for one in points], [value(one) for one in points], colour, style
    )


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _scaled(share: float | None) -> float | None:
    return None if share is None else 100 * share
