"""Parts of a search without a search: spaces, the best trials, proposals, pruning, plots."""

import pickle
from dataclasses import replace

import pytest

from openautoglm.errors import StepError
from openautoglm.tuning.plots import history_plot, importance_plot, pareto_plot
from openautoglm.tuning.propose import propose
from openautoglm.tuning.pruning import FEWEST, MedianRule
from openautoglm.tuning.space import Dimension, Point, Space
from openautoglm.tuning.storage import Storage
from openautoglm.tuning.trials import Plan, Trial, best, pareto
from tests.support.tuning import PLAN, SPACE, STARTS, quality


def trial(number, *values, branch="glm", state="complete", reports=(), point=None):
    point = point or Point(branch, {"penalty": 1.0 + number, "orders": (1,)})
    return Trial(number, 0, number, point, state, values, reports)


def finished(points, first=0, round_=0):
    return [
        Trial(first + place, round_, place, point, "complete", (quality(point),), ())
        for place, point in enumerate(points)
    ]


def test_a_point_is_the_same_whatever_the_order_of_its_keys():
    one, other = Point("a", {"x": 1, "y": [1, 2]}), Point("a", {"y": (1, 2), "x": 1})
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == other  # noqa: S301


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"low": 1.0},
        {"low": 1.0, "high": 1.0},
        {"low": 0.0, "high": 1.0, "log": True},
        {"low": 0.5, "high": 2.0, "whole": True},
        {"low": 0.0, "high": 1.0, "choices": (1,)},
        {"choices": (1, 1)},
        {"choices": ("[1]", (1,))},
    ],
)
def test_a_dimension_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="`x`"):
        Dimension("x", **wrong)


def test_a_name_that_stands_twice_in_a_branch_is_refused():
    with pytest.raises(ValueError, match="two dimensions of one name"):
        Space("family", {"glm": (Dimension("family", low=0, high=1),)})


def test_a_name_that_two_branches_have_is_told_with_its_branch():
    both = Dimension("lr", low=0.1, high=1)
    space = Space("network", {"a": (both, Dimension("dim", low=1, high=2)), "b": (both,)})
    assert space.title("a", "lr") == "a.lr"
    assert space.title("a", "dim") == "dim"


def test_a_true_is_no_one():
    assert not Dimension("x", choices=(1, 2)).has(True)
    assert not Dimension("x", low=0, high=2, whole=True).has(True)


def test_the_best_of_equals_is_the_first():
    trials = [trial(0, 0.5), trial(1, 0.7), trial(2, 0.7), trial(3, state="pruned")]
    assert best(trials).number == 1
    assert best(trials, "minimize").number == 0


def test_the_best_of_a_branch():
    trials = [trial(0, 0.9), trial(1, 0.5, branch="transformer")]
    assert best(trials, branch="transformer").number == 1
    with pytest.raises(StepError, match="no trial of other"):
        best(trials, branch="other")


def test_the_pareto_set_keeps_the_first_of_equals_and_drops_the_dominated():
    trials = [trial(0, 0.5, 10.0), trial(1, 0.5, 10.0), trial(2, 0.4, 10.0), trial(3, 0.4, 5.0)]
    found = pareto([*trials, trial(4, state="failed")], ("maximize", "minimize"))
    assert [one.number for one in found] == [0, 3]


def test_branches_take_turns_from_round_to_round():
    plan = replace(PLAN, trials=3)
    first = propose(SPACE, plan, 1, finished(STARTS))
    second = propose(SPACE, plan, 2, finished([*STARTS, *first]))
    branches = [point.branch for point in [*first, *second]]
    assert branches == ["glm", "transformer"] * 3


def test_proposals_depend_on_seed_and_round():
    earlier = finished(STARTS)
    once = propose(SPACE, PLAN, 1, earlier)
    assert propose(SPACE, PLAN, 1, earlier) == once
    assert propose(SPACE, replace(PLAN, seed=4), 1, earlier) != once
    assert propose(SPACE, PLAN, 2, earlier) != once


def test_a_space_that_is_used_up_ends_the_round():
    space = Space("family", {"a": (Dimension("x", choices=(1, 2, 3)),), "b": ()})
    plan = replace(PLAN, trials=5, starts=(Point("a", {"x": 2}), Point("b", {})))
    points = propose(space, plan, 1, finished(plan.starts))
    assert {point.values["x"] for point in points} == {1, 3}
    assert len(points) == 2


def test_a_branch_that_is_used_up_leaves_its_turns_to_the_other():
    many = Dimension("y", low=0.0, high=1.0)
    space = Space("family", {"a": (Dimension("x", choices=(1, 2)),), "b": (many,)})
    points = propose(space, replace(PLAN, trials=6), 1, [])
    assert sorted(point.branch for point in points) == ["a", "a", "b", "b", "b", "b"]


@pytest.mark.parametrize(
    "values",
    [
        {"penalty": 1e6, "orders": (1, 2)},
        {"penalty": -1.0, "orders": (1, 2)},
        {"penalty": 1.0, "orders": (9,)},
        {"penalty": None},
        {},
        {"other": "x"},
    ],
)
def test_a_start_beyond_the_space_does_not_lead_out_of_it(values):
    starts = (Point("glm", values), Point("unknown", {"a": 1}), *STARTS)
    points = propose(SPACE, replace(PLAN, trials=8), 1, finished_as_told(starts))
    later = propose(SPACE, replace(PLAN, trials=8), 2, finished_as_told([*starts, *points]))
    assert all(SPACE.has(point) for point in [*points, *later])


