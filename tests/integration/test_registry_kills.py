"""SIGKILL at commits and artifact writes of register: the retry leaves one whole version."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from openautoglm.config.project import Project
from openautoglm.registry.store import open_store
from openautoglm.registry.versions import defect
from tests.support.once import empty_stores
from tests.support.registry import Chain
from tests.support.registry_kills import register_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A project with an empty store, and the number of events of an undisturbed register."""
    root = tmp_path_factory.mktemp("kills") / "ready"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        empty_stores.put(root)
        chain = Chain(root).make()
        open_store(Project(root))
        other = root.with_name("undisturbed")
        shutil.copytree(root, other)
        events = register_until(other, None)
        assert events > 20
        yield chain, events


def statuses(root):
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        return database.execute("select version, status from model_versions").fetchall()


def check_a_kill(ready, target, stop):
    shutil.copytree(ready.root, target)
    assert register_until(target, stop) is None, "it ended before it was killed"
    chain = Chain(target)
    assert not (chain.registration / "receipt.json").exists()
    store = open_store(Project(target))
    for version in store.client.search_model_versions("name = 'small'"):
        # Whatever is registered is whole, although its alias may be missing.
        found = defect(store, store.client.get_model_version("small", str(version.version)))
        assert found in (None, "its registration was cut off")
    assert chain.register()["registered"] is True
    assert statuses(target) == [(1, "READY")]
    version = store.client.get_model_version_by_alias("small", "champion")
    assert defect(store, version) is None
    assert version.tags["digest.model"] == chain.digest
    assert store.client.get_run(version.run_id).info.status == "FINISHED"
    runs = store.client.search_runs([store.experiment])
    assert len(runs) == 1
    assert list(target.rglob("*.part-*")) == []


@pytest.mark.parametrize("share", [0.25, 0.6, 0.9, 1.0])
def test_a_killed_register_converges(ready, tmp_path, share):
    chain, events = ready
    check_a_kill(chain, tmp_path / "killed", max(1, round(share * events)))


@pytest.mark.sweep
def test_a_kill_at_every_event_converges(ready, tmp_path, record_property):
    chain, events = ready
    record_property("cases", events)
    for stop in range(1, events + 1):
        check_a_kill(chain, tmp_path / str(stop), stop)


def test_a_kill_while_the_database_is_made_leaves_none(tmp_path):
    chain = Chain(tmp_path / "fresh").make()
    assert register_until(chain.root, 5) is None
    assert not (chain.root / "mlflow.db").exists()
    chain.register()
    assert statuses(chain.root) == [(1, "READY")]
    assert list(chain.root.glob(".mlflow.db*")) == []
