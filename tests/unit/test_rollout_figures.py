"""What stands in for labels: how champion and challenger spread their answers over the classes."""

import numpy as np
import pytest

from openautoglm.feedback.reading import Arm, Cursor, News
from openautoglm.rollout.figures import Figures, spread
from openautoglm.rollout.gathering import gathered, keep
from openautoglm.rollout.state import progress
from openautoglm.routing.counts import Counts
from tests.support.rollout import Rollout

ALIKE = {"历史": 600, "文学": 400}


def news(champion, challenger):
    return News(Cursor(0, 0, 0), Arm(classes=champion), Arm(classes=challenger))


def drift(figures):
    now = progress(Rollout().records)
    return figures.point(now, [], (0.1,), begun=0.0, at=1.0, weight=5).drift


def test_look_by_look_answers_add_up_to_the_drift_of_all():
    figures = Figures()
    for _ in range(10):
        figures.add(Counts(), Counts(), news({"历史": 90, "文学": 10}, {"历史": 10, "文学": 90}))
    assert drift(figures) == pytest.approx(0.8, abs=0.005)


def test_without_feedback_there_is_none():
    figures = Figures()
    figures.add(Counts(), Counts(), None)
    assert drift(figures) is None


def test_alike_is_0_and_nothing_in_common_is_1():
    assert spread(ALIKE, ALIKE) == 0
    assert spread({"历史": 1000}, {"文学": 1000}) == pytest.approx(1)
    assert spread({"历史": 1000}, {"历史": 1000}) == 0


def test_it_is_the_same_whatever_share_of_the_requests_the_challenger_has():
    other = {"历史": 4000, "文学": 6000}
    found = [
        spread({name: times * n for name, n in ALIKE.items()}, other) for times in (10, 30, 190)
    ]
    assert found == pytest.approx([0.2] * 3, abs=0.001)


@pytest.mark.parametrize(
    ("champion", "challenger"),
    [({}, {}), (ALIKE, {}), (ALIKE, {"历史": 40}), ({"历史": 90_000}, {"文学": 100})],
)
def test_of_few_answers_nothing_is_said(champion, challenger):
    assert spread(champion, challenger) is None


def test_more_classes_need_more_answers():
    def least(k):
        names = [f"{place}" for place in range(k)]
        return next(
            n for n in range(1, 100) if spread(*[dict.fromkeys(names, n * 20 // k)] * 2) is not None
        )

    assert 20 * least(2) < 320 < 20 * least(10) < 700


def test_of_equal_versions_it_seldom_reaches_what_is_drift():
    rng, shares = np.random.default_rng(1), np.full(10, 0.1)
    found = [
        spread(*(dict(enumerate(rng.multinomial(n, shares).tolist())) for n in (12_000, 650)))
        for _ in range(1000)
    ]
    assert None not in found
    assert np.mean([one >= 0.1 for one in found]) < 0.02


def test_counts_outlive_a_kill_and_a_file_without_them_begins_anew(tmp_path):
    file, now = tmp_path / "gathered.json", progress(Rollout().records)
    known = gathered(now, "canary", file)
    known.figures.add(Counts(), Counts(), news(ALIKE, {"历史": 10_000}))
    keep(file, known)
    assert gathered(now, "canary", file).figures == known.figures
    file.write_text(file.read_text().replace('"classes"', '"others"'))
    found = gathered(now, "canary", file).figures
    assert found.champion.classes == found.challenger.classes == {}
