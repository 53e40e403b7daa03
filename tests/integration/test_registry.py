"""register, verify and compare with a real MLflow on SQLite."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time

import mlflow
import pandas as pd
import pytest
from mlflow.store.model_registry import sqlalchemy_store as registry_store
from mlflow.store.tracking import sqlalchemy_store as tracking_store

from openautoglm.artifacts.digest import folder_digest
from openautoglm.cli.verify import verify
from openautoglm.config.params import RegisterSettings
from openautoglm.config.project import Project
from openautoglm.errors import ArtifactError, InputError, StoreError
from openautoglm.registry.compare import compare_versions
from openautoglm.registry.store import open_store, reachable, redacted
from tests.support.once import empty_stores
from tests.support.registry import LABELS, Chain
from tests.support.wait import PATIENCE

SETTINGS = RegisterSettings(resamples=100)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A project with nothing but an empty store; tests copy it."""
    root = tmp_path_factory.mktemp("empty") / "项目 one"
    empty_stores.put(root)
    Chain(root)
    return root


@pytest.fixture
def chain(empty, tmp_path):
    root = tmp_path / "项目 two"
    shutil.copytree(empty, root)
    return Chain(root).make()


def store_of(chain):
    return open_store(Project(chain.root))


def versions(chain, name="small"):
    """Number, status and aliases of each version."""
    client = store_of(chain).client
    found = client.search_model_versions(f"name = '{name}'")
    numbers = sorted(int(version.version) for version in found)
    known = [client.get_model_version(name, str(number)) for number in numbers]
    return [(int(v.version), v.status, sorted(v.aliases)) for v in known]


def load(chain, alias="champion"):
    mlflow.set_tracking_uri(Project(chain.root).tracking_uri)
    try:
        return mlflow.pyfunc.load_model(f"models:/small@{alias}")
    finally:
        mlflow.set_tracking_uri(None)


def test_the_first_model_is_champion_and_predicts(chain):
    assert chain.register()["registered"] is True
    assert versions(chain) == [(1, "READY", ["champion"])]
    model = load(chain)
    for rows in (["车车", "药"], pd.Series(["车车", "药"]), pd.DataFrame({"text": ["车车", "药"]})):
        found = model.predict(rows)
        assert list(found.columns) == ["label", *(f"p_{label}" for label in LABELS)]
        assert found["label"].tolist() == ["铁路", "医学"]


def test_a_version_tells_what_it_is(chain):
    chain.register()
    store = store_of(chain)
    version = store.client.get_model_version_by_alias("small", "champion")
    assert version.tags["digest.model"] == chain.digest
    assert version.tags["digest.data"] == "sha256-p"
    assert version.tags["digest.fetch"] == "sha256-f"
    assert version.tags["digest.code"] == "sha256-code-compress"
    assert version.tags["model.family"] == "glm"
    assert version.description.startswith("# small\n")
    run = store.client.get_run(version.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "small version 1")
    assert run.data.metrics["macro_f1"] == 0.8
    assert run.data.metrics["f1/铁路"] == 0.8
    assert run.data.params["train.lr"] == "0.001"
    model = load(chain)
    assert model.metadata.signature.outputs.input_names()[0] == "label"
    files = store.client.list_artifacts(version.run_id, "model/evaluation")
    names = {item.path.rpartition("/")[2] for item in files}
    assert {"predictions.parquet", "metrics.json", "report.html"} <= names


def test_the_same_model_again_changes_nothing(chain):
    first = chain.register()
    bytes_before = (chain.registration / "receipt.json").read_bytes()
    database = (chain.root / "mlflow.db").read_bytes()
    assert chain.register() == first
    assert (chain.registration / "receipt.json").read_bytes() == bytes_before
    assert (chain.root / "mlflow.db").read_bytes() == database
    assert sorted(p.name for p in chain.registration.iterdir()) == ["receipt.json"]


