"""Laws of the batcher: a real thread, a scorer that is held and let go."""

from __future__ import annotations

import contextlib
import gc
import queue
import threading
import weakref
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.config.serving import Batching
from openautoglm.serving.batching.batcher import Batcher
from openautoglm.serving.batching.grouping import Costs
from openautoglm.serving.batching.job import Job
from openautoglm.serving.refusals import DEADLINE, DRAINING, FAILED, QUEUE_FULL, Refusal
from tests.support.wait import PATIENCE


class Scorer:
    """Scores a text by its length; fails on `poison`; waits while it is held."""

    def __init__(self, *, held=False):
        self.batches, self.threads = [], []
        self.begun = threading.Semaphore(0)
        self._free = threading.Event()
        if not held:
            self._free.set()

    def let_go(self):
        self._free.set()

    def encode(self, rows):
        self.batches.append(list(rows))
        self.threads.append(threading.current_thread().name)
        self.begun.release()
        assert self._free.wait(PATIENCE)
        if any("poison" in row for row in rows):
            raise ValueError("this text breaks the tokenizer")
        return np.array([[len(row)] for row in rows], np.float32)

    def score(self, values):
        return np.concatenate([values, 1 - values], axis=1)


class Watcher:
    def __init__(self):
        self.rows = 0

    def batch(self, rows, tokenise_seconds, infer_seconds):
        self.rows += rows


LONG = Costs(call=1.0, token=0.05)  # the thread's business
SHORT = Costs(call=1e-5, token=0.0)  # the event loop's
MIXED = Costs(call=0.0, token=0.001)  # up to three characters in all are short


class Bench:
    """A batcher whose event loop is the test itself."""

    def __init__(self, *, held=False, costs=LONG, **batching):
        self.scorer, self.watcher = Scorer(held=held), Watcher()
        self.told = []
        self._posted = queue.SimpleQueue()
        self.batcher = Batcher(
            self.scorer, Batching(**batching), costs=costs, loop=self, watcher=self.watcher
        )

    def call_soon(self, callback):
        self._posted.put(callback)

    call_soon_threadsafe = call_soon

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run_out()

    def submit(self, *rows, seconds=1e6):
        now = perf_counter()
        lengths = [len(row) for row in rows]

        def done(job):
            assert job is mine
            self.told.append(job)

        mine = Job(list(rows), lengths, arrived=now, deadline=now + seconds, done=done)
        self.batcher.submit(mine)
        return mine

    def run_until(self, *jobs):
        """What an event loop does: call what was posted, until these are answered."""
        while not all(job in self.told for job in jobs):
            self._posted.get(timeout=PATIENCE)()

    def round(self):
        """One round of an event loop: what was posted before it."""
        for _ in range(self._posted.qsize()):
            self._posted.get()()

    def run_out(self):
        """Let everything end, and call all that was posted."""
        self.scorer.let_go()
        self.batcher.close()
        while not self.batcher.join(0.001) or not self._posted.empty():
            with contextlib.suppress(queue.Empty):
                self._posted.get(timeout=0.001)()


def blocked(**batching):
    """A bench whose thread is busy with one row, so that what comes next waits."""
    bench = Bench(held=True, **batching)
    bench.first = bench.submit("first")
    assert bench.scorer.begun.acquire(timeout=PATIENCE)
    return bench


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.text("ab", max_size=6), min_size=1, max_size=5), min_size=1, max_size=8),
    st.integers(1, 8),
    st.sampled_from([LONG, SHORT, MIXED]),
    st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_every_row_is_scored_once_whoever_has_the_turn(requests, most, costs, pauses):
    with Bench(max_batch_size=most, costs=costs) as bench:
        jobs = []
        for rows, pause in zip(requests, pauses, strict=False):
            jobs.append(bench.submit(*rows))
            if pause:
                bench.run_until(*jobs)
        bench.run_out()
        assert sorted(map(id, bench.told)) == sorted(map(id, jobs))
        for job, rows in zip(jobs, requests, strict=True):
            assert [scores[0] for scores in job.scores] == [len(row) for row in rows]
        assert sum(map(len, bench.scorer.batches)) == sum(map(len, requests))
        assert max(map(len, bench.scorer.batches)) <= most


def test_the_event_loop_runs_short_batches_itself_and_the_thread_long_ones():
    with Bench(costs=MIXED) as bench:
        bench.run_until(bench.submit("ab"))
        bench.run_until(bench.submit("abcdef"))
        bench.run_until(bench.submit("a"))
        assert bench.scorer.threads == ["MainThread", "model", "MainThread"]


