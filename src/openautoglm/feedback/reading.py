"""What came since a rollout looked last, in the order of arrival; and the sampled requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import sqlalchemy as sa

from openautoglm.feedback.tables import (
    Database,
    answers,
    labels,
    of_service,
    requests,
    sources,
)

_STEP = 5000
_AT_ONCE = 500


@dataclass(frozen=True)
class Cursor:
    """How far somebody has read; plain numbers, to be kept between looks.

    Attributes:
        begin: Answers up to this number do not count: they were given before.
        answers: Answers up to this number were read.
        labels: Labels up to this number were read.
    """

    begin: int
    answers: int
    labels: int


@dataclass(frozen=True)
class Arm:
    """What is new of one release.

    Attributes:
        confidence: Scores of the labels of new answers, 0 to 1; a value a row.
        wrong: Whether an answer was wrong, where answer and label are there now; a value a row.
        classes: Of new answers, how many rows got each label.
    """

    confidence: tuple[float, ...] = ()
    wrong: tuple[bool, ...] = ()
    classes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class News:
    """What came since a cursor; everything is told once.

    Attributes:
        cursor: Where to go on.
        champion: Of all its answers, those to copied requests among them.
        challenger: The same.
        agree: Of requests that both answered: whether with the same label; a value a row.
            Requests that a client gave one name and different rows are no pair.
        wrong: Of those that have a label: (champion wrong, challenger wrong); a pair a row.
        more: Whether there is more already.
    """

    cursor: Cursor
    champion: Arm = Arm()
    challenger: Arm = Arm()
    agree: tuple[bool, ...] = ()
    wrong: tuple[tuple[bool, bool], ...] = ()
    more: bool = False


@dataclass(frozen=True)
class _Given:
    seq: int
    labels: list[str]
    confidence: list[float]
    crc: int | None


@dataclass(frozen=True)
class Asked:
    """A sampled row.

    Attributes:
        input: A text as it was sent, or features.
        label: What feedback told; None where it told nothing.
    """

    input: str | list[float]
    label: str | None


def begin(database: Database) -> Cursor:
    """The cursor of somebody who wants to hear of nothing that is there already.

    Raises:
        StoreError: The store does not answer.
    """
    with database.reading() as connection:
        last, label = (
            connection.execute(
                sa.select(sa.func.coalesce(sa.func.max(table.c.seq), 0))
            ).scalar_one()
            for table in (answers, labels)
        )
    return Cursor(last, last, label)


def news(
    database: Database, cursor: Cursor, *, champion: str, challenger: str, most: int = _STEP
) -> News:
    """What came since a cursor.

    A value is told when its last part came: of an answer and its label, or of two answers and a
    label, in whatever order. Of what other services have in the store nothing is told.

    Args:
        database: The store.
        cursor: How far the caller has read.
        champion: Its source key.
        challenger: Its own.
        most: Answers and labels, each, that are read at once.

    Raises:
        StoreError: The store does not answer.
    """
    arms = answers.c.source.in_((champion, challenger))
    with database.reading() as connection:
        names = sa.select(sources.c.name).where(sources.c.key.in_((champion, challenger)))
        own = sa.or_(labels.c.service.in_(names), labels.c.service == "")
        new, given_to = _new(connection, answers, cursor.answers, arms, most)
        late, told_to = _new(connection, labels, cursor.labels, own, most)
        now = replace(cursor, answers=given_to, labels=told_to)
        ids = list(dict.fromkeys([*new, *late]))
        given, told = _given(connection, ids, now, arms), _told(connection, ids, now, own)
    found = _Found(cursor)
    for request_id in ids:
        both = given.get(request_id, {})
        found.add(both.get(champion), both.get(challenger), told.get(request_id))
    return News(
        now,
        found.arm(0),
        found.arm(1),
        tuple(found.agree),
        tuple(found.both),
        most in (len(new), len(late)),
    )


def asked(database: Database, service: str) -> Iterator[Asked]:
    """The sampled rows of a service, oldest first, with labels where feedback gave them.

    Args:
        database: The store.
        service: The service's name.

    Raises:
        StoreError: The store does not answer.
    """
    label = sa.and_(labels.c.request_id == requests.c.request_id, of_service(labels, service))
    query = (
        sa.select(requests.c.place, requests.c.input, labels.c.labels)
        .outerjoin(labels, label)
        .where(of_service(requests, service))
        .order_by(requests.c.seq)
    )
    with database.reading() as connection:
        for place, row, told in connection.execute(query):
            given = orjson.loads(told) if told else []
            # A name that was used again, for more rows: the label is of the first ones.
            yield Asked(orjson.loads(row), given[place] if place < len(given) else None)


class _Found:
    """Gathers values whose last part is new."""

    def __init__(self, before: Cursor) -> None:
        self._before = before
        self.confidence: tuple[list[float], list[float]] = ([], [])
        self.wrong: tuple[list[bool], list[bool]] = ([], [])
        self.classes: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.agree: list[bool] = []
        self.both: list[tuple[bool, bool]] = []

    def arm(self, place: int) -> Arm:
        """What there is of one release, by its place."""
        told = tuple(self.confidence[place]), tuple(self.wrong[place])
        return Arm(*told, dict(self.classes[place]))

    def add(
        self,
        champion: _Given | None,
        challenger: _Given | None,
        label: tuple[int, list[str]] | None,
    ) -> None:
        """One request: its answers, and its label with the label's number."""
        before = self._before
        late = label is not None and label[0] > before.labels
        arms = (champion, challenger)
        fresh = [arm is not None and arm.seq > before.answers for arm in arms]
        first = min((arm for arm in arms if arm), key=lambda arm: arm.seq, default=None)
        for place, arm in enumerate(arms):
            if arm is None or first is None:
                continue
            if fresh[place]:
                self.confidence[place].extend(arm.confidence)
                self.classes[place].update(arm.labels)
            # Of requests that were given one name, the label is the first one's.
            if label and (fresh[place] or late) and _alike(arm, first):
                self.wrong[place].extend(_wrong(arm, label[1]))
        if champion is None or challenger is None or not _alike(champion, challenger):
            return
        if any(fresh):
            pairs = zip(champion.labels, challenger.labels, strict=False)
            self.agree.extend(one == other for one, other in pairs)
        if label and (any(fresh) or late):
            wrong = (_wrong(arm, label[1]) for arm in (champion, challenger))
            self.both.extend(zip(*wrong, strict=False))


