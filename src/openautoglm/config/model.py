"""The base of every configuration model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Strict (no `"3"` for 3), frozen, and unknown keys are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")
