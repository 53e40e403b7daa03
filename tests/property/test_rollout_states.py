"""Every state a rollout can come to, with everything that can be seen there: none has no way on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import pytest

from openautoglm.rollout.ledger import recorded
from openautoglm.rollout.machine import decide
from openautoglm.rollout.observation import Observation, lacking
from openautoglm.rollout.state import Asked, follow
from tests.support.rollout import START, Rollout, verdicts

WISHES = ("promote", "force", "abort", "hold", "resume")
QUICK = {"step_seconds": 1, "missing_seconds": 0.1, "steps": [5, 50]}
LATE = 2
DEADLINES = dict.fromkeys(("pending", "shadow", "step", "promoting", "held"), LATE)
LOOKS = tuple(
    itertools.product(
        (0, 1, LATE, -10),  # seconds
        (True, False),  # in force
        (None, "no_worse", "undecided", "worse"),
        (None, 0, 0.1, 0.2),  # seconds that something has been missing; patience is 0.1, or 0.2
        ("", "9 % for 5 %"),
        (True, False),  # confirmed
    )
)


def key(node):
    """What tells states apart."""
    times = node.elapsed, node.held, node.patience
    return node.state, node.back, node.step, node.cause, node.forced, times


def at_start(node):
    """Time as it counts: up to the deadline, from one and the same moment on."""
    return replace(
        node, elapsed=min(node.elapsed, LATE), held=min(node.held, LATE), at=START, reason=""
    )


class Graph:
    """All states that a rollout can come to, and how."""

    def __init__(self, begin, asks=(None, *WISHES)):
        self.asks = asks
        self.first = at_start(begin.progress)
        self.nodes = {key(self.first): self.first}
        self.edges = {}  # from a state: {(look, wish): to}
        self._known = {}  # a record is slow to make, and most looks come to the same decision
        waiting = [self.first]
        while waiting:
            node = waiting.pop()
            found = self.edges[key(node)] = {}
            for look, ask, after in self._after(node):
                found[look, ask] = key(after)
                if key(after) not in self.nodes:
                    self.nodes[key(after)] = after
                    waiting.append(after)

    def _after(self, node):
        if node.ended:
            return
        for ask in self.asks:
            asked = node
            if ask:
                wish, forced = ("promote", True) if ask == "force" else (ask, False)
                asked = replace(node, asked=Asked(wish, "me", forced))
            for look in LOOKS:
                if ask is None or look[0] == 1:  # a request is answered whatever the time
                    yield look, ask, self._decided(asked, look)

    def _decided(self, node, look):
        seen = seen_as(look)
        decision = decide(node, seen)
        if decision is None:
            now = seen.now
            waited = replace(node, elapsed=node.seconds_here(now), held=node.seconds_held(now))
            return at_start(waited)
        self.check(node, seen, decision)
        same = key(node), node.asked, decision, seen.now
        if same not in self._known:
            self._known[same] = at_start(follow(node, recorded(node, decision, seen)))
        return self._known[same]

    def check(self, node, look, decision):
        worse = any(one.verdict == "worse" for one in look.evidence.values())
        overruled = node.forced or (node.asked and node.asked.forced)
        if worse and node.place != "pending" and not overruled:
            assert decision.state == "rolled_back"
        if decision.state == "promoting" and node.state != "promoting":
            assert decision.forced or not lacking(node, look)

    def lead_to(self, end, asks):
        """States from which there is a way to an end, when nobody asks for anything else."""
        back = {}
        for before, found in self.edges.items():
            for (_, ask), after in found.items():
                if ask in asks:
                    back.setdefault(after, set()).add(before)
        waiting = [node for node in self.nodes if node[0] == end]
        seen = set(waiting)
        while waiting:
            for before in back.get(waiting.pop(), ()):
                if before not in seen:
                    seen.add(before)
                    waiting.append(before)
        return seen


@cache
def seen_as(look):
    seconds, in_force, verdict, missing, mismatch, confirmed = look
    evidence = {"errors": verdicts(verdict)["errors"]} if verdict else {}
    gone = {} if missing is None else {"no traffic": missing}
    return Observation(START + seconds, in_force, evidence, gone, mismatch, confirmed)


def every_kind():
    for shadow, undecided, confirm, immediate in itertools.product(
        (0, 10),
        ("hold", "abort", "continue"),
        (None, "person", "http://gate.example/"),
        (False, True),
    ):
        copies = {"percent": 10, "seconds": 1} if shadow else {"percent": 0}
        deadline = DEADLINES if shadow else {**DEADLINES, "shadow": 3600}
        keys = {**QUICK, "shadow": copies, "deadline": deadline, "metrics": {"slow": None}}
        name = f"shadow {shadow}, {undecided}, confirm {confirm}, immediate {immediate}"
        yield pytest.param(
            {**keys, "undecided": undecided, "confirm": confirm, "immediate": immediate}, id=name
        )


KINDS = list(every_kind())


def explore(kind):
    """What holds of every state that can be reached.

    Raises:
        AssertionError: A state has no way on.
    """
    graph = Graph(Rollout(**kind))
    everything = set(graph.nodes)
    ends = {node for node in everything if node[0] in ("promoted", "rolled_back")}
    rolled_back = {node for node in ends if node[0] == "rolled_back"}
    promoted = ends - rolled_back
    assert everything == graph.lead_to("rolled_back", {None}) | promoted
    people = {None, "promote", "hold", "resume"}
    assert everything == graph.lead_to("promoted", people) | rolled_back
    assert everything == graph.lead_to("rolled_back", {"abort"}) | promoted
    assert_time_brings_an_end(graph)
    for node in graph.nodes.values():
        assert_one_look_comes_to_rest(node)


def assert_time_brings_an_end(graph):
    """While nobody asks for anything and time passes, no state comes twice."""
    done, open_nodes = set(), set()

    def visit(node):
        if node in done:
            return
        assert node not in open_nodes, f"a way round from {node}"
        open_nodes.add(node)
        for (look, ask), after in graph.edges[node].items():
            if ask is None and look[0] > 0:
                visit(after)
        open_nodes.discard(node)
        done.add(node)

    for node in graph.nodes:
        visit(node)


def assert_one_look_comes_to_rest(node):
    """Seeing the same at the same moment, it stops deciding: the ledger does not fill up."""
    for look in LOOKS:
        if look[0] == 0:
            found, seen = node, seen_as(look)
            for _ in range(12):
                decision = decide(found, seen)
                if decision is None:
                    break
                found = follow(found, recorded(found, decision, seen))
            else:
                raise AssertionError(f"{key(node)} never rests at {look}")


@pytest.mark.parametrize("kind", [KINDS[18], KINDS[32]])
def test_no_state_is_without_a_way_to_promotion_or_rollback(kind):
    explore(kind)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", KINDS)
def test_no_state_of_any_kind_of_rollout_is_without_a_way_on(kind):
    explore(kind)
