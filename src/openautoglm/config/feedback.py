"""The feedback's part of `config.yaml`: answers that were given, and labels that come later."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from openautoglm.config.model import Settings, Share, without_effect

_SERVERS = ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2")
_HIDDEN = "***"


def _store(found: str) -> str:
    # The message says nothing of what was found: it may hold a password.
    scheme, separator, rest = found.partition("://")
    try:
        server = scheme in _SERVERS and bool(urlsplit(found).path.strip("/"))
    except ValueError:
        server = False
    file = scheme == "sqlite" and rest.startswith("//") and rest.strip("/")
    if not separator or not (server or file):
        raise ValueError(
            "this names no store: write postgresql://USER@HOST/DATABASE, or sqlite:// and an "
            "absolute path, as in sqlite:////srv/feedback.db"
        )
    return found


StoreUrl = Annotated[str, AfterValidator(_store)]


class Requests(Settings):
    """A sample of what was asked, for `openautoglm drift --service NAME`."""

    sample: Share = Field(
        0.1, description="share of the requests that is kept; 0 keeps none, and removes those kept"
    )
    rows: int = Field(
        10_000, ge=100, le=10_000_000, description="texts or feature rows kept, the latest ones"
    )
    texts: bool = Field(
        True,
        description="false keeps texts out, and removes those kept; what a model of numbers is "
        "asked is kept",
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.sample == 0:
            without_effect(self, ("rows", "texts"), "sample: 0")
        return self


class Feedback(Settings):
    """Answers are kept for a while, so that labels that come later can be told to belong to them.

    `POST /v1/feedback` takes the labels.
    """

    enabled: bool = Field(
        True,
        description="false keeps nothing new and takes no labels; what is kept stays as it is",
    )
    url: StoreUrl | None = Field(
        None,
        description="PostgreSQL, or a SQLite file of this machine by its absolute path, which "
        "services may share; null is a file in the service's folder, which ends with the service",
    )
    retention_days: float = Field(
        30, gt=0, le=3650, description="answers, labels and sampled requests are kept this long"
    )
    answers: int = Field(
        1_000_000,
        ge=1000,
        le=1_000_000_000,
        description="answers kept, the latest ones; a million of one row are about 200 MB",
    )
    requests: Requests = Field(Requests(), description="a sample of what was asked, for `drift`")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.enabled:
            without_effect(self, ("url", "retention_days", "answers", "requests"), "enabled: false")
        return self


def shown(url: str) -> str:
    """The URL of a store without its password."""
    scheme, separator, rest = url.partition("://")
    place, question, _ = rest.partition("?")  # a password may stand behind the mark, too
    user, at, host = place.rpartition("@")
    name, colon, _ = user.partition(":")
    hidden = f"{name}:{_HIDDEN}{at}" if colon else f"{name}{at}"
    return f"{scheme}{separator}{hidden}{host}" + (f"{question}{_HIDDEN}" if question else "")