def finished_as_told(points):
    return [
        Trial(number, 0, number, point, "complete", (float(number),), ())
        for number, point in enumerate(points)
    ]


def test_tpe_stays_near_what_was_good():
    space = Space("family", {"a": (Dimension("x", low=0.0, high=1.0),)})
    earlier = [
        Trial(n, 0, n, Point("a", {"x": n / 30}), "complete", (-abs(n / 30 - 0.2),), ())
        for n in range(30)
    ]
    points = propose(space, replace(PLAN, trials=10), 1, earlier)
    near = [point for point in points if abs(point.values["x"] - 0.2) < 0.15]
    assert len(near) >= 7


def reported(count, state="complete", branch="glm"):
    curves = [((1, 0.1 * n), (2, 0.2 * n)) for n in range(1, count + 1)]
    return [
        trial(n, 0.5, branch=branch, state=state, reports=curve) for n, curve in enumerate(curves)
    ]


def test_a_trial_below_the_median_of_its_branch_is_stopped():
    rule = MedianRule(SPACE, "glm", reported(FEWEST), "maximize")
    assert rule.median(2) == pytest.approx(0.4)
    assert rule.stops({1: 0.1})
    assert not rule.stops({1: 0.25})
    assert not rule.stops({1: 0.1, 2: 0.5})


def test_what_is_to_be_small_is_stopped_above_the_median():
    rule = MedianRule(SPACE, "glm", reported(FEWEST), "minimize")
    assert rule.stops({1: 0.9})
    assert not rule.stops({1: 0.1})


@pytest.mark.parametrize(
    "earlier",
    [
        reported(FEWEST - 1),
        reported(FEWEST, branch="transformer"),
        [replace(one, state="pruned", values=()) for one in reported(FEWEST)],
    ],
)
def test_too_few_complete_trials_of_the_branch_stop_nothing(earlier):
    assert not MedianRule(SPACE, "glm", earlier, "maximize").stops({1: -1.0})


def test_a_step_that_nobody_reported_stops_nothing():
    assert not MedianRule(SPACE, "glm", reported(FEWEST), "maximize").stops({7: -1.0})


def test_a_search_for_several_values_cannot_prune():
    with pytest.raises(ValueError, match="prune"):
        Plan(1, 1, 1, ("maximize", "minimize"), ("a", "b"), (), prune=True)


def test_a_storage_does_not_tell_its_password():
    assert "secret" not in str(Storage("postgresql://me:secret@host/db", "x"))


@pytest.fixture
def trials():
    points = propose(SPACE, replace(PLAN, trials=20), 1, finished(STARTS))
    found = finished([*STARTS, *points])
    found[5] = replace(found[5], state="pruned", values=(), reports=((1, 0.1),))
    found[6] = replace(found[6], state="failed", values=())
    return found


def bytes_of(plot, tmp_path):
    found = []
    for name in ("a.png", "b.png"):
        plot(tmp_path / name)
        found.append((tmp_path / name).read_bytes())
    assert found[0] == found[1]
    assert found[0].startswith(b"\x89PNG")
    return found[0]


def test_plots_are_the_same_bytes_each_time(trials, tmp_path):
    bytes_of(lambda out: history_plot(trials, out), tmp_path)
    bytes_of(lambda out: importance_plot(trials, SPACE, out), tmp_path)


@pytest.mark.parametrize("few", [0, 1, 3])
def test_plots_of_few_trials(trials, few, tmp_path):
    bytes_of(lambda out: history_plot(trials[:few], out), tmp_path)
    bytes_of(lambda out: importance_plot(trials[:few], SPACE, out), tmp_path)


def test_importances_of_equal_values(trials, tmp_path):
    flat = [replace(one, values=(0.5,)) for one in trials if one.values]
    bytes_of(lambda out: importance_plot(flat, SPACE, out), tmp_path)


@pytest.mark.parametrize("directions", [("maximize", "minimize"), ("maximize", "minimize") * 2])
def test_a_pareto_plot_of_two_values_and_no_more_than_three(directions, trials, tmp_path):
    several = [replace(one, values=(*one.values * len(directions),)) for one in trials]

    def plot(out):
        pareto_plot(several, directions, ["a", "b", "c", "d"], out)

    if len(directions) > 3:
        with pytest.raises(ValueError, match="not 4"):
            plot(tmp_path / "a.png")
    else:
        bytes_of(plot, tmp_path)


@pytest.mark.parametrize("few", [0, 1, None])
def test_a_pareto_plot_of_three_values(few, trials, tmp_path):
    three = [replace(one, values=(*one.values, one.number * 1.0, 2.0)) for one in trials[:few]]
    three = [one for one in three if len(one.values) == 3]
    directions = ("maximize", "minimize", "minimize")
    bytes_of(lambda out: pareto_plot(three, directions, ["f1", "b", "ops"], out), tmp_path)
