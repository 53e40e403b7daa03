"""Laws of a search, on random spaces and plans."""

import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.tuning.propose import propose
from openautoglm.tuning.search import search
from openautoglm.tuning.space import Dimension, Point, Space
from openautoglm.tuning.storage import Storage
from openautoglm.tuning.trials import Plan, Trial, pareto

SCALARS = st.one_of(
    st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.text("ab", min_size=1, max_size=3)
)
CHOICES = st.lists(st.one_of(SCALARS, st.tuples(SCALARS, SCALARS)), min_size=1, max_size=4)


@st.composite
def dimensions(draw, name):
    kind = draw(st.sampled_from(["real", "whole", "choices"]))
    if kind == "choices":
        unique = {str(value): value for value in draw(CHOICES)}
        return Dimension(name, choices=tuple(unique.values()))
    log = draw(st.booleans())
    lowest = 1 if log else -1000
    if kind == "whole":
        low = draw(st.integers(lowest, 1000))
        return Dimension(name, low=low, high=low + draw(st.integers(1, 9)), log=log, whole=True)
    low = draw(st.floats(1e-6 if log else -1e3, 1e3))
    return Dimension(name, low=low, high=low + draw(st.floats(1e-3, 1e3)), log=log)


@st.composite
def spaces(draw):
    branches = {}
    for branch in ("a", "b")[: draw(st.integers(1, 2))]:
        names = draw(st.sets(st.sampled_from(["x", "y", "z"]), max_size=3))
        branches[branch] = tuple(draw(dimensions(name)) for name in sorted(names))
    return Space("branch", branches)


@st.composite
def plans(draw):
    directions = draw(st.lists(st.sampled_from(["maximize", "minimize"]), min_size=1, max_size=3))
    values = st.dictionaries(st.sampled_from(["x", "y", "z"]), SCALARS)
    starts = draw(st.lists(st.builds(Point, st.sampled_from(["a", "b", "c"]), values), max_size=3))
    return Plan(
        seed=draw(st.integers(0, 2**40)),
        rounds=draw(st.integers(1, 2)),
        trials=draw(st.integers(1, 5)),
        directions=tuple(directions),
        labels=("value",) * len(directions),
        starts=tuple(starts),
        prune=len(directions) == 1,
    )


def valued(point: Point, size: int) -> tuple[float, ...]:
    """Numbers that the point alone decides, few enough for ties."""
    text = repr(point).encode()
    return tuple(float((sum(text) * (axis + 1)) % 7) for axis in range(size))


def without_a_database(space, plan):
    """What a search that prunes nothing comes to, by its definition."""
    trials = []
    for round_ in range(plan.rounds + 1):
        points = propose(space, plan, round_, trials) if round_ else plan.starts
        trials += [
            Trial(
                len(trials) + place,
                round_,
                place,
                point,
                "complete",
                valued(point, len(plan.directions)),
                (),
            )
            for place, point in enumerate(points)
        ]
    return trials


@settings(max_examples=40, deadline=None)
@given(space=spaces(), plan=plans())
def test_points_lie_in_their_space_and_none_is_tried_twice(space, plan):
    trials = without_a_database(space, plan)
    later = [trial.point for trial in trials if trial.round]
    assert all(map(space.has, later))
    assert len({*later, *plan.starts}) == len(later) + len(set(plan.starts))


@settings(max_examples=5, deadline=None)
@given(space=spaces(), plan=plans())
def test_a_search_is_what_its_definition_says(space, plan):
    expected = without_a_database(space, plan)
    if not expected:
        return

    def objective(point, report):
        return valued(point, len(plan.directions))

    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(f"sqlite:///{folder}/study.db", "tune")
        assert search(objective, space, plan, storage) == expected


VALUES = st.integers(0, 3).map(float)


@given(
    rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=12),
    directions=st.tuples(*[st.sampled_from(["maximize", "minimize"])] * 3),
)
def test_the_pareto_set_is_what_its_definition_says(rows, directions):
    trials = [
        Trial(number, 0, number, Point("a", {}), "complete", row, ())
        for number, row in enumerate(rows)
    ]

    def beats(a, b):
        """No worse in each value, and better in one."""
        pairs = [
            (x, y) if direction == "minimize" else (y, x)
            for x, y, direction in zip(a.values, b.values, directions, strict=True)
        ]
        return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)

    expected = [
        trial
        for trial in trials
        if not any(beats(other, trial) for other in trials)
        and not any(other.values == trial.values for other in trials[: trial.number])
    ]
    assert pareto(trials, directions) == expected
