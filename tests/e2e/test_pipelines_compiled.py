"""`pipeline compile`: what a cluster is given, whoever compiles it and wherever."""

import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from kfp.components import load_component_from_text
from ruamel.yaml import YAML

from tests.support.command import command
from tests.support.project import ROOT, Small

pytestmark = pytest.mark.xdist_group("pipelines-compiled")
IMAGE = f"registry.invalid/team/runner@sha256:{'a' * 64}"
LOOPED = {"tune-part", "compress-part"}
LARGE = {"tune", "train", "compress", *LOOPED}
PIPELINES = ("training", "canary", "retrain")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose data a pod can read, with a setting of every kind."""
    made = Small(tmp_path_factory.mktemp("compiled") / "project", count=10)
    source = {"kind": "dvc", "repo": "https://git.invalid/data.git", "path": "a.csv", "rev": "v1"}
    made.change(data={"source": source})
    made.add_pipelines(
        fan_out={"tune": 2, "compress": 2},
        environment={"HF_HUB_OFFLINE": "1"},
        tasks={
            "train": {
                "cpu": "3",
                "accelerator": {"resource": "nvidia.com/gpu"},
                "node_selector": {"gpu": "a100"},
                "tolerations": [{"key": "gpu"}],
            }
        },
    )
    return made


def compiled(project, name, *arguments, code=0):
    """Standard error, and the file that was written."""
    said = command(
        project.root, "pipeline", "compile", name, "-o", "out.yaml", *arguments, code=code
    )
    return said.stderr, (project.root / "out.yaml").read_text(encoding="utf-8") if not code else ""


@pytest.fixture(scope="module")
def texts(project):
    return {name: compiled(project, name, "--image", IMAGE)[1] for name in PIPELINES}


@pytest.fixture(scope="module")
def training(texts):
    """Its IR: the pipeline, and what of it is Kubernetes'."""
    pipeline, platform = YAML(typ="safe").load_all(texts["training"])
    return pipeline, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def containers(pipeline):
    """Task to its container, without importers."""
    executors = pipeline["deploymentSpec"]["executors"].items()
    return {
        name.removeprefix("exec-"): one["container"]
        for name, one in executors
        if "container" in one
    }


@pytest.mark.parametrize("name", PIPELINES)
def test_kubeflows_own_sdk_loads_the_file(texts, name):
    loaded = load_component_from_text(texts[name])
    assert loaded.name == name
    assert "params" in loaded.component_spec.inputs


@pytest.mark.parametrize("name", PIPELINES)
def test_every_task_runs_in_the_image_of_that_digest_and_installs_nothing(texts, name):
    pipeline = next(YAML(typ="safe").load_all(texts[name]))
    found = containers(pipeline)
    assert {"plan", "record"} <= found.keys()
    assert {one["image"] for one in found.values()} == {IMAGE}
    assert "pip install" not in texts[name]


def test_every_task_has_the_secrets_the_volume_and_somebody_else_than_root(training):
    pipeline, executors = training
    assert executors.keys() == {f"exec-{name}" for name in containers(pipeline)}
    for one in executors.values():
        secrets = {secret["secretName"]: secret["optional"] for secret in one["secretAsEnv"]}
        assert secrets == {
            "openautoglm-stores": False,
            "openautoglm-notify": True,
            "openautoglm-s3": False,
        }
        (volume,) = one["pvcMount"]
        assert (volume["constant"], volume["mountPath"]) == (
            "openautoglm-work",
            "/project/.openautoglm",
        )
        assert one["securityContext"]["runAsNonRoot"] is True


