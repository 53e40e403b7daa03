"""Laws of the decision to retrain, over any history of looks and retrainings."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from openautoglm.config.retrain import RetrainSettings
from openautoglm.registry.retraining_records import BEGUN, ENDED, SUCCEEDED, Look, Retraining
from openautoglm.steps.retrain_rules import YES, decision

HOUR = 3600.0
VERDICTS = ("none", "drift", "drift", "drift", "too little data")
TOO_LITTLE = "too little data"

settings = st.builds(
    RetrainSettings,
    looks=st.integers(1, 4),
    cooldown_hours=st.sampled_from([0, 1, 24]),
    stale_hours=st.sampled_from([0.5, 10, 48]),
)
looks = st.lists(
    st.tuples(
        st.sampled_from([0.25, 1, 5, 30]),  # hours since the one before
        st.sampled_from(VERDICTS),
        st.integers(0, 8),  # its window
        st.integers(0, 3),  # the rows there are to learn from
        st.sampled_from(["ends", "fails", "killed", "goes on"]),  # what becomes of a retraining
    ),
    min_size=1,
    max_size=14,
)


def history(steps):
    """The looks of some steps, in their order."""
    now, found = 0.0, []
    for place, (pause, verdict, window, _, _) in enumerate(steps):
        now += pause * HOUR
        found.append(Look(f"run-{place}", now, "m", f"w{window}", verdict, "because"))
    return found


def lived(steps, rules):
    """Retrainings as they would begin and end, each with the looks that were there."""
    begun: list[tuple[Retraining, list[Look]]] = []
    found = history(steps)
    for place, (look, (*_, data, fate)) in enumerate(zip(found, steps, strict=True)):
        known = {one.data: one.run for one, _ in begun if one.outcome == SUCCEEDED}
        past = [one for one, _ in begun]
        made = decision(look, found[:place], past, f"d{data}", known, rules)
        if made.retrain == YES:
            state = BEGUN if fate in ("killed", "goes on") else ENDED
            outcome = {"ends": SUCCEEDED, "fails": "failed"}.get(fate, "")
            one = Retraining(look.run, look.at, f"d{data}", state, outcome)
            begun.append((one, found[: place + 1]))
    return begun


@given(looks, settings)
def test_each_retraining_rests_on_as_many_new_windows_with_drift_as_asked(steps, rules):
    before = -1.0
    for one, seen in lived(steps, rules):
        assert seen[-1].verdict == "drift"
        fresh = {look.window for look in seen if look.at > before and look.verdict == "drift"}
        assert len(fresh) >= rules.looks
        before = one.at


@given(looks, settings)
def test_retrainings_keep_their_distance(steps, rules):
    begun = [one for one, _ in lived(steps, rules)]
    for first, second in pairwise(begun):
        assert second.at - first.at >= rules.cooldown_hours * HOUR


@given(looks, settings)
def test_no_two_are_open_at_a_time(steps, rules):
    begun = [one for one, _ in lived(steps, rules)]
    for place, one in enumerate(begun):
        for other in begun[:place]:
            assert other.state == ENDED or one.at - other.at >= rules.stale_hours * HOUR


@given(looks, settings)
def test_nothing_is_learned_twice_with_success(steps, rules):
    learned = [one.data for one, _ in lived(steps, rules) if one.outcome == SUCCEEDED]
    assert len(learned) == len(set(learned))


@given(looks, settings, st.data())
def test_looks_with_too_little_data_change_nothing(steps, rules, data):
    found = history(steps)
    place = data.draw(st.integers(0, len(found) - 1))
    blind = replace(found[place], run="blind", window=data.draw(st.sampled_from(["w0", "w9"])))
    blind = replace(blind, verdict=TOO_LITTLE, at=blind.at - 1)
    without = decision(found[-1], found[:-1], [], "d", {}, rules)
    assert decision(found[-1], [*found[:-1], blind], [], "d", {}, rules) == without


@given(looks, settings)
def test_too_little_data_never_retrains(steps, rules):
    found = history(steps)
    last = replace(found[-1], verdict=TOO_LITTLE)
    assert decision(last, found[:-1], [], "d", {}, rules).retrain != YES


@given(looks, settings, st.data())
def test_a_window_seen_again_changes_nothing(steps, rules, data):
    found = history(steps)
    judged = [look for look in found[:-1] if look.verdict != TOO_LITTLE]
    if judged:
        again = replace(data.draw(st.sampled_from(judged)), run="again")
        again = replace(again, at=data.draw(st.floats(again.at, found[-1].at)))
        without = decision(found[-1], found[:-1], [], "d", {}, rules)
        assert decision(found[-1], [*found[:-1], again], [], "d", {}, rules) == without


@given(looks, settings, st.data())
def test_the_order_of_the_records_does_not_matter(steps, rules, data):
    found = history(steps)
    past = [one for one, _ in lived(steps[:-1] or steps, rules)]
    past = [one for one in past if one.at < found[-1].at]
    mixed = data.draw(st.permutations(found)), data.draw(st.permutations(past))
    straight = decision(found[-1], found[:-1], past, "d", {}, rules)
    assert decision(found[-1], mixed[0], mixed[1], "d", {}, rules) == straight
