"""How a challenger takes over from the champion, or is taken back."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from openautoglm.config.model import Settings, without_effect

_DAY = 86_400
Time = Annotated[float, Field(gt=0, le=30 * _DAY, allow_inf_nan=False)]
Points = Annotated[float, Field(ge=0, lt=100, allow_inf_nan=False)]
Weight = Annotated[int, Field(ge=1, le=100)]


def _confirm(found: str) -> str:
    if found == "person":
        return found
    try:
        parts = urlsplit(found)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"found {found!r}, allowed: null, person, or an http(s) URL")
    if "@" in parts.netloc:
        raise ValueError(
            "a URL with a password would stand in ledger, plan and report: leave it out"
        )
    return found


def within(points: Any) -> Any:
    """The field `margin`, with its default; `...` has none."""
    return Field(
        points, description="promoted only when it is worse by less, for certain; percentage points"
    )


class _Compared(Settings):
    """A share of requests or answers that is compared, challenger against champion."""

    tolerance: Points = Field(
        0, description="rolled back when it is worse by more; percentage points"
    )
    margin: Points = within(...)

    @model_validator(mode="after")
    def _room_between(self) -> Self:
        if self.tolerance >= self.margin:
            raise ValueError(
                f"`tolerance` ({self.tolerance:g}) must be below `margin` ({self.margin:g}): one "
                "challenger could be too bad to keep and good enough to promote"
            )
        return self


class Errors(_Compared):
    """Requests that were not answered."""

    margin: Points = within(0.5)


class Slow(_Compared):
    """Requests that were answered later than the objective."""

    objective_ms: float = Field(
        250,
        gt=0,
        le=600_000,
        allow_inf_nan=False,
        description="an answer is slow above this; one of the edges that latencies are counted by",
    )
    margin: Points = within(2)


class Accuracy(_Compared):
    """Answers that feedback says are wrong."""

    shadow_decides: bool = Field(
        False,
        description="what pairs of answers have shown in the shadow need not be shown again at the "
        "weights; one that turns out to be worse is taken back all the same",
    )
    margin: Points = within(2.5)


class Metrics(Settings):
    """What is compared; null leaves a metric out."""

    errors: Errors | None = Field(Errors(), description="requests that were not answered")
    slow: Slow | None = Field(Slow(), description="answers later than an objective")
    accuracy: Accuracy | None = Field(
        None, description="answers that were wrong; needs labels, as feedback"
    )

    @model_validator(mode="after")
    def _any(self) -> Self:
        if not self.used():
            raise ValueError("every metric is null: nothing would tell a good challenger from bad")
        return self

    def used(self) -> tuple[str, ...]:
        """Names of those that are compared."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)


class ShadowSettings(Settings):
    """Copies of requests, before the challenger's answers are seen by anybody."""

    percent: int = Field(10, ge=0, le=100, description="of the requests; 0 leaves shadowing out")
    seconds: Time = Field(300, description="copies are sent at least this long")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.percent == 0:
            without_effect(self, ("seconds",), "percent: 0")
        return self


class Deadlines(Settings):
    """How long a rollout may stay where it is; being held does not count, but for `held`."""

    pending: Time = Field(600, description="for the challenger to be ready; then rolled back")
    shadow: Time = Field(3600, description="for evidence from copies; then see `undecided`")
    step: Time = Field(_DAY, description="for evidence at one weight; then see `undecided`")
    promoting: Time = Field(600, description="for all requests to move; then rolled back")
    held: Time = Field(7 * _DAY, description="for being held at one weight; then rolled back")


class RolloutSettings(Settings):
    """From the first copy of a request to the last percent."""

    shadow: ShadowSettings = Field(ShadowSettings(), description="copies of requests at first")
    steps: tuple[Weight, ...] = Field(
        (5, 25, 50, 100),
        min_length=1,
        max_length=100,
        description="percent of the requests, rising; 100 comes last whether it is said or not",
    )
    step_seconds: Time = Field(300, description="a weight stays at least this long")
    deadline: Deadlines = Field(Deadlines(), description="seconds, for each state")
    undecided: Literal["hold", "abort", "continue"] = Field(
        "hold",
        description="what a deadline without evidence brings: wait for a person, roll back, or go "
        "on to the next weight; the last one is never promoted without evidence",
    )
    missing_seconds: Time = Field(
        60, description="held when there is nothing to compare for this long"
    )
    alpha: float = Field(
        0.01,
        gt=0,
        le=0.5,
        allow_inf_nan=False,
        description="chance of ever rolling back a challenger that is no worse, over all metrics",
    )
    metrics: Metrics = Field(Metrics(), description="what is compared")
    confirm: Annotated[str, AfterValidator(_confirm)] | None = Field(
        None,
        description="who must agree before a promotion: null nobody, person, or a URL that must "
        "answer 200",
    )

    @property
    def weights(self) -> tuple[int, ...]:
        """Percent of the requests at each step that the champion still shares."""
        return self.steps[:-1] if self.steps[-1] == 100 else self.steps

    @model_validator(mode="after")
    def _rising(self) -> Self:
        steps = self.steps
        if list(steps) != sorted(set(steps)):
            raise ValueError(f"`steps` must rise, found {list(steps)}")
        if steps == (100,):
            raise ValueError("`steps` needs a weight below 100, at which both serve")
        return self

    @model_validator(mode="after")
    def _time_enough(self) -> Self:
        if self.step_seconds > self.deadline.step:
            raise ValueError(
                f"`step_seconds` ({self.step_seconds:g}) is more than `deadline.step` "
                f"({self.deadline.step:g})"
            )
        if self.shadow.percent == 0:
            without_effect(self.deadline, ("shadow",), "shadow.percent: 0")
            if self.metrics.accuracy:
                without_effect(self.metrics.accuracy, ("shadow_decides",), "shadow.percent: 0")
        elif self.shadow.seconds > self.deadline.shadow:
            raise ValueError(
                f"`shadow.seconds` ({self.shadow.seconds:g}) is more than `deadline.shadow` "
                f"({self.deadline.shadow:g})"
            )
        return self
