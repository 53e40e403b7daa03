"""What a role serves: one graph of one model version."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["champion", "challenger"]


class Release(BaseModel):
    """A model version and the part of it that is served.

    Attributes:
        name: What clients call the model.
        version: What answers carry: the registry's number, or the digest's first digits.
        digest: `sha256-...` of the payload; the model store holds it under this name.
        family: Family of the graph.
        variant: Its precision.
        origin: Where it was found, in words: a registry's URI or a folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    digest: str
    family: str
    variant: str
    origin: str

    @property
    def key(self) -> str:
        """The router's name for it, the same for the same answers: `v3-int8-1a2b3c4d`.

        No dots: Envoy's statistics would cut it there.
        """
        parts = (self.name, self.version, self.digest, self.family, self.variant)
        told = re.sub(r"[^a-z0-9]+", "-", f"v{self.version}-{self.variant}".lower())[:40].strip("-")
        return f"{told}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"