def test_a_second_model_is_challenger_and_is_compared_with_the_champion(chain, capsys):
    chain.register()
    chain.make(seed=1, right=0.95).register()
    assert versions(chain) == [(1, "READY", ["champion"]), (2, "READY", ["challenger"])]
    assert "is more accurate than the champion (version 1)" in capsys.readouterr().err
    store = store_of(chain)
    version = store.client.get_model_version_by_alias("small", "challenger")
    metrics = store.client.get_run(version.run_id).data.metrics
    assert metrics["vs_champion.accuracy_low"] > 0
    assert metrics["vs_champion.rows"] == 200
    # An earlier model again: it is there already, and nobody's alias moves.
    chain.make(seed=0).register()
    assert versions(chain) == [(1, "READY", ["champion"]), (2, "READY", ["challenger"])]


def test_two_versions_lie_side_by_side_in_mlflow(chain):
    chain.register()
    chain.make(seed=1).register()
    client = store_of(chain).client
    runs = [client.get_run(client.get_model_version("small", v).run_id).data for v in ("1", "2")]
    own = [{name for name in run.metrics if not name.startswith("vs_champion")} for run in runs]
    assert own[0] == own[1]
    assert runs[0].params.keys() == runs[1].params.keys()


def test_numbers_are_served_too(chain):
    from tests.support.registry import write_compressed, write_evaluation

    shutil.rmtree(chain.compressed)
    write_compressed(chain.compressed, 0, kind="numeric")
    write_evaluation(chain.evaluation, chain.compressed, 0, 0.9, "pass", 60)
    chain.register()
    model = load(chain)
    frame = pd.DataFrame({"height": [0, 5], "length": [5, 0], "width": [0, 0]})
    for rows in ([[5, 0, 0], [0, 0, 5]], frame):
        assert model.predict(rows)["label"].tolist() == ["铁路", "医学"]


def test_two_models_in_one_process_do_not_meet(chain):
    chain.register()
    chain.make(seed=1).register()
    for alias in ("champion", "challenger"):
        assert load(chain, alias).predict(["诗"])["label"].tolist() == ["文学"]
    import openautoglm.registry.store as installed

    assert "mlartifacts" not in installed.__file__


def test_verify_has_nothing_to_mend_after_register(chain):
    chain.register()
    chain.canary()
    facts = verify(Project(chain.root))
    assert facts.mended == ()
    assert (facts.version, dict(facts.aliases)) == ("1", {"champion": "1"})


def lose_database(chain):
    (chain.root / "mlflow.db").unlink()
    as_a_new_process()


def as_a_new_process():
    """MLflow keeps connections, and a deleted file lives on in them."""
    for store in (tracking_store, registry_store):
        for engine in store.SqlAlchemyStore._engine_map.values():
            engine.dispose()


def lose_everything(chain):
    lose_database(chain)
    shutil.rmtree(chain.root / "mlartifacts")


def lose_artifacts(chain):
    shutil.rmtree(chain.root / "mlartifacts")


def spoil_model(chain):
    (file,) = (chain.root / "mlartifacts").rglob("fp32.onnx")
    file.write_bytes(file.read_bytes()[:-1])


def spoil_description(chain):
    (file,) = (chain.root / "mlartifacts").rglob("MLmodel")
    file.write_text("")


def lose_receipt(chain):
    shutil.rmtree(chain.registration)


def apply_experiment(chain):
    lose_everything(chain)
    receipt = chain.receipt() | {"registered": False, "reason": "skipped: experiment"}
    (chain.registration / "receipt.json").write_text(json.dumps(receipt))


@pytest.mark.parametrize(
    "damage",
    [
        lose_database,
        lose_everything,
        lose_artifacts,
        spoil_model,
        spoil_description,
        lose_receipt,
        apply_experiment,
    ],
    ids=lambda damage: damage.__name__,
)
def test_verify_mends(chain, damage):
    chain.register()
    chain.canary()
    receipt = (chain.registration / "receipt.json").read_bytes()
    damage(chain)
    facts = verify(Project(chain.root))
    assert facts.mended[0].endswith("; register has run again")
    assert facts.canary.verdict == "champion"
    assert versions(chain) == [(1, "READY", ["champion"])]
    assert (chain.registration / "receipt.json").read_bytes() == receipt
    assert load(chain).predict(["诗"])["label"].tolist() == ["文学"]
    assert verify(Project(chain.root)).mended == ()


