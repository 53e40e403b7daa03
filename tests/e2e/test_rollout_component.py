"""The component `rollout` at a real service: killed, held, promoted, called again, rolled back."""

import json
import os
import signal
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
from kfp import dsl, local

from components.rollout import rollout
from openautoglm.deploy.ledger import read
from tests.support.pipelines import find_python_by_path
from tests.support.registry import CHARACTERS, Chain
from tests.support.site import ENVIRONMENT, site
from tests.support.traffic import Traffic
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rollout")]
QUICK = {
    "shadow": {"percent": 0},
    "steps": [50],
    "step_seconds": 1,
    "missing_seconds": 1,
    "metrics": {"errors": {"margin": 5}, "slow": {"objective_ms": 5000, "margin": 10}},
}
PARAMS = json.dumps({"model": {"name": "small"}})


class Place:
    """A service of version 1, a good version and one that errs, and the component beside them."""

    def __init__(self, small, good, errs):
        self.small, self.root = small, small.root
        self.digests = {"good": good, "errs": errs}

    def ready(self, which):
        """Canary's receipt of a version."""
        receipt = {"model_digest": self.digests[which], "verdict": "ready", "reason": "no worse"}
        return json.dumps(receipt)

    def folder(self, which):
        found = self.root / "reports" / which
        found.mkdir(parents=True, exist_ok=True)
        (found / "receipt.json").write_text(self.ready(which), encoding="utf-8")
        return found

    def call(self, which, patience=60.0):
        """Verdict and reason, the Markdown and the page."""
        files = [self.root / "reports" / name for name in ("summary.md", "report.html")]
        artifacts = [
            SimpleNamespace(path=str(path), metadata={}) for path in (self.folder(which), *files)
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAUTOGLM_PROJECT", str(self.root))
            canary, summary, report = artifacts
            told = rollout.python_func(canary, PARAMS, summary, report, patience, "run-1")
        return told.verdict, told.reason, *(file.read_text(encoding="utf-8") for file in files)

    def start(self, which):
        """The same as a process of its own."""
        code = (
            "from types import SimpleNamespace as A; from openautoglm.steps.rollout import rollout;"
            f"rollout(A(path={str(self.folder(which))!r}), {PARAMS!r}, 60, 'run-1',"
            "A(path='/dev/null'), A(path='/dev/null'))"
        )
        environment = {**ENVIRONMENT, "OPENAUTOGLM_PROJECT": str(self.root)}
        return subprocess.Popen([sys.executable, "-c", code], env=environment)

    @property
    def rollouts(self):
        return [one for one in read(self.small.folder.ledger) if one.rollout]

    @property
    def state(self):
        return self.rollouts[-1].rollout.state if self.rollouts else ""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with site(tmp_path_factory.mktemp("component") / "project", 0) as small:
        chain = Chain(small.root)
        digests = []
        for seed, flaw in ((1, ""), (2, "errs")):
            chain.make(seed, flaw=flaw).register()
            digests.append(chain.digest)
        small.deploy(replicas=1, rollout=QUICK)
        yield Place(small, *digests)


def test_it_begins_the_rollout_of_the_version_and_may_be_killed(place):
    process = place.start("good")
    until(lambda: place.rollouts, what="a rollout")
    process.send_signal(signal.SIGKILL)
    process.wait()
    (first, *_) = place.rollouts
    assert first.releases["challenger"].digest == place.digests["good"]
    assert first.by == "pipeline run run-1"


def test_called_again_it_follows_the_same_one_and_being_held_is_a_result(place, capsys):
    verdict, reason, summary, _ = place.call("good", patience=0.0)
    assert (verdict, reason) == ("held", "small: no requests come in")
    assert "held at canary 50 %: missing" in summary
    assert {one.rollout.id for one in place.rollouts} == {1}
    assert "[rollout] small: held: no requests come in" in capsys.readouterr().err


def test_another_version_has_to_wait(place, capsys):
    with pytest.raises(SystemExit) as end:
        place.call("errs")
    assert end.value.code == 2
    assert "rollout 1 of small is open, and it is of another version" in capsys.readouterr().err


def test_with_requests_it_is_promoted_though_nobody_looked_after_the_service(place):
    until(lambda: place.state == "held", what="being held")
    for unit in ("supervisor", "controller"):
        os.kill(place.small.pids()[unit], signal.SIGKILL)
    with Traffic(place.small.port) as traffic:
        verdict, _, summary, report = place.call("good")
    assert verdict == "promoted"
    assert "## Rollout 1 of small: promoted" in summary
    assert "| errors |" in summary
    assert "Rollout 1 of small" in report
    assert "data:image" in report
    assert traffic.failures == []


def test_once_more_it_reports_the_same_and_begins_nothing(place):
    before = read(place.small.folder.ledger)
    assert place.call("good")[0] == "promoted"
    assert read(place.small.folder.ledger) == before


@dsl.component(base_image="none", install_kfp_package=False)
def ready(receipt: str, canary: dsl.Output[dsl.Artifact]):
    from pathlib import Path

    Path(canary.path).mkdir(parents=True)
    Path(canary.path, "receipt.json").write_text(receipt)


@dsl.pipeline
def live(receipt: str, params: str):
    rollout(canary=ready(receipt=receipt).outputs["canary"], params=params, run="run-2")


def test_one_that_errs_is_rolled_back_and_kubeflows_local_runner_is_content(
    place, monkeypatch, capfd
):
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(place.root))
    find_python_by_path(monkeypatch)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    with Traffic(place.small.port, texts=CHARACTERS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        local.init(
            runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(place.root / "runs")
        )
        live(receipt=place.ready("errs"), params=PARAMS)
    last = place.rollouts[-1]
    assert last.rollout.state == "rolled_back"
    assert "errors" in last.rollout.reason
    assert "rolled_back: small: " in "".join(capfd.readouterr())
    pages = [
        file.read_text(encoding="utf-8")
        for file in (place.root / "runs").rglob("summary*")
        if file.is_file()
    ]
    assert [page.splitlines()[0] for page in pages] == ["# rolled back"]
