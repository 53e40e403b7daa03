"""Gateways die, hang and come back, and so does whoever looks: nothing is counted twice."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pydantic import TypeAdapter

from openautoglm.routing.counts import Counts, Seen, Totals, advance
from openautoglm.routing.envoy.outcomes import End, counts

GATEWAYS = ("gateway-0", "gateway-1")
VARIANTS = ("v1", "v2")
STORED = TypeAdapter(Totals)

gateways = st.sampled_from(GATEWAYS)
variants = st.sampled_from(VARIANTS)
ends = st.builds(
    End,
    code=st.sampled_from([0, 200, 400, 404, 429, 500, 503, 504]),
    grpc=st.none() | st.integers(0, 16),
    flags=st.frozensets(st.sampled_from(["UC", "UT", "UO", "UF", "URX", "DC", "RL"]), max_size=2),
    attempts=st.integers(0, 4),
)


class Gateway:
    """One that counts until it dies.

    `unseen` is what it counted since it was last seen by whoever stores, by variant; None while
    nobody can say, because it was not seen at the first look.
    """

    def __init__(self):
        self.process, self.counted, self.unseen = 1, defaultdict(Counts), None
        self.died = False

    def seen(self):
        return Seen(str(self.process), dict(self.counted), {})


class Rollout(RuleBasedStateMachine):
    """A rollout that stores what it has, and gateways that do as they like."""

    def __init__(self):
        super().__init__()
        self.gateways = {name: Gateway() for name in GATEWAYS}
        self.stored, self.sum, self.expected = None, defaultdict(Counts), defaultdict(Counts)

    @rule(name=gateways, variant=variants, end=ends, number=st.integers(1, 5))
    def requests_end(self, name, variant, end, number):
        gateway, more = self.gateways[name], counts(end, number)
        gateway.counted[variant] += more
        if gateway.unseen is not None:
            gateway.unseen[variant] += more

    @rule(name=gateways)
    def a_gateway_is_killed_and_starts_again(self, name):
        gateway = self.gateways[name]
        gateway.process += 1
        gateway.counted = defaultdict(Counts)
        gateway.died = True
        if gateway.unseen is not None:
            gateway.unseen = defaultdict(Counts)

    @rule(hidden=st.sets(gateways))
    def it_looks_and_stores(self, hidden):
        look = self._look(hidden)
        for name, gateway in self.gateways.items():
            if name in hidden:
                continue
            known = gateway.unseen is not None
            assert (name in look.lost) == (self.stored is not None and (gateway.died or not known))
            for variant, more in (gateway.unseen or {}).items():
                self.expected[variant] += more
            gateway.unseen, gateway.died = defaultdict(Counts), False
        self.stored = STORED.dump_json(look.totals)
        for variant, more in look.variants.items():
            self.sum[variant] += more

    @rule(hidden=st.sets(gateways))
    def it_looks_and_dies(self, hidden):
        self._look(hidden)

    def _look(self, hidden):
        last = STORED.validate_json(self.stored) if self.stored else None
        found = {
            name: None if name in hidden else gateway.seen()
            for name, gateway in self.gateways.items()
        }
        look = advance(last, found)
        assert set(look.missing) == hidden
        assert not any(more.went_back for more in look.variants.values())
        return look

    @invariant()
    @precondition(lambda self: self.stored)
    def what_was_stored_is_what_could_be_seen(self):
        for variant in VARIANTS:
            assert self.sum[variant] + Counts() == self.expected[variant] + Counts()


Rollout.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestRollout = Rollout.TestCase


@given(ends, st.integers(1, 100))
def test_the_parts_of_a_request_are_one_whole(end, number):
    found = counts(end, number)
    assert found.requests in (0, number)
    assert found.requests >= found.refused + found.abandoned + found.errors
    assert found.shed + found.retried <= found.errors <= found.exposure
    assert not found.went_back


@given(ends)
def test_a_failed_attempt_is_an_error_however_it_ends(end):
    found = counts(end, 1)
    assert not (end.attempts > 1 and found.requests) or found.errors == 1