def test_verify_registers_the_model_that_is_there(chain):
    chain.register()
    chain.make(seed=3)
    facts = verify(Project(chain.root))
    assert facts.mended[0] == "the receipt was of another model; register has run again"
    assert versions(chain) == [(1, "READY", ["champion"]), (2, "READY", ["challenger"])]


def lose_canary(chain):
    shutil.rmtree(chain.root / "reports" / "canary")


def lose_note(chain):
    client = open_store(Project(chain.root)).client
    client.delete_model_version_tag("small", "2", "canary.finding")


def apply_experiment_to_canary(chain):
    path = chain.root / "reports" / "canary" / "receipt.json"
    told = json.loads(path.read_text()) | {"verdict": "skipped", "reason": "skipped: experiment"}
    path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    "damage",
    [lose_canary, lose_note, apply_experiment_to_canary],
    ids=lambda damage: damage.__name__,
)
def test_verify_tries_again_what_was_not_tried_here(chain, damage):
    chain.register()
    chain.make(seed=1).register()
    told = chain.canary()
    assert told["verdict"] == "undecided"
    damage(chain)
    (mended,) = verify(Project(chain.root)).mended
    assert mended.endswith("; canary has run again")
    assert json.loads((chain.root / "reports/canary/receipt.json").read_text()) == told
    assert verify(Project(chain.root)).mended == ()


def test_verify_without_the_data_tells_that_nothing_can_be_tried(chain):
    chain.register()
    shutil.rmtree(chain.root / "data")
    facts = verify(Project(chain.root))
    assert (facts.mended, facts.version, facts.canary) == ((), "1", None)


def test_a_champion_that_was_chosen_later_is_nothing_to_mend(chain):
    chain.register()
    chain.make(seed=1).register()
    chain.canary()
    store = open_store(Project(chain.root))
    store.client.set_registered_model_alias("small", "champion", "2")
    facts = verify(Project(chain.root))
    assert (facts.mended, facts.canary.verdict) == ((), "undecided")


def test_verify_leaves_a_failed_gate_alone(chain):
    chain.make(verdict="fail").register()
    chain.canary()
    facts = verify(Project(chain.root))
    assert (facts.mended, facts.version, versions(chain)) == ((), None, [])


def test_verify_before_the_chain_names_the_command(empty):
    with pytest.raises(ArtifactError, match="has not run") as caught:
        verify(Project(empty))
    assert "dvc repro" in caught.value.hint


def test_a_moved_project_takes_its_artifacts_along(chain, tmp_path):
    chain.register()
    chain.canary()
    target = tmp_path / "else where"
    chain.root.rename(target)
    moved = Chain(target)
    assert verify(Project(target)).mended == ()
    assert load(moved).predict(["诗"])["label"].tolist() == ["文学"]


def test_a_copied_project_leaves_the_original_alone(chain, tmp_path):
    chain.register()
    copy = tmp_path / "copy"
    shutil.copytree(chain.root, copy)
    before = folder_digest(chain.root / "mlartifacts")
    other = Chain(copy)
    other.make(seed=4).register()
    assert versions(other) == [(1, "READY", ["champion"]), (2, "READY", ["challenger"])]
    assert versions(chain) == [(1, "READY", ["champion"])]
    assert folder_digest(chain.root / "mlartifacts") == before


def test_compare_writes_one_run(chain):
    chain.register()
    chain.make(seed=1, right=0.95, lr=0.0003).register()
    store = store_of(chain)
    found = compare_versions(store, "small", "champion", "challenger", SETTINGS)
    assert found.verdict.startswith(
        "Challenger (version 2) is more accurate than champion (version"
    )
    assert found.params["train.lr"] == ("0.001", "0.0003")
    assert "compress.threads" not in found.params
    run = store.client.get_run(found.run)
    assert run.data.metrics["accuracy_high"] < 0
    assert run.data.params["b.train.lr"] == "0.0003"
    assert run.data.tags["mlflow.note.content"].startswith(found.verdict)
    files = {item.path for item in store.client.list_artifacts(found.run)}
    assert files == {"per_class.png", "per_class.csv", "parameters.csv"}
    client = store.client
    runs = [client.get_model_version("small", number).run_id for number in ("1", "2")]
    assert found.page.startswith("/#/compare-runs?runs=%5B%22" + runs[0])
    again = compare_versions(store, "small", "1", "v2", SETTINGS)
    assert again.run == found.run


