"""Schedules against a strict server: what is declared is what it has, whatever happens between."""

import json
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import urllib3
from ruamel.yaml import YAML

from openautoglm.cli import pipeline_server
from openautoglm.config.project import Project
from openautoglm.errors import ConfigError
from openautoglm.kubeflow import errors
from openautoglm.kubeflow.client import Server
from openautoglm.kubeflow.scheduling import apply, look, plan
from openautoglm.kubeflow.transport import Transport
from tests.support.kubeflow_orders import compiled, connected, declared
from tests.support.kubeflow_server import kubeflow_server
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
OWNER = "clc"
IMAGE = "example.org/runner@sha256:" + "0" * 64


@pytest.fixture
def kubeflow():
    with kubeflow_server() as server:
        yield server


def applied(kubeflow, *ones):
    """Make a server have what is declared; what was said."""
    said = []
    server = Server(connected(kubeflow.url))
    apply(server, OWNER, {one.name: one for one in ones}, said.append)
    return [(change.kind, change.name) for change in said]


def there(kubeflow):
    """Name and version of each recurring run."""
    versions = {row["pipeline_version_id"]: row["name"] for row in kubeflow.rows("versions")}
    return sorted(
        (row["display_name"], versions[row["pipeline_version_reference"]["pipeline_version_id"]])
        for row in kubeflow.rows("recurring_runs")
    )


def wanted(*ones):
    return sorted((one.name, one.order.version) for one in ones)


def changes_asked(kubeflow):
    """Requests that changed something, or would have."""
    return [one for one in kubeflow.asked if not one.startswith("GET")]


NIGHTLY, NEWER = declared(), declared(text="two")
WEEKLY = declared("weekly", cron="0 2 * * 7", enabled=False, no_catchup=False, max_concurrency=3)


def test_what_is_declared_is_made_as_it_is_declared(kubeflow):
    end = datetime(2030, 1, 1, tzinfo=UTC)
    weekly = declared("weekly", cron="0 2 * * 7", enabled=False, max_concurrency=3, end=end)
    assert applied(kubeflow, weekly) == [("create", "weekly")]
    row = kubeflow.rows("recurring_runs")[0]
    assert row["trigger"] == {
        "cron_schedule": {"cron": "0 0 2 * * 0", "end_time": "2030-01-01T00:00:00+00:00"}
    }
    assert (row["max_concurrency"], row["no_catchup"], row["mode"]) == ("3", True, "DISABLE")
    assert row["runtime_config"]["parameters"] == {"rows": 3}


def test_the_second_time_there_is_nothing_to_do(kubeflow):
    applied(kubeflow, NIGHTLY, WEEKLY)
    kubeflow.asked.clear()
    assert applied(kubeflow, NIGHTLY, WEEKLY) == []
    assert changes_asked(kubeflow) == []


def test_a_changed_pipeline_is_a_new_version_and_its_schedule_follows(kubeflow):
    applied(kubeflow, NIGHTLY)
    assert applied(kubeflow, NEWER) == [("update", "nightly"), ("delete", "nightly")]
    assert there(kubeflow) == wanted(NEWER)
    assert len(kubeflow.rows("versions")) == 2


@pytest.mark.parametrize(
    "given",
    [
        {"cron": "0 4 * * *"},
        {"max_concurrency": 2},
        {"no_catchup": False},
        {"experiment": "other"},
        {"start": datetime(2030, 1, 1, tzinfo=UTC)},
    ],
)
def test_each_change_of_a_declaration_is_made(kubeflow, given):
    applied(kubeflow, NIGHTLY)
    assert applied(kubeflow, declared(**given)) == [("update", "nightly"), ("delete", "nightly")]
    assert len(there(kubeflow)) == 1


def test_whether_it_fires_is_changed_in_place(kubeflow):
    applied(kubeflow, NIGHTLY)
    before = kubeflow.rows("recurring_runs")[0]["recurring_run_id"]
    assert applied(kubeflow, declared(enabled=False)) == [("disable", "nightly")]
    assert applied(kubeflow, NIGHTLY) == [("enable", "nightly")]
    row = kubeflow.rows("recurring_runs")[0]
    assert (row["recurring_run_id"], row["mode"]) == (before, "ENABLE")


def test_what_is_no_longer_declared_is_deleted(kubeflow):
    applied(kubeflow, NIGHTLY, WEEKLY)
    assert applied(kubeflow, WEEKLY) == [("delete", "nightly")]
    assert there(kubeflow) == wanted(WEEKLY)


