"""What a rollout adds to a decision: where it stands, why, and on which evidence."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from openautoglm.config.rollout import RolloutSettings
from openautoglm.deploy.release import Role

Place = Literal["pending", "shadow", "canary", "promoting"]
State = Literal["pending", "shadow", "canary", "promoting", "held", "promoted", "rolled_back"]
Cause = Literal["", "missing", "undecided", "mismatch", "person", "confirm"]
Wish = Literal["promote", "abort", "hold", "resume"]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Measured(_Part):
    """What one metric came to when something was decided.

    Attributes:
        verdict: As `openautoglm.rollout.verdict.Verdict` has it.
        value: Challenger minus champion, a share; None without data.
        interval: Its confidence sequence, lowest and highest.
        n: Exposure: requests or labels by role.
        rule: The method, and the alpha it had.
        needed: Further exposure of the challenger that would decide; None when nobody can say.
    """

    verdict: Literal["no_worse", "worse", "undecided"]
    value: float | None = None
    interval: tuple[float, float] | None = None
    n: dict[Role, int] = {}
    rule: str = ""
    needed: int | None = None


class Request(_Part):
    """What a person asks of an open rollout; the controller answers with its next decision.

    Attributes:
        id: The rollout's.
        wish: What is asked for.
        forced: A promotion whatever the evidence says.
    """

    id: int
    wish: Wish
    forced: bool = False


class RolloutRecord(_Part):
    """Where a rollout stands from this decision on.

    Attributes:
        id: Its number within the service, from 1.
        state: What it does now.
        back: While held, where it was and goes on.
        step: Which of the settings' weights, from 1; 0 before the first one.
        cause: While held, what for.
        reason: Why it is in this state, in words.
        forced: A person overrules the evidence.
        evidence: By metric, as far as there was any.
        missing: What there was nothing of, in words.
        settings: In the first record of a rollout, which keeps them to its end.
        settings_digest: Of those settings.
        data: Digest of the data the challenger was made from.
    """

    id: int = Field(ge=1)
    state: State
    back: Place | None = None
    step: int = Field(0, ge=0)
    cause: Cause = ""
    reason: str
    forced: bool = False
    evidence: dict[str, Measured] = {}
    missing: tuple[str, ...] = ()
    settings: RolloutSettings | None = None
    settings_digest: str
    data: str = ""

    @property
    def open(self) -> bool:
        """Whether it goes on after this."""
        return self.state not in ("promoted", "rolled_back")
