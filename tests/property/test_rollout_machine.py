"""Laws of the rollout's state machine: under anything that is seen, asked, or killed."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from openautoglm.rollout.ledger import recorded
from openautoglm.rollout.machine import decide
from openautoglm.rollout.observation import Observation, lacking
from openautoglm.rollout.state import progress
from tests.support.rollout import METRICS, NEW, OLD, Rollout, verdicts

VERDICTS = st.sampled_from(["no_worse", "worse", "undecided"])
SECONDS = st.sampled_from([0, 1, 59, 300, 3600, 86_400, 7 * 86_400, -3, -400, -1_000_000])
WORDS = st.sampled_from(["no traffic", "no labels", "telemetry is down"])
WISHES = ("promote", "force", "abort", "hold", "resume")


class Life(RuleBasedStateMachine):
    """One rollout, its ledger, and the routes a gateway has."""

    @initialize(
        shadow=st.sampled_from([0, 10]),
        steps=st.sampled_from([[10], [5, 50], [1, 2, 99, 100]]),
        undecided=st.sampled_from(["hold", "abort", "continue"]),
        confirm=st.sampled_from([None, "person", "http://gate.example/"]),
        immediate=st.booleans(),
    )
    def start(self, shadow, steps, undecided, confirm, immediate):
        self.rollout = Rollout(
            shadow={"percent": shadow},
            steps=steps,
            undecided=undecided,
            confirm=confirm,
            immediate=immediate,
        )
        self.routes = {"champion": OLD}, {"champion": 100}, 0
        self.forced = immediate

    @rule(
        seconds=SECONDS,
        evidence=st.dictionaries(st.sampled_from(METRICS), VERDICTS),
        missing=st.dictionaries(WORDS, st.sampled_from([0, 59, 60, 9999]), max_size=2),
        mismatch=st.sampled_from(["", "", "9 % for 5 %"]),
        confirmed=st.booleans(),
        ready=st.booleans(),
        killed=st.sampled_from(["", "", "decided", "routed", "written"]),
    )
    def controller(self, seconds, evidence, missing, mismatch, confirmed, ready, killed):
        seen = {
            name: verdicts()[name].model_copy(update={"verdict": found})
            for name, found in evidence.items()
        }
        self.rollout.now += seconds
        look = Observation(
            self.rollout.now, ready and self.routed(), seen, missing, mismatch, confirmed
        )
        before = self.rollout.progress
        decision = decide(before, look)
        self.check(before, look, decision)
        if decision is None or killed == "decided":
            # Whoever comes next has nothing but the ledger, and decides the same.
            assert decide(progress(list(self.rollout.records)), look) == decision
            return
        record = recorded(before, decision, look)
        if decision.routes_first:
            self.routes = record.releases, record.weights, record.shadow
            if killed == "routed":
                return
        self.rollout.records.append(record)
        if killed != "written":
            self.settle()

    @rule()
    def settle(self):
        """What any controller does before anything else, and may do twice."""
        last = self.rollout.last
        self.routes = last.releases, last.weights, last.shadow

    @precondition(lambda self: not self.rollout.progress.ended)
    @rule(wish=st.sampled_from(WISHES), seconds=SECONDS)
    def person(self, wish, seconds):
        self.rollout.now += seconds
        self.forced |= wish == "force"
        self.rollout.ask("promote" if wish == "force" else wish, forced=wish == "force")

    def routed(self):
        last = self.rollout.last
        return self.routes == (last.releases, last.weights, last.shadow)

    def check(self, before, look, decision):
        """What a decision may never be."""
        worse = any(one.verdict == "worse" for one in look.evidence.values())
        overruled = before.forced or (before.asked and before.asked.forced)
        if worse and before.place in ("shadow", "canary", "promoting") and not overruled:
            assert decision.state == "rolled_back"
        if decision and decision.state == "promoting" and before.state != "promoting":
            assert decision.forced or not lacking(before, look)
            assert not decision.forced or self.forced
        if decision and decision.state == "promoted":
            assert before.state == "promoting"
            assert look.in_force

    @invariant()
    def the_routes_are_whole(self):
        _, weights, shadow = self.routes
        assert sum(weights.values()) == 100
        assert min(weights.values()) >= 0
        assert 0 <= shadow <= 100

    @invariant()
    def the_champion_serves_until_the_promotion(self):
        releases, weights, _ = self.routes
        if self.rollout.progress.place not in ("promoting", None):
            assert releases["champion"] == OLD
            assert weights["champion"] > 0

    @invariant()
    def at_its_end_one_release_has_everything_and_the_owner_is_free(self):
        last, state = self.rollout.last, self.rollout.progress.state
        if state in ("promoted", "rolled_back"):
            assert last.owner == ""
            assert last.weights == {"champion": 100}
            assert last.releases == {"champion": NEW if state == "promoted" else OLD}
        else:
            assert last.owner == "rollout 1"

    def teardown(self):
        """Whatever became of it: nobody asks any more, and it ends, good or never seen."""
        if not hasattr(self, "rollout"):
            return
        records, now = list(self.rollout.records), self.rollout.now
        for seen in ({"evidence": verdicts(), "confirmed": True}, {}, {"in_force": False}):
            self.rollout.records, self.rollout.now = list(records), now
            for _ in range(30):
                self.rollout.look(7 * 86_400, **seen)
            assert self.rollout.progress.ended


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
