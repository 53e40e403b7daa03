"""What the local runner prints, as a person wants to read it; all of it goes into a log."""

from __future__ import annotations

import builtins
import io
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO

_COLOUR = re.compile(r"\x1b\[\d+m")
# Tasks that run at a time write between each other's lines, so each line must tell by itself
# whether it is a task's input, printed as JSON, or the runner's own words.
_CHATTER = re.compile(
    r'\s*(\[KFP Executor |-+$|$|[\d:.]+ - INFO - |[{}\[\]]+,?$|"[^"]*": |"[^"]*",?$)'
)
_STEP = re.compile(r"\s*(?=\[[a-z])")


class _Narrator(io.TextIOBase):
    """Keeps every line, and passes on those that a step or a fault has written."""

    def __init__(self, log: TextIO, shown: TextIO) -> None:
        self._log, self._shown = log, shown
        self._rest = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._line(_COLOUR.sub("", line))
        return len(text)

    def end(self) -> None:
        """Pass on a last line that nobody has ended."""
        if self._rest.strip():
            self.write("\n")

    def flush(self) -> None:
        self._shown.flush()

    def _line(self, line: str) -> None:
        self._log.write(line + "\n")
        self._log.flush()
        if not _CHATTER.match(line):
            # The runner indents what a task writes.
            self._shown.write(_STEP.sub("", line, count=1).removeprefix("    ") + "\n")
            self._shown.flush()


class _OnlyFaults(logging.Filter):
    """Of what the runner itself tells, what went wrong: its steps speak for themselves."""

    def __init__(self, log: TextIO) -> None:
        super().__init__()
        self._log = log

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.levelno >= logging.WARNING or "kfp" not in Path(record.pathname).parts
        if not told:
            self._log.write(_COLOUR.sub("", record.getMessage()) + "\n")
        return told


@contextmanager
def narrated(log: Path) -> Iterator[None]:
    """Show what steps say, on standard error as in every other caller.

    Args:
        log: File for everything, the runner's own words and inputs of tasks included.
    """
    said = builtins.print
    root = logging.getLogger()
    with log.open("w", encoding="utf-8") as stream:
        only_faults = _OnlyFaults(stream)
        root.addFilter(only_faults)
        narrator = _Narrator(stream, sys.stderr)
        try:
            with redirect_stdout(narrator):
                yield
        finally:
            narrator.end()
            root.removeFilter(only_faults)
            # The runner patches this for each task, and tasks that overlap leave it patched.
            builtins.print = said
