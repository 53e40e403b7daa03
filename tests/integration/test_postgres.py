"""The same registry on a real PostgreSQL, started for these tests."""

import mlflow
import psycopg2
import pytest

from openautoglm.cli.verify import verify
from openautoglm.config.params import RegisterSettings
from openautoglm.config.project import Project
from openautoglm.errors import StoreError
from openautoglm.registry.compare import compare_versions
from openautoglm.registry.store import open_store, reachable
from tests.support.registry import Chain

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]


@pytest.fixture(scope="module")
def url(server):
    connection = psycopg2.connect(server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("create database registry")
        cursor.execute("create role owner login superuser password 'secret'")
    connection.close()
    return server.replace("/postgres?", "/registry?")


@pytest.fixture
def chain(url, tmp_path, monkeypatch):
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_DEFAULT_ARTIFACT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    return Chain(tmp_path / "project").make()


def test_register_verify_compare(chain):
    chain.register()
    chain.register()
    chain.make(seed=1, right=0.95).register()
    chain.canary()
    facts = verify(Project(chain.root))
    assert facts.mended == ()
    assert dict(facts.aliases) == {"challenger": "2", "champion": "1"}
    assert "is more accurate" in facts.against
    store = open_store(Project(chain.root))
    assert store.uri.startswith("postgresql+psycopg2://")
    found = compare_versions(
        store, "small", "champion", "challenger", RegisterSettings(resamples=100)
    )
    assert found.comparison.differences["accuracy"].high < 0
    assert "small" in reachable(Project(chain.root))
    mlflow.set_tracking_uri(store.uri)
    try:
        model = mlflow.pyfunc.load_model("models:/small@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert model.predict(["诗"])["label"].tolist() == ["文学"]
    assert not (chain.root / "mlflow.db").exists()


def test_a_database_that_is_not_there_is_told_at_once(chain, url, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url.replace("/registry?", "/nowhere?"))
    with pytest.raises(StoreError, match="nowhere"):
        open_store(Project(chain.root))
