"""The canary's part of `params.yaml`: champion and challenger side by side on the replay split."""

from __future__ import annotations

from pydantic import Field

from openautoglm.config.model import Settings
from openautoglm.config.rollout import Accuracy, Errors, Metrics, Points, within


class CanaryErrors(Errors):
    """Requests that were not answered; a minute has fewer of them than a day of live traffic."""

    margin: Points = within(1)


class CanaryAccuracy(Accuracy):
    """Answers that are wrong, as the replay split's labels tell, which come as feedback."""

    shadow_decides: bool = Field(
        True,
        description="pairs of answers are enough; false asks for labels at the weight, too, which "
        "takes several times as many rows",
    )


class CanaryMetrics(Metrics):
    """What is compared; null leaves a metric out."""

    errors: CanaryErrors | None = Field(
        CanaryErrors(), description="requests that were not answered"
    )
    accuracy: CanaryAccuracy | None = Field(CanaryAccuracy(), description="answers that are wrong")


class CanarySettings(Settings):
    """How a registered model is tried beside the champion before it may replace it."""

    seconds: float = Field(
        60,
        ge=15,
        le=60,
        allow_inf_nan=False,
        description="it ends by then, start of the processes included; undecided if it must",
    )
    alpha: float = Field(
        0.01,
        gt=0,
        le=0.5,
        allow_inf_nan=False,
        description="chance of turning down a challenger that is no worse, over all metrics",
    )
    clients: int = Field(
        4,
        ge=1,
        le=64,
        description="how many ask at a time; each rests three times as long as its answer took",
    )
    metrics: CanaryMetrics = Field(CanaryMetrics(), description="what is compared")
