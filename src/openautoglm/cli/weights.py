"""`openautoglm weights`: who gets which share of the requests, by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args

from openautoglm.artifacts.lock import exclusive
from openautoglm.cli.services import decided_by
from openautoglm.deploy.desired import Desired, read_desired
from openautoglm.deploy.ledger import Record, append, last
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.machine import check_room
from openautoglm.deploy.local.waiting import look_after, wait
from openautoglm.deploy.release import Release, Role
from openautoglm.deploy.resolve import Resolved, resolve_alias
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import BusyError, ConfigError
from openautoglm.observability.progress import say, working_on
from openautoglm.routing.routes import check_weights

_GIVEN = re.compile(r"(\w+)=(\d+)")


def weights(folder: ServiceFolder, given: Sequence[str], *, shadow: int, seconds: float) -> None:
    """Decide on weights, and wait until they are in force.

    Args:
        folder: The service's.
        given: `role=percent`; a role that is not among them ends.
        shadow: Percent of the requests that the challenger gets copies of.
        seconds: How long to wait.

    Raises:
        ConfigError: A role is none, or there is no challenger.
        RouteError: The weights do not sum to 100.
        BusyError: A rollout owns the weights, or another command is at work.
        DeployError: They do not come into force.
    """
    working_on("weights")
    wanted = _parsed(given)
    check_weights({str(role): weight for role, weight in wanted.items()})
    with exclusive(folder.lock):
        desired, record = read_desired(folder.desired), last(folder.ledger)
        if desired is None or record is None:
            raise ConfigError(
                f"{folder.name} is not deployed", hint="openautoglm deploy -c config.yaml"
            )
        if record.owner:
            raise BusyError(
                f"{record.owner} owns the weights of {folder.name}",
                where=str(folder.ledger),
                hint=f"wait for its end, or: openautoglm rollout abort {folder.name}",
            )
        _decide(folder, desired, record, wanted, shadow)
        look_after(folder)
        wait(folder, desired, seconds=seconds, say=say)
    told = " ".join(f"{role}={weight}" for role, weight in wanted.items())
    print(f"{folder.name}: {told}{f', shadow {shadow}' if shadow else ''} in force")


def _decide(
    folder: ServiceFolder,
    desired: Desired,
    record: Record,
    wanted: dict[Role, int],
    shadow: int,
) -> None:
    check_room(folder)
    releases: dict[Role, Release] = {"champion": record.releases["champion"]}
    models = ModelStore(folder.project)
    with models.reserved():
        if "challenger" in wanted or shadow:
            found = _challenger(folder, desired, record)
            found.place(models)
            releases["challenger"] = found.release
        decision = Record(
            kind="weights",
            by=decided_by(),
            releases=releases,
            weights=wanted,
            shadow=shadow,
        )
        append(folder.ledger, decision)


def _challenger(folder: ServiceFolder, desired: Desired, record: Record) -> Resolved:
    found = resolve_alias(
        folder.project,
        desired.service,
        record.releases["champion"],
        "challenger",
        folder.desired,
    )
    if found.release.key == record.releases["champion"].key:
        raise ConfigError(
            f"the challenger is what the champion serves already: version {found.release.version}",
            allowed="another version with the alias `challenger`",
        )
    return found


def _parsed(given: Sequence[str]) -> dict[Role, int]:
    found: dict[Role, int] = {}
    roles = {str(role): role for role in get_args(Role)}
    for text in given:
        match = _GIVEN.fullmatch(text)
        if match is None or match[1] not in roles:
            raise ConfigError(
                f"found `{text}`", allowed="champion=PERCENT challenger=PERCENT, in whole percent"
            )
        if roles[match[1]] in found:
            raise ConfigError(f"`{match[1]}` is given twice")
        found[roles[match[1]]] = int(match[2])
    found.setdefault("champion", 0)
    return found
