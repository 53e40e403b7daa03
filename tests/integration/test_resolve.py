"""`model:` of a config.yaml, found in a real registry or a folder, and checked."""

import dataclasses
import json
import shutil
import sqlite3
import subprocess
import sys

import pytest

from openautoglm.artifacts.digest import folder_digest
from openautoglm.config.project import Project
from openautoglm.config.service import Service
from openautoglm.config.yaml import load
from openautoglm.deploy.resolve import resolve, resolve_alias
from openautoglm.deploy.store import ModelStore
from openautoglm.errors import ArtifactError, ConfigError, StoreError
from openautoglm.registry.resolve import champions, fetch
from openautoglm.registry.store import open_store
from tests.support.once import empty_stores
from tests.support.registry import LABELS, Chain, manifest, write_compressed, write_evaluation


def write_model(chain, seed, base):
    """A compressed model that was fine-tuned from a base, with two precisions, and evaluated."""
    folder = chain.compressed
    write_compressed(folder, seed)
    path = folder / "payload" / "model.json"
    package = json.loads(path.read_text(encoding="utf-8"))
    variants = package["families"]["glm"]["variants"]
    variants["fused"] = variants["fp32"]
    package["base"] = base
    path.write_text(json.dumps(package), encoding="utf-8")
    digest = folder_digest(folder / "payload")
    manifest(folder, "compress", {}, {}, {"prepare": "sha256-p", "compress": digest})
    write_evaluation(chain.evaluation, folder, seed, 0.8, "pass", 50)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project that registered two versions of `news`, and one each of three others."""
    root = tmp_path_factory.mktemp("made") / "项目 one"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        empty_stores.put(root)
        chain = Chain(root)
        for seed, (name, base) in enumerate(
            [
                ("news", "bert-base-chinese"),
                ("news", "bert-base-chinese"),
                ("plain", None),
                ("twin-a", "roberta"),
                ("twin-b", "roberta"),
            ]
        ):
            write_model(chain, seed, base)
            chain.register(name)
    for name in ("Big_Model.1", "模型", "damaged"):
        shutil.copytree(chain.compressed, root / name)
    (root / "damaged" / "payload" / "glm" / "fp32.onnx").write_bytes(b"junk")
    write_compressed(root / "numbers", 0, kind="numeric")
    (root / "empty").mkdir()
    (root / "bert-base-chinese").mkdir()
    (root / "bert-base-chinese" / "config.json").write_text("{}", encoding="utf-8")
    return root


@pytest.fixture
def project(made, monkeypatch):
    """One for all tests that only look."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Project(made)


@pytest.fixture
def own(project, tmp_path):
    """A copy to change."""
    root = tmp_path / "项目 two"
    shutil.copytree(project.root, root)
    return Project(root)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config.yaml"


@pytest.fixture
def find(project, file):
    """Resolves a config.yaml."""

    def find(text, project=project):
        file.write_text(text, encoding="utf-8")
        return resolve(project, load(file, Service), file)

    return find


@pytest.fixture
def refused(find):
    def refused(text, kind=ConfigError, **where):
        with pytest.raises(kind) as caught:
            find(text, **where)
        assert caught.value.exit_code == 2
        return str(caught.value)

    return refused


def test_an_alias_becomes_a_version_with_its_digest(find):
    found = find("model: models:/news@champion\n")
    assert found.service == "news"
    assert (found.release.name, found.release.version) == ("news", "1")
    assert (found.release.family, found.release.variant) == ("glm", "fp32")
    assert found.release.origin == "models:/news/1"
    assert found.release.digest.startswith("sha256-")
    assert (found.labels, found.input) == (LABELS, "text")


def test_a_number_names_a_version(find):
    assert find("model: models:/news/2\n").release.version == "2"


def test_a_base_names_the_champion_that_comes_from_it(find):
    found = find("model: bert-base-chinese\nquantization: fused\n")
    assert (found.release.name, found.release.version) == ("news", "1")
    assert found.release.variant == "fused"


def test_a_folder_with_the_base_itself_is_not_taken_for_the_model(project, find):
    assert (project.root / "bert-base-chinese").is_dir()
    assert find("model: bert-base-chinese\n").release.origin == "models:/news/1"