def test_every_task_asks_for_what_the_settings_say(training):
    pipeline, executors = training
    found = containers(pipeline)
    for name, container in found.items():
        assert {"name": "HF_HUB_OFFLINE", "value": "1"} in container["env"], name
    asked = {name: one["resources"] for name, one in found.items()}
    memory = {name: one["resourceMemoryLimit"] for name, one in asked.items()}
    assert {name for name, most in memory.items() if most == "8Gi"} == LARGE
    assert {memory[name] for name in found.keys() - LARGE} == {"4Gi"}
    assert asked["train"]["resourceCpuRequest"] == "3"
    assert asked["evaluate"]["resourceCpuRequest"] == "500m"
    assert found["train"]["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    nodes = {name: one["nodeSelector"] for name, one in executors.items() if "nodeSelector" in one}
    assert nodes.keys() == {"exec-train"}
    assert nodes["exec-train"]["labels"] == {"gpu": "a100"}
    assert executors["exec-train"]["tolerations"][0]["key"] == "gpu"


def test_every_task_is_tried_again_where_kubeflow_does_that(training):
    pipeline, _ = training
    dags = [one["dag"]["tasks"] for one in pipeline["components"].values() if "dag" in one]
    tasks = {
        name: task
        for dag in [*dags, pipeline["root"]["dag"]["tasks"]]
        for name, task in dag.items()
    }
    for name in containers(pipeline):
        assert ("retryPolicy" in tasks[name]) == (name not in LOOPED), name
    assert tasks["train"]["retryPolicy"]["maxRetryCount"] == 2
    assert tasks["train"]["retryPolicy"]["backoffDuration"] == "30s"


@pytest.mark.slow
def test_another_process_in_another_folder_writes_the_same_text(project, texts, tmp_path):
    other = project.at(tmp_path / "else where" / "project")
    shutil.copytree(project.root, other.root)
    # retrain holds every task of the others, and more.
    order = ("openautoglm", "pipeline", "compile", "retrain", "-o", "r.yaml", "--image", IMAGE)
    other.run(*order, PYTHONHASHSEED="7", TZ="Asia/Tokyo")
    assert (other.root / "r.yaml").read_text(encoding="utf-8") == texts["retrain"]


@pytest.mark.parametrize("name", PIPELINES)
def test_compiled_again_it_is_the_same_text(project, texts, name):
    assert compiled(project, name, "--image", IMAGE)[1] == texts[name]


@pytest.mark.parametrize("name", PIPELINES)
def test_no_place_or_name_of_this_machine_is_in_it(project, texts, name):
    here = (project.root, ROOT, sys.prefix, Path.home(), tempfile.gettempdir())
    for place in map(str, here):
        assert f"{place}/" not in texts[name]
    assert socket.gethostname() not in texts[name]


def test_a_set_is_in_it_and_makes_it_another_text(project, texts):
    changed = compiled(project, "training", "--image", IMAGE, "--set", "train.lr=0.0123")[1]
    assert "0.0123" in changed
    assert "0.0123" not in texts["training"]


def test_without_an_image_nothing_is_written_and_what_to_type_is_said(project):
    (project.root / "out.yaml").unlink(missing_ok=True)
    said, _ = compiled(project, "training", code=2)
    assert "settings.yaml, key image" in said
    assert "--image NAME@sha256:" in said
    assert not (project.root / "out.yaml").exists()


@pytest.mark.parametrize("image", ["runner:latest", "runner", f"runner@sha256:{'a' * 63}"])
def test_an_image_that_is_not_pinned_is_refused(project, image):
    said, _ = compiled(project, "training", "--image", image, code=2)
    assert f"found `{image}`" in said
    assert "--image" in said


def test_data_on_this_machines_disk_is_refused(project):
    source = "data.source={kind: file, path: data/source/rows.csv}"
    said, _ = compiled(project, "training", "--image", IMAGE, "--set", source, code=2)
    assert "key data.source.path" in said
    assert "no pod can read it" in said


def test_a_pipeline_that_does_not_compile_is_told_with_file_and_line(project):
    file = project.root / "pipelines" / "mine.py"
    file.write_text(
        "from kfp import dsl\n\n\n@dsl.pipeline(name='mine')\ndef mine():\n    nothing()\n"
    )
    try:
        said, _ = compiled(project, "mine", "--image", IMAGE, code=2)
    finally:
        file.unlink()
    assert "mine.py:6" in said
    assert "NameError" in said


def test_a_pipeline_that_is_not_there_is_told_with_its_nearest(project):
    said, _ = compiled(project, "trainig", "--image", IMAGE, code=2)
    assert "did you mean training?" in said