def test_those_of_others_are_never_touched(kubeflow):
    """Of a person, and of another project with a schedule of the same name."""
    server = Server(connected(kubeflow.url))
    theirs = declared(owner="another")
    apply(server, "another", {"nightly": theirs}, lambda change: None)
    other = kubeflow.rows("recurring_runs")
    by_hand = kubeflow.state.add(
        "recurring_runs", "recurring_run_id", {**other[0], "description": ""}
    )
    kept = {row["recurring_run_id"] for row in [*other, by_hand]}
    assert len(look(server, OWNER).foreign) == 2
    applied(kubeflow, NEWER)
    applied(kubeflow)
    assert {row["recurring_run_id"] for row in kubeflow.rows("recurring_runs")} == kept


def test_a_plan_changes_nothing(kubeflow):
    server = Server(connected(kubeflow.url))
    kinds = [one.kind for one in plan(server, {"nightly": NIGHTLY}, look(server, OWNER))]
    assert kinds == ["create"]
    assert changes_asked(kubeflow) == []


def test_schedules_on_later_pages_are_found(kubeflow):
    kubeflow.page_limit = 2
    many = [declared(f"nightly-{number}") for number in range(5)]
    applied(kubeflow, *many)
    assert applied(kubeflow, *many) == []
    assert there(kubeflow) == wanted(*many)


def test_a_version_that_was_deleted_and_sent_again_is_followed(kubeflow):
    applied(kubeflow, NIGHTLY)
    kubeflow.state.rows["versions"].clear()
    assert applied(kubeflow, NIGHTLY) == [("update", "nightly"), ("delete", "nightly")]
    assert there(kubeflow) == wanted(NIGHTLY)


class _KilledError(BaseException):
    pass


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 8))
def test_killed_at_any_change_the_next_call_converges(kubeflow, monkeypatch, number, after):
    applied(kubeflow, NIGHTLY, WEEKLY)
    whole, left = Transport._once, [number]

    def dying(self, asked, *rest):
        left[0] -= asked.method != "GET"
        dies = asked.method != "GET" and left[0] == 0
        if dies and not after:
            raise _KilledError
        answer = whole(self, asked, *rest)
        if dies:
            raise _KilledError
        return answer

    ones = (NEWER, declared("weekly", enabled=True), declared("new", text="three"))
    with monkeypatch.context() as patch:
        patch.setattr(Transport, "_once", dying)
        killed = False
        try:
            applied(kubeflow, *ones)
        except _KilledError:
            killed = True
    assert killed
    assert "nightly" in {name for name, _ in there(kubeflow)}
    applied(kubeflow, *ones)
    assert there(kubeflow) == wanted(*ones)
    assert applied(kubeflow, *ones) == []


@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize("match", ["POST", "DELETE", "GET"])
def test_a_server_that_loses_answers_gets_there(kubeflow, match, acts):
    applied(kubeflow, NIGHTLY, WEEKLY)
    for _ in range(3):
        kubeflow.fault(match, acts=acts)
    applied(kubeflow, NEWER, declared("new"))
    assert there(kubeflow) == wanted(NEWER, declared("new"))


POINTS = [
    "POST /apis/v2beta1/recurringruns",
    "GET /apis/v2beta1/recurringruns",
    "POST /apis/v2beta1/experiments",
    "POST /apis/v2beta1/pipelines/upload_version",
]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_two_callers_make_one(kubeflow, when, point):
    """The second comes, and is done, in the middle of the first."""
    getattr(kubeflow, when)[point] = lambda: applied(kubeflow, NIGHTLY)
    applied(kubeflow, NIGHTLY)
    assert there(kubeflow) == wanted(NIGHTLY)


@pytest.mark.parametrize("point", POINTS[:2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_two_callers_that_declare_something_else_leave_one(kubeflow, when, point):
    applied(kubeflow, NIGHTLY)
    newest = declared(text="three")
    getattr(kubeflow, when)[point] = lambda: applied(kubeflow, NEWER)
    applied(kubeflow, newest)
    assert there(kubeflow) == wanted(newest)


def test_several_callers_at_once_leave_one_of_each(kubeflow):
    ready, failed = threading.Barrier(4), []

    def call():
        ready.wait(60)
        try:
            applied(kubeflow, NIGHTLY, WEEKLY)
        except errors.ServerError as error:
            failed.append(error)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failed
    assert there(kubeflow) == wanted(NIGHTLY, WEEKLY)


def test_a_server_that_changes_descriptions_gets_no_second_one(kubeflow):
    point = "POST /apis/v2beta1/recurringruns"
    kubeflow.after[point] = lambda: kubeflow.rows("recurring_runs")[0].update(description="")
    with pytest.raises(errors.OtherServerError, match="descriptions"):
        applied(kubeflow, NIGHTLY)
    assert len(kubeflow.rows("recurring_runs")) == 1


PIPELINE = """\
from kfp import dsl
from openautoglm.kubeflow.building import building, component, place


@component
def tell(text: str, rows: int):
    print(text, rows)


@dsl.pipeline(name="hello")
def hello(rows: int, params: str = building().params):
    place(tell(text=params, rows=rows), "tell")
"""
SCHEDULES = 'schedules:\n  nightly: {pipeline: hello, cron: "0 3 * * *", arguments: {rows: 3}}\n'


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "pipelines").mkdir(parents=True)
    (root / "components").mkdir()
    shutil.copy(ROOT / "params.yaml", root)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "pipelines" / "__init__.py").write_text("")
    (root / "pipelines" / "settings.yaml").write_text(f"image: {IMAGE}\n")
    (root / "pipelines" / "hello.py").write_text(PIPELINE)
    (root / "pipelines" / "schedules.yaml").write_text(SCHEDULES)
    return Project(root)