def test_a_folder_is_served_without_a_registry(find, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    found = find("model: models/compressed\n")
    assert found.service == "compressed"
    assert found.release.version == found.release.digest[7:19]
    assert found.release.origin == "models/compressed"
    assert found.place(ModelStore(Project(tmp_path))).name == found.release.digest


def test_a_folder_needs_no_mlflow(project, file):
    text = f"""
import sys
from pathlib import Path
from openautoglm.config.project import Project
from openautoglm.config.service import Service
from openautoglm.deploy.resolve import resolve
project = Project(Path({str(project.root)!r}))
resolve(project, Service(model="models/compressed"), Path({str(file)!r}))
assert not {{"mlflow", "torch", "pandas"}} & set(sys.modules)
"""
    file.write_text("model: models/compressed\n", encoding="utf-8")
    done = subprocess.run((sys.executable, "-c", text), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_project_that_moved_serves_the_same_release(own, find, tmp_path):
    before = find("model: models/compressed\n", project=own).release
    moved = Project(own.root.rename(tmp_path / "moved"))
    assert find("model: models/compressed\n", project=moved).release == before


def test_a_name_is_made_to_fit(find):
    assert find("model: Big_Model.1\n").service == "big-model-1"


def test_a_name_that_is_given_is_what_clients_see(find):
    found = find("name: 'n1'\nmodel: models:/news/1\n")
    assert (found.service, found.release.name) == ("n1", "n1")


def test_a_folder_whose_name_cannot_fit_asks_for_one(refused):
    text = refused("model: 模型\n")
    assert "give one: `name:" in text
    assert "key name" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: models:/\n", "models:/NAME@ALIAS, models:/NAME/VERSION"),
        ("model: models:/news\n", "models:/news@champion (version 1), models:/news/1, models:/"),
        ("model: models:/news/latest\n", "models:/news@challenger (version 2)"),
        ("model: models:/new@champion\n", "models:/news@champion"),
        ("model: models:/news@best\n", "challenger (version 2), champion (version 1)"),
        ("model: models:/news/7\n", "champion (version 1), 1, 2"),
        ("model: roberta\n", "models:/twin-a@champion, models:/twin-b@champion"),
        ("model: bert-large\n", "models:/news@champion (base bert-base-chinese)"),
        ("model: bert-large\n", "models:/plain@champion (no base)"),
        ("model: none\n", "no champion was fine-tuned"),
        ("model: news\n", "did you mean models:/news@champion?"),
    ],
)
def test_a_model_that_is_not_there_lists_those_that_are(refused, text, said):
    found = refused(text)
    assert said in found
    assert "config.yaml:1, key model" in found


def test_a_folder_that_is_no_model_is_told(refused):
    assert "no compressed model" in refused("model: empty\n", ArtifactError)


def test_a_folder_of_another_step_says_which_one_is_meant(refused):
    found = refused("model: reports/evaluation\n", ArtifactError)
    assert "there is no compressed model" in found
    assert "payload/model.json and choice.json" in found
    assert "model: models/compressed" in found


def test_a_folder_that_was_changed_is_told(refused):
    assert "was changed" in refused("model: damaged\n", ArtifactError)


def test_a_precision_that_was_not_built_lists_those_that_were(refused):
    found = refused("model: models:/news/1\nquantization: int8\n")
    assert "glm was not built as `int8`: no table" in found
    assert "auto (now fp32), fp32, fused" in found
    assert "config.yaml:2, key quantization" in found


def test_labels_may_come_in_any_order(find):
    labels = ", ".join(reversed(LABELS))
    found = find(f"model: models:/news/1\npipeline: [{{labels: [{labels}]}}]\n")
    assert found.labels == LABELS


def test_labels_that_are_not_the_model_s_are_told_both_ways(refused):
    found = refused(f"model: models:/news/1\npipeline:\n  - labels: [{LABELS[0]}, 科技]\n")
    assert "the model has also 文学, 医学" in found
    assert "it does not have 科技" in found
    assert "config.yaml:2, key pipeline" in found


def test_a_task_that_is_not_the_model_s_is_told(refused):
    found = refused("model: models:/news/1\npipeline:\n  - task: tabular-classification\n")
    assert "the model takes texts" in found


def test_rows_of_numbers_are_a_task_too(find, refused):
    tabular = "pipeline:\n  - task: tabular-classification\n"
    assert find(f"model: numbers\n{tabular}").input == "numeric"
    assert "the model takes 3 numbers" in refused("model: numbers\n")


