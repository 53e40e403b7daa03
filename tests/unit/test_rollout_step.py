"""What a pipeline is told of rollouts: those that have begun are found, and none begins twice."""

import json
import time
from datetime import datetime
from types import SimpleNamespace

import pytest

from openautoglm.config.project import Project
from openautoglm.deploy.ledger import append, read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import BusyError, ConfigError, DeployError
from openautoglm.rollout.following import Following, follow
from openautoglm.steps.effect import Receipt
from openautoglm.steps.rollout import roll_out, rollout
from tests.support.rollout import NEW, OLD, STEP, Rollout, at, at_place, verdicts

READY = Receipt(model_digest=NEW.digest, verdict="ready", reason="no worse")
PARAMS = json.dumps({"model": {"name": "clc"}})
WORSE = verdicts(slow="worse")


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").touch()
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(tmp_path))
    return Project(tmp_path.resolve())


def registered(record):
    """The same decision, about versions of a registered model."""
    releases = {
        role: one.model_copy(update={"origin": f"models:/clc/{one.version}"})
        for role, one in record.releases.items()
    }
    return record.model_copy(update={"releases": releases})


def service(project, records, name="live"):
    """A service whose ledger has these decisions; nothing of it runs."""
    folder = ServiceFolder(project, name)
    for record in records:
        append(folder.ledger, registered(record))
    return folder


def ended(*, good=True):
    found = at_place("canary 1")
    found.run(STEP, evidence=verdicts() if good else WORSE)
    return found


def call(tmp_path, receipt, *, patience=0.0):
    """What the component's body does: verdict, reason, its Markdown and its page."""
    canary, summary, report = (
        SimpleNamespace(path=str(tmp_path / name), metadata={}) for name in ("in", "md", "html")
    )
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / "receipt.json").write_text(receipt.model_dump_json(), encoding="utf-8")
    told = rollout(canary, PARAMS, patience, "run-1", summary, report)
    pages = [(tmp_path / name).read_text(encoding="utf-8") for name in ("md", "html")]
    return told.verdict, told.reason, *pages


@pytest.mark.parametrize("verdict", ["champion", "promoted", "worse", "undecided", "skipped"])
def test_what_canary_has_settled_is_passed_on(project, tmp_path, verdict):
    service(project, Rollout().records)
    receipt = Receipt(model_digest=NEW.digest, verdict=verdict, reason="<because>")
    told = call(tmp_path, receipt)
    assert told[:2] == (verdict, "<because>")
    assert told[2].startswith(f"# {verdict}\n")
    assert "&lt;because&gt;" in told[3]


def test_where_nobody_serves_the_model_canary_has_the_last_word(project, tmp_path):
    assert call(tmp_path, READY)[:2] == ("ready", "no worse")


@pytest.mark.parametrize(("good", "verdict"), [(True, "promoted"), (False, "rolled_back")])
def test_a_rollout_that_has_ended_is_reported_and_none_is_begun(project, tmp_path, good, verdict):
    folder = service(project, ended(good=good).records)
    before = read(folder.ledger)
    found, reason, summary, report = call(tmp_path, READY)
    assert found == verdict
    assert reason.startswith("live: ")
    assert f"## Rollout 1 of live: {verdict.replace('_', ' ')}" in summary
    assert "| canary 5 % | 5 % |" in summary
    assert "Rollout 1 of live" in report
    assert read(folder.ledger) == before


def test_one_that_was_promoted_and_serves_no_longer_says_so(project):
    records = ended().records
    undone = records[0].model_copy(update={"time": records[-1].time})
    folder = service(project, [*records, undone])
    (told,) = roll_out(project, "clc", READY, by="me", patience=0)
    assert (told.folder, told.verdict) == (folder, "promoted")
    assert told.reason.endswith("; by now it serves version 1")


def test_one_that_is_held_for_longer_than_somebody_waits_is_a_result(project, tmp_path):
    found = at_place("canary 1")
    found.ask("hold")
    found.look(1)
    service(project, found.records)
    verdict, reason, summary, _ = call(tmp_path, READY)
    assert verdict == "held"
    assert "a person" in reason
    assert "held at canary 5 %: person" in summary


def test_one_that_is_held_for_less_is_waited_for(project):
    found = at_place("canary 1")
    found.ask("hold")
    found.look(1)
    gap = time.time() - found.now
    folder = service(project, [at(one, _seconds(one) + gap) for one in found.records])
    look = Following(folder, 1).look()
    assert not look.has_rested(3600)
    assert look.has_rested(0)


def _seconds(record):
    return datetime.fromisoformat(record.time).timestamp()


def test_a_rollout_of_another_version_is_an_error_and_none_is_begun_anywhere(project, tmp_path):
    folder = service(project, at_place("canary 1").records)
    other = READY.model_copy(update={"model_digest": "sha256-other"})
    before = read(folder.ledger)
    with pytest.raises(BusyError, match="rollout 1 of live is open"):
        roll_out(project, "clc", other, by="me", patience=0)
    with pytest.raises(SystemExit) as end:
        call(tmp_path, other)
    assert end.value.code == 2
    assert read(folder.ledger) == before


def test_a_service_that_serves_the_model_already_has_it(project, tmp_path):
    service(project, Rollout().records[:1])
    mine = READY.model_copy(update={"model_digest": OLD.digest})
    assert call(tmp_path, mine)[:2] == ("promoted", "live serves version 1 already")


def test_of_several_services_the_worst_is_the_verdict(project, tmp_path):
    service(project, ended().records, "a-good-one")
    service(project, ended(good=False).records, "b-bad-one")
    verdict, reason, summary, report = call(tmp_path, READY)
    assert verdict == "rolled_back"
    assert reason.index("b-bad-one") < reason.index("a-good-one")
    assert summary.index("of b-bad-one") < summary.index("of a-good-one")
    assert "Rollout 1 of b-bad-one" in report


def test_what_else_ends_a_rollout_is_told(project):
    found = at_place("canary 1")
    folder = service(project, [*found.records, found.records[0]])
    with pytest.raises(ConfigError, match="rollout 1 was ended by something else"):
        follow([Following(folder, 1)], patience=0)


def test_one_that_nobody_ends_is_a_fault_when_its_deadlines_have_passed(project, monkeypatch):
    folder = service(project, at_place("canary 1").records)
    clock = iter([0.0, 1e9])
    monkeypatch.setattr("openautoglm.rollout.following.monotonic", lambda: next(clock))
    with pytest.raises(DeployError, match="rollout 1 of live goes on after 1000000000 s"):
        follow([Following(folder, 1)], patience=0)


@pytest.mark.parametrize("patience", [-1.0, float("nan"), float("inf")])
def test_a_patience_that_is_none_is_refused(project, tmp_path, patience, capsys):
    with pytest.raises(SystemExit) as end:
        call(tmp_path, READY, patience=patience)
    assert end.value.code == 2
    assert "patience_minutes" in capsys.readouterr().err


def test_what_people_typed_breaks_no_table(project, tmp_path):
    found = ended()
    noted = found.records[-1].model_copy(update={"note": "a | b\n`c` <d>"})
    service(project, [*found.records[:-1], noted])
    summary = call(tmp_path, READY)[2]
    assert "a \\| b \\`c\\` \\<d>" in summary
