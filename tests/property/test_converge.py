"""Whatever dies and whatever is wanted next: no step of a service may lose its traffic."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from openautoglm.deploy.local.converge import Goal, Replica, step
from openautoglm.routing.routes import Endpoint, Routes, Shadow

RELEASES = ("v1", "v2", "v3")
SURGE, AT_ONCE = 1, 2


@st.composite
def goals(draw):
    names = draw(st.lists(st.sampled_from(RELEASES), min_size=1, max_size=2, unique=True))
    first = draw(st.integers(0, 100)) if len(names) == 2 else 100
    weights = dict(zip(names, (first, 100 - first), strict=False))
    shadow = None
    if len(names) == 2 and draw(st.booleans()):
        shadow = Shadow(names[1], draw(st.integers(1, 100)))
    return Goal(
        replicas={name: draw(st.integers(1, 4)) for name in names},
        weights=weights,
        shadow=shadow,
        settings=draw(st.sampled_from(("one", "other"))),
    )


class Service(RuleBasedStateMachine):
    """A world in which replicas start, get ready, die and hang as they like."""

    @initialize(goal=goals())
    def begin(self, goal):
        self.goal, self.routes, self.replicas, self.ports = goal, Routes(), [], 20_000

    @rule(goal=goals())
    def something_else_is_wanted(self, goal):
        self.goal = goal

    @rule(data=st.data())
    @precondition(lambda self: self.replicas)
    def one_gets_ready_or_dies(self, data):
        at = data.draw(st.integers(0, len(self.replicas) - 1))
        found = self.replicas[at]
        ready = not found.ready
        self.replicas[at] = replace(found, ready=ready, started=found.started or ready)

    @rule()
    def all_get_ready(self):
        self.replicas = [replace(one, ready=True, started=True) for one in self.replicas]

    @rule()
    def all_die(self):
        self.replicas = [replace(one, ready=False) for one in self.replicas]

    @rule()
    def the_controller_looks(self):
        self._look()

    def _look(self):
        before = self.routes
        found = step(self.goal, self.replicas, before, surge=SURGE, at_once=AT_ONCE)
        found.routes.check()
        if before.weights:
            assert sum(found.routes.weights.values()) == 100, "traffic was lost"
        self._weight_only_where_it_can_be_carried(before, found.routes)
        self._ready_ones_are_used(found.routes)
        self._starts_are_bounded(found.start)
        self.routes = found.routes
        for unit in found.stop:
            one = next(replica for replica in self.replicas if replica.unit == unit)
            assert all(one.endpoint not in of for of in found.routes.variants.values())
        self.replicas = [one for one in self.replicas if one.unit not in found.stop]
        for key, count in found.start.items():
            for _ in range(count):
                self.ports += 1
                self.replicas.append(
                    Replica(
                        unit=f"{key}-{self.ports}",
                        release=key,
                        settings=self.goal.settings,
                        endpoint=Endpoint("127.0.0.1", self.ports),
                        ready=False,
                        started=False,
                    )
                )
        return found

    @rule()
    def left_alone_it_gets_there_and_stays(self):
        for _ in range(60):
            found = self._look()
            if found.done:
                break
            self.all_get_ready()
        assert found.done, f"it never gets from {self.routes} to {self.goal}"
        weights = {key: weight for key, weight in self.goal.weights.items() if weight}
        assert self.routes.weights == weights
        assert self.routes.shadow == self.goal.shadow
        count = {key: len(of) for key, of in self.routes.variants.items()}
        assert count == dict(self.goal.replicas)
        assert len(self.replicas) == sum(count.values()), "some are left over"
        again = step(self.goal, self.replicas, self.routes, surge=SURGE, at_once=AT_ONCE)
        assert again.done
        assert again.routes == self.routes

    @rule()
    @precondition(lambda self: self.routes.weights)
    def new_ones_never_get_ready_and_the_old_ones_serve_on(self):
        """Another release, or settings, with which every replica ends before it is ready."""
        self.left_alone_it_gets_there_and_stays()
        served = {key: set(of) for key, of in self.routes.variants.items()}
        weights, wanted = self.routes.weights, self.goal
        self.goal = replace(wanted, settings=f"broken-{wanted.settings}")
        starts = 0
        for _ in range(20):
            starts += sum(self._look().start.values())
            # What only ends does not count as starting any more.
            self.replicas = [
                one if one.ready else replace(one, started=True) for one in self.replicas
            ]
            assert self.routes.weights == weights
            for key, weight in weights.items():
                assert not weight or set(self.routes.variants[key]) == served[key]
        assert starts <= sum(wanted.replicas.values()) + len(wanted.replicas) * SURGE
        self.goal = wanted
        self.left_alone_it_gets_there_and_stays()

    @invariant()
    def nothing_piles_up(self):
        for key in RELEASES:
            mine = [one for one in getattr(self, "replicas", []) if one.release == key]
            assert len(mine) <= 2 * (4 + SURGE)

    def _weight_only_where_it_can_be_carried(self, before, after):
        for key, weight in after.weights.items():
            ready = sum(one.ready for one in self.replicas if one.release == key)
            if weight and not before.weights.get(key):
                assert ready >= self.goal.replicas[key], f"{key} has {ready} replicas for {weight}"

    def _ready_ones_are_used(self, routes):
        for key, weight in routes.weights.items():
            ready = {one.endpoint for one in self.replicas if one.release == key and one.ready}
            if weight and ready:
                assert set(routes.variants[key]) <= ready
                assert routes.variants[key]

    def _starts_are_bounded(self, start):
        starting = sum(not one.ready and not one.started for one in self.replicas)
        assert starting + sum(start.values()) <= max(AT_ONCE, starting)


Service.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestService = Service.TestCase
