"""The ledger in a file."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from openautoglm.deploy.ledger import Record
from openautoglm.rollout.ledger import FileLedger
from tests.conformance.ledger import CONTEXT, LedgerConformance


@dataclass(frozen=True)
class File:
    """`ledger.jsonl` in a folder that is not there yet."""

    path: Path

    def ledger(self) -> FileLedger:
        return FileLedger(self.path)

    def torn(self) -> Iterator[None]:
        """Cut at every byte of its last line."""
        whole = self.path.read_bytes()
        for end in range(whole[:-1].rfind(b"\n") + 1, len(whole)):
            self.path.write_bytes(whole[:end])
            yield

    def append_without_room(self, record: Record) -> None:
        """In a process of its own, whose files may not grow by a whole line."""
        bound = self.path.stat().st_size + 50
        writer = CONTEXT.Process(target=_append_below, args=(self.path, record, bound))
        writer.start()
        writer.join()
        if writer.exitcode:
            raise OSError(writer.exitcode, "as the process told")

    def stored(self) -> bytes:
        return self.path.read_bytes()


def _append_below(path: Path, record: Record, bound: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (bound, bound))
    try:
        FileLedger(path).append(record)
    except OSError as error:
        raise SystemExit(error.errno) from None


class TestFileLedger(LedgerConformance):
    @pytest.fixture
    def place(self, tmp_path):
        return File(tmp_path / "new" / "ledger.jsonl")