def test_a_registry_that_does_not_answer_is_told(refused, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for model in ("models:/news@champion", "bert-base-chinese"):
        assert "does not answer" in refused(f"model: {model}\n", StoreError)


def test_a_version_that_lost_its_tags_is_told(own, refused):
    open_store(own).client.delete_model_version_tag("news", "1", "model.family")
    found = refused("model: models:/news/1\n", project=own)
    assert "no tag model.family" in found
    assert "config.yaml:1, key model" in found


def test_a_champion_that_cannot_be_served_is_in_the_way_of_its_own_base_only(own, find, refused):
    open_store(own).client.delete_model_version_tag("twin-a", "1", "model.family")
    found = find("model: bert-base-chinese\n", project=own)
    assert found.release.origin == "models:/news/1"
    told = refused("model: roberta\n", project=own)
    assert "twin-a version 1" in told
    assert "config.yaml:1, key model" in told


def test_a_champion_that_is_not_ready_is_in_the_way_of_its_own_base_only(own, find, refused):
    with sqlite3.connect(own.root / "mlflow.db") as database:
        database.execute("update model_versions set status = 'PENDING' where name = 'plain'")
    database.close()
    found = find("model: bert-base-chinese\n", project=own)
    assert found.release.origin == "models:/news/1"
    assert "has the status PENDING" in refused("model: models:/plain@champion\n", project=own)


@pytest.mark.parametrize("model", ["models:/news@champion", "bert-base-chinese"])
def test_a_registry_that_nobody_made_is_not_made_by_asking(own, refused, model):
    (own.root / "mlflow.db").unlink()
    found = refused(f"model: {model}\n", project=own)
    assert "no model is registered yet" in found
    assert "make run" in found
    assert not (own.root / "mlflow.db").exists()


def test_a_model_is_placed_once_and_then_read_from_no_registry(own, find):
    models = ModelStore(own)
    found = find("model: models:/news@champion\n", project=own)
    assert not models.has(found.release.digest)
    folder = found.place(models)
    shutil.rmtree(own.root / "mlartifacts")
    again = find("model: models:/news@champion\n", project=own)
    assert again.release == found.release
    assert again.place(models) == folder


def test_a_stored_model_that_was_damaged_is_healed_from_the_registry(find, tmp_path):
    models = ModelStore(Project(tmp_path))
    found = find("model: models:/news@champion\n")
    graph = found.place(models) / "payload" / "glm" / "fp32.onnx"
    graph.chmod(0o644)
    graph.write_bytes(b"junk")
    found.place(models)
    models.verify(found.release.digest)


def test_files_that_are_gone_from_the_registry_are_told(own, refused):
    shutil.rmtree(own.root / "mlartifacts")
    found = refused("model: models:/news@champion\n", StoreError, project=own)
    assert "the files of news version 1 cannot be had" in found
    assert "openautoglm verify" in found


def test_files_on_this_machine_are_not_copied_on_the_way(project, tmp_path):
    store = open_store(project)
    news = next(one for one in champions(store) if one.model == "news")
    assert fetch(store, news, tmp_path).is_relative_to(project.root / "mlartifacts")


@pytest.mark.parametrize("part", ["", "payload/model.json"])
def test_files_that_lie_elsewhere_are_downloaded(project, tmp_path, part):
    store = open_store(project)
    news = next(one for one in champions(store) if one.model == "news")
    # A URI that MLflow resolves, and that is no path, stands for an artifact server.
    run = store.client.get_model_version("news", "1").run_id
    elsewhere = dataclasses.replace(news, source=f"runs:/{run}/model")
    (tmp_path / "target").mkdir()
    folder = fetch(store, elsewhere, tmp_path / "target", part)
    assert folder.is_relative_to(tmp_path / "target")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if part:
        assert found == {part}
    else:
        assert folder_digest(folder / "payload") == news.digest
        assert "choice.json" in found


def test_the_challenger_of_what_is_served_is_found_with_the_service_s_settings(project, find, file):
    champion = find("name: n\nmodel: bert-base-chinese\nquantization: fused\n").release
    found = resolve_alias(project, load(file, Service), champion, "challenger", file)
    assert (found.release.name, found.release.version) == ("n", "2")
    assert found.release.variant == "fused"
    assert found.release.key != champion.key


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("models/compressed", "serves a folder (models/compressed), which has no challenger"),
        ("models:/twin-a@champion", "`challenger` is neither an alias nor a version"),
    ],
)
def test_a_challenger_that_is_not_there_is_told(project, find, file, model, said):
    champion = find(f"model: {model}\n").release
    with pytest.raises(ConfigError) as caught:
        resolve_alias(project, load(file, Service), champion, "challenger", file)
    assert said in str(caught.value)


def test_nothing_is_written_by_looking(project, find):
    find("model: models:/news@champion\n")
    assert not ModelStore(project).root.exists()
