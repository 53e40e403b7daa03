"""`ledger.jsonl`: every decision about a service's traffic, append-only; the last one is in force.

A line is `{"crc":"1a2b3c4d","record":{...}}`, the CRC-32 over the record's bytes as they stand
there. What has no newline at its end was cut off before anybody was told that it is written: it
is no decision, and the next one takes its place.
"""

from __future__ import annotations

import fcntl
import os
import re
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from openautoglm.artifacts.folder import sync
from openautoglm.deploy.release import Release, Role
from openautoglm.deploy.rollout_record import Request, RolloutRecord
from openautoglm.errors import ArtifactError, BusyError, RouteError
from openautoglm.routing.routes import check_weights

_LINE = re.compile(rb'\{"crc":"([0-9a-f]{8})","record":(.*)\}', re.DOTALL)


def now() -> str:
    """The time as ledger and status have it, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Record(BaseModel):
    """One decision: what each role serves from now on, and its share of the requests.

    A new kind of decision adds its name to `kind`, and fields that have defaults: older lines
    stay readable.

    Attributes:
        time: ISO 8601 in UTC.
        kind: What was done. After `delete` nothing is served; a `request` changes nothing yet.
        by: The command, or who asked.
        releases: What each role serves.
        weights: Percent of the requests by role; integers that sum to 100.
        shadow: Percent of the requests that the challenger gets copies of.
        owner: Who alone may decide next, such as a rollout; "" is anybody.
        note: For people.
        rollout: Of kind `rollout`: where it stands now.
        request: Of kind `request`: what somebody asks of the rollout.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    time: str = Field(default_factory=now)
    kind: Literal["deploy", "weights", "delete", "rollout", "request"]
    by: str
    releases: dict[Role, Release] = {}
    weights: dict[Role, int] = {}
    shadow: int = Field(0, ge=0, le=100)
    owner: str = ""
    note: str = ""
    rollout: RolloutRecord | None = None
    request: Request | None = None

    @model_validator(mode="after")
    def _of_a_rollout(self) -> Self:
        if self.kind == "rollout":
            if self.rollout is None:
                raise ValueError("a rollout's decision tells where it stands")
            owner = f"rollout {self.rollout.id}" if self.rollout.open else ""
            if self.owner != owner:
                raise ValueError("an open rollout, and only that, owns the weights")
        if self.kind == "request" and (self.request is None or not self.owner):
            raise ValueError("a request asks something of an open rollout")
        return self

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.kind == "delete":
            if self.releases or self.weights or self.shadow:
                raise ValueError("after a delete nothing is served")
            return self
        if "champion" not in self.releases or "champion" not in self.weights:
            raise ValueError("the champion needs a release and a weight")
        unknown = set(self.weights) - set(self.releases)
        if unknown or (self.shadow and "challenger" not in self.releases):
            raise ValueError("the challenger has requests, but no release")
        if len({release.key for release in self.releases.values()}) < len(self.releases):
            raise ValueError("champion and challenger are the same release")
        try:
            check_weights({str(role): weight for role, weight in self.weights.items()})
        except RouteError as error:
            raise ValueError(error.what) from None
        return self


def append(path: Path, record: Record, *, after: int | None = None) -> None:
    """Add a decision; it is on the disk when this returns.

    Args:
        path: The ledger, made when it is missing.
        record: The decision.
        after: How many decisions this one rests on; None when it rests on none.

    Raises:
        BusyError: There are not as many as `after`: somebody else decided meanwhile.
        OSError: The disk is full or read-only; the ledger is as it was.
    """
    body = record.model_dump_json().encode()
    line = b'{"crc":"%08x","record":%b}\n' % (zlib.crc32(body), body)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        end = _end(descriptor)
        if after is not None:
            _check_count(descriptor, end, after, path)
        os.ftruncate(descriptor, end)
        try:
            _write(descriptor, line)
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)
    if new:
        sync(path.parent)


def read(path: Path) -> list[Record]:
    """Every decision, the first one first; none when there is no ledger.

    Raises:
        ArtifactError: It cannot be read, or a line was damaged.
    """
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return [_record(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def last(path: Path) -> Record | None:
    """The decision in force; None before the first one and after a delete.

    Raises:
        ArtifactError: As `read`.
    """
    records = read(path)
    return records[-1] if records and records[-1].kind != "delete" else None


def named_digests(ledgers: Iterable[Path]) -> set[str]:
    """Models that are served, or were served since their service was last deleted.

    Raises:
        ArtifactError: A ledger cannot be read: then nobody knows what it names.
    """
    found: set[str] = set()
    for path in ledgers:
        names: set[str] = set()
        for record in read(path):
            if record.kind == "delete":
                names.clear()
            names.update(release.digest for release in record.releases.values())
        found |= names
    return found


def _record(line: bytes, where: str) -> Record:
    match = _LINE.fullmatch(line)
    damaged = ArtifactError(
        "a line of the ledger was damaged",
        where=where,
        hint="take this line out, and openautoglm deploy or weights to decide anew",
    )
    if match is None or zlib.crc32(match[2]) != int(match[1], 16):
        raise damaged
    try:
        return Record.model_validate_json(match[2])
    except ValidationError as error:
        damaged.what = f"a record of the ledger is not known here: {error.errors()[0]['msg']}"
        damaged.hint = "it may be of a newer open-autoglm: use that one"
        raise damaged from None


def _end(descriptor: int) -> int:
    """Where the last whole line ends; bytes."""
    position = os.fstat(descriptor).st_size
    while position:
        start = max(0, position - 4096)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _check_count(descriptor: int, end: int, after: int, path: Path) -> None:
    found = os.pread(descriptor, end, 0).count(b"\n")
    if found != after:
        raise BusyError(
            f"{found} decisions were found where {after} were known",
            where=str(path),
            hint="read the ledger again, and decide anew",
        )


def _write(descriptor: int, line: bytes) -> None:
    written = os.write(descriptor, line)
    if written < len(line):  # the rest tells why: no room, most likely
        os.write(descriptor, line[written:])
    os.fsync(descriptor)
