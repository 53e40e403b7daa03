"""Looks and retrainings in a real MLflow: kept once, one at a time, whoever is killed."""

import shutil
from types import SimpleNamespace

import psycopg2
import pytest

from openautoglm.config.project import Project
from openautoglm.config.retrain import RetrainSettings
from openautoglm.errors import InputError
from openautoglm.registry import retraining
from openautoglm.registry.retraining import Retrainings, end
from openautoglm.registry.retraining_records import BEGUN, ENDED, Look, Retraining
from openautoglm.registry.store import open_store
from openautoglm.steps.retrain import decided
from tests.support.once import empty_stores
from tests.support.registry import Chain
from tests.support.retraining import HOUR, decide, decide_together, decide_until


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def root(tmp_path):
    """A project with an empty store."""
    folder = tmp_path / "project"
    empty_stores.put(folder)
    Chain(folder)
    return folder


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A project whose champion is version 1; tests copy it."""
    folder = tmp_path_factory.mktemp("registered") / "project"
    empty_stores.put(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        Chain(folder).make().register()
    return folder


def kept(root):
    return Retrainings(open_store(Project(root)), "small")


def runs(root):
    """Every record of looks and retrainings in MLflow, with its tags."""
    store = open_store(Project(root))
    found = store.client.search_runs([store.experiment], "tags.`retrain.name` = 'small'")
    return [
        (run, {k.removeprefix("retrain."): v for k, v in run.data.tags.items()}) for run in found
    ]


def test_looks_and_their_decisions_are_kept_in_order(root):
    assert decide(root, "run-2", 3, "b", looks=2)[0] == "no"
    assert decide(root, "run-1", 4, "c", looks=2)[0] == "yes"
    assert [look.run for look in kept(root).looks("sha256-m")] == ["run-2", "run-1"]
    assert kept(root).looks("sha256-other") == []
    told = {tags["run"]: tags["decision"] for _, tags in runs(root) if tags["kind"] == "look"}
    assert told == {"run-2": "no", "run-1": "yes"}
    (begun,) = kept(root).all()
    assert (begun.run, begun.at, begun.state) == ("run-1", 4 * HOUR, BEGUN)


def test_a_run_that_decides_again_notes_nothing_twice(root):
    first = decide(root, "run-1", 1, "a")
    again = decide(root, "run-1", 2, "a")
    assert (first[0], again[0]) == ("yes", "yes")
    assert sorted(tags["kind"] for _, tags in runs(root)) == ["look", "retraining"]
    assert [look.at for look in kept(root).looks("sha256-m")] == [HOUR]


def test_the_next_one_waits_for_the_end_of_the_last(root):
    decide(root, "run-1", 1, "a")
    made = decide(root, "run-2", 30, "b")
    assert "another retraining began 29.0 hours ago and has not ended: run run-1" in made[1]
    store = open_store(Project(root))
    assert end(store, "run-1", "failed", 31 * HOUR) == "there is no champion"
    assert decide(root, "run-3", 32, "c")[0] == "yes"
    status = {tags["run"]: run.info.status for run, tags in runs(root) if tags["kind"] != "look"}
    assert status == {"run-1": "FAILED", "run-3": "RUNNING"}


def test_rows_that_led_to_nothing_are_not_learned_from_again(root):
    decide(root, "run-1", 1, "a")
    end(open_store(Project(root)), "run-1", "succeeded", 5 * HOUR)
    made = decide(root, "run-2", 60, "b")
    assert made[0] == "no"
    assert "those of the retraining of run run-1" in made[1]


@pytest.mark.parametrize(("step", "digest"), [("fetch", "sha256-f"), ("prepare", "sha256-p")])
def test_rows_that_the_champion_has_learned_from_are_not_learned_from_again(
    registered, step, digest
):
    store, rules = open_store(Project(registered)), RetrainSettings(looks=1)
    look = Look(f"run-{step}", HOUR, "sha256-m", step, "drift", "because")
    made = decided(store, "small", look, digest, rules, step=step)
    assert made.retrain == "no"
    assert "those of the champion, version 1" in made.reason


def test_the_end_tells_what_came_of_it(registered, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(registered, root)
    store = open_store(Project(root))
    decide(root, "run-1", 1, "a")
    (begun,) = kept(root).all()
    assert begun.champion == "1"
    assert end(store, "run-1", "succeeded", 2 * HOUR) == "version 1 is still the champion"
    assert end(store, "run-1", "failed", 3 * HOUR) is None  # told once
    (ended,) = kept(root).all()
    assert (ended.state, ended.outcome) == (ENDED, "succeeded")


def test_a_new_champion_is_what_came_of_it(registered, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(registered, root)
    store = open_store(Project(root))
    decide(root, "run-1", 1, "a")
    Chain(root).make(seed=1, lr=0.01).register()
    store.client.set_registered_model_alias("small", "champion", "2")
    told = end(store, "run-1", "succeeded", 2 * HOUR)
    assert told == "version 2 is the champion now, after version 1"


def test_who_waits_for_a_claim_that_nobody_follows_up_gives_way(root):
    claims = kept(root)
    dead = Retraining("run-dead", HOUR, "sha256-new")
    claims._claim(dead)
    mine = Retraining("run-mine", 2 * HOUR, "sha256-new")
    assert claims.begin(mine, blocks=lambda one: True, seconds=0).run == "run-dead"
    assert [one.run for one in claims.all()] == ["run-dead"]
    assert claims.begin(dead, blocks=lambda one: True) is None


@pytest.fixture
def two(root, monkeypatch):
    """Two that have claimed and not begun, by id; `meanwhile` happens where one would sleep."""
    claims = kept(root)
    both = [Retraining(f"run-{place}", HOUR, "sha256-new") for place in range(2)]
    low, high = sorted((claims._claim(one), one) for one in both)
    found = SimpleNamespace(claims=claims, low=low, high=high, meanwhile=[])

    def sleep(_):
        assert found.meanwhile, "it waits for nothing"
        found.meanwhile.pop(0)()

    monkeypatch.setattr(retraining.time, "sleep", sleep)
    return found


def test_of_two_that_have_claimed_the_later_id_withdraws_at_once(two):
    assert two.claims.begin(two.high[1], blocks=lambda one: True).run == two.low[1].run
    assert two.claims.begin(two.low[1], blocks=lambda one: True) is None
    assert [one.run for one in two.claims.all()] == [two.low[1].run]


def test_the_lower_id_waits_until_the_other_has_withdrawn(two, root):
    client = open_store(Project(root)).client
    two.meanwhile = [lambda: None, lambda: client.delete_run(two.high[0])]
    assert two.claims.begin(two.low[1], blocks=lambda one: True) is None


def test_the_lower_id_withdraws_when_the_other_has_begun_after_all(two, root):
    client = open_store(Project(root)).client
    two.meanwhile = [lambda: client.set_tag(two.high[0], "retrain.state", BEGUN)]
    assert two.claims.begin(two.low[1], blocks=lambda one: True).run == two.high[1].run
    assert [one.run for one in two.claims.all()] == [two.high[1].run]


def test_one_that_began_and_ended_meanwhile_is_in_the_way(root, monkeypatch):
    decide(root, "run-1", 1, "a")
    end(open_store(Project(root)), "run-1", "failed", HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(Retrainings, "all", lambda self: [])  # what was read before it began
        made = decide(root, "run-late", 2, "b")
    assert made[0] == "no"
    assert "the last retraining began 1.0 hours ago" in made[1]
    assert [one.run for one in kept(root).all()] == ["run-1"]


def test_a_run_id_that_would_be_a_query_is_refused(root):
    with pytest.raises(InputError, match="found `a' or"):
        end(open_store(Project(root)), "a' or tags.x = 'y", "failed", HOUR)


@pytest.mark.slow
def test_of_many_at_a_time_one_begins(root):
    made = decide_together(root, 5)
    assert sorted(retrain for retrain, _ in made) == ["no"] * 4 + ["yes"]
    assert [one.state for one in kept(root).all()] == [BEGUN]
    assert all("another retraining" in why for retrain, why in made if retrain == "no")


@pytest.mark.slow
@pytest.mark.xdist_group("postgres")
def test_of_many_at_a_time_one_begins_on_postgres(server, root, monkeypatch):
    connection = psycopg2.connect(server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("create database retraining")
    connection.close()
    url = server.replace("/postgres?", "/retraining?")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    open_store(Project(root))
    for _ in range(3):
        made = decide_together(root, 5)
        assert sorted(retrain for retrain, _ in made) == ["no"] * 4 + ["yes"]
        store = open_store(Project(root))
        for run, _ in runs(root):
            store.client.delete_run(run.info.run_id)


@pytest.mark.slow
def test_killed_at_any_commit_it_comes_to_the_same(root, tmp_path):
    stop, killed = 1, 0
    while True:
        copy = tmp_path / f"copy-{stop}"
        shutil.copytree(root, copy)
        if not decide_until(copy, "run-1", stop):
            break
        killed += 1
        assert decide(copy, "run-1", 11, "w")[0] == "yes"
        assert sorted(tags["kind"] for _, tags in runs(copy)) == ["look", "retraining"]
        assert "another retraining" in decide(copy, "run-2", 40, "x")[1]
        stop += 1
    assert killed >= 8
