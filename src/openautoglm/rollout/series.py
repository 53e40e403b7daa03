"""The points of one rollout in a file, `ID.jsonl`: few enough to draw, whoever is killed.

A point comes at most every so many seconds, and when the state or the weight changes. When there
are more than the limit, every second one is left out and they come half as often from then on; so
a rollout of a minute and one of a month both have a curve, evenly spaced. Points are no
evidence: one that cannot be written is told about, and nothing waits for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from openautoglm.observability.progress import say
from openautoglm.rollout.points import Point

EVERY = 10
"""Seconds between two points."""

LIMIT = 1000
"""Points: a curve needs no more, and MLflow takes each of them one by one."""

_POINT = TypeAdapter(Point)


def file_of(folder: Path, rollout: int) -> Path:
    """Where the points of a rollout are kept, in its service's folder."""
    return folder / "rollouts" / f"{rollout}.jsonl"


class Series:
    """Takes the points of one rollout; after a kill it goes on from what is in the file.

    Args:
        path: The file, made by the first point.
        every: Seconds between two points.
        limit: Most points that are kept; at least 2.
        tell: Gets a line when points are lost, once until they can be written again.
    """

    def __init__(
        self,
        path: Path,
        *,
        every: int = EVERY,
        limit: int = LIMIT,
        tell: Callable[[str], None] = say,
    ) -> None:
        self._path, self._every, self._limit, self._tell = path, every, limit, tell
        self._lost = False
        self._points: list[Point] | None = None

    def add(self, point: Point) -> bool:
        """Keep a point if it is due; whether it was kept.

        It is due when it is later than the last one, and far enough from it or of another state
        or weight. Never raises because of the disk.
        """
        try:
            if not self._due(point):
                return False
            self._keep(point)
        except OSError as error:
            self._points = None  # what is in the file now, only the file knows
            if not self._lost:
                self._tell(f"no curves for now: {self._path}: {error.strerror or error}")
            self._lost = True
            return False
        self._lost = False
        return True

    def _due(self, point: Point) -> bool:
        points = self._known()
        if not points:
            return True
        last = points[-1]
        if point.seconds <= last.seconds:
            return False
        changed = (point.state, point.weight) != (last.state, last.weight)
        return changed or point.seconds - last.seconds >= self._spacing(point.seconds)

    def _known(self) -> list[Point]:
        if self._points is None:
            self._points = read(self._path)
        return self._points

    def _keep(self, point: Point) -> None:
        points = self._known()
        if not points or len(points) >= self._limit:
            # From the last one on, so that the newest stays.
            kept = [*points, point][::-2][::-1] if points else [point]
            _replace(self._path, kept)
            self._points = kept
            return
        _append(self._path, _line(point))
        points.append(point)

    def _spacing(self, seconds: int) -> int:
        """Seconds between points: doubled as often as the limit was passed until now."""
        spacing = self._every
        while seconds > spacing * self._limit:
            spacing *= 2
        return spacing


def read(path: Path) -> list[Point]:
    """Every whole point, the first one first; none when there is no file.

    What a kill has cut, or a power cut has damaged, is left out.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    points: list[Point] = []
    for line in lines:
        try:
            point = _POINT.validate_json(line)
        except ValidationError:
            continue
        if not points or point.seconds > points[-1].seconds:
            points.append(point)
    return points


def _line(point: Point) -> bytes:
    return json.dumps(asdict(point), separators=(",", ":")).encode() + b"\n"


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        end = os.fstat(descriptor).st_size
        if end and os.pread(descriptor, 1, end - 1) != b"\n":  # a kill has cut the last one
            os.ftruncate(descriptor, os.pread(descriptor, end, 0).rfind(b"\n") + 1)
        written = os.write(descriptor, line)
        if written < len(line):  # the rest tells why: no room, most likely
            os.write(descriptor, line[written:])
    finally:
        os.close(descriptor)


def _replace(path: Path, points: Iterable[Point]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(b"".join(_line(point) for point in points))
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
