"""canary: champion and challenger side by side behind the real gateway, by the command line."""

from __future__ import annotations

import json
import sqlite3

import pytest

from openautoglm.config.project import Project
from openautoglm.deploy.ledger import read
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.registry.store import open_store
from tests.support.canary import QUICK, write_replay
from tests.support.registry import Chain
from tests.support.site import processes, site
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("canary")]


NARROW = QUICK.replace("accuracy: {margin: 30}", "accuracy: {margin: 1}")


class Trial:
    """A project whose next model is registered and then tried beside the champion."""

    def __init__(self, place):
        self.place, self.root, self.chain = place, place.root, Chain(place.root)
        self.folder = ServiceFolder(Project(place.root.resolve()), "canary-small")
        write_replay(place.root)

    def register(self, seed, **flaw):
        self.chain.make(seed, **flaw).register()

    def run(self, *, code=0):
        return self.place.run("step", "canary", code=code)

    @property
    def receipt(self):
        return json.loads((self.root / "reports/canary/receipt.json").read_text(encoding="utf-8"))

    @property
    def told(self):
        return self.receipt["verdict"], self.receipt["reason"]

    def sql(self, query, *values):
        with sqlite3.connect(self.root / "mlflow.db") as database:
            return database.execute(query, values).fetchall()

    @property
    def aliases(self):
        found = self.sql("select alias, version from registered_model_aliases")
        return {alias: str(version) for alias, version in found}

    @property
    def nothing_is_left(self):
        """No process, and of the service's folder the ledger alone."""
        left = [path.name for path in self.folder.root.iterdir()]
        return not processes(self.folder.root) and left == ["ledger.jsonl"]


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    with site(tmp_path_factory.mktemp("canary") / "project", 0) as place:
        yield Trial(place)


def test_the_first_model_is_the_champion_and_nothing_is_started(trial):
    trial.run()
    assert trial.told == ("champion", "it is the champion: there is none to compare it with")
    assert trial.receipt["model_digest"] == trial.chain.digest
    assert not trial.folder.root.exists()


def test_one_that_is_worse_stays_the_challenger(trial):
    trial.register(1, flaw="shuffled")
    shown = trial.run()
    assert trial.told == ("worse", "worse than the champion: accuracy")
    assert trial.aliases == {"champion": "1", "challenger": "2"}
    assert "wrong answers: champion 0.00 % of" in shown
    assert trial.nothing_is_left


def test_one_that_is_killed_leaves_nothing(trial):
    trial.register(2)
    running = trial.place.start("step", "canary")
    until(lambda: trial.folder.feedback.exists(), what="answers")
    running.kill()
    running.communicate()
    until(lambda: trial.nothing_is_left, what="somebody to take it down")
    assert trial.aliases == {"champion": "1", "challenger": "3"}
    assert trial.told[0] == "worse"


def test_the_next_one_makes_it_the_champion_and_is_alone_meanwhile(trial):
    running = trial.place.start("step", "canary")
    until(lambda: trial.folder.desired.exists(), what="its service")
    assert "is at work here" in trial.run(code=2)
    shown, _ = running.communicate()
    assert running.returncode == 0, shown
    assert trial.told == ("promoted", "no worse than the champion: errors, slow, accuracy")
    assert trial.aliases == {"champion": "3"}
    assert trial.nothing_is_left
    # Both models have left the model store, where nobody serves them.
    assert not list((trial.root / ".openautoglm" / "models").glob("sha256-*"))
    name = next(part for part in shown.split("`") if part.startswith("rollout canary-small"))
    below = trial.sql(
        "select child.name from runs child join tags on tags.run_uuid = child.run_uuid "
        "join runs parent on parent.run_uuid = tags.value "
        "where tags.key = 'mlflow.parentRunId' and parent.name = ?",
        name,
    )
    assert len(below) == 2


def test_it_has_stood_beside_this_champion_and_is_not_tried_again(trial):
    decided, before = len(read(trial.folder.ledger)), trial.receipt
    (trial.root / "reports/canary/receipt.json").unlink()
    trial.run()
    assert trial.receipt == before
    assert len(read(trial.folder.ledger)) == decided


def test_too_few_rows_decide_nothing_and_move_nothing(trial):
    trial.register(3)
    write_replay(trial.root, rows=60, settings=NARROW)
    shown = trial.run()
    assert trial.told == ("undecided", "too little evidence on accuracy")
    assert "60 labels" in shown
    assert trial.aliases == {"champion": "3", "challenger": "4"}
    write_replay(trial.root)


def test_what_a_person_has_undone_stays_undone(trial):
    """Its note says no worse, and its alias was moved once: that was all."""
    trial.chain.make(2).register()
    client = open_store(Project(trial.root)).client
    client.set_registered_model_alias("small", "champion", "1")
    trial.run()
    assert trial.told[0] == "promoted"
    assert trial.aliases["champion"] == "1"
    client.set_registered_model_alias("small", "champion", "3")


def test_beside_a_live_service_it_stops_and_prints_the_command(trial):
    trial.register(4)
    trial.place.deploy(replicas=1)
    shown = trial.run()
    assert trial.told == (
        "ready",
        "no worse than the champion: errors, slow, accuracy; a live service serves small: "
        "ready for rollout",
    )
    assert "openautoglm rollout start small --challenger 5" in shown
    assert trial.aliases == {"champion": "3", "challenger": "5"}
    assert trial.place.status().healthy
    trial.place.run("delete", "small")


def test_once_nobody_serves_it_what_was_ready_takes_over_without_another_minute(trial):
    decided = len(read(trial.folder.ledger))
    trial.run()
    assert trial.told == ("promoted", "no worse than the champion: errors, slow, accuracy")
    assert trial.aliases == {"champion": "5"}
    assert len(read(trial.folder.ledger)) == decided


def test_a_service_that_has_its_name_is_left_alone(trial):
    trial.register(7)
    trial.place.deploy(name="canary-small", replicas=1)
    try:
        shown = trial.run(code=2)
        assert "openautoglm delete canary-small" in shown
        assert trial.aliases["champion"] == "5"
        assert trial.place.run("status", "canary-small")
    finally:
        trial.place.run("delete", "canary-small")


def test_what_was_not_registered_is_not_tried(trial):
    trial.register(8, verdict="fail")
    trial.run()
    assert trial.told == ("skipped", "not registered: gate failed: macro_f1 +0.0100 by hand")


def test_a_registration_of_another_model_is_refused(trial):
    trial.chain.make(9)
    assert "the registration is of another model" in trial.run(code=2)


def test_an_objective_that_nobody_counts_by_is_refused(trial):
    trial.register(10)
    write_replay(trial.root, settings="canary: {metrics: {slow: {objective_ms: 123}}}\n")
    shown = trial.run(code=2)
    assert "params.yaml, key canary.metrics.slow.objective_ms" in shown
    assert "250" in shown
