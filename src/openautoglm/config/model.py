"""The base of every configuration model."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Strict (no `"3"` for 3), frozen, and unknown keys are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


def without_effect(section: Settings, keys: tuple[str, ...], because: str) -> None:
    """Refuse keys that were changed and cannot matter.

    Compared with the defaults, not asked whether they were given: a service that was stored has
    every key.

    Raises:
        ValueError: There is one.
    """
    for key in keys:
        if getattr(section, key) != type(section).model_fields[key].default:
            raise ValueError(f"`{key}` has no meaning with {because}")
