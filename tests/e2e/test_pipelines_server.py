"""`pipeline submit` and `schedule` by the command line, against a strict server."""

import hashlib

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec
from ruamel.yaml import YAML

from openautoglm.kubeflow.patience import Turn
from tests.support.command import command
from tests.support.kubeflow_server import kubeflow_server
from tests.support.ports import HOST, free_port
from tests.support.project import Small

pytestmark = pytest.mark.xdist_group("pipelines-compiled")
IMAGE = f"registry.invalid/team/runner@sha256:{'a' * 64}"
CHANGES = ("POST", "DELETE", "PATCH", "PUT")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Small(tmp_path_factory.mktemp("server") / "project", count=10)
    source = {"kind": "dvc", "repo": "https://git.invalid/data.git", "path": "a.csv", "rev": "v1"}
    made.change(data={"source": source})
    made.add_pipelines(image=IMAGE)
    return made


@pytest.fixture
def kubeflow():
    with kubeflow_server() as server:
        yield server


@pytest.fixture
def schedules(project):
    """Declare schedules; afterwards those of before are declared again."""
    file = project.root / "pipelines" / "schedules.yaml"
    before = file.read_text(encoding="utf-8")

    def declare(**ones):
        with file.open("w", encoding="utf-8") as stream:
            YAML().dump({"timezone": "UTC", "schedules": ones}, stream)

    yield declare
    file.write_text(before, encoding="utf-8")


def called(project, *arguments, code=0):
    return command(project.root, "pipeline", *arguments, code=code)


def submitted(project, kubeflow, state, *arguments, code=0, error="", **tasks):
    """`submit --wait`, with a run that has come to this when it is first looked at."""

    def end():
        (run,) = kubeflow.rows("runs")
        kubeflow.set_run(run["run_id"], state, error, **tasks)

    kubeflow.after["POST /apis/v2beta1/runs"] = end
    order = ("submit", "training", "--wait", "--host", kubeflow.url, *arguments)
    return called(project, *order, code=code)


def unchanged(kubeflow):
    """Whether nothing was asked of it but to tell."""
    return not [one for one in kubeflow.asked if one.startswith(CHANGES)]


def test_a_run_that_succeeds_is_waited_for(project, kubeflow):
    said = submitted(
        project, kubeflow, "SUCCEEDED", "--argument", "revision=v2", train=("SUCCEEDED", "")
    )
    (run,) = kubeflow.rows("runs")
    assert said.stdout.splitlines()[-2:] == [
        f"{kubeflow.url}/#/runs/details/{run['run_id']}",
        "the run succeeded",
    ]
    assert "[submit] train: succeeded" in said.stderr
    assert run["runtime_config"]["parameters"] == {"revision": "v2"}
    assert run["service_account"] == "openautoglm-pipeline"
    assert kubeflow.rows("pipelines")[0]["name"] == "small-training"


def test_a_run_that_fails_is_exit_code_1_and_names_the_task_and_its_words(project, kubeflow):
    said = submitted(
        project,
        kubeflow,
        "FAILED",
        code=1,
        prepare=("SUCCEEDED", ""),
        train=("FAILED", "out of memory"),
    )
    assert "the run ended failed: task train failed: out of memory" in said.stderr
    assert "/#/runs/details/" in said.stderr
    assert "Traceback" not in said.stderr
    assert "the run succeeded" not in said.stdout


def test_what_was_compiled_is_what_the_server_has(project, kubeflow):
    called(project, "compile", "training", "-o", "training.yaml")
    submitted(project, kubeflow, "SUCCEEDED")
    (version,) = kubeflow.rows("versions")
    text = (project.root / "training.yaml").read_text(encoding="utf-8")
    assert version["name"] == f"sha256-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    pipeline = next(YAML(typ="safe").load_all(text))
    assert version["spec"] == json_format.ParseDict(pipeline, PipelineSpec())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--argument", "revison=v2"), "did you mean `revision`?"),
        (("--set", "train.lr=fast"), "train.lr"),
        (("--image", "runner:latest"), "pinned by digest"),
    ],
)
def test_what_does_not_fit_is_refused_before_anybody_is_asked(project, kubeflow, arguments, told):
    said = submitted(project, kubeflow, "SUCCEEDED", *arguments, code=2)
    assert told in said.stderr
    assert kubeflow.asked == []


