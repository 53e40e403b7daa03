"""What canary decides without starting anything."""

import json
import sqlite3

import pytest
from pydantic import TypeAdapter

from openautoglm.config.canary import CanarySettings
from openautoglm.config.project import Project
from openautoglm.config.service import ServiceName
from openautoglm.errors import ArtifactError
from openautoglm.rollout.canary.run import rollout_settings
from openautoglm.rollout.canary.service import folder_of
from openautoglm.steps.effect import SKIPPED
from tests.support.registry import Chain


@pytest.fixture
def chain(tmp_path, monkeypatch):
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return Chain(tmp_path / "project").make()


def test_an_experiment_tries_nothing(chain, monkeypatch):
    chain.register()
    monkeypatch.setenv("DVC_EXP_NAME", "brave-otter")
    assert chain.canary() == {
        "model_digest": chain.digest,
        "verdict": "skipped",
        "reason": SKIPPED,
    }


def test_what_was_not_registered_is_not_tried(chain):
    chain.make(verdict="fail").register()
    found = chain.canary()
    assert found["verdict"] == "skipped"
    assert found["reason"] == "not registered: gate failed: macro_f1 +0.0100 by hand"
    assert not (chain.root / "mlflow.db").exists()


def test_a_receipt_without_its_version_is_refused(chain):
    chain.register()
    receipt = chain.receipt() | {"model_digest": "sha256-0"}
    (chain.registration / "receipt.json").write_text(json.dumps(receipt))
    with pytest.raises(ArtifactError, match="registration is of another model"):
        chain.canary()


def test_a_registry_that_was_lost_is_told_and_how_to_mend_it(chain):
    chain.register()
    with sqlite3.connect(chain.root / "mlflow.db") as database:
        database.execute("delete from model_version_tags where key = 'digest.model'")
    with pytest.raises(ArtifactError, match="does not hold this model") as caught:
        chain.canary()
    assert caught.value.hint == "openautoglm verify"


def test_the_first_one_is_the_champion_as_often_as_it_is_asked(chain):
    chain.register()
    first = chain.canary()
    assert first["verdict"] == "champion"
    assert chain.canary() == first


def test_no_rows_decide_nothing_and_start_nothing(chain):
    chain.register()
    chain.make(seed=1).register()
    assert chain.canary()["reason"] == "the replay split has 0 rows, and 30 are the fewest"
    assert not (chain.root / ".openautoglm" / "services").exists()


@pytest.mark.parametrize("model", ["clc", "a" * 63, "a" * 30 + "-" + "b" * 32])
def test_its_service_has_a_name_that_a_service_may_have(tmp_path, model):

    name = folder_of(Project(tmp_path), model).name
    assert TypeAdapter(ServiceName).validate_python(name) == name
    assert name != folder_of(Project(tmp_path), model[:-1] + "c" * 2).name


def test_its_rollout_ends_within_its_seconds():
    found = rollout_settings(CanarySettings(seconds=20))
    assert found.shadow.percent == 100
    assert found.weights == (50,)
    assert found.metrics.accuracy
    assert found.confirm is None
