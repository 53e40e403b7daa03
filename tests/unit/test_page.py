"""The page: what it tells first, and that it can be read in a file of 80 columns."""

import io
import json

import pytest
from rich.console import Console

from openautoglm.cli.page import print_page
from openautoglm.cli.verify import Facts
from openautoglm.config.project import Project
from openautoglm.steps.effect import Receipt, Registration
from tests.support.registry import LABELS, Chain

SCHEMA = {
    "kind": "text",
    "labels": sorted(LABELS),
    "features": None,
    "found": 1000,
    "rows": {"train": 700, "valid": 60, "test": 80, "replay": 50, "reference": 50},
    "classes": {"医学": 300, "文学": 340, "铁路": 300},
    "rejected": {"duplicate": 12, "empty text": 48},
}


BEST = {
    "glm": {"trial": 3, "settings": {"glm.penalty": 20.0}, "reason": "trial 3 of 4: penalty=20"}
}
TRIALS = """trial,round,family,state,macro_f1,settings
0,0,glm,complete,0.7,"{""glm.penalty"": 32.0}"
3,1,glm,complete,0.75,"{""glm.penalty"": 20.0}"
4,1,glm,pruned,,"{""glm.penalty"": 99.0}"
"""
DRIFT = {
    "test": {"verdict": "none", "expected": "none", "reason": "9 columns like the reference"},
    "shifted": {"verdict": "none", "expected": "drift", "reason": "the alarm did not ring"},
}


@pytest.fixture
def chain(tmp_path):
    chain = Chain(tmp_path).make()
    tuned, drift = tmp_path / "models/tuned/payload", tmp_path / "reports/drift/payload"
    for folder in (tuned, drift):
        folder.mkdir(parents=True)
    (tuned / "best.json").write_text(json.dumps(BEST), encoding="utf-8")
    (tuned / "trials.csv").write_text(TRIALS, encoding="utf-8")
    (drift / "drift.json").write_text(json.dumps({"windows": DRIFT}), encoding="utf-8")
    payload = tmp_path / "data" / "prepared" / "payload"
    payload.mkdir(parents=True, exist_ok=True)
    (payload / "schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    return chain


def page(
    chain, *, version="1", aliases=None, mended=(), against=None, canary="champion", **receipt
):
    told = {"model_digest": "sha256-0", "verdict": "pass", "registered": True, "reason": "passed"}
    facts = Facts(
        "small",
        Registration(**(told | receipt)),
        Receipt(model_digest="sha256-0", verdict=canary, reason="by hand"),
        mended,
        version,
        {"champion": "1"} if aliases is None else aliases,
        against,
    )
    out = io.StringIO()
    print_page(Project(chain.root), facts, Console(file=out, width=80))
    return out.getvalue()


def test_it_tells_rows_quality_and_registration(chain):
    shown = page(chain)
    for part in (
        "1000 rows found, 940 used, in 3 classes",
        "60 rejected: 48 empty text, 12 duplicate",
        "data/prepared/rejected.csv",
        "candidate: glm fp32",
        "0.8000 [0.7500, 0.8500]",
        "baseline",
        "gate pass",
        "small version 1: champion",
        "mlflow ui",
        "dvc exp run -S train.lr=3e-4",
        'load_model("models:/small@champion")',
    ):
        assert part in shown, shown
    assert "compare" not in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_best_trials_come_first(chain):
    shown = page(chain)
    assert shown.index("penalty=20") < shown.index("penalty=32")
    assert "3 trials, 1 pruned" in shown
    assert "glm: trial 3 of 4: penalty=20" in shown


def test_every_variant_and_every_recipe_without_one_is_told(chain):
    shown = page(chain)
    assert "* glm fp32" in shown
    assert "no int8 of glm: no table" in shown
    assert "operations at once: glm fp32;" in " ".join(shown.split())


def test_a_window_with_another_verdict_than_expected_is_marked(chain):
    shown = page(chain)
    assert "test: none: 9 columns like the reference" in shown
    assert "shifted: none (expected: drift): the alarm did not ring" in shown


def test_a_failed_gate_comes_first(chain):
    chain.make(verdict="fail")
    shown = page(
        chain, version=None, aliases={}, verdict="fail", registered=False, reason="gate failed: x"
    )
    first = next(line for line in shown.splitlines() if line.strip())
    assert "gate failed" in first
    assert "not registered: gate failed: x" in shown
    assert "load_model" not in shown


def test_champion_and_challenger_can_be_compared(chain):
    shown = page(
        chain,
        version="2",
        aliases={"champion": "1", "challenger": "2"},
        mended=("the registry did not hold the model",),
        against="No difference is shown",
    )
    assert "small version 2: challenger" in shown
    assert "champion is version 1" in shown
    assert "openautoglm compare champion challenger" in shown
    assert "mended: the registry did not hold the model" in shown
    assert "No difference is shown" in shown


def test_without_the_data_the_rest_is_shown(chain):
    (chain.root / "data" / "prepared" / "payload" / "schema.json").unlink()
    shown = page(chain)
    assert "data/prepared is not here" in shown
    assert "small version 1" in shown


def test_it_tells_what_came_of_the_canary_and_what_to_type_when_a_service_is_live(chain):
    both = {"champion": "1", "challenger": "2"}
    assert "canary: worse: by hand" in page(chain, version="2", aliases=both, canary="worse")
    ready = page(chain, version="2", aliases=both, canary="ready")
    assert "openautoglm rollout start --challenger 2" in ready
    assert "rollout start" not in page(chain, version="2", aliases=both, canary="promoted")
