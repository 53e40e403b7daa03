"""A project's pipelines, loaded by path; what is wrong with one is told with its line."""

import sys

import pytest

from openautoglm.config.pipelines import PipelineSettings
from openautoglm.config.project import Project
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.building import Building
from openautoglm.kubeflow.loading import load_pipeline, names

GREET = """
from openautoglm.kubeflow.building import component

@component
def greet(who: str) -> str:
    return who
"""
MINE = """
from kfp import dsl

from components.greet import greet
from openautoglm.kubeflow.building import building

@dsl.pipeline
def mine(who: str = building().params):
    greet(who=who)
"""


@pytest.fixture
def project(tmp_path):
    for name, file, text in (("components", "greet", GREET), ("pipelines", "mine", MINE)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / f"{file}.py").write_text(text)
    return Project(tmp_path)


def write(project, text, name="mine"):
    (project.root / "pipelines" / f"{name}.py").write_text(text)


def loaded(project, name="mine", params="{}"):
    return load_pipeline(project, name, Building(params, PipelineSettings()))


def refused(project, name="mine"):
    with pytest.raises(ConfigError) as error:
        loaded(project, name)
    return str(error.value)


def test_a_pipeline_is_compiled_with_what_it_is_given(project):
    inputs = loaded(project, params='{"a": 1}').component_spec.inputs
    assert inputs["who"].default == '{"a": 1}'


def test_what_was_imported_is_forgotten(project):
    before = list(sys.path)
    loaded(project)
    assert not [
        name for name in sys.modules if name.partition(".")[0] in ("components", "pipelines")
    ]
    assert sys.path == before


def test_a_change_of_the_file_is_seen(project):
    loaded(project)
    write(
        project, MINE.replace("who: str = building().params", "whom: str").replace("=who", "=whom")
    )
    assert list(loaded(project).component_spec.inputs) == ["whom"]


def test_files_without_a_pipeline_of_their_own_name_are_none(project):
    write(project, "def other():\n    pass\n", "other")
    write(project, "VALUE = 1\n", "chain")
    assert names(project) == ["mine"]


def test_another_name_is_refused_with_the_nearest(project):
    told = refused(project, "mien")
    assert "there is no pipeline `mien`" in told
    assert "did you mean mine?" in told


@pytest.mark.parametrize("name", ["../mine", "pipelines.mine", "", "__init__"])
def test_a_name_that_is_no_file_of_the_folder_is_refused(project, name):
    assert "there is no pipeline" in refused(project, name)


@pytest.mark.parametrize(
    ("text", "told", "line"),
    [
        (MINE.replace("who=who)", "who=who"), "was never closed", 9),
        (MINE.replace("greet(who=who)", "greet(whom=who)"), "unexpected keyword argument", 9),
        (MINE.replace("components.greet", "components.great"), "No module named", 4),
        (MINE.replace("greet(who=who)", "raise SystemExit(3)"), "SystemExit: 3", 9),
        (MINE.replace("greet(who=who)", "1 / 0"), "ZeroDivisionError", 9),
    ],
)
def test_what_does_not_compile_is_told_with_its_line(project, text, told, line):
    write(project, text)
    said = refused(project)
    assert f"the pipeline does not compile: {told}" in said or told in said
    assert f"{project.root / 'pipelines' / 'mine.py'}:{line}" in said


def test_a_pipeline_may_look_at_its_own_stack(project):
    looks = "import inspect\nassert inspect.stack(3)[0].code_context\n"
    write(project, looks + MINE)
    assert loaded(project).name == "mine"


def test_an_error_in_a_component_is_told_with_the_components_line(project):
    (project.root / "components" / "greet.py").write_text("x = 1\ny = (\n")
    assert f"{project.root / 'components' / 'greet.py'}:2" in refused(project)


def test_a_decorator_of_another_kind_makes_no_pipeline(project):
    write(project, "def pipeline(f):\n    return 3\n\n@pipeline\ndef mine():\n    pass\n")
    told = refused(project)
    assert "`mine` is a int, no @dsl.pipeline" in told
    assert "mine.py" in told


def test_a_pipeline_that_is_imported_by_itself_says_what_to_type(project, monkeypatch):
    monkeypatch.syspath_prepend(str(project.root))
    with pytest.raises(ConfigError) as error:
        __import__("pipelines.mine")
    assert "openautoglm pipeline compile" in str(error.value)