def test_long_texts_are_the_threads_business_whatever_the_model_makes_of_them():
    with Bench(costs=SHORT) as bench:
        bench.run_until(bench.submit("x" * 9000))
        assert bench.scorer.threads == ["model"]


def test_the_event_loop_leaves_rounds_to_others_that_need_them():
    with Bench(costs=SHORT) as bench:
        bench.batcher.make_way()
        bench.submit("first")
        rounds = []
        bench.call_soon(lambda: bench.submit("second"))
        while len(bench.told) < 2:
            bench.round()
            rounds.append(len(bench.told))
        assert rounds.index(2) - rounds.index(1) > 4


def test_a_burst_after_quiet_traffic_is_not_taken_for_as_many_calls_as_rows():
    # So dear that a moment in which this process stands still is nothing beside it.
    with Bench(costs=Costs(call=2.0, token=1e-4)) as bench:
        for _ in range(5):
            bench.run_until(bench.submit("x"))
        jobs = [bench.submit("x", seconds=500.0) for _ in range(400)]
        bench.run_until(*jobs)
        assert not [job for job in jobs if job.refusal]


def test_a_model_that_gives_too_few_scores_fails_its_rows_and_goes_on():
    with Bench() as bench:
        bench.scorer.score = lambda values: values[1:]
        job = bench.submit("a", "b")
        bench.run_until(job)
        assert job.refusal.kind is FAILED
        del bench.scorer.score
        after = bench.submit("a")
        bench.run_until(after)
        assert after.refusal is None


def test_what_came_before_the_loops_turn_shares_one_batch():
    with Bench(costs=SHORT) as bench:
        jobs = [bench.submit("x") for _ in range(3)]
        bench.run_until(*jobs)
        assert [len(batch) for batch in bench.scorer.batches] == [3]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_a_poison_item_fails_alone_in_the_loops_turn_too(poisoned):
    with Bench(costs=SHORT) as bench:
        jobs = [bench.submit("poison" if bad else "good") for bad in poisoned]
        bench.run_out()
        assert [job.refusal is not None for job in jobs] == poisoned


TEXTS = st.lists(st.text("ab", max_size=6), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=8), st.integers(1, 8))
def test_every_row_gets_its_own_scores_once_whatever_shares_its_batch(requests, most):
    with blocked(max_batch_size=most) as bench:
        jobs = [bench.submit(*rows) for rows in requests]
        bench.run_out()
        assert sorted(map(id, bench.told)) == sorted(map(id, [bench.first, *jobs]))
        for job, rows in zip(jobs, requests, strict=True):
            assert job.refusal is None
            assert [scores[0] for scores in job.scores] == [len(row) for row in rows]
        assert all(len(batch) <= most for batch in bench.scorer.batches)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(1, 12))
def test_a_poison_item_fails_alone(poisoned, most):
    with blocked(max_batch_size=most) as bench:
        jobs = [bench.submit("poison" if bad else "good") for bad in poisoned]
        bench.run_out()
        for job, bad in zip(jobs, poisoned, strict=True):
            assert (job.refusal is not None) == bad
            if bad:
                assert job.refusal.kind is FAILED
                assert isinstance(job.refusal.__cause__, ValueError)
            else:
                assert job.scores[0][0] == 4


def test_a_request_with_a_poison_row_names_the_row_and_is_answered_once():
    with blocked(max_batch_size=2) as bench:
        job = bench.submit("a", "b", "poison", "c", "d")
        bench.run_out()
        assert bench.told.count(job) == 1
        assert job.refusal.where == "row 2"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_cancelled_requests_are_not_scored_and_not_told(cancelled):
    with blocked(max_batch_size=4) as bench:
        jobs = [bench.submit(f"job{number}") for number in range(len(cancelled))]
        for job, gone in zip(jobs, cancelled, strict=True):
            if gone:
                bench.batcher.cancel(job)
        assert bench.batcher.queue_rows == cancelled.count(False)
        bench.run_out()
        seen = {row for batch in bench.scorer.batches for row in batch}
        for number, (job, gone) in enumerate(zip(jobs, cancelled, strict=True)):
            assert (job in bench.told) == (f"job{number}" in seen) == (not gone)


