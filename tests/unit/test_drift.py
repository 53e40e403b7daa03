"""Effects by hand and against scipy; verdicts, samples and descriptors one by one."""

import json

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from openautoglm.config.data import DataParams
from openautoglm.config.drift import DriftSettings
from openautoglm.drift.columns import describe
from openautoglm.drift.compare import Verdict, compare
from openautoglm.drift.shifted import shifted
from openautoglm.drift.vocabulary import vocabulary_of
from openautoglm.drift.window import Window, draw, labelled
from openautoglm.errors import DataError, SourceError
from openautoglm.statistics.two_samples import (
    cramers_v,
    kolmogorov_smirnov,
    smallest_distance,
)
from openautoglm.steps.windows.rows import UNKNOWN, read_window

SETTINGS = DriftSettings(rows=200)


def normal(shift=0.0, n=200, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, n)


def classes(shares, n=200):
    return np.repeat(np.array(list(shares), object), [round(n * s) for s in shares.values()])


def test_the_distance_of_mostly_equal_values_is_the_difference_of_their_shares():
    few, many = np.array([0.0] * 95 + [0.5] * 5), np.array([0.0] * 80 + [0.5] * 20)
    assert kolmogorov_smirnov(few, many).size == pytest.approx(0.15)


@pytest.mark.parametrize(("n", "m"), [(1000, 1000), (1000, 300), (1000, 30), (40, 9)])
@pytest.mark.parametrize("shift", [0.5, 1, 1.5])
def test_a_small_p_value_is_never_below_the_exact_one(n, m, shift):
    a, b = normal(n=n), normal(shift, n=m, seed=1)
    found, exact = kolmogorov_smirnov(a, b), ks_2samp(a, b, method="exact")
    assert found.size == pytest.approx(exact.statistic)
    assert exact.pvalue <= found.p_value or exact.pvalue > 0.05


def test_the_smallest_distance_is_the_one_whose_p_value_is_alpha():
    found = smallest_distance(1000, 1000, 0.001)
    a, b = np.arange(1000.0), np.arange(1000.0) + round(1000 * found)
    assert kolmogorov_smirnov(a, b).p_value == pytest.approx(0.001, rel=0.05)


@pytest.mark.parametrize(("n", "m"), [(0, 10), (10, 0), (1, 1)])
def test_no_distance_between_next_to_no_rows_is_rare(n, m):
    assert smallest_distance(n, m, 0.001) == 1


def test_cramers_v_of_two_equal_classes_is_the_difference_of_their_shares():
    found = cramers_v(np.array([[500, 500], [600, 400]]))
    assert found.size == pytest.approx(0.1, abs=0.003)
    expected = chi2_contingency([[500, 500], [600, 400]], correction=False)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_cramers_v_of_a_hundred_equal_classes_is_nothing():
    rng = np.random.default_rng(0)
    found = cramers_v(rng.multinomial(1000, np.full(100, 0.01), 2))
    assert found.size < 0.15
    assert found.p_value > 0.001


def test_classes_too_rare_to_judge_are_judged_together():
    one_each = np.array([[50, 50, *[1] * 20, *[0] * 20], [50, 50, *[0] * 20, *[1] * 20]])
    assert cramers_v(one_each).size == 0


def test_one_class_alone_does_not_drift():
    assert cramers_v(np.array([[20], [30]])) == (0, 1)


def test_an_effect_of_the_threshold_is_drift():
    found = compare({"x": normal()}, {"x": normal(1)}, SETTINGS)
    assert found.verdict is Verdict.DRIFT
    assert "1 of 1 columns drift" in found.reason


def test_a_real_but_small_effect_is_no_drift():
    big = DriftSettings(rows=20_000)
    found = compare({"x": normal(n=20_000)}, {"x": normal(0.1, n=20_000, seed=1)}, big)
    assert found.columns[0].p_value < 1e-6
    assert found.verdict is Verdict.NONE


