"""`openautoglm step drift` and `openautoglm drift`, in a small project whose chain has run."""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from types import SimpleNamespace

import pytest
from kfp import dsl, local

from components.decide import decide
from components.record import record
from components.watch import watch
from openautoglm.cli.drift import drift
from openautoglm.config.project import Project
from openautoglm.config.service import Service
from openautoglm.deploy.desired import Desired, write_desired
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import ArtifactError, InputError
from openautoglm.feedback.answers import Answer, Source
from openautoglm.feedback.store import FeedbackStore
from openautoglm.registry.retraining import Retrainings
from openautoglm.registry.store import open_store
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.windows.service import service_source
from tests.support.command import command
from tests.support.pipelines import find_python_by_path
from tests.support.project import FP32, Small, rows, write_csv

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("drift")]
SPLITS = {"train": 0.5, "valid": 0.1, "test": 0.15, "replay": 0.05, "reference": 0.2}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project up to the drift step, whose windows have a hundred rows."""
    small = Small(tmp_path_factory.mktemp("drift") / "project", count=1200)
    small.change(data={"splits": SPLITS}, drift={"rows": 100, "threads": 1}, **FP32)
    names = list(STEPS)
    for name in [*names[: names.index("evaluate")], "drift"]:
        command(small.root, "step", name)
    write_csv(small.root / "same.csv", rows(200, seed=7))
    reviews = [(f"这家餐厅的第{i}道菜非常好吃，服务也很周到！", "铁路") for i in range(150)]
    write_csv(small.root / "reviews.csv", reviews)
    write_csv(small.root / "few.csv", rows(60, seed=8))
    return small


@pytest.fixture
def judge(project, monkeypatch, capsys):
    """The command in this process: the same function, without seconds of start-up."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def call(name, root=project.root, *, text=None, label=None, out=None):
        drift(Project(root), project.root / name, text=text, label=label, out=out, as_json=True)
        return json.loads(capsys.readouterr().out)

    return call


def metrics(project, like):
    with sqlite3.connect(project.root / "mlflow.db") as database:
        found = database.execute("select key from metrics where key like ?", (like,)).fetchall()
    return {key for (key,) in found}


def test_the_step_shows_test_and_a_window_that_is_shifted_on_purpose(project):
    folder = project.root / "reports" / "drift"
    summary = json.loads((folder / "payload" / "drift.json").read_text(encoding="utf-8"))
    assert {name: one["verdict"] for name, one in summary["windows"].items()} == {
        "test": "none",
        "shifted": "drift",
    }
    assert sorted(path.name for path in (folder / "payload").iterdir()) == [
        "drift.json",
        "shifted.json",
        "test.json",
    ]
    beside = {"test.html", "test.json", "shifted.html", "shifted.json", "manifest.json"}
    assert beside <= {path.name for path in folder.iterdir()}


def test_the_step_again_is_the_same_payload(project, tmp_path):
    command(project.root, "step", "drift", "--out", str(tmp_path / "again"))
    digests = [
        json.loads((folder / "manifest.json").read_text())["digest"]
        for folder in (project.root / "reports" / "drift", tmp_path / "again")
    ]
    assert digests[0] == digests[1]


def test_the_steps_effects_are_in_mlflow(project):
    found = metrics(project, "drift.%")
    assert {"drift.test.length", "drift.shifted.class", "drift.test.drifted_columns"} <= found


def test_fewer_rows_than_are_compared_are_too_little_data(project, tmp_path):
    project.change(drift={"rows": 1000})
    said = command(project.root, "step", "drift", "--out", str(tmp_path / "out"))
    project.change(drift={"rows": 100})
    payload = tmp_path / "out" / "payload" / "drift.json"
    summary = json.loads(payload.read_text(encoding="utf-8"))
    assert {one["verdict"] for one in summary["windows"].values()} == {"too little data"}
    assert "more are needed" in said.stderr


def test_a_window_like_the_reference_does_not_drift(project):
    done = project.run("openautoglm", "drift", "--current", "same.csv")
    assert "none: no column drifts" in done.stdout
    assert "200 found, 200 can be used" in done.stdout
    assert (project.root / "reports/drift-windows/same/report.html").is_file()
    assert "drift.window.length" in metrics(project, "drift.window.%")


def test_another_domain_drifts_and_the_columns_are_named(project, judge):
    found = judge("reviews.csv")
    assert found["verdict"] == "drift"
    drifted = [c["column"] for c in found["columns"] if c["verdict"] == "drift"]
    assert {"length", "class", "unseen_characters"} <= set(drifted)
    assert drifted[0] in found["reason"]
    folder = project.root / "reports" / "drift-windows" / "reviews"
    assert json.loads((folder / "window.json").read_text(encoding="utf-8")) == found


