"""The images of infra/docker: what goes in, who runs them, and that a replica starts in its own."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import grimp
import pytest
from docker.utils.build import exclude_paths
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.only import pins
from tests.support.replica import client, digest_of, started
from tests.support.rpc import infer, infer_request

pytest_plugins = ["tests.support.served"]

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "infra" / "docker"
SERVING = DOCKER / "serving.txt"
IMAGES = ("runner", "serving")
PINNED = re.compile(r"FROM \S+:\S+@sha256:[0-9a-f]{64}( AS \w+)?")
# What a replica never needs; the layers of pyproject.toml say so of our own modules.
FOREIGN = {
    *("torch", "transformers", "mlflow", "kfp", "evidently", "optuna", "dvc", "pandas"),
    "scikit-learn",
}
# tokenizers asks for it, to download; a replica has its tokenizer on disk.
LEFT_OUT = {"huggingface-hub"}
# Imported by the command line around `serve`; by SQLAlchemy for a feedback store's URL.
BESIDE = {"typer", "rich", "psycopg2-binary"}
# Several distributions share these packages; our code names these.
SHARED = {
    "google": {"protobuf"},
    "opentelemetry": {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"},
}


@dataclass(frozen=True)
class Instruction:
    word: str
    rest: str


def stages(image):
    """The instructions of each stage, `FROM` first; continued lines joined."""
    text = (DOCKER / f"{image}.Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            found.append([])
        found[-1].append(Instruction(word, " ".join(rest.split())))
    return found


def instructions(image):
    return [one for stage in stages(image) for one in stage]


def copied_from_the_project(image):
    """Sources of COPY that are not another stage."""
    for one in instructions(image):
        if one.word == "COPY" and "--from=" not in one.rest:
            yield from [part for part in one.rest.split()[:-1] if not part.startswith("--")]


def context():
    """Files that Docker would send, read as Docker reads .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return set(exclude_paths(str(ROOT), [line for line in lines if line and line[0] != "#"]))


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_built_on_a_pinned_base(image):
    for stage in stages(image):
        assert PINNED.fullmatch(f"FROM {stage[0].rest}")
    assert len(stages(image)) == 2
    assert stages(image)[0][0].rest == f"{stages(image)[1][0].rest} AS build"


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_user_that_kubernetes_can_see_is_not_root(image):
    [user] = [one.rest for one in stages(image)[-1] if one.word == "USER"]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)


@pytest.mark.parametrize("image", IMAGES)
def test_the_last_stage_installs_and_builds_nothing(image):
    done = " ".join(one.rest for one in stages(image)[-1] if one.word == "RUN")
    assert "pip uninstall --yes pip setuptools wheel" in done
    assert not re.search(r"\b(pip3? install|apt-get|apt|gcc|curl|wget|make|git)\b", done)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_no_secret_and_downloads_no_url(image):
    assert [one for one in instructions(image) if one.word == "ADD"] == []
    declared = [one.rest for one in instructions(image) if one.word in ("ARG", "ENV")]
    assert declared
    for rest in declared:
        assert not re.search(r"(?i)password|passwd|secret|token|credential|api_?key", rest)


@pytest.mark.parametrize("image", IMAGES)
def test_everything_that_is_copied_is_sent_to_the_builder(image):
    sent = context()
    for source in copied_from_the_project(image):
        assert (ROOT / source).exists(), source
        assert source in sent or any(file.startswith(f"{source}/") for file in sent), source


def test_nothing_else_is_sent_to_the_builder(tmp_path):
    allowed = {source for image in IMAGES for source in copied_from_the_project(image)}
    beyond = {
        file
        for file in context() - {".dockerignore"}
        if (ROOT / file).is_file()
        and not any(file == source or file.startswith(f"{source}/") for source in allowed)
    }
    assert beyond == set()
    assert [file for file in context() if "__pycache__" in file] == []


def test_the_runner_has_every_extra_it_asks_for():
    [asked] = [
        set(found[1].split(","))
        for one in instructions("runner")
        if (found := re.search(r"install '\.\[(.*)\]'", one.rest))
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert asked <= set(project["optional-dependencies"])
    assert {"kubeflow", "postgres", "s3"} <= asked


def test_every_version_is_that_of_the_constraints():
    constraints = pins(ROOT / "constraints.txt")
    normal = {canonicalize_name(name): version for name, version in constraints.items()}
    assert {name: normal.get(name) for name in pins(SERVING)} == pins(SERVING)
    runner = " ".join(one.rest for one in instructions("runner"))
    assert re.findall(r" torch==(\S+)", runner) == [constraints["torch"]]


def test_the_list_of_the_serving_image_is_what_a_replica_imports_and_that_needs():
    found = needed(imported_distributions() | BESIDE)
    assert set(pins(SERVING)) == found, (
        "mend it: take names of infra/docker/serving.txt away or add them, "
        "with the version of constraints.txt"
    )
    assert found & FOREIGN == set()


def imported_distributions():
    """Distributions that `openautoglm serve` imports, found in the code."""
    graph = grimp.build_graph(
        "openautoglm",
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )
    modules = {"openautoglm.cli.serve", *graph.find_upstream_modules("openautoglm.cli.serve")}
    outside = {name for name in modules if name.split(".")[0] != "openautoglm"}
    owners = importlib.metadata.packages_distributions()
    found = [SHARED.get(name) or owners[name] for name in outside - sys.stdlib_module_names]
    return {canonicalize_name(name) for names in found for name in names}


def needed(roots):
    """The distributions and all they need here, but for what is left out."""
    found, open_ = set(), set(roots)
    while open_:
        name = open_.pop()
        if name in found or name in LEFT_OUT:
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                open_.add(canonicalize_name(one.name))
    return found


BEGIN = "from pathlib import Path; from tests.support.only import only; only(Path({!r}));"


def test_a_replica_answers_with_nothing_but_that_list_installed(text_folder, tmp_path):
    code = f"{BEGIN.format(str(SERVING))} from openautoglm.cli.main import main; main()"
    options = ["--model", str(text_folder), "--digest", digest_of(text_folder)]
    ports = ["--port", "0", "--grpc-port", "0"]
    command = [sys.executable, "-c", code, "serve", "--name", "clc", *options, *ports]
    with started(command, tmp_path / "log", OMP_NUM_THREADS="1") as replica:
        with client(replica) as http:
            answer = http.post("/v1/predict", json={"text": "中国近代经济史"})
        assert answer.status_code == 200
        assert answer.json()["label"].startswith("L")
        reply, _ = infer(replica.grpc_target, infer_request("中国近代经济史"))
        assert reply.outputs
        assert replica.stop() == 0


@pytest.mark.parametrize("module", ["torch", "mlflow", "huggingface_hub", "google.auth"])
def test_nothing_else_can_be_imported_beside_that_list(module):
    code = f"{BEGIN.format(str(SERVING))} import google.protobuf; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert f"ModuleNotFoundError: {module} is not in the list" in done.stderr