def test_a_large_effect_that_may_be_an_accident_is_no_drift():
    found = compare({"x": normal(n=40)}, {"x": normal(0.4, seed=2)}, SETTINGS)
    assert found.columns[0].effect > SETTINGS.numeric
    assert found.verdict is Verdict.NONE
    assert "if it is no accident" in found.reason
    assert "the reference has only 40 rows" in found.reason


def test_too_few_rows_say_how_many_are_missing():
    found = compare({"x": normal()}, {"x": normal(3, n=180)}, SETTINGS)
    assert found.verdict is Verdict.TOO_LITTLE
    assert "20 more are needed" in found.reason


def test_a_window_without_rows_is_too_little_data():
    found = compare({"x": normal()}, {"x": normal(n=0)}, SETTINGS)
    assert found.verdict is Verdict.TOO_LITTLE
    assert found.columns[0].effect is None


@pytest.mark.parametrize("n", [0, 5])
def test_a_reference_that_could_tell_nothing_clears_nobody(n):
    found = compare({"x": normal(n=n)}, {"x": normal()}, SETTINGS)
    assert found.verdict is Verdict.TOO_LITTLE
    assert f"the reference has {n} rows" in found.reason


def test_few_labels_leave_the_other_columns_judged():
    reference = {"x": normal(), "class": classes({"a": 0.5, "b": 0.5})}
    window = {"x": normal(seed=1), "class": classes({"a": 1}, n=50)}
    found = compare(reference, window, SETTINGS)
    assert found.verdict is Verdict.NONE
    assert {c.column: c.verdict.value for c in found.columns} == {
        "x": "none",
        "class": "too little data",
    }
    assert "class: 50 rows have a label, 150 more are needed" in found.reason


def test_the_most_drifted_column_comes_first():
    reference = {"x": normal(), "y": normal(seed=1), "class": classes({"a": 0.5, "b": 0.5})}
    window = {"x": normal(1), "y": normal(2, seed=1), "class": classes({"a": 0.5, "b": 0.5})}
    found = compare(reference, window, SETTINGS)
    assert [c.column for c in found.columns] == ["y", "x", "class"]
    assert found.reason.index("y (") < found.reason.index("x (")


def test_alpha_is_shared_by_the_columns():
    reference = {name: normal(seed=i) for i, name in enumerate("abcde")}
    found = compare(reference, reference, SETTINGS)
    assert {c.alpha for c in found.columns} == {SETTINGS.alpha / 5}


def test_a_column_that_the_window_lacks_is_not_compared():
    reference = {"x": normal(), "class": classes({"a": 1})}
    assert [c.column for c in compare(reference, {"x": normal()}, SETTINGS).columns] == ["x"]


def test_unseen_shares_are_of_train():
    train = vocabulary_of(["列车", "车站"])
    assert train.unseen_characters("车票") == 0.5
    assert train.unseen_bigrams("列车票") == 0.5
    assert train.unseen_bigrams("票") == 0


def test_texts_are_described_by_what_a_person_can_check():
    proba = np.array([[0.25, 0.75], [0.9, 0.1]])
    window = Window(["列车AB 12", "é站"], ["b", "a"])
    found = describe(window, proba, ("a", "b"), vocabulary_of(["列车站"]), None)
    assert found["length"].tolist() == [7, 2]
    assert found["latin"].tolist() == [pytest.approx(2 / 7), 0.5]
    assert found["non_letters"].tolist() == [pytest.approx(3 / 7), 0]
    assert found["class"].tolist() == ["b", "a"]
    assert found["predicted"].tolist() == ["b", "a"]
    assert found["confidence"].tolist() == [0.75, 0.9]


def test_features_have_a_column_each():
    proba = np.array([[0.25, 0.75]])
    found = describe(Window(np.array([[1.0, 2.0]]), None), proba, ("a", "b"), None, ("x", "class"))
    assert list(found) == ["feature.x", "feature.class", "predicted", "confidence"]


def test_a_row_that_came_twice_can_be_drawn_twice():
    places = draw(Window(["a", "a", "b"], None), 3, seed=1)
    assert sorted(places.tolist()) == [0, 1, 2]


def test_labelled_rows_are_those_with_a_label():
    assert labelled(Window(["a", "b", "c"], ["x", None, "y"])).inputs == ["a", "c"]
    assert len(labelled(Window(["a"], None))) == 0


