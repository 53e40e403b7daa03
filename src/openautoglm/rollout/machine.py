"""What a rollout does next: a pure function of where it stands and what is seen.

Called again and again; what it returns is written into the ledger and then acted on, so whoever
dies in between, the next one finds the decision and acts on it. What it keeps whatever is seen:

- it promotes only when every metric is no worse, nothing is missing and the split is right, or
  when a person forced it;
- a metric that is worse takes every request back at once, held or not;
- no state lasts forever: each has a deadline, after which nobody needs to be there.
"""

from __future__ import annotations

from dataclasses import dataclass

from openautoglm.deploy.rollout_record import Cause, Place, State
from openautoglm.rollout.observation import Observation, lacking, worse
from openautoglm.rollout.state import Asked, Progress

_CLOCK_SECONDS = 5.0
_ROLLOUT = "rollout"


@dataclass(frozen=True)
class Decision:
    """Where the rollout stands from now on.

    Attributes:
        state: What it does.
        back: While held, where it was.
        step: Which of the settings' weights, from 1; 0 before the first one.
        cause: While held, what for.
        reason: Why, in words.
        forced: A person overrules the evidence.
        by: Who decided: `rollout`, or the person who asked.
        note: What else is to be told, such as why a request was refused.
    """

    state: State
    back: Place | None
    step: int
    cause: Cause
    reason: str
    forced: bool
    by: str = _ROLLOUT
    note: str = ""

    @property
    def routes_first(self) -> bool:
        """Whether it is acted on even while the ledger has no room for it.

        A full disk must not keep a bad challenger in service.
        """
        return self.state == "rolled_back"


def decide(progress: Progress, seen: Observation) -> Decision | None:
    """The next decision; None while everything stays as it is.

    Args:
        progress: From the ledger.
        seen: What is seen now.
    """
    if progress.ended:
        return None
    if progress.asked:
        return _answer(progress, progress.asked, seen)
    if bad := worse(progress, seen):
        return _end(progress, bad)
    if seen.now < progress.at - _CLOCK_SECONDS:
        gone = progress.at - seen.now
        return _stay(progress, f"the clock went back by {gone:.0f} s: time counts on from here")
    if progress.state == "held":
        return _held(progress, seen)
    if progress.state == "pending":
        return _pending(progress, seen)
    if progress.state == "promoting":
        return _promoting(progress, seen)
    return _compare(progress, seen)


def _answer(progress: Progress, asked: Asked, seen: Observation) -> Decision:
    """To a person's request; a refusal leaves everything as it is and says why."""
    bad = worse(progress, seen)
    if asked.wish == "abort":
        return _end(progress, "a person ended it", by=asked.by)
    if asked.wish == "promote" and asked.forced:
        return _promote(progress, "a person overrules the evidence", by=asked.by, forced=True)
    if bad:
        return _end(progress, bad)
    if progress.place == "promoting":
        return _stay(progress, f"refused to {asked.wish}: it is being promoted; abort ends it")
    if asked.wish == "promote":
        if missing := lacking(progress, seen):
            return _stay(progress, f"refused to promote: {'; '.join(missing)}")
        return _promote(progress, "no worse, and a person waits no longer", by=asked.by)
    if asked.wish == "hold":
        return _hold(progress, "person", "a person holds it", by=asked.by)
    if progress.state != "held":
        return _stay(progress, "refused to resume: it is not held")
    return _go_on(progress, "a person resumes it", by=asked.by)


def _pending(progress: Progress, seen: Observation) -> Decision | None:
    settings = progress.settings
    if seen.in_force:
        if progress.forced:
            return _promote(progress, "a person wants it at once")
        if settings.shadow.percent:
            return _enter(progress, "shadow", 0, "the challenger is ready")
        return _enter(progress, "canary", 1, "the challenger is ready")
    if progress.seconds_here(seen.now) >= settings.deadline.pending:
        return _end(progress, _late("the challenger was not ready", settings.deadline.pending))
    return None