def write(project, name, text):
    (project.root / "pipelines" / name).write_text(text, encoding="utf-8")


def test_a_project_is_scheduled_planned_listed_and_deleted(kubeflow, project, capsys):
    server = connected(kubeflow.url)
    pipeline_server.schedule(project, connection=server, plan_only=True)
    planned = capsys.readouterr().out
    assert "create   nightly  hello at '0 3 * * *', next 20" in planned
    assert planned.rstrip().endswith("UTC")
    assert changes_asked(kubeflow) == []

    pipeline_server.schedule(project, connection=server)
    assert capsys.readouterr().out == "created  nightly\n"
    assert kubeflow.rows("experiments")[0]["display_name"] == "openautoglm"
    pipeline_server.schedule(project, connection=server)
    assert capsys.readouterr().out == "nothing to change: 1 schedule\n"

    pipeline_server.list_schedules(project, connection=server)
    assert "enabled   nightly" in capsys.readouterr().out
    pipeline_server.delete_schedule(project, "nightly", connection=server)
    shown = capsys.readouterr()
    assert shown.out == "deleted  nightly (as asked)\n"
    assert "still declared" in shown.err
    assert there(kubeflow) == []
    with pytest.raises(ConfigError, match="no schedule `nightly`"):
        pipeline_server.delete_schedule(project, "nightly", connection=server)


def test_another_value_in_a_schedule_is_another_version(kubeflow, project):
    pipeline_server.schedule(project, connection=connected(kubeflow.url))
    write(
        project, "schedules.yaml", SCHEDULES.replace("rows: 3}", "rows: 3}, set: {train.lr: 0.5}")
    )
    pipeline_server.schedule(project, connection=connected(kubeflow.url))
    texts = [
        row["spec"].root.input_definitions.parameters["params"].default_value.string_value
        for row in kubeflow.rows("versions")
    ]
    assert [YAML().load(text)["train"]["lr"] for text in texts] == [0.001, 0.5]
    assert len(there(kubeflow)) == 1


def test_a_run_of_a_project_is_begun_and_followed(kubeflow, project, capsys):
    def end():
        kubeflow.set_run(kubeflow.rows("runs")[0]["run_id"], "SUCCEEDED", tell=("SUCCEEDED", ""))

    kubeflow.after["POST /apis/v2beta1/runs"] = end
    pipeline_server.submit(
        project,
        "hello",
        connection=connected(kubeflow.url),
        sets=["train.lr=3e-4"],
        arguments=["rows=5"],
        wait=True,
    )
    shown = capsys.readouterr()
    assert "of clc-hello: uploaded" in shown.out
    assert f"{kubeflow.url}/#/runs/details/runs-" in shown.out
    assert "[submit] tell: succeeded" in shown.err
    assert kubeflow.rows("runs")[0]["runtime_config"]["parameters"] == {"rows": 5}


