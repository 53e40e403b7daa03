"""The `retrain` section of `pipelines/settings.yaml`: when drift begins a retraining."""

from __future__ import annotations

from pydantic import Field

from openautoglm.config.model import Settings


class RetrainSettings(Settings):
    """When drift begins a retraining; a window with too little data never does."""

    looks: int = Field(
        2,
        ge=1,
        le=100,
        description="looks in a row that must find drift, each in another window; those with too "
        "little data do not count",
    )
    cooldown_hours: float = Field(
        24, ge=0, allow_inf_nan=False, description="pause after a retraining has begun"
    )
    stale_hours: float = Field(
        48,
        gt=0,
        allow_inf_nan=False,
        description="a retraining whose end nobody has noted is in nobody's way after this long",
    )
