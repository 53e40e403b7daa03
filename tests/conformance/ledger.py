"""What every Ledger must pass; a subclass gives the fixture `place`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from typing import Protocol

import pytest

from openautoglm.deploy.ledger import Record
from openautoglm.deploy.release import Release
from openautoglm.errors import BusyError
from openautoglm.rollout.ledger import Ledger

WRITERS, EACH = 10, 20
CONTEXT = multiprocessing.get_context("forkserver")


class Place(Protocol):
    """Where one service's ledger is; can be pickled."""

    def ledger(self) -> Ledger:
        """The ledger, as a new process would open it."""

    def torn(self) -> Iterator[None]:
        """Make, one after the other, what a writer killed over the last record may leave."""

    def append_without_room(self, record: Record) -> None:
        """Append where there is no room for it; raises OSError."""

    def stored(self) -> object:
        """Something that differs after anything was stored."""


def decided(version: str = "1", note: str = "") -> Record:
    champion = Release(
        name="clc",
        version=version,
        digest=f"sha256-{version}",
        family="glm",
        variant="int8",
        origin="models:/铁路/1",
    )
    return Record(
        kind="deploy",
        by="test",
        releases={"champion": champion},
        weights={"champion": 100},
        note=note,
    )


def versions(ledger: Ledger) -> list[str]:
    return [one.releases["champion"].version for one in ledger.read()]


def _append_many(place: Place, writer: int) -> None:
    for number in range(EACH):
        place.ledger().append(decided(f"{writer}-{number}", note="x" * 997 * number))


def _count_up(place: Place) -> None:
    """Each adds one to the last number, and tries again when another one was faster."""
    done = 0
    while done < EACH:
        known = place.ledger().read()
        number = int(known[-1].releases["champion"].version) if known else 0
        try:
            place.ledger().append(decided(str(number + 1)), after=len(known))
        except BusyError:
            continue
        done += 1


def together(target, place: Place, *, numbered: bool) -> None:
    writers = [
        CONTEXT.Process(target=target, args=(place, n) if numbered else (place,))
        for n in range(WRITERS)
    ]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert [one.exitcode for one in writers] == [0] * WRITERS


class LedgerConformance:
    """Tests of the promises in `Ledger`."""

    @pytest.fixture
    def ledger(self, place: Place) -> Ledger:
        return place.ledger()

    def test_a_new_one_is_empty(self, ledger):
        assert ledger.read() == []

    def test_what_is_appended_is_read_in_order_by_everybody(self, place, ledger):
        records = [decided(str(n), note="注释\n二 \u2028") for n in range(3)]
        for one in records:
            ledger.append(one)
        assert ledger.read() == place.ledger().read() == records

    def test_ten_processes_at_once_lose_nothing_and_keep_records_whole(self, place, ledger):
        together(_append_many, place, numbered=True)
        found = versions(ledger)
        assert len(found) == WRITERS * EACH
        for writer in range(WRITERS):
            mine = [version for version in found if version.startswith(f"{writer}-")]
            assert mine == [f"{writer}-{n}" for n in range(EACH)]

    def test_what_a_killed_writer_left_is_no_record_and_the_next_one_takes_its_place(
        self, place, ledger
    ):
        for version in ("1", "2"):
            ledger.append(decided(version))
        for _ in place.torn():
            assert versions(ledger) == ["1"]
            ledger.append(decided("3"))
            assert versions(ledger) == ["1", "3"]

    def test_a_decision_may_rest_on_a_killed_writer_s_whole_records(self, place, ledger):
        for version in ("1", "2"):
            ledger.append(decided(version))
        for _ in place.torn():
            ledger.append(decided("3"), after=1)
            assert versions(ledger) == ["1", "3"]

    def test_no_room_leaves_it_as_it_was(self, place, ledger):
        ledger.append(decided("1"))
        before = place.stored()
        with pytest.raises(OSError):  # noqa: PT011  (which one is the store's affair)
            place.append_without_room(decided("2"))
        assert place.stored() == before
        ledger.append(decided("3"))
        assert versions(ledger) == ["1", "3"]

    def test_a_decision_that_rests_on_older_ones_is_refused(self, place, ledger):
        ledger.append(decided("1"), after=0)
        ledger.append(decided("2"), after=1)
        before = place.stored()
        for after in (0, 1, 3):
            with pytest.raises(BusyError, match="2 decisions were found"):
                ledger.append(decided("3"), after=after)
        assert place.stored() == before

    def test_ten_processes_that_decide_on_the_last_record_never_decide_twice(self, place, ledger):
        together(_count_up, place, numbered=False)
        assert versions(ledger) == [str(n + 1) for n in range(WRITERS * EACH)]
