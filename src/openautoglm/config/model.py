"""The base of every configuration model."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Strict (no `"3"` for 3), frozen, and unknown keys are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")