def _wrong(given: _Given, label: Sequence[str]) -> list[bool]:
    return [one != other for one, other in zip(given.labels, label, strict=False)]


def _alike(one: _Given, other: _Given) -> bool:
    """Whether both were asked the same; so it is taken to be where an older release kept them."""
    return one.crc == other.crc or None in (one.crc, other.crc)


def _new(
    connection: sa.Connection, table: sa.Table, after: int, own: sa.ColumnElement[bool], most: int
) -> tuple[Sequence[str], int]:
    """Requests that have something new, and the number up to which that is all."""
    # Asked first: whatever is committed later has a higher number.
    last = connection.execute(sa.select(sa.func.max(table.c.seq))).scalar() or after
    rows = connection.execute(
        sa.select(table.c.seq, table.c.request_id)
        .where(table.c.seq > after, table.c.seq <= last, own)
        .order_by(table.c.seq)
        .limit(most)
    ).all()
    end = rows[-1].seq if len(rows) == most else max(after, last)
    return [row.request_id for row in rows], end


def _given(
    connection: sa.Connection, ids: Sequence[str], until: Cursor, own: sa.ColumnElement[bool]
) -> dict[str, dict[str, _Given]]:
    """Answers by request and source."""
    query = sa.select(answers).where(
        answers.c.seq > until.begin, answers.c.seq <= until.answers, own
    )
    found: dict[str, dict[str, _Given]] = {}
    for row in _of(connection, query, answers.c.request_id, ids):
        given = _Given(row.seq, orjson.loads(row.labels), orjson.loads(row.confidence), row.crc)
        found.setdefault(row.request_id, {})[row.source] = given
    return found


def _told(
    connection: sa.Connection, ids: Sequence[str], until: Cursor, own: sa.ColumnElement[bool]
) -> dict[str, tuple[int, list[str]]]:
    """Labels by request, with their numbers."""
    query = sa.select(labels).where(labels.c.seq <= until.labels, own)
    rows = _of(connection, query, labels.c.request_id, ids)
    return {row.request_id: (row.seq, orjson.loads(row.labels)) for row in rows}


def _of(
    connection: sa.Connection, query: Any, column: sa.Column[Any], ids: Sequence[str]
) -> Iterable[Any]:
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        yield from connection.execute(query.where(column.in_(some)))