def test_a_request_that_is_cancelled_while_the_model_works_on_it_is_not_told():
    with blocked() as bench:
        bench.batcher.cancel(bench.first)
        bench.run_out()
        assert bench.told == []


def test_a_request_that_is_late_is_refused_and_never_begun():
    with blocked() as bench:
        late, timely = bench.submit("late", seconds=0.0), bench.submit("timely")
        bench.run_out()
        assert late.refusal.kind is DEADLINE
        assert timely.refusal is None
        assert "late" not in {row for batch in bench.scorer.batches for row in batch}


def test_a_late_request_is_told_while_the_model_is_still_busy():
    with blocked() as bench:
        late, timely = bench.submit("late", seconds=5.0), bench.submit("timely")
        bench.batcher.expire(perf_counter() + 6.0)
        assert bench.told == [late]
        assert late.refusal.kind is DEADLINE
        bench.run_out()
        assert bench.told.count(late) == 1
        assert timely in bench.told


def test_a_request_whose_deadline_lies_before_its_turn_is_refused_at_once():
    with Bench(held=True, max_batch_size=1) as bench:
        first = bench.submit("first")
        assert bench.scorer.begun.acquire(timeout=PATIENCE)
        started = perf_counter()
        while perf_counter() - started < 0.02:
            pass  # the model takes its time
        bench.scorer.let_go()
        bench.run_until(first)
        bench.scorer._free.clear()
        for number in range(5):
            bench.submit(f"job{number}")
        with pytest.raises(Refusal) as refused:
            bench.submit("hurried", seconds=1e-4)
        assert refused.value.kind is DEADLINE


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(1, 12))
def test_the_queue_is_bounded_and_says_when_to_come_again(sizes, bound):
    with blocked(max_queue_rows=bound) as bench:
        waiting = 0
        for size in sizes:
            if waiting == 0 or waiting + size <= bound:
                bench.submit(*["x"] * size)
                waiting += size
            else:
                with pytest.raises(Refusal) as refused:
                    bench.submit(*["x"] * size)
                assert refused.value.kind is QUEUE_FULL
                assert refused.value.retry_after >= 1
            assert bench.batcher.queue_rows == waiting


def test_a_batch_starts_the_moment_the_model_is_free_and_something_waits():
    with blocked(max_batch_size=8) as bench:
        jobs = [bench.submit("x") for _ in range(3)]
        bench.scorer.let_go()
        bench.run_until(*jobs)
        # One call for the first, then one for all that came meanwhile.
        assert [len(batch) for batch in bench.scorer.batches] == [1, 3]


def test_with_a_delay_a_row_alone_waits_for_company_up_to_a_preferred_size():
    with Bench(
        max_batch_size=8, preferred_batch_size=(3,), max_queue_delay_microseconds=10_000_000
    ) as bench:
        jobs = [bench.submit("x") for _ in range(3)]
        bench.run_until(*jobs)
        assert [len(batch) for batch in bench.scorer.batches] == [3]


def test_a_row_that_waited_as_long_as_the_delay_goes_alone():
    with Bench(max_batch_size=8, max_queue_delay_microseconds=1000) as bench:
        job = bench.submit("x")
        bench.run_until(job)
        assert job.inferred - job.arrived >= 0.001


def test_what_waits_at_the_end_is_answered_and_nothing_more_is_taken():
    with blocked() as bench:
        job = bench.submit("x")
        bench.batcher.close()
        with pytest.raises(Refusal) as refused:
            bench.submit("y")
        assert refused.value.kind is DRAINING
        bench.run_out()
        assert job.scores[0][0] == 1


def test_the_model_is_said_to_hang_when_one_call_takes_minutes():
    with blocked() as bench:
        assert bench.batcher.alive(perf_counter())
        assert not bench.batcher.alive(perf_counter() + 600)


def test_the_watcher_is_told_of_every_row_that_was_scored():
    with blocked(max_batch_size=2) as bench:
        for _ in range(5):
            bench.submit("x")
        bench.run_out()
        assert bench.watcher.rows == 6


class Text(str):
    """A text that can be looked for."""


def test_the_texts_of_a_request_are_let_go_when_it_is_answered():
    gc.disable()  # a cycle would live until the collector comes
    try:
        with Bench() as bench:
            text = weakref.ref(bench.submit(Text("x")).rows[0])
            bench.run_out()
            bench.scorer.batches.clear()
            bench.told.clear()
            assert text() is None
    finally:
        gc.enable()
