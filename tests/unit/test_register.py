"""What register decides without a registry, and what a registered model takes."""

import numpy as np
import pandas as pd
import pytest

from openautoglm.artifacts.lock import exclusive
from openautoglm.errors import ArtifactError, BusyError, DataError
from openautoglm.inference.model import load
from openautoglm.registry.comparison import (
    FEWEST,
    Predictions,
    compare_predictions,
    shared_rows,
    verdict,
)
from openautoglm.registry.loader import LoadedModel
from openautoglm.steps.effect import SKIPPED, Receipt, read_receipt
from openautoglm.steps.register import _parameters
from tests.support.registry import LABELS, Chain, write_compressed


@pytest.fixture
def chain(tmp_path, monkeypatch):
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return Chain(tmp_path / "project").make()


def test_a_failed_gate_registers_nothing_and_is_no_error(chain):
    receipt = chain.make(verdict="fail").register()
    assert receipt == {
        "model_digest": chain.digest,
        "verdict": "fail",
        "registered": False,
        "reason": "gate failed: macro_f1 +0.0100 by hand",
    }
    assert not (chain.root / "mlflow.db").exists()


@pytest.mark.parametrize("name", ["DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"])
def test_an_experiment_registers_nothing(chain, monkeypatch, name):
    monkeypatch.setenv(name, "brave-otter")
    receipt = chain.register()
    assert receipt["reason"] == SKIPPED
    assert receipt["registered"] is False
    assert receipt["verdict"] == "pass"
    assert not (chain.root / "mlflow.db").exists()


def test_an_evaluation_of_another_model_is_refused(chain):
    write_compressed(chain.compressed, seed=5)
    with pytest.raises(ArtifactError, match="evaluation is of another model"):
        chain.register()
    assert not chain.registration.exists()


def test_a_changed_model_is_refused(chain):
    (chain.compressed / "payload" / "model.json").write_text("{}")
    with pytest.raises(ArtifactError, match="changed after it was made"):
        chain.register()


def test_one_effect_at_a_time(chain):
    with exclusive(chain.root / ".openautoglm" / "effects.lock"), pytest.raises(BusyError):
        chain.register()


@pytest.mark.parametrize("text", ["", "{", '{"model_digest": 1}'])
def test_a_broken_receipt_is_refused(tmp_path, text):
    (tmp_path / "receipt.json").write_text(text)
    with pytest.raises(ArtifactError, match="no receipt"):
        read_receipt(tmp_path, Receipt)


def predictions(truth, predicted):
    ids = [str(number) for number in range(len(truth))]
    return Predictions(dict(zip(ids, truth, strict=True)), dict(zip(ids, predicted, strict=True)))


SETTINGS = {"resamples": 200, "confidence": 0.95, "seed": 1}


def test_two_models_are_compared_on_the_rows_they_share():
    truth = ["a", "b"] * 40
    good = predictions(truth, truth)
    bad = predictions(truth[:60], ["a"] * 60)
    found = compare_predictions(good, bad, **SETTINGS)
    assert found.rows == 60
    assert found.labels == ("a", "b")
    assert found.differences["accuracy"].value == 0.5
    assert (found.test.only_a, found.test.only_b) == (30, 0)
    assert found.f1[0].tolist() == [1.0, 1.0]
    told = verdict(found, "A", "B", 0.95)
    assert told.startswith("A is more accurate than B by 50.0 points on 60 rows")


def test_no_difference_is_told_as_such():
    same = predictions(["a", "b"] * 20, ["a", "a"] * 20)
    told = verdict(compare_predictions(same, same, **SETTINGS), "A", "B", 0.95)
    assert told.startswith("No difference in accuracy between A and B is shown")


def test_a_row_with_two_truths_is_not_shared():
    a = predictions(["a"] * 40, ["a"] * 40)
    b = predictions(["a"] * 39 + ["b"], ["a"] * 40)
    assert len(shared_rows(a, b)) == 39


def test_too_few_shared_rows_give_no_comparison():
    few = predictions(["a"] * (FEWEST - 1), ["a"] * (FEWEST - 1))
    assert compare_predictions(few, few, **SETTINGS) is None


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    write_compressed(folder, seed=0)
    return LoadedModel(load(folder))


@pytest.mark.parametrize(
    "rows",
    [
        ["车车", "药"],
        ("车车", "药"),
        np.array(["车车", "药"]),
        pd.Series(["车车", "药"]),
        pd.DataFrame({"anything": ["车车", "药"]}),
        pd.DataFrame({"id": [1, 2], "text": ["车车", "药"]}),
    ],
    ids=["list", "tuple", "array", "series", "one column", "column text"],
)
def test_texts_come_as_lists_series_and_frames(texts, rows):
    found = texts.predict(rows)
    assert list(found.columns) == ["label", *(f"p_{label}" for label in LABELS)]
    assert found["label"].tolist() == ["铁路", "医学"]
    assert np.allclose(found.iloc[:, 1:].sum(axis=1), 1)


def test_the_index_of_a_frame_is_kept(texts):
    found = texts.predict(pd.DataFrame({"text": ["诗"]}, index=[7]))
    assert found.index.tolist() == [7]


def test_one_text_and_no_text(texts):
    assert texts.predict("诗")["label"].tolist() == ["文学"]
    assert len(texts.predict([])) == 0


@pytest.mark.parametrize(
    "rows",
    [[1, 2], pd.DataFrame({"a": ["x"], "b": ["y"]}), pd.Series(["车", None])],
    ids=["numbers", "two columns", "missing text"],
)
def test_what_is_no_text_is_refused(texts, rows):
    with pytest.raises(DataError):
        texts.predict(rows)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    write_compressed(folder, seed=0, kind="numeric")
    return LoadedModel(load(folder))


@pytest.mark.parametrize(
    "rows",
    [
        [[5, 0, 0], [0, 0, 5]],
        np.array([[5.0, 0, 0], [0, 0, 5.0]]),
        pd.DataFrame({"height": [0, 5], "extra": ["?", "?"], "width": [0, 0], "length": [5, 0]}),
        pd.DataFrame([[5, 0, 0], [0, 0, 5]]),
    ],
    ids=["lists", "array", "named columns in any order", "columns without names"],
)
def test_numbers_come_as_lists_arrays_and_frames(numbers, rows):
    assert numbers.predict(rows)["label"].tolist() == ["铁路", "医学"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["a", "b", "c"]], "takes numbers"),
        ([[1, 2]], "found shape"),
        (pd.DataFrame({"length": [1], "width": [1]}), "missing: height"),
    ],
)
def test_what_are_no_features_is_refused(numbers, rows, message):
    with pytest.raises(DataError, match=message):
        numbers.predict(rows)


def test_the_parameters_of_all_steps_are_put_together():
    history = {
        "fetch": {"data": {"source": "a"}},
        "prepare": {"data": {"text": "b"}},
        "train": {"train": {"lr": 0.5}},
    }
    assert _parameters(history) == {"data": {"source": "a", "text": "b"}, "train": {"lr": 0.5}}
