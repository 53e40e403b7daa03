"""What came since a rollout looked last, in the order of arrival; and the sampled requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import sqlalchemy as sa

from openautoglm.feedback.tables import Database, answers, labels, requests

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
    """What is new of one release; a value a row.

    Attributes:
        confidence: Scores of the labels of new answers, 0 to 1.
        wrong: Whether an answer was wrong, where answer and label are there now.
    """

    confidence: tuple[float, ...] = ()
    wrong: tuple[bool, ...] = ()


@dataclass(frozen=True)
class News:
    """What came since a cursor; everything is told once.

    Attributes:
        cursor: Where to go on.
        champion: Of all its answers, those to copied requests among them.
        challenger: The same.
        agree: Of requests that both answered: whether with the same label; a value a row.
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
    label, in whatever order.

    Args:
        database: The store.
        cursor: How far the caller has read.
        champion: Its source key.
        challenger: Its own.
        most: Answers and labels, each, that are read at once.

    Raises:
        StoreError: The store does not answer.
    """
    with database.reading() as connection:
        new = [
            connection.execute(
                sa.select(table.c.seq, table.c.request_id)
                .where(table.c.seq > after)
                .order_by(table.c.seq)
                .limit(most)
            ).all()
            for table, after in ((answers, cursor.answers), (labels, cursor.labels))
        ]
        ends = [
            rows[-1].seq if rows else after
            for rows, after in zip(new, (cursor.answers, cursor.labels), strict=True)
        ]
        now = replace(cursor, answers=ends[0], labels=ends[1])
        ids = list(dict.fromkeys(row.request_id for rows in new for row in rows))
        given, told = _given(connection, ids, now), _told(connection, ids, now)
    found = _Found(cursor)
    for request_id in ids:
        arms = given.get(request_id, {})
        found.add(arms.get(champion), arms.get(challenger), told.get(request_id))
    return News(
        now,
        Arm(tuple(found.confidence[0]), tuple(found.wrong[0])),
        Arm(tuple(found.confidence[1]), tuple(found.wrong[1])),
        tuple(found.agree),
        tuple(found.both),
        any(len(rows) == most for rows in new),
    )


def asked(database: Database) -> Iterator[Asked]:
    """The sampled rows, oldest first, with labels where feedback gave them.

    Raises:
        StoreError: The store does not answer.
    """
    query = (
        sa.select(requests.c.place, requests.c.input, labels.c.labels)
        .outerjoin(labels, labels.c.request_id == requests.c.request_id)
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
        self.agree: list[bool] = []
        self.both: list[tuple[bool, bool]] = []

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
        for place, arm in enumerate(arms):
            if arm is None:
                continue
            if fresh[place]:
                self.confidence[place].extend(arm.confidence)
            if label and (fresh[place] or late):
                self.wrong[place].extend(_wrong(arm, label[1]))
        if champion is None or challenger is None:
            return
        if any(fresh):
            pairs = zip(champion.labels, challenger.labels, strict=False)
            self.agree.extend(one == other for one, other in pairs)
        if label and (any(fresh) or late):
            first, second = _wrong(champion, label[1]), _wrong(challenger, label[1])
            self.both.extend(zip(first, second, strict=False))


def _wrong(given: _Given, label: Sequence[str]) -> list[bool]:
    return [one != other for one, other in zip(given.labels, label, strict=False)]


def _given(
    connection: sa.Connection, ids: Sequence[str], until: Cursor
) -> dict[str, dict[str, _Given]]:
    """Answers by request and source."""
    columns = (answers.c.seq, answers.c.request_id, answers.c.source)
    query = sa.select(*columns, answers.c.labels, answers.c.confidence).where(
        answers.c.seq > until.begin, answers.c.seq <= until.answers
    )
    found: dict[str, dict[str, _Given]] = {}
    for row in _of(connection, query, answers.c.request_id, ids):
        given = _Given(row.seq, orjson.loads(row.labels), orjson.loads(row.confidence))
        found.setdefault(row.request_id, {})[row.source] = given
    return found


def _told(
    connection: sa.Connection, ids: Sequence[str], until: Cursor
) -> dict[str, tuple[int, list[str]]]:
    """Labels by request, with their numbers."""
    query = sa.select(labels).where(labels.c.seq <= until.labels)
    rows = _of(connection, query, labels.c.request_id, ids)
    return {row.request_id: (row.seq, orjson.loads(row.labels)) for row in rows}


def _of(
    connection: sa.Connection, query: Any, column: sa.Column[Any], ids: Sequence[str]
) -> Iterable[Any]:
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        yield from connection.execute(query.where(column.in_(some)))
