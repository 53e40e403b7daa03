"""The `drift` section of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from openautoglm.config.model import Settings, Share


class DriftSettings(Settings):
    """How a window of rows is compared with the reference split."""

    rows: int = Field(
        1000, ge=100, description="rows of the window that are compared; fewer are too little data"
    )
    seed: int = Field(1, ge=0, description="seed of the samples")
    threads: int = Field(2, ge=1, description="CPU threads that predict")
    numeric: Share = Field(
        0.1, description="smallest effect that is drift, numbers: Kolmogorov-Smirnov distance"
    )
    categorical: Share = Field(
        0.1, description="the same for classes: Cramer's V, corrected for bias"
    )
    alpha: float = Field(
        0.001, gt=0, lt=1, description="chance of an effect by accident, over all columns together"
    )
