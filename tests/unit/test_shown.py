"""What Kubeflow's UI shows of an output."""

import csv
import json
import math
from types import SimpleNamespace

import pytest

from openautoglm.steps import shown


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "payload").mkdir()
    return tmp_path


def test_a_score_that_is_not_defined_is_left_out():
    metrics = SimpleNamespace(metadata={})
    shown.log(metrics, {"f1": 0.5, "auc": math.nan, "loss": math.inf})
    assert metrics.metadata == {"f1": 0.5}


def test_metadata_are_json():
    metrics = SimpleNamespace(metadata={})
    shown.log(metrics, {"auc": math.nan, "rows": 3.0})
    assert json.dumps(metrics.metadata, allow_nan=False) == '{"rows": 3.0}'


def matrix(folder, size):
    """Class n was met n times, and taken for class 0 once."""
    with (folder / "payload" / "confusion.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["", *(f"c{n}" for n in range(size))])
        for n in range(size):
            writer.writerow([f"c{n}", *(n * (n == m) + (m == 0) for m in range(size))])
    return shown.confusion(folder)


def test_a_small_matrix_is_shown_as_it_is(folder):
    labels, counts = matrix(folder, 3)
    assert labels == ["c0", "c1", "c2"]
    assert counts == [[1, 0, 0], [1, 1, 0], [1, 0, 2]]


def test_rare_classes_of_a_large_matrix_are_one(folder):
    labels, counts = matrix(folder, 60)
    assert len(labels) == len(counts) == 40
    assert labels[-1] == "(other)"
    assert labels[-2] == "c59"
    assert "c1" not in labels


def test_no_row_is_lost_when_rare_classes_become_one(folder):
    _, counts = matrix(folder, 60)
    assert sum(map(sum, counts)) == 60 + sum(range(60))


def test_a_failed_gate_says_first_that_nothing_was_registered(folder):
    found = {"verdict": "fail", "reason": "macro F1 too low", "model_digest": "sha256-1"}
    (folder / "receipt.json").write_text(json.dumps(found | {"registered": False}))
    first, _, reason, *_ = shown.receipt(folder).splitlines()
    assert first == "# gate fail: nothing was registered"
    assert reason == "macro F1 too low"


def test_an_evaluation_has_its_verdict_in_the_payload(folder):
    (folder / "payload" / "verdict.json").write_text('{"verdict": "fail", "reason": "why"}')
    assert shown.verdict(folder) == "fail"
    assert shown.gate(folder) == ("fail", "why")


def test_a_cell_ends_neither_its_row_nor_its_table(folder):
    (folder / "payload" / "best.json").write_text('{"glm": {"reason": "nothing was tried"}}')
    with (folder / "payload" / "trials.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["trial", "told"], ["0", "a | b\nand more"]])
    assert shown.trials(folder).splitlines()[-1] == "| 0 | a \\| b and more |"


def test_a_number_has_as_many_digits_as_a_person_reads(folder):
    (folder / "payload" / "best.json").write_text('{"glm": {"reason": "nothing was tried"}}')
    with (folder / "payload" / "trials.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["trial", "macro_f1"], ["12", "0.7900584795321638"]])
    assert shown.trials(folder).splitlines()[-1] == "| 12 | 0.7901 |"
