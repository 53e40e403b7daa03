"""What people do to a rollout: start it, ask something of it; and how long it will take."""

from __future__ import annotations

from collections.abc import Sequence

from openautoglm.config.rollout import Metrics, RolloutSettings
from openautoglm.deploy.ledger import Record, now
from openautoglm.deploy.release import Release, Role
from openautoglm.deploy.rollout_record import Request, RolloutRecord, Wish
from openautoglm.errors import BusyError, ConfigError
from openautoglm.rollout.ledger import settings_digest
from openautoglm.rollout.state import progress


def check_objective(
    metrics: Metrics, edges: Sequence[float], where: str = "config.yaml, key rollout"
) -> None:
    """See that slow answers can be counted exactly.

    Args:
        metrics: What is compared.
        edges: Seconds up to which the telemetry in use counts answers.
        where: What they are set in, for messages.

    Raises:
        ConfigError: The objective lies between two of them.
    """
    slow = metrics.slow
    if slow is None or any(abs(slow.objective_ms - 1000 * edge) < 1e-6 for edge in edges):
        return
    raise ConfigError(
        f"`slow.objective_ms` is {slow.objective_ms:g}, up to which nobody counts answers",
        where=f"{where}.metrics.slow.objective_ms",
        allowed=", ".join(f"{1000 * edge:g}" for edge in edges),
    )


def started(
    records: Sequence[Record],
    challenger: Release,
    settings: RolloutSettings,
    *,
    by: str,
    immediate: bool = False,
    data: str = "",
) -> Record:
    """The first record of a rollout, to be appended after exactly these.

    Args:
        records: The service's ledger.
        challenger: What is to serve.
        settings: Kept to the rollout's end.
        by: Who starts it.
        immediate: All requests at once, whatever the evidence says: to undo a promotion.
        data: Digest of the data the challenger was made from.

    Raises:
        ConfigError: Nothing is served yet, or it is what the champion serves already.
        BusyError: Another rollout is open.
    """
    last = _in_force(records)
    champion = last.releases["champion"]
    if last.owner:
        raise BusyError(f"{last.owner} is open", hint="abort it, or wait for its end")
    if champion.key == challenger.key:
        raise ConfigError(
            f"the champion serves version {champion.version} already",
            allowed="another version",
        )
    number = 1 + max((one.rollout.id for one in records if one.rollout), default=0)
    releases: dict[Role, Release] = {"champion": champion, "challenger": challenger}
    return Record(
        kind="rollout",
        by=by,
        releases=releases,
        weights={"champion": 100, "challenger": 0},
        owner=f"rollout {number}",
        rollout=RolloutRecord(
            id=number,
            state="pending",
            reason="a person wants it at once" if immediate else "waiting for the challenger",
            forced=immediate,
            settings=settings,
            settings_digest=settings_digest(settings),
            data=data,
        ),
    )


def requested(records: Sequence[Record], wish: Wish, *, by: str, forced: bool = False) -> Record:
    """A person's request as the ledger's next record; the routes stay as they are.

    Args:
        records: The service's ledger.
        wish: What is asked for.
        by: Who asks.
        forced: Promote whatever the evidence says.

    Raises:
        ConfigError: No rollout is open, or something else than a promotion is forced.
    """
    last, found = _in_force(records), progress(records)
    if found is None or found.ended:
        raise ConfigError("no rollout is open", hint="openautoglm rollout start")
    if forced and wish != "promote":
        raise ConfigError("only a promotion can be forced")
    asked = {
        "time": now(),
        "kind": "request",
        "by": by,
        "note": "",
        "rollout": None,
        "request": Request(id=found.id, wish=wish, forced=forced),
    }
    return last.model_copy(update=asked)


def least_seconds(settings: RolloutSettings) -> float:
    """From the challenger being ready to the promotion, when evidence is never waited for."""
    shadow = settings.shadow.seconds if settings.shadow.percent else 0
    return shadow + len(settings.weights) * settings.step_seconds


def most_seconds(settings: RolloutSettings) -> float:
    """From its start to its end, when nobody asks for anything and the clock never goes back."""
    deadline, held = settings.deadline, settings.deadline.held
    shadow = deadline.shadow + held if settings.shadow.percent else 0
    steps = len(settings.weights) * (deadline.step + held)
    return deadline.pending + shadow + steps + deadline.promoting


def _in_force(records: Sequence[Record]) -> Record:
    if not records or records[-1].kind == "delete":
        raise ConfigError("nothing is deployed", hint="openautoglm deploy -c config.yaml")
    return records[-1]