def test_compare_prints_verdict_and_page(chain, capsys):
    from openautoglm.cli.compare import compare

    chain.register()
    chain.make(seed=1).register()
    capsys.readouterr()
    compare(Project(chain.root), "champion", "2")
    shown = capsys.readouterr().out
    assert shown.startswith("No difference in accuracy between champion (version 1) and")
    (page,) = [line for line in shown.splitlines() if "compare-runs" in line]
    assert page.split()[-1].startswith("http://127.0.0.1:5000/#/compare-runs?runs=%5B%22")
    assert "digest.model" in shown


def test_compare_lists_the_names_that_exist(chain):
    chain.register()
    with pytest.raises(InputError, match="`nobody` is neither") as caught:
        compare_versions(store_of(chain), "small", "champion", "nobody", SETTINGS)
    assert caught.value.allowed == "champion (version 1), 1"
    with pytest.raises(InputError, match="both version 1"):
        compare_versions(store_of(chain), "small", "champion", "1", SETTINGS)
    with pytest.raises(InputError, match="neither") as caught:
        compare_versions(store_of(chain), "other", "1", "2", SETTINGS)
    assert caught.value.allowed == "nothing is registered yet"


def test_compare_refuses_too_few_shared_rows(chain):
    chain.make(rows=40).register()
    chain.make(seed=1, rows=20).register()
    with pytest.raises(InputError, match="share 20 test rows"):
        compare_versions(store_of(chain), "small", "1", "2", SETTINGS)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://user:secret@127.0.0.1:9", "http://user:***@127.0.0.1:9"),
        ("postgresql://user:secret@127.0.0.1:9/x", "user:***@127.0.0.1:9/x"),
        ("file:///tmp/mlruns", "file:///tmp/mlruns"),
    ],
)
def test_a_store_that_does_not_answer_is_named_without_its_password(chain, monkeypatch, uri, shown):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    start = time.monotonic()
    for ask in (open_store, reachable):
        with pytest.raises(StoreError) as caught:
            ask(Project(chain.root))
        assert shown in str(caught.value)
        assert "secret" not in str(caught.value)
        assert "MLFLOW_TRACKING_URI" in str(caught.value)
    assert time.monotonic() - start < PATIENCE, "MLflow would try again for minutes"


def test_a_server_that_is_no_mlflow_is_told(chain, monkeypatch, tmp_path):
    command = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [command[0], "-u", *command[1:]], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as server:
        try:
            port = server.stdout.readline().split("port ")[1].split()[0]
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
            with pytest.raises(StoreError, match="does not answer"):
                open_store(Project(chain.root))
        finally:
            server.kill()


def test_a_file_that_is_no_database_is_told_at_once(chain):
    (chain.root / "mlflow.db").write_text("not a database, but long enough to look like one" * 50)
    with pytest.raises(StoreError, match="no MLflow database") as caught:
        open_store(Project(chain.root))
    assert "verify" in caught.value.hint


def test_reachable_makes_nothing(tmp_path):
    assert "the first run makes it" in reachable(Project(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_reachable_names_the_models(chain):
    chain.register()
    assert reachable(Project(chain.root)).endswith("models small")


def test_what_a_killed_first_use_left_is_removed(tmp_path):
    part = tmp_path / ".mlflow.db.part-1"
    part.write_text("half a database")
    open_store(Project(tmp_path))
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("select count(*) from experiments").fetchone() == (2,)
    assert [path.name for path in tmp_path.glob(".mlflow*")] == []


def test_a_uri_without_password_is_shown_as_it_is():
    assert redacted("sqlite:////a/mlflow.db") == "sqlite:////a/mlflow.db"