def _promoting(progress: Progress, seen: Observation) -> Decision | None:
    if seen.in_force:
        return _enter(progress, "promoted", progress.step, progress.reason)
    deadline = progress.settings.deadline.promoting
    if progress.seconds_here(seen.now) >= deadline:
        return _end(progress, _late("not all requests could move", deadline))
    return None


def _compare(progress: Progress, seen: Observation) -> Decision | None:
    """Shadow and canary: both serve, and evidence decides."""
    settings, shadow = progress.settings, progress.state == "shadow"
    if seen.mismatch:
        return _hold(progress, "mismatch", seen.mismatch)
    long = [what for what, since in seen.missing.items() if since >= progress.patience]
    if long:
        return _hold(progress, "missing", "; ".join(long))
    here, missing = progress.seconds_here(seen.now), lacking(progress, seen)
    if not missing and here >= (settings.shadow.seconds if shadow else settings.step_seconds):
        return _onwards(progress, "no worse than the champion")
    deadline = settings.deadline.shadow if shadow else settings.deadline.step
    if here < deadline:
        return None
    return _undecided(progress, seen, _late("; ".join(missing), deadline))


def _undecided(progress: Progress, seen: Observation, reason: str) -> Decision:
    """At a deadline; what is missing is never passed over."""
    if progress.settings.undecided == "abort":
        return _end(progress, reason)
    if seen.missing or not seen.in_force:
        return _hold(progress, "missing", reason)
    last = progress.step == len(progress.settings.weights)
    if progress.settings.undecided == "continue" and not last:
        return _onwards(progress, reason)
    return _hold(progress, "undecided", reason)


def _held(progress: Progress, seen: Observation) -> Decision | None:
    deadline = progress.settings.deadline.held
    if progress.seconds_held(seen.now) >= deadline:
        return _end(progress, _late(f"held: {progress.reason}", deadline))
    if progress.cause == "missing":
        if not seen.missing and seen.in_force:
            return _go_on(progress, "what was missing is there")
        return None
    if progress.cause not in ("undecided", "confirm") or lacking(progress, seen):
        return None
    if progress.cause == "undecided":
        return _onwards(progress, "no worse than the champion")
    if seen.confirmed and progress.settings.confirm != "person":
        return _promote(progress, f"no worse than the champion; {progress.settings.confirm} agrees")
    return None


def _onwards(progress: Progress, reason: str) -> Decision:
    """To the next weight; after the last one to the promotion, or to whoever must agree to it."""
    if progress.step < len(progress.settings.weights):
        return _enter(progress, "canary", progress.step + 1, reason)
    if progress.settings.confirm is None:
        return _promote(progress, reason)
    return _hold(progress, "confirm", f"{reason}; waiting for {progress.settings.confirm} to agree")


def _promote(
    progress: Progress, reason: str, *, by: str = _ROLLOUT, forced: bool = False
) -> Decision:
    forced = forced or progress.forced
    return Decision("promoting", None, progress.step, "", reason, forced, by)


def _enter(progress: Progress, state: State, step: int, reason: str) -> Decision:
    return Decision(state, None, step, "", reason, progress.forced)


def _end(progress: Progress, reason: str, *, by: str = _ROLLOUT) -> Decision:
    return Decision("rolled_back", None, progress.step, "", reason, progress.forced, by)


def _hold(progress: Progress, cause: Cause, reason: str, *, by: str = _ROLLOUT) -> Decision:
    return Decision("held", progress.place, progress.step, cause, reason, progress.forced, by)


def _go_on(progress: Progress, reason: str, *, by: str = _ROLLOUT) -> Decision:
    assert progress.back is not None
    return Decision(progress.back, None, progress.step, "", reason, progress.forced, by)


def _stay(progress: Progress, note: str) -> Decision:
    return Decision(
        progress.state,
        progress.back,
        progress.step,
        progress.cause,
        progress.reason,
        progress.forced,
        note=note,
    )


def _late(reason: str, deadline: float) -> str:
    return f"{reason}, after {deadline:g} s"
