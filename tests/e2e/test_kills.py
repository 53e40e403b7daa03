"""SIGKILL in each step, then `dvc repro`: as if nothing had happened."""

import json
import random
import sqlite3

import pytest

from openautoglm.steps.catalog import STEPS
from tests.support.kills import kill_during
from tests.support.project import PURE

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chain")]
START = 1.0  # seconds an interpreter needs before the step's own work


@pytest.fixture(scope="module")
def project(chain_run):
    made = chain_run.copy
    made.undisturbed = made.digests()
    package = json.loads((made.root / "models/compressed/payload/model.json").read_text())
    assert {"pruned", "distilled"} <= package["families"].keys()
    return made


def seconds(project, step):
    folder = PURE.get(step)
    if folder is None:
        return 6.0
    return json.loads((project.root / folder / "manifest.json").read_text())["seconds"] + START


def check_after_a_kill(project, step, share):
    delay = share * seconds(project, step)
    while not kill_during(project, step, delay):
        delay /= 2  # the step was faster than last time: a kill that came too late tests nothing
    project.run("openautoglm", "tidy")  # as make run does
    project.run("dvc", "repro", "--no-run-cache")
    project.run("openautoglm", "verify")
    assert project.digests() == project.undisturbed
    assert project.receipt()["registered"] is True
    with sqlite3.connect(project.root / "mlflow.db") as database:
        versions = database.execute("select version, status from model_versions").fetchall()
    assert versions == [(1, "READY")]
    parts = list(project.root.rglob(".*.part-*"))
    assert parts == [], "a half-written folder was left"


@pytest.mark.parametrize("step", ["prepare", "train", "compress", "register"])
def test_a_killed_step_leaves_no_trace(project, step):
    check_after_a_kill(project, step, random.Random(step).uniform(0.3, 0.95))


@pytest.mark.sweep
@pytest.mark.parametrize("attempt", range(20))
@pytest.mark.parametrize("step", STEPS)
def test_kills_at_many_moments(project, step, attempt):
    check_after_a_kill(project, step, random.Random(f"{step} {attempt}").uniform(0.0, 1.0))