WRONG = {
    "two of one name": (
        "schedules.yaml",
        SCHEDULES + '  nightly: {pipeline: hello, cron: "0 4 * * *"}\n',
        ["2 schedules are called `nightly`", "schedules.yaml:3", "line 2"],
    ),
    "unknown pipeline": (
        "schedules.yaml",
        SCHEDULES.replace("hello", "helo"),
        [
            "there is no pipeline `helo`",
            "schedules.yaml:2, key schedules.nightly.pipeline",
            "hello?",
        ],
    ),
    "six fields": (
        "schedules.yaml",
        SCHEDULES.replace("0 3", "0 0 3"),
        ["six fields", "schedules.yaml:2, key schedules.nightly.cron", "leave the seconds out"],
    ),
    "unknown argument": (
        "schedules.yaml",
        SCHEDULES.replace("rows: 3", "row: 3"),
        ["takes no argument `row`", "schedules.yaml:2", "did you mean `rows`?"],
    ),
    "argument of another type": (
        "schedules.yaml",
        SCHEDULES.replace("rows: 3", "rows: many"),
        ['found "many"', "key schedules.nightly.arguments.rows", "a whole number"],
    ),
    "missing argument": (
        "schedules.yaml",
        SCHEDULES.replace(", arguments: {rows: 3}", ""),
        ["needs the argument `rows`", "schedules.yaml:2"],
    ),
    "unknown key of params.yaml": (
        "schedules.yaml",
        SCHEDULES.replace("rows: 3}", "rows: 3}, set: {train.rl: 1}"),
        ["unknown key `rl`", "schedules.yaml:2, key schedules.nightly.set", "did you mean `lr`?"],
    ),
    "pipeline that does not compile": (
        "hello.py",
        PIPELINE.replace("rows=rows", "row=rows"),
        ["does not compile", "hello.py:12", "schedules.yaml:2, key schedules.nightly.pipeline"],
    ),
    "no image": ("settings.yaml", "image: null\n", ["no image", "--image"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_before_the_server_is_asked(kubeflow, project, case):
    name, text, said = WRONG[case]
    write(project, name, text)
    with pytest.raises(ConfigError) as error:
        pipeline_server.schedule(project, connection=connected(kubeflow.url))
    assert [part for part in said if part not in str(error.value)] == []
    assert error.value.exit_code == 2
    assert kubeflow.asked == []


@pytest.mark.parametrize("argument", ["rows", "rows=", "rows={", "row=1", "rows=true", "params"])
def test_an_argument_that_does_not_fit_begins_nothing(kubeflow, project, argument):
    with pytest.raises(ConfigError) as error:
        pipeline_server.submit(
            project, "hello", connection=connected(kubeflow.url), arguments=[argument]
        )
    assert "--argument" in error.value.where
    assert kubeflow.asked == []


def test_a_text_stays_as_it_was_typed(kubeflow, project):
    pipeline_server.submit(
        project, "hello", connection=connected(kubeflow.url), arguments=["rows=1", "params=012"]
    )
    assert kubeflow.rows("runs")[0]["runtime_config"]["parameters"] == {"rows": 1, "params": "012"}


def test_a_host_that_is_down_and_a_token_that_is_refused_leave_nothing(kubeflow, project):
    kubeflow.tokens = {"right": ()}
    for url, kind in (
        (f"http://127.0.0.1:{free_port()}", errors.UnreachableError),
        (kubeflow.url, errors.UnauthorisedError),
    ):
        for call in (
            lambda at: pipeline_server.schedule(project, connection=at),
            lambda at: pipeline_server.submit(
                project, "hello", connection=at, arguments=["rows=1"]
            ),
        ):
            with pytest.raises(kind):
                call(connected(url, bearer="wrong"))
    assert changes_asked(kubeflow) == []


GOOD_RUN = {
    "display_name": "nightly",
    "experiment_id": "experiments-1",
    "pipeline_version_reference": {
        "pipeline_id": "pipelines-2",
        "pipeline_version_id": "versions-3",
    },
    "runtime_config": {"parameters": {"rows": 3}},
    "max_concurrency": "1",
    "mode": "ENABLE",
    "trigger": {"cron_schedule": {"cron": "0 0 3 * * *"}},
}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"name": "nightly"}, 400),
        ({"display_name": ""}, 400),
        ({"max_concurrency": 1}, 400),
        ({"max_concurrency": "11"}, 400),
        ({"mode": "ON"}, 400),
        ({"no_catchup": "yes"}, 400),
        ({"trigger": {"cron_schedule": {"cron": "0 0 3 * * 7"}}}, 400),
        ({"trigger": {"cron_schedule": {"cron": "0 0 3 * * *", "start_time": "today"}}}, 400),
        ({"experiment_id": "experiments-9"}, 404),
        ({"runtime_config": {"parameters": {"rows": "three"}}}, 400),
        ({"runtime_config": {"parameters": {"rows": 3, "more": 1}}}, 400),
        ({"runtime_config": {}}, 400),
        ({"recurring_run_id": "mine"}, 400),
    ],
)
def test_the_server_of_these_tests_is_strict(kubeflow, change, status):
    applied(kubeflow, NIGHTLY)
    answer = urllib3.request(
        "POST",
        f"{kubeflow.url}/apis/v2beta1/recurringruns",
        body=json.dumps(GOOD_RUN | change),
        headers={"content-type": "application/json"},
    )
    assert (answer.status, answer.json().get("code", 0) != 0) == (status, status != 200)


def test_compiling_is_the_same_each_time():
    compiled.cache_clear()
    assert compiled().digest == NIGHTLY.order.compiled.digest