def test_a_short_window_says_how_many_rows_are_missing(judge):
    found = judge("few.csv")
    assert found["verdict"] == "too little data"
    assert "the window has 60 rows, 40 more are needed" in found["reason"]


def test_a_window_without_labels_has_its_other_columns_compared(project, judge):
    lines = [json.dumps({"query": text}) for text, _ in rows(150, seed=9)]
    (project.root / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = judge("queries.jsonl", text="query")
    assert found["verdict"] == "none"
    assert "class" not in [c["column"] for c in found["columns"]]
    assert "class shares were not compared" in found["notes"][0]


def test_rows_of_train_are_told(judge):
    found = judge("data/source/rows.csv")
    assert any("of these rows are in train" in note for note in found["notes"])


def test_a_report_replaces_a_report_and_nothing_else(judge, tmp_path):
    report, mine = tmp_path / "report", tmp_path / "mine"
    assert judge("few.csv", out=report) == judge("few.csv", out=report)
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="would be replaced"):
        judge("few.csv", out=mine)
    assert (mine / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "columns", "told"),
    [
        ("none.csv", {}, "there is no such file"),
        ("same.csv", {"text": "body"}, "no column `body`"),
        ("same.csv", {"label": "truth"}, "no column `truth`"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(judge, tmp_path, name, columns, told):
    with pytest.raises(InputError, match=told):
        judge(name, out=tmp_path / "out", **columns)
    assert not list(tmp_path.iterdir())


def test_a_chain_that_has_not_run_is_told(project, judge, tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(project.root / name, tmp_path)
    with pytest.raises(ArtifactError, match="dvc repro"):
        judge("same.csv", tmp_path)


def test_a_model_of_other_rows_is_refused(project, judge, tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(project.root / name, tmp_path)
    for name in ("data/prepared", "models/compressed"):
        shutil.copytree(project.root / name, tmp_path / name)
    manifest = tmp_path / "models/compressed/manifest.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    values["inputs"]["prepared"] = "sha256-" + "0" * 64
    manifest.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ArtifactError, match="made from other rows"):
        judge("same.csv", tmp_path)


def test_bad_input_is_exit_code_2(project):
    done = project.run("openautoglm", "drift", "--current", "none.csv", code=2)
    assert "there is no such file" in done.stderr


def kept(project, given, labelled=0, **feedback):
    """A service that was asked these rows, and told the labels of the first of them."""
    folder = ServiceFolder(Project(project.root), "small")
    folder.root.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder.root)
    folder.root.mkdir()
    service = Service.model_validate({"model": "models/compressed", "feedback": feedback})
    write_desired(folder.desired, Desired(generation=1, name="small", service=service))
    classes = tuple(sorted({label for _, label in given}))
    source = Source("small", "1", f"sha256-{'0' * 64}", "glm", "fp32", classes)
    with closing(FeedbackStore(f"sqlite:///{folder.feedback}")) as store:
        answers = [
            Answer(f"{place}", time.time(), [label], [0.9], [text])
            for place, (text, label) in enumerate(given)
        ]
        store.record(source, answers)
        for place, (_, label) in enumerate(given[:labelled]):
            store.label("small", f"{place}", [label])


def test_what_a_service_was_asked_is_a_window_with_the_labels_that_came(project):
    kept(project, rows(200, seed=7), labelled=150)
    done = command(project.root, "drift", "--service", "small")
    assert "none: no column drifts" in done.stdout
    assert "200 found, 200 can be used" in done.stdout
    found = json.loads(
        (project.root / "reports/drift-windows/service-small/window.json").read_text("utf-8")
    )
    assert found["file"] == "service small"
    assert any(column["column"] == "class" for column in found["columns"])


def test_without_labels_a_service_is_judged_by_its_inputs(project):
    kept(project, [(f"这家餐厅的第{i}道菜非常好吃，服务也很周到！", "铁路") for i in range(150)])
    done = command(project.root, "drift", "--service", "small")
    assert "drift" in done.stdout
    assert "class shares were not compared: no row has a label" in done.stdout


@pytest.mark.parametrize(
    ("given", "feedback", "said"),
    [
        ([], {}, "no request to small was kept yet"),
        ([("车", "铁路")], {"requests": {"texts": False}}, "feedback.requests.texts: true"),
        ([("车", "铁路")], {"requests": {"sample": 0.0}}, "feedback.requests.sample: 0.1"),
        ([("车", "铁路")], {"enabled": False}, "feedback.enabled: true"),
    ],
)
def test_a_service_that_keeps_no_requests_says_what_to_set(project, given, feedback, said):
    kept(project, given, **feedback)
    with pytest.raises(InputError) as error:
        service_source(ServiceFolder(Project(project.root), "small"))
    assert said in str(error.value)


@pytest.mark.parametrize(
    "given",
    [(), ("--current", "same.csv", "--service", "small"), ("--service", "s", "--text", "a")],
)
def test_a_window_is_a_file_or_a_service(project, given):
    assert "--" in command(project.root, "drift", *given, code=2).stderr


@pytest.fixture
def looking(project, tmp_path, monkeypatch):
    """The component, called here with artifacts of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(project.root))

    def artifact(path):
        return SimpleNamespace(path=str(path), metadata={})

    def call(window="", service=""):
        outputs = {name: artifact(tmp_path / name) for name in ("watched", "columns", "report")}
        told = watch.python_func(
            prepared=artifact(project.root / "data/prepared"),
            compressed=artifact(project.root / "models/compressed"),
            params=(project.root / "params.yaml").read_text(encoding="utf-8"),
            window=window,
            service=service,
            **outputs,
        )
        return told, SimpleNamespace(**outputs)

    return call


def test_the_component_judges_as_the_command_does(looking, judge, tmp_path):
    told, outputs = looking("reviews.csv")
    found = json.loads((tmp_path / "watched" / "window.json").read_text(encoding="utf-8"))
    assert found == judge("reviews.csv")
    assert told == ("drift", found["reason"])
    assert outputs.watched.metadata["digest"] == found["digest"]
    assert outputs.columns.metadata["length"] > 0.1
    assert "Windows beside the reference split" in (tmp_path / "report").read_text(encoding="utf-8")


def test_a_service_that_nobody_has_asked_yet_is_too_little_data(project, looking):
    kept(project, [])
    assert looking(service="small")[0].verdict == "too little data"


def test_a_service_is_found_in_the_store_that_the_environment_names(project, looking, monkeypatch):
    kept(project, rows(200, seed=7))
    folder = ServiceFolder(Project(project.root), "small")
    folder.desired.unlink()  # it runs elsewhere
    monkeypatch.setenv("OPENAUTOGLM_FEEDBACK", f"sqlite:///{folder.feedback}")
    assert looking(service="small")[0].verdict == "none"


def test_a_store_that_is_none_is_told_without_its_password(looking, monkeypatch, capsys):
    monkeypatch.setenv("OPENAUTOGLM_FEEDBACK", "mongo://me:secret@host/db")
    with pytest.raises(SystemExit) as end:
        looking(service="small")
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert "environment variable OPENAUTOGLM_FEEDBACK" in said
    assert "secret" not in said


@pytest.mark.parametrize("given", [{}, {"window": "same.csv", "service": "small"}])
def test_the_component_wants_one_window(looking, capsys, given):
    with pytest.raises(SystemExit) as end:
        looking(**given)
    assert end.value.code == 2
    assert "arguments `window` and `service`" in capsys.readouterr().err


@dsl.component(base_image="none", install_kfp_package=False)
def fail():
    raise SystemExit(1)


@dsl.pipeline(name="looked")
def looked(prepared: str, compressed: str, params: str, settings: str, window: str):
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    noted = record(pipeline="looked", run=run, params=params)
    with dsl.ExitHandler(noted):
        rows = dsl.importer(artifact_uri=prepared, artifact_class=dsl.Dataset)
        model = dsl.importer(artifact_uri=compressed, artifact_class=dsl.Model)
        found = watch(prepared=rows.output, compressed=model.output, params=params, window=window)
        watched = found.outputs["watched"]
        made = decide(watched=watched, rows=rows.output, params=params, settings=settings, run=run)
        with dsl.If(made.outputs["Output"] == "yes"):
            fail()


@pytest.mark.filterwarnings(
    "ignore:You may be attemping to run a task that uses custom:RuntimeWarning"
)
def test_a_pipeline_looks_decides_and_records_a_retraining_that_failed(
    project, tmp_path, monkeypatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(project.root))
    find_python_by_path(monkeypatch)
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(tmp_path / "runs"),
        raise_on_error=False,
    )
    looked(
        prepared=str(project.root / "data/prepared"),
        compressed=str(project.root / "models/compressed"),
        params=(project.root / "params.yaml").read_text(encoding="utf-8"),
        settings=json.dumps({"looks": 1}),
        window="reviews.csv",
    )
    store = open_store(Project(project.root))
    (one,) = Retrainings(store, "small").all()
    assert (one.state, one.outcome) == ("ended", "failed")
    (run,) = store.client.search_runs([store.experiment], "tags.pipeline = 'looked'")
    assert run.data.tags["pipeline.run"] == one.run
    assert run.info.status == "FAILED"