@pytest.mark.parametrize("order", [("submit", "canary"), ("schedule",)])
def test_a_host_that_is_down_is_told_with_its_address(project, monkeypatch, order):
    monkeypatch.setattr(Turn, "rest", lambda *_: False)  # half a minute of patience
    host = f"http://{HOST}:{free_port()}"
    said = called(project, *order, "--host", host, code=2)
    assert host in said.stderr
    assert "Traceback" not in said.stderr


def test_no_host_at_all_is_told_with_what_to_type(project, monkeypatch):
    monkeypatch.delenv("OPENAUTOGLM_KUBEFLOW_HOST", raising=False)
    assert "--host" in called(project, "submit", "training", code=2).stderr


@pytest.mark.parametrize("order", [("submit", "canary"), ("schedule",)])
def test_a_refused_token_makes_nothing_and_stands_in_no_message(
    project, kubeflow, tmp_path, schedules, order
):
    schedules(nightly={"pipeline": "canary", "cron": "0 2 * * *"})
    kubeflow.tokens = {"right": ()}
    file = tmp_path / "token"
    file.write_text("very-secret")
    said = called(project, *order, "--host", kubeflow.url, "--token-file", str(file), code=2)
    assert "401" in said.stderr or "token" in said.stderr
    assert "very-secret" not in said.stderr + said.stdout
    assert not any(kubeflow.state.rows.values())


def test_schedules_are_made_as_declared_and_the_second_time_nothing_is(
    project, kubeflow, schedules
):
    schedules(
        nightly={"pipeline": "canary", "cron": "0 2 * * *"},
        weekly={"pipeline": "canary", "cron": "0 3 * * sun", "arguments": {"version": "champion"}},
    )
    order = ("schedule", "--host", kubeflow.url)
    planned = called(project, *order, "--plan").stdout
    assert "create   nightly" in planned
    assert unchanged(kubeflow)
    assert called(project, *order).stdout.splitlines() == ["created  nightly", "created  weekly"]
    rows = {row["display_name"]: row for row in kubeflow.rows("recurring_runs")}
    assert [(row["max_concurrency"], row["no_catchup"]) for row in rows.values()] == [
        ("1", True)
    ] * 2
    kubeflow.asked.clear()
    assert called(project, *order).stdout == "nothing to change: 2 schedules\n"
    assert unchanged(kubeflow)


def test_a_changed_pipeline_is_a_new_version_and_its_schedule_follows(project, kubeflow, schedules):
    schedules(nightly={"pipeline": "canary", "cron": "0 2 * * *"})
    order = ("schedule", "--host", kubeflow.url)
    called(project, *order)
    called(project, *order, "--image", IMAGE.replace("a" * 64, "b" * 64))
    first, second = kubeflow.rows("versions")
    (recurring,) = kubeflow.rows("recurring_runs")
    now = recurring["pipeline_version_reference"]["pipeline_version_id"]
    assert now == second["pipeline_version_id"] != first["pipeline_version_id"]


def test_a_cron_of_six_fields_makes_nothing_not_even_the_good_ones(project, kubeflow, schedules):
    schedules(
        good={"pipeline": "canary", "cron": "0 2 * * *"},
        bad={"pipeline": "canary", "cron": "0 0 2 * * *"},
    )
    said = called(project, "schedule", "--host", kubeflow.url, code=2)
    assert "schedules.yaml" in said.stderr
    assert "schedules.bad.cron" in said.stderr
    assert kubeflow.asked == []


def test_two_schedules_of_one_name_make_nothing(project, kubeflow, schedules):
    schedules()
    file = project.root / "pipelines" / "schedules.yaml"
    one = "  nightly: {pipeline: canary, cron: '0 2 * * *'}\n"
    file.write_text(f"schedules:\n{one}{one}", encoding="utf-8")
    said = called(project, "schedule", "--host", kubeflow.url, code=2)
    assert "schedules.yaml:3" in said.stderr
    assert "nightly" in said.stderr
    assert kubeflow.asked == []


def test_a_scheduled_pipeline_that_does_not_compile_makes_nothing(project, kubeflow, schedules):
    schedules(
        good={"pipeline": "canary", "cron": "0 2 * * *"},
        worse={"pipeline": "mine", "cron": "0 3 * * *"},
    )
    file = project.root / "pipelines" / "mine.py"
    file.write_text("from kfp import dsl\n\n\n@dsl.pipeline(name='mine')\ndef mine():\n    oh()\n")
    try:
        said = called(project, "schedule", "--host", kubeflow.url, code=2)
    finally:
        file.unlink()
    assert "mine.py:6" in said.stderr
    assert unchanged(kubeflow)
