"""How a rollout's states, numbers and times are put into words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from openautoglm.config.rollout import RolloutSettings
from openautoglm.deploy.rollout_record import RolloutRecord
from openautoglm.rollout.points import Point

_NONE = "–"


def state(settings: RolloutSettings, told: RolloutRecord) -> str:
    """`canary 25 %`, `held at shadow: missing`, `rolled back`."""
    if told.state == "held":
        place = _place(settings, str(told.back), told.step)
        return f"held at {place}: {told.cause}" if told.cause else f"held at {place}"
    return _place(settings, told.state, told.step)


def metric(settings: RolloutSettings, name: str) -> str:
    """What is counted, as `share of ...`."""
    if name == "slow" and settings.metrics.slow:
        return f"answers above {settings.metrics.slow.objective_ms:g} ms"
    return {"errors": "errors", "accuracy": "wrong answers"}.get(name, name)


def percent(share: float | None) -> str:
    """`1.25`; more digits for what is small."""
    if share is None:
        return _NONE
    found = 100 * share
    return f"{found:.2g}" if 0 < abs(found) < 0.01 else f"{found:.2f}"


def points(difference: float | None) -> str:
    """A difference of shares, with its sign."""
    return _NONE if difference is None else f"{100 * difference:+.2f}"


def interval(found: tuple[float, float] | None) -> str:
    """`[-0.10, +0.35]`."""
    return _NONE if found is None else f"[{points(found[0])}, {points(found[1])}]"


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(seconds)
    for size, unit, part, lower in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return _two(whole // size, unit, whole % size // part, lower)
    return _two(whole // 60, "min", whole % 60, "s") if whole >= 60 else f"{whole} s"


def signs(found: Sequence[Point]) -> str:
    """What is known of the answers without labels; "" when nothing is."""
    told = []
    if (agreed := _newest(one.agreement for one in reversed(found))) is not None:
        told.append(f"agreement (the same answer to {percent(agreed)} % of the copied requests)")
    sure = [(one.champion.confidence, one.challenger.confidence) for one in found]
    champion, challenger = (_newest(pair[side] for pair in reversed(sure)) for side in (0, 1))
    if champion is not None and challenger is not None:
        told.append(f"confidence (champion {champion:.3f}, challenger {challenger:.3f})")
    if (drift := _newest(one.drift for one in reversed(found))) is not None:
        told.append(f"prediction drift (Cramer's V {drift:.3f}: 0 is alike, 1 nothing in common)")
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def _newest(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)


def _place(settings: RolloutSettings, name: str, step: int) -> str:
    if name == "canary" and 0 < step <= len(settings.weights):
        return f"canary {settings.weights[step - 1]} %"
    return name.replace("_", " ")


def _two(many: int, unit: str, few: int, lower: str) -> str:
    return f"{many} {unit} {few} {lower}" if few else f"{many} {unit}"
