"""What a deploy would create, change and remove; nothing here does it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from openautoglm.config.feedback import shown
from openautoglm.config.service import Autoscale, Service
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.release import Release
from openautoglm.observability.machine import machine

_ROLLING = "rolling, no request fails"
_IN_PLACE = "in place"
_NOTED = "noted"
_STORE = "feedback.url"
_OWNED = "owned by autoscaler"


@dataclass(frozen=True)
class Change:
    """One line of a plan.

    Attributes:
        kind: What is done; `keep` is told because somebody may expect otherwise.
        what: A part of the service, or a dotted key of `config.yaml`.
        detail: From what to what.
        how: How it comes into force.
    """

    kind: Literal["create", "change", "remove", "keep"]
    what: str
    detail: str
    how: str = ""


@dataclass(frozen=True)
class Plan:
    """What a deploy would do.

    Attributes:
        champion: What the champion will serve: what was asked for, or what it serves already
            while it may not be changed.
        changes: Line by line.
        warnings: What will not go well, in words.
    """

    champion: Release
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]

    @property
    def unchanged(self) -> bool:
        """Whether everything is as it is wanted."""
        return all(change.kind == "keep" for change in self.changes)

    def lines(self) -> list[str]:
        """The plan for a terminal, in columns."""
        width = max((len(change.what) for change in self.changes), default=0)
        return [
            *(["nothing to change"] if self.unchanged else []),
            *(
                f"{change.kind:6}  {change.what:{width}}  {change.detail}"
                + (f", {change.how}" if change.how else "")
                for change in self.changes
            ),
            *(f"warning: {warning}" for warning in self.warnings),
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def plan(
    old: Desired | None,
    record: Record | None,
    new: Desired,
    champion: Release,
    *,
    live_replicas: int | None,
    cores: float | None = None,
) -> Plan:
    """Compare what is wanted with what was wanted last.

    Args:
        old: What the last deploy wanted; None when there was none.
        record: The decision in force; None when nothing is served.
        new: What is wanted now.
        champion: What the champion is to serve.
        live_replicas: The autoscaler's count; None when there is none.
        cores: What this machine has; None looks.
    """
    service = new.service
    held = _held(record, champion)
    if held and record:
        champion = record.releases["champion"]
    if old is None or record is None:
        changes = [*_created(service, champion)]
    else:
        changes = [
            *_release(record.releases["champion"], champion),
            *_code(old.code, new.code),
            *_keys(old.service, service, live_replicas),
        ]
    if service.autoscale and live_replicas and not any(c.what == "replicas" for c in changes):
        changes.append(Change("keep", "replicas", f"live {live_replicas}, {_OWNED}"))
    if held:
        changes.append(Change("keep", "model", held))
    if record and (told := _shares(record)):
        changes.append(Change("keep", "weights", told))
    cores = machine().cores if cores is None else cores
    return Plan(champion, tuple(changes), tuple(_too_many(service, cores)))


def _held(record: Record | None, champion: Release) -> str | None:
    """Why the champion stays what it is, if it does."""
    if record is None or record.releases["champion"].key == champion.key:
        return None
    stays = f"the champion stays version {record.releases['champion'].version}"
    if record.owner:
        return f"{stays} while {record.owner} is open"
    challenger = record.releases.get("challenger")
    if challenger and challenger.key == champion.key:
        return f"{stays} while version {champion.version} is the challenger"
    return None


def _shares(record: Record) -> str | None:
    """That a deploy leaves the challenger its requests."""
    challenger = record.releases.get("challenger")
    weight = record.weights.get("challenger", 0)
    if challenger is None or not (weight or record.shadow):
        return None
    told = [f"{weight} % of the requests"] if weight else []
    told += [f"copies of {record.shadow} %"] if record.shadow else []
    return (
        f"the challenger, version {challenger.version}, has {' and '.join(told)}; "
        "a deploy leaves weights as they are"
    )


def _created(service: Service, champion: Release) -> Iterator[Change]:
    """The parts of a new service, then every key that has not its default."""
    gateway, scale = service.gateway, service.autoscale
    host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
    count = gateway.processes
    yield Change(
        "create",
        "gateway",
        f"http://{host}:{gateway.port} ({count} process{'es' if count > 1 else ''})",
    )
    yield Change("create", "replicas", f"{service.replicas} of {_told(champion)}")
    if scale:
        yield Change("create", "autoscale", _scaling(scale))
    defaults = _leaves(Service(model=service.model))
    said = {"replicas", "gateway.host", "gateway.port", "gateway.processes"}
    for key, value in _leaves(service).items():
        if key == "model" or (key not in said and value != defaults.get(key)):
            yield Change("create", key, _shown(key, value))


def _release(before: Release, now: Release) -> Iterator[Change]:
    if before.key != now.key:
        yield Change("change", "champion", f"{_told(before)} -> {_told(now)}", _ROLLING)


def _code(before: str, now: str) -> Iterator[Change]:
    if before != now:
        yield Change("change", "open-autoglm", f"{before or 'unknown'} -> {now}", _ROLLING)


def _keys(old: Service, new: Service, live: int | None) -> Iterator[Change]:
    """The keys that differ, and autoscaling as a whole where it comes or goes."""
    before, after = _leaves(old), _leaves(new)
    # A section may be null: then its keys come or go with it.
    for key in before:
        if key not in after and before[key] is not None:
            yield Change("remove", key, _plain(before[key]), _how(key))
    for key, value in after.items():
        if key not in before:
            if value is not None:
                yield Change("create", key, _plain(value), _how(key))
            continue
        if before[key] == value:
            continue
        detail = _detail(key, before[key], after[key])
        how = _how(key)
        if key == "replicas" and new.autoscale and live:
            detail, how = f"{detail} at first; live {live}", _OWNED
        yield Change("change", key, detail, how)
    if new.autoscale and old.autoscale:
        yield from _bounds(old.autoscale, new.autoscale)
    elif new.autoscale:
        yield Change("create", "autoscale", _scaling(new.autoscale), _IN_PLACE)
    elif old.autoscale:
        count = f"live {live} -> {new.replicas} replicas" if live else f"{new.replicas} replicas"
        yield Change("remove", "autoscale", count, _IN_PLACE)


def _bounds(old: Autoscale, new: Autoscale) -> Iterator[Change]:
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    for key, value in after.items():
        if before[key] != value:
            told = f"{_plain(before[key])} -> {_plain(value)}"
            yield Change("change", f"autoscale.{key}", told, _IN_PLACE)


def _how(key: str) -> str:
    """How a changed key of `config.yaml` comes into force."""
    section = key.partition(".")[0]
    if section in ("serving", "feedback"):
        return _ROLLING
    if key in ("gateway.host", "gateway.port"):
        return "in place; the old address closes when its requests are answered"
    return _IN_PLACE if section in ("gateway", "replicas") else _NOTED


def _leaves(service: Service) -> dict[str, Any]:
    """Every key but those of `autoscale`, dotted; there is one task, so it needs no number."""
    told = service.model_dump(mode="json", exclude={"autoscale"})
    return _flat({**told, "pipeline": told["pipeline"][0]})


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(key: str, value: Any) -> str:
    return shown(value) if key == _STORE and value else _plain(value)


def _detail(key: str, before: Any, after: Any) -> str:
    """From what to what; a password that changes is not shown, but that it does."""
    old, new = _shown(key, before), _shown(key, after)
    return f"{old} -> {new}" if old != new else f"{new}, its hidden part"


def _scaling(scale: Autoscale) -> str:
    told = scale.model_dump(mode="json")
    return (
        f"{scale.min_replicas} to {scale.max_replicas} replicas at {told['cpu_threshold']} CPU "
        f"(up after {told['scale_up_seconds']} s, down after {told['scale_down_seconds']} s)"
    )


def _told(release: Release) -> str:
    return (
        f"{release.name} version {release.version} "
        f"({release.family} {release.variant}, {release.digest[:19]})"
    )


def _too_many(service: Service, cores: float) -> Iterator[str]:
    """More replicas than cores only wait for each other."""
    scale, threads = service.autoscale, service.serving.threads
    key, count = (
        ("autoscale.max_replicas", scale.max_replicas) if scale else ("replicas", service.replicas)
    )
    if count * threads <= cores:
        return
    fit = int(cores // threads)
    told = f"{fit} fit" if fit else f"not even one fits; serving.threads: {int(cores) or 1} would"
    of = f"{count} of {threads} thread{'s' if threads > 1 else ''}"
    yield f"{key}: {of} would use {count * threads} cores, and there are {cores:g}: {told}"
