"""What a task on a cluster cannot reach is refused before a cluster is asked."""

import pytest

from openautoglm.config.params import Params
from openautoglm.config.pipelines import PipelineSettings
from openautoglm.config.project import Project
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.reach import refuse_lost_stores, refuse_what_pods_lack

PACKAGE = {"kind": "package", "package": "one", "file": "one.csv"}
DVC = {"kind": "dvc", "path": "data/rows.csv", "repo": "https://host/repo"}
TASKS = {"register": "pipelines/chain.py:91", "tune-part": "pipelines/chain.py:131"}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "here").mkdir()
    return Project(tmp_path)


def ask(project, data=PACKAGE, **model):
    test = data.pop("test") if "test" in (data := dict(data)) else None
    given = {"data": {"source": data, "test": test}, "model": {"name": "small", **model}}
    refuse_what_pods_lack(Params.model_validate(given, strict=False), project)


@pytest.mark.parametrize(
    "source",
    [
        PACKAGE,
        DVC,
        DVC | {"repo": "git@host:owner/repo"},
        {"kind": "huggingface", "path": "owner/rows"},
    ],
)
def test_what_lies_elsewhere_can_be_reached(project, source):
    ask(project, source)


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"kind": "file", "path": "rows.csv"}, "data.source.path"),
        (DVC | {"repo": "."}, "data.source.repo"),
        (DVC | {"repo": "here"}, "data.source.repo"),
        (DVC | {"repo": "file:///srv/repo"}, "data.source.repo"),
        ({"kind": "huggingface", "path": "here"}, "data.source.path"),
        (PACKAGE | {"test": "test.csv"}, "data.test"),
    ],
)
def test_data_on_this_machine_is_refused_with_its_key(project, source, key):
    with pytest.raises(ConfigError) as refused:
        ask(project, source)
    assert f"params.yaml, key {key}" in str(refused.value)


def test_a_base_model_on_this_machine_is_refused(project):
    with pytest.raises(ConfigError) as refused:
        ask(project, base="here")
    assert "key model.base" in str(refused.value)


def test_a_base_model_on_the_hub_can_be_reached(project):
    ask(project, base="owner/model", revision="0" * 40)


def settings(*variables, **more):
    secrets = [{"name": "stores", "variables": {f"key-{v.lower()}": v for v in variables}}]
    given = {"secrets": secrets if variables else []} | more
    return PipelineSettings.model_validate(given, strict=False)


def test_tasks_that_are_told_of_both_stores_may_run(project):
    told = settings("MLFLOW_TRACKING_URI", "OPENAUTOGLM_STUDY")
    refuse_lost_stores(TASKS, told, project)


def test_a_variable_of_the_environment_is_as_good_as_a_secret(project):
    told = settings("OPENAUTOGLM_STUDY", environment={"MLFLOW_TRACKING_URI": "http://mlflow"})
    refuse_lost_stores(TASKS, told, project)


@pytest.mark.parametrize(
    ("told", "task", "missing"),
    [
        ("OPENAUTOGLM_STUDY", "register", "MLFLOW_TRACKING_URI"),
        ("MLFLOW_TRACKING_URI", "tune-part", "OPENAUTOGLM_STUDY"),
    ],
)
def test_a_task_whose_store_would_end_with_its_pod_is_refused(project, told, task, missing):
    with pytest.raises(ConfigError) as refused:
        refuse_lost_stores(TASKS, settings(told), project)
    said = str(refused.value)
    assert f"task `{task}` ({TASKS[task]}) is not told {missing}" in said
    assert "pipelines/settings.yaml, keys secrets and environment" in said


def test_a_pipeline_without_stores_needs_none(project):
    refuse_lost_stores({"prepare": "pipelines/mine.py:3"}, settings(), project)
