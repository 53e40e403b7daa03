"""The page: what it tells first, and that it can be read in a file of 80 columns."""

import io
import json

import pytest
from rich.console import Console

from openautoglm.cli.page import print_page
from openautoglm.cli.verify import Facts
from openautoglm.config.project import Project
from openautoglm.steps.effect import Receipt
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


@pytest.fixture
def chain(tmp_path):
    chain = Chain(tmp_path).make()
    payload = tmp_path / "data" / "prepared" / "payload"
    payload.mkdir(parents=True)
    (payload / "schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    return chain


def page(chain, *, version="1", aliases=None, mended=(), against=None, **receipt):
    told = {"model_digest": "sha256-0", "verdict": "pass", "registered": True, "reason": "passed"}
    facts = Facts(
        "small",
        Receipt(**(told | receipt)),
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
