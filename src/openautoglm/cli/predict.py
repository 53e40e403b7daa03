"""`openautoglm predict`: texts or features in, a table for people or JSON lines out."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from itertools import chain, islice, tee
from pathlib import Path
from typing import BinaryIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from openautoglm.client import (
    Client,
    DeadlineExceededError,
    Prediction,
    ReplicaError,
    UnreachableError,
)
from openautoglm.errors import InputError
from openautoglm.observability.progress import say, working_on
from openautoglm.text.normalise import normalise

Row = str | list[float]
Answered = tuple[Row, Prediction]
_STDIN = Path("-")
_RETRIES = 4  # a long file should outlive a busy moment
_TABLE_ROWS = 256
_LONGEST = 60
_EVERY = 5.0


def predict(
    texts: list[str],
    *,
    url: str,
    file: Path | None,
    features: list[str],
    timeout: float,
    as_json: bool,
) -> None:
    """Ask a replica about texts, lines of a file or of standard input, or rows of features.

    Args:
        texts: The texts themselves.
        url: The replica, or the gateway before several.
        file: A file of one text a line; `-` is standard input.
        features: Rows of features, each as numbers with commas between.
        timeout: Seconds for each request of at most 256 rows.
        as_json: Print one JSON object a row as the answers come.

    Raises:
        InputError: Nothing, or more than one of these, was given, or it cannot be read.
        ReplicaError: The replica is not there, refuses, or fails.
    """
    working_on("predict")
    source = file or (None if texts or features or sys.stdin.isatty() else _STDIN)
    rows = _rows(texts, source, [_numbers(row) for row in features])
    with Client(url, timeout=timeout, retries=_RETRIES) as client:
        shown, sent = tee(rows)
        answered = _told(zip(shown, client.stream(sent), strict=True))
        try:
            _print_json(answered) if as_json else _print_tables(answered)
        except ReplicaError as error:
            _in_words_of_the_command(error, source)
            raise


def _rows(texts: list[str], file: Path | None, features: list[list[float]]) -> Iterator[Row]:
    given = [source for source in (texts, file, features) if source]
    if len(given) != 1:
        raise InputError(
            "nothing to predict" if not given else "found more than one source of rows",
            allowed="texts, or --file, or --features",
            hint='openautoglm predict "a text"',
        )
    return _lines(file) if file else iter([*texts, *features])


def _lines(file: Path) -> Iterator[str]:
    name = "standard input" if file == _STDIN else str(file)
    try:
        stream: AbstractContextManager[BinaryIO] = (
            nullcontext(sys.stdin.buffer) if file == _STDIN else file.open("rb")
        )
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=name) from None
    with stream as lines:
        for number, line in enumerate(lines, 1):
            try:
                text = line.rstrip(b"\r\n").decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"this is no UTF-8: byte {error.start + 1} of the line",
                    where=f"{name}:{number}",
                    hint=f"iconv -f gb18030 -t utf-8 {file} | openautoglm predict",
                ) from None
            yield text


def _numbers(row: str) -> list[float]:
    try:
        return [float(number) for number in row.split(",")]
    except ValueError:
        raise InputError(
            f"`{row}` is no row of numbers", where="--features", allowed="1.5,2,-0.3"
        ) from None


def _told(answered: Iterable[Answered]) -> Iterator[Answered]:
    """The same, with a line of progress now and then while they are written to a file."""
    start = last = time.monotonic()
    for count, pair in enumerate(answered, 1):
        yield pair
        now = time.monotonic()
        if now - last > _EVERY and not sys.stdout.isatty():
            say(f"{count} rows, {count / (now - start):.0f}/s")
            last = now


def _print_json(answered: Iterable[Answered]) -> None:
    for row, found in answered:
        given = {"text": row} if isinstance(row, str) else {"features": row}
        print(json.dumps(given | asdict(found), ensure_ascii=False))


def _print_tables(answered: Iterator[Answered]) -> None:
    """One table for the eye, but printed in pieces, for a file can be long."""
    console = Console()
    models: Counter[tuple[str, str]] = Counter()
    widths: tuple[int, int] | None = None
    while piece := list(islice(answered, _TABLE_ROWS)):
        widths, head = widths or _widths(piece, console.width), widths is None
        console.print(_table(piece, *widths, head=head))
        models.update((found.version, found.digest) for _, found in piece)
    for (version, digest), count in models.items():
        rows = "1 row" if count == 1 else f"{count} rows"
        console.print(f"\n{rows} by version {version}, {digest[:19]}", highlight=False, end="")
    console.print("" if models else "no rows")


def _widths(piece: list[Answered], terminal: int) -> tuple[int, int]:
    """Columns of a terminal for the row itself and for a label."""
    label = max(cell_len(name) for name in chain(piece[0][1].scores, ["second"]))
    longest = max(cell_len(_short(row)) for row, _ in piece)
    scores_and_gaps = 2 * 5 + 4 * 2
    return max(10, min(longest, _LONGEST, terminal - 2 * label - scores_and_gaps)), label


def _table(piece: list[Answered], width: int, label: int, *, head: bool) -> Table:
    table = Table(box=None, pad_edge=False, show_header=head)
    table.add_column("row", width=width, no_wrap=True, overflow="ellipsis")
    for name, columns in (("label", label), ("score", 5), ("second", label), ("", 5)):
        table.add_column(name, width=columns, no_wrap=True, overflow="ellipsis")
    for row, found in piece:
        others = sorted(found.scores.items(), key=lambda one: -one[1])
        second = next((one for one in others if one[0] != found.label), None)
        table.add_row(
            Text(_short(row)),
            Text(found.label, style="bold"),
            f"{found.score:.3f}",
            *((Text(second[0]), f"{second[1]:.3f}") if second else ()),
        )
    return table


def _short(row: Row) -> str:
    """What the model sees of it, without what would move the cursor of a terminal."""
    if isinstance(row, str):
        return normalise(row[: 4 * _LONGEST])
    return ", ".join(f"{number:g}" for number in row[:_LONGEST])


def _in_words_of_the_command(error: ReplicaError, source: Path | None) -> None:
    """Lines in place of places in a list, and options in place of arguments."""
    if source and error.rows is not None:
        name = "standard input" if source == _STDIN else source
        first, last = error.rows.start + 1, error.rows.stop
        error.where = f"{name}, lines {first} to {last} (text[0] is line {first})"
    error.rows = None
    if isinstance(error, UnreachableError):
        error.hint = (
            "openautoglm status shows where a service answers, then: --url http://HOST:PORT; "
            "or bring one up: openautoglm deploy, openautoglm serve"
        )
    if isinstance(error, DeadlineExceededError):
        error.hint = "more time: --timeout SECONDS"
