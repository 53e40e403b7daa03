"""Laws of the queue in front of the model, one a sentence of its rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openautoglm.config.serving import Batching
from openautoglm.serving.batching.grouping import EDGES, bucket, group
from openautoglm.serving.batching.job import Job
from openautoglm.serving.batching.queue import Queue

LENGTHS = st.lists(st.integers(0, 80), min_size=1, max_size=12)
NONE = st.just(0)
SPARES = st.sampled_from([0.0, 5.0, 20.0, 1000.0, float("inf")])


@st.composite
def settings(draw, delay=NONE):
    most = draw(st.integers(1, 16))
    preferred = draw(st.lists(st.integers(1, most), unique=True, max_size=3))
    return Batching(
        max_batch_size=most,
        preferred_batch_size=tuple(preferred),
        max_queue_delay_microseconds=draw(delay),
        max_queue_rows=1000,
    )


def job(lengths, *, arrived=0.0, deadline=1e9, known=None):
    rows = ["x" * length for length in lengths]
    return Job(rows, lengths, arrived=arrived, deadline=deadline, done=lambda _: None, known=known)


def filled(batching, jobs, *, spare=20.0):
    queue = Queue(batching, spare=spare)
    for each in jobs:
        queue.add(each)
    return queue


def drained(queue):
    while batch := queue.take():
        yield batch


@given(settings(), st.lists(LENGTHS, min_size=1, max_size=12), SPARES)
def test_a_batch_is_never_over_the_maximum_and_every_row_is_taken_once(batching, sizes, spare):
    jobs = [job(lengths) for lengths in sizes]
    batches = list(drained(filled(batching, jobs, spare=spare)))
    assert all(1 <= len(batch) <= batching.max_batch_size for batch in batches)
    taken = [item for batch in batches for item in batch]
    assert len(taken) == len(set(taken)) == sum(map(len, sizes))


@given(settings(), st.lists(LENGTHS, min_size=1, max_size=12), SPARES)
def test_the_row_that_waited_longest_is_in_the_next_batch(batching, sizes, spare):
    jobs = [job(lengths) for lengths in sizes]
    order = {(each, place): None for each in jobs for place in range(len(each.rows))}
    for batch in drained(filled(batching, jobs, spare=spare)):
        assert next(iter(order)) in batch
        for item in batch:
            del order[item]


@given(settings(), st.lists(LENGTHS, min_size=1, max_size=30), SPARES)
def test_no_row_is_overtaken_by_more_than_two_batches(batching, sizes, spare):
    jobs = [job(lengths) for lengths in sizes]
    arrival = [(each, place) for each in jobs for place in range(len(each.rows))]
    number = {item: place for place, item in enumerate(arrival)}
    overtaken = dict.fromkeys(arrival, 0)
    for batch in drained(filled(batching, jobs, spare=spare)):
        for item in batch:
            del overtaken[item]
        for item in overtaken:
            overtaken[item] += sum(number[other] > number[item] for other in batch)
            assert overtaken[item] <= 2 * batching.max_batch_size


@given(settings(), st.lists(LENGTHS, min_size=1, max_size=12), SPARES)
def test_rows_of_one_length_keep_their_order(batching, sizes, spare):
    jobs = [job(lengths) for lengths in sizes]
    arrival = {
        item: number
        for number, item in enumerate(
            (each, place) for each in jobs for place in range(len(each.rows))
        )
    }
    last: dict[int, int] = {}
    for batch in drained(filled(batching, jobs, spare=spare)):
        for each, place in batch:
            edge = bucket(each.lengths[place])
            assert arrival[each, place] > last.get(edge, -1)
            last[edge] = arrival[each, place]


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=40))
def test_when_padding_is_free_everything_that_fits_goes_together(lengths):
    queue = filled(Batching(max_batch_size=40), [job(lengths)], spare=float("inf"))
    assert len(queue.take()) == len(lengths)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=40))
def test_when_a_call_is_free_no_two_lengths_go_together(lengths):
    queue = filled(Batching(max_batch_size=64), [job(lengths)], spare=0.0)
    for batch in drained(queue):
        assert len({bucket(each.lengths[place]) for each, place in batch}) == 1


@given(
    st.dictionaries(st.sampled_from(EDGES[:12]), st.integers(1, 9), min_size=1),
    st.data(),
    st.integers(1, 32),
    st.floats(0, 100),
)
def test_taking_a_length_in_costs_less_padding_than_a_call(waiting, data, most, spare):
    lead = data.draw(st.sampled_from(sorted(waiting)))
    chosen = group(waiting, lead, most, spare)
    assert chosen[0] == lead
    rows, low, high = waiting[lead], lead, lead
    for edge in chosen[1:]:
        assert rows < most
        longer = edge > high
        padding = (
            (edge - high) * rows if longer else (high - edge) * min(waiting[edge], most - rows)
        )
        assert padding < spare
        between = range(low, high + 1)
        assert not any(
            edge < other < low or high < other < edge for other in waiting if other not in between
        )
        low, high, rows = min(low, edge), max(high, edge), rows + waiting[edge]


@given(settings(), LENGTHS)
def test_without_a_delay_a_batch_is_there_as_soon_as_a_row_waits(batching, lengths):
    queue = Queue(batching)
    assert queue.wait(5.0) is None
    queue.add(job(lengths, arrived=5.0))
    assert queue.wait(5.0) == 0.0
    assert queue.take()


@given(settings(st.integers(1, 10_000_000)), LENGTHS, st.floats(0, 20))
def test_with_a_delay_it_is_there_at_a_preferred_size_or_when_the_oldest_waited_so_long(
    batching, lengths, later
):
    queue = filled(batching, [job(lengths, arrived=1.0)])
    enough = min((*batching.preferred_batch_size, batching.max_batch_size))
    left = 1.0 + batching.max_queue_delay_microseconds / 1e6 - (1.0 + later)
    expected = 0.0 if len(lengths) >= enough else max(0.0, left)
    found = queue.wait(1.0 + later)
    assert found is not None
    assert abs(found - expected) < 1e-9


@given(st.floats(0.01, 5), st.floats(0, 5))
def test_no_row_waits_for_company_longer_than_half_of_its_time(lasts, later):
    batching = Batching(max_queue_delay_microseconds=2_000_000)
    queue = filled(batching, [job([1], arrived=1.0, deadline=1.0 + lasts)])
    found = queue.wait(1.0 + later)
    assert found is not None
    assert abs(found - max(0.0, min(2.0, lasts / 2) - later)) < 1e-9


@given(settings(), st.lists(LENGTHS, min_size=1, max_size=6))
def test_a_batch_is_cut_to_the_largest_preferred_size_it_reaches(batching, sizes):
    for batch in drained(filled(batching, [job(each) for each in sizes], spare=float("inf"))):
        preferred = batching.preferred_batch_size
        assert len(batch) in preferred or not any(size <= len(batch) for size in preferred)


@given(st.integers(1, 50), st.lists(st.integers(1, 30), max_size=20))
def test_no_more_rows_wait_than_allowed(bound, sizes):
    queue = Queue(Batching(max_queue_rows=bound))
    for size in sizes:
        if queue.room(size):
            alone = queue.rows == 0
            queue.add(job([1] * size))
            assert queue.rows <= bound or (alone and queue.rows == size)


def test_rows_with_known_scores_do_not_wait():
    queue = filled(Batching(), [job([1, 2, 3], known=[None, [1.0], None])])
    assert queue.rows == 2
    assert [place for _, place in queue.take()] == [0, 2]


@dataclass
class Waiting:
    """What a model of the queue knows of a job."""

    job: Job
    left: set[int] = field(default_factory=set)


class Life(RuleBasedStateMachine):
    """Jobs come, are cancelled, expire and are taken, in any order."""

    def __init__(self):
        super().__init__()
        self.queue = Queue(Batching(max_batch_size=4), spare=20.0)
        self.jobs: list[Waiting] = []
        self.now = 0.0

    @rule(lengths=LENGTHS, lasts=st.floats(0, 5))
    def come(self, lengths, lasts):
        each = job(lengths, arrived=self.now, deadline=self.now + lasts)
        self.queue.add(each)
        self.jobs.append(Waiting(each, set(range(len(lengths)))))

    @rule(seconds=st.floats(0, 3))
    def pass_time(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data):
        gone = data.draw(st.sampled_from(range(len(self.jobs))))
        self.queue.remove(self.jobs.pop(gone).job)

    @rule()
    def expire(self):
        expired = self.queue.expire(self.now)
        late = [each.job for each in self.jobs if each.left and each.job.deadline <= self.now]
        assert set(expired) == set(late)
        self.jobs = [each for each in self.jobs if each.job not in set(expired)]

    @rule()
    def take(self):
        for each, place in self.queue.take():
            owner = next(one for one in self.jobs if one.job is each)
            owner.left.remove(place)

    @invariant()
    def exactly_what_waits_is_counted_and_nothing_else_is_kept(self):
        assert self.queue.rows == sum(len(each.left) for each in self.jobs)
        padded = 0
        for each in self.jobs:
            assert each.job.waiting == len(each.left)
            padded += sum(bucket(each.job.lengths[place]) for place in each.left)
        assert self.queue.tokens == padded

    def teardown(self):
        left = [item for batch in drained(self.queue) for item in batch]
        assert len(left) == sum(len(each.left) for each in self.jobs)


TestLife = Life.TestCase
