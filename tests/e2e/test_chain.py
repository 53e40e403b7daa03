"""The chain by `dvc repro`, on a small project, as a person drives it."""

import json
import shutil
import sqlite3

import pytest

from openautoglm.steps.catalog import STEPS
from tests.support.command import command
from tests.support.project import PURE, Small

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]
PREDICT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers"}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocker())
import mlflow

model = mlflow.pyfunc.load_model("models:/small@champion")
print(model.predict(["列车轨道车站", "病理药物临床"]).iloc[:, 0].tolist())
"""


@pytest.fixture
def chain(chain_run):
    """A project after `dvc repro` and `openautoglm verify`."""
    return chain_run.project


def registered(project):
    """Name, version and tags of what the registry holds, straight from its database."""
    with sqlite3.connect(project.root / "mlflow.db") as database:
        return database.execute(
            "select name, version from model_versions order by name, version"
        ).fetchall(), database.execute(
            "select name, alias, version from registered_model_aliases order by alias"
        ).fetchall()


def test_the_page_tells_rows_quality_and_what_was_registered(chain, chain_run):
    for part in (
        *("600", "best trials", "macro F1", "baseline", "* ", "int4-gptq", "distilled"),
        *("drift", "test: ", "shifted: ", "champion", "small", "mlflow ui"),
    ):
        assert part in chain_run.page, chain_run.page
    assert registered(chain) == ([("small", 1)], [("small", "champion", 1)])


def test_every_step_showed_progress(chain_run):
    for step in STEPS:
        assert f"[{step}] " in chain_run.said


def test_a_second_repro_runs_nothing_and_says_so(chain):
    done = chain.run("dvc", "repro")
    assert "up to date" in done.stdout
    assert "Running stage" not in done.stdout
    assert registered(chain)[0] == [("small", 1)]


def test_a_second_verify_mends_nothing(chain):
    before = registered(chain)
    assert "champion" in chain.run("openautoglm", "verify").stdout
    assert registered(chain) == before
    assert chain.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


def test_the_model_predicts_while_torch_is_blocked(chain):
    found = chain.run("python", "-c", PREDICT).stdout
    assert "['铁路', '医学']" in found


def test_dvc_shows_metrics_and_plots(chain):
    metrics = json.loads(chain.run("dvc", "metrics", "show", "--json").stdout)
    shown = json.dumps(metrics)
    assert '"macro_f1"' in shown
    assert '"baseline"' in shown
    chain.run("dvc", "plots", "show", "-o", "dvc_plots")
    page = (chain.root / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert "F1 of each class" in page
    shutil.rmtree(chain.root / "dvc_plots")


def test_trials_and_variants_are_runs_below_their_steps(chain):
    with sqlite3.connect(chain.root / "mlflow.db") as database:
        below = database.execute(
            "select parent.name, count(*) from tags join runs parent on tags.value = "
            "parent.run_uuid where tags.key = 'mlflow.parentRunId' group by parent.name"
        ).fetchall()
    counts = dict(below)
    trials = (chain.root / "models/tuned/payload/trials.csv").read_text().splitlines()
    assert counts["tune"] == len(trials) - 1
    assert counts["compress"] >= 10


def test_an_experiment_leaves_the_registry_and_the_workspace_explains_it(chain):
    before = registered(chain)
    chain.run("dvc", "exp", "run", "-S", "train.lr=0.0007")
    assert registered(chain) == before
    assert chain.receipt()["reason"] == "skipped: experiment"
    diff = chain.run("dvc", "params", "diff").stdout
    assert "train.lr" in diff
    chain.run("git", "checkout", "-q", "--", ".")
    chain.run("dvc", "checkout")
    assert chain.receipt()["registered"] is True


def test_verify_mends_a_deleted_registry(chain):
    (chain.root / "mlflow.db").unlink()
    shutil.rmtree(chain.root / "mlartifacts")
    assert "up to date" in chain.run("dvc", "repro").stdout
    page = chain.run("openautoglm", "verify").stdout
    assert "champion" in page
    assert registered(chain)[1] == [("small", "champion", 1)]
    assert "['铁路', '医学']" in chain.run("python", "-c", PREDICT).stdout
    assert "up to date" in chain.run("dvc", "status").stdout


def test_push_and_pull_bring_the_same_bytes_back(chain):
    digests = chain.digests()
    chain.run("dvc", "push")
    for folder in ("data/raw", "data/prepared", "models", "reports", ".dvc/cache"):
        shutil.rmtree(chain.root / folder)
    chain.run("dvc", "pull")
    assert chain.digests() == digests
    assert "up to date" in chain.run("dvc", "status").stdout


def test_another_folder_and_more_workers_and_no_dvc_give_the_same_digests(chain, tmp_path):
    other = Small(tmp_path / "somewhere" / "else")
    shutil.copyfile(chain.root / "params.yaml", other.root / "params.yaml")
    for name in PURE:
        command(other.root, "step", name, OPENAUTOGLM_WORKERS="2")
    assert other.digests() == chain.digests()


def test_a_count_of_workers_that_is_none_is_refused(chain):
    done = command(chain.root, "step", "tune", code=2, OPENAUTOGLM_WORKERS="many")
    assert "OPENAUTOGLM_WORKERS" in done.stderr
