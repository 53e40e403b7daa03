"""The store of answers, labels and sampled requests; first label wins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import time
from typing import Any

import orjson
import sqlalchemy as sa

from openautoglm.feedback.answers import (
    Answer,
    Source,
    Standing,
    UnknownAnswerError,
    WrongLabelError,
)
from openautoglm.feedback.tables import (
    Database,
    answers,
    labels,
    of_service,
    requests,
    sources,
)

_STEP = 1000
_SHOWN_CLASSES = 20
Row = tuple[Any, ...]


class FeedbackStore:
    """Answers and labels of services; many processes may use it at once.

    Every call raises StoreError when the store does not answer, is full or is busy for seconds.

    Args:
        url: A SQLite file by its absolute path, or PostgreSQL.
        durable: Whether calls return only when the disk has what they wrote.

    Raises:
        StoreError: The database's driver is not installed.
    """

    def __init__(self, url: str, *, durable: bool = True) -> None:
        self.database = Database(url, durable=durable)

    def record(self, source: Source, given: Sequence[Answer]) -> None:
        """Keep answers; one that is known already, by its id and source, stays as it is.

        Args:
            source: What gave them.
            given: The answers.
        """
        key = source.key
        kept = [_answer(key, answer) for answer in given]
        asked = [row for answer in given for row in _asked(source.name, answer)]
        with self.database.writing() as connection:
            for table, rows in ((sources, [_source(source)]), (answers, kept), (requests, asked)):
                if rows:
                    self.database.add(connection, table, rows)

    def label(self, service: str, request_id: str, given: Sequence[str]) -> Standing:
        """Set the label of a request, unless it has one.

        Args:
            service: Whose request it is: the name of the sources that may have answered it.
            request_id: What the request was called in its answer.
            given: One label a row.

        Returns:
            What stands from now on, whoever is killed.

        Raises:
            UnknownAnswerError: No answer with this id is known.
            WrongLabelError: A label is no class of the model that answered, or there are more or
                fewer than rows.
        """
        self._check(service, request_id, given)
        row = (service, request_id, time(), _json(list(given)))
        with self.database.writing() as connection:
            standing = (
                sa.select(labels.c.labels)
                .where(labels.c.request_id == request_id, of_service(labels, service))
                .order_by(labels.c.seq)
                .limit(1)
            )
            # Asked first: an insert that does nothing uses up a number all the same.
            first = connection.execute(standing).scalar() is None and (
                self.database.add(connection, labels, [row]) > 0
            )
            stands = connection.execute(standing).scalar_one()
        return Standing(tuple(orjson.loads(stands)), first)

    def retain(self, service: str, since: float, *, given: int, asked: int) -> bool:
        """Remove what a service has too old or too much: a part, so that nobody waits for long.

        Args:
            service: Its name; what others have in the store is theirs.
            since: Seconds since 1970; older answers, labels and requests are removed.
            given: Most answers that are kept, and most labels.
            asked: Most sampled rows; with 0 their texts are wiped off a SQLite file, too.

        Returns:
            Whether there may be more to remove.
        """
        bounds = ((answers, given), (labels, given), (requests, asked))
        left = [self._remove(table, service, since, most) for table, most in bounds]
        if left[-1] and not asked:
            self.database.wipe()
        return any(left)

    def close(self) -> None:
        """End the connections."""
        self.database.close()

    def _check(self, service: str, request_id: str, given: Sequence[str]) -> None:
        query = (
            sa.select(answers.c.labels, sources.c.classes)
            .join(sources, sources.c.key == answers.c.source)
            .where(answers.c.request_id == request_id, sources.c.name == service)
            .order_by(answers.c.seq)
        )
        with self.database.reading() as connection:
            found = connection.execute(query).all()
        if not found:
            raise UnknownAnswerError("no answer with this id is known", where="request_id")
        rows = len(orjson.loads(found[0].labels))
        if len(given) != rows:
            raise WrongLabelError(
                f"found {len(given)} for an answer of {rows} rows",
                where="label",
                allowed="a label for each row",
            )
        classes = list(dict.fromkeys(name for each in found for name in orjson.loads(each.classes)))
        if any(name not in classes for name in given):
            more = ", ..." if len(classes) > _SHOWN_CLASSES else ""
            raise WrongLabelError(
                "found a label that is no class of the model",
                where="label",
                allowed=", ".join(classes[:_SHOWN_CLASSES]) + more,
            )

    def _remove(self, table: sa.Table, service: str, since: float, most: int) -> bool:
        """Remove some of the first rows; whether there were any."""
        own = of_service(table, service)
        numbers = sa.select(table.c.seq, table.c.time).where(own).order_by(table.c.seq)
        first = numbers.limit(_STEP).subquery()
        # Counted: numbers have gaps.
        beyond = (
            sa.select(table.c.seq).where(own).order_by(table.c.seq.desc()).offset(most).limit(1)
        ).scalar_subquery()
        last = sa.select(sa.func.max(first.c.seq)).where(
            sa.or_(first.c.time < since, first.c.seq <= beyond)
        )
        with self.database.reading() as connection:
            number = connection.execute(last).scalar()
        if number is None:
            return False
        with self.database.writing() as connection:
            connection.execute(sa.delete(table).where(table.c.seq <= number, own))
        return True


def _source(source: Source) -> Row:
    told = (source.name, source.version, source.digest, source.family, source.variant)
    return (source.key, *told, _json(list(source.classes)))


def _answer(source: str, answer: Answer) -> Row:
    told = (_json(answer.labels), _json(answer.confidence))
    return (answer.request_id, source, answer.time, *told, answer.crc)


def _asked(service: str, answer: Answer) -> Iterable[Row]:
    for place, row in enumerate(answer.inputs or ()):
        yield (service, answer.request_id, place, answer.time, _json(row))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