def test_the_shifted_texts_lack_half_of_the_classes_and_of_their_characters():
    found = shifted(Window(["abcd", "efg", "h", "ij"], ["a", "b", "c", "d"]))
    assert found.inputs == ["ab", "h", "ab", "h"]
    assert found.labels == ["a", "c", "a", "c"]


def test_every_second_shifted_feature_is_moved_by_its_deviation():
    rows = np.array([[1.0, 5.0, 7.0], [3.0, 6.0, 7.0]])
    found = shifted(Window(rows, ["a", "a"]))
    assert found.inputs.tolist() == [[2, 5, 8], [4, 6, 8]]


def test_a_window_without_rows_can_be_shifted():
    assert len(shifted(Window([], []))) == 0
    assert len(shifted(Window(np.empty((0, 2)), []))) == 0


DATA = {"source": {"kind": "file", "path": "rows.csv"}, "text": "text", "label": "label"}


NUMERIC = {"data": {"text": None, "features": ["x"]}}


def read(path, *, text=None, label=None, data=None):
    settings = DataParams.model_validate(DATA | (data or {}), strict=False)
    return read_window(path, settings, ("a", "b"), text=text, label=label)


def test_rows_that_cannot_be_used_are_counted(tmp_path):
    path = tmp_path / "window.csv"
    path.write_text("text,label\nＡＢ  c,a\n,b\nlonger than allowed,b\n", encoding="utf-8")
    found = read(path, data={"max_chars": 10})
    assert found.window.inputs == ["AB c"]
    assert found.rejected == {"empty text": 1, "over-long text": 1}
    assert found.found == 3


def test_labels_the_model_has_no_class_for_are_one_class(tmp_path):
    path = tmp_path / "window.jsonl"
    rows = [{"text": "x", "label": label} for label in ("a", "z", "y", "", None)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = read(path)
    assert found.window.labels == ["a", UNKNOWN, UNKNOWN, None, None]
    assert found.rejected == {}
    assert "2 rows have a label the model has no class for" in found.notes[0]


def test_a_window_without_labels_says_that_class_shares_were_not_compared(tmp_path):
    path = tmp_path / "window.tsv"
    path.write_text("text\nx\n", encoding="utf-8")
    found = read(path)
    assert found.window.labels is None
    assert found.notes == ("class shares were not compared: there is no column `label`",)


def test_other_columns_can_be_named(tmp_path):
    path = tmp_path / "window.csv"
    path.write_text("query,truth\nx,a\n", encoding="utf-8")
    assert read(path, text="query", label="truth").window == Window(["x"], ["a"])


def test_features_without_a_number_are_rejected(tmp_path):
    path = tmp_path / "window.csv"
    path.write_text("x,label\n1,a\nmany,b\n", encoding="utf-8")
    found = read(path, **NUMERIC)
    assert found.window.inputs.tolist() == [[1]]
    assert found.rejected == {"feature is not a number": 1}


def test_a_file_without_a_header_is_read_as_the_source_is(tmp_path):
    path = tmp_path / "window.tsv"
    path.write_text("x\ta\n", encoding="utf-8")
    source = {"kind": "file", "path": "rows.tsv", "columns": ["text", "label"]}
    assert read(path, data={"source": source}).window == Window(["x"], ["a"])


@pytest.mark.parametrize(
    ("name", "given", "error", "told"),
    [
        ("none.csv", {}, DataError, "there is no such file"),
        ("window.xls", {}, SourceError, "no format we read"),
        ("window.csv", {"text": "body"}, DataError, "no column `body`"),
        ("window.csv", {"label": "truth"}, DataError, "no column `truth`"),
        ("window.csv", {"text": "x"} | NUMERIC, DataError, "numeric features"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, name, given, error, told):
    (tmp_path / "window.csv").write_text("text\nx\n", encoding="utf-8")
    (tmp_path / "window.xls").write_text("text\nx\n", encoding="utf-8")
    with pytest.raises(error, match=told):
        read(tmp_path / name, **given)
