"""Each step of the catalog has a stage and a component that say what the step says."""

from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from openautoglm.config.project import Project
from openautoglm.kubeflow.building import Building
from openautoglm.kubeflow.compiling import params_of, settings_of
from openautoglm.kubeflow.loading import load_pipeline, names
from openautoglm.steps.catalog import STEPS
from tests.support.components import disagreements

PROJECT = Project(Path(__file__).parents[2])
STAGES = YAML(typ="safe").load(PROJECT.root / "dvc.yaml")["stages"]


@pytest.fixture(scope="module")
def specs():
    given = Building(params_of(PROJECT), settings_of(PROJECT), local=True)
    return [load_pipeline(PROJECT, name, given).pipeline_spec for name in ("training", "canary")]


def test_steps_stages_and_components_agree(specs):
    assert disagreements(STEPS.values(), STAGES, specs) == []


def test_the_chain_in_retrain_agrees_too():
    given = Building(params_of(PROJECT), settings_of(PROJECT), local=True)
    spec = load_pipeline(PROJECT, "retrain", given).pipeline_spec
    assert disagreements(STEPS.values(), STAGES, [spec]) == []


def test_the_project_has_these_pipelines():
    assert names(PROJECT) == ["canary", "retrain", "training"]


def test_a_step_without_stage_and_component_is_found(specs):
    new = replace(STEPS["drift"], name="new")
    assert disagreements([*STEPS.values(), new], STAGES, specs) == [
        "new has no stage",
        "new has no component in a pipeline",
    ]


def test_a_step_without_component_is_found(specs):
    found = disagreements(STEPS.values(), STAGES, specs[:1])
    assert found == ["canary has no component in a pipeline"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inputs": {"prepared": "data/prepared"}}, "takes ['compressed', 'prepared'], the step"),
        ({"out": "reports/other"}, "has no output other"),
        ({"out": "reports/other"}, "writes ['reports/drift'], not reports/other"),
        ({"view": "TrainParams"}, "stage drift has other parameters"),
    ],
)
def test_another_input_output_or_parameter_is_found(specs, change, told):
    steps = [replace(step, **change) if step.name == "drift" else step for step in STEPS.values()]
    assert any(told in one for one in disagreements(steps, STAGES, specs))


def test_another_wiring_is_found(specs):
    changed = type(specs[0])()
    changed.CopyFrom(specs[0])
    chain = next(c.dag for c in changed.components.values() if "train" in c.dag.tasks)
    task = chain.tasks["train"]
    task.inputs.parameters["params"].task_output_parameter.output_parameter_key = "tune"
    task.inputs.artifacts["tuned"].task_output_artifact.output_artifact_key = "prepared"
    assert disagreements(STEPS.values(), STAGES, [changed, specs[1]]) == [
        "component train is given the view `tune`",
        "component train is given prepared as tuned, and not tuned",
    ]


def test_a_component_without_the_view_or_the_output_is_found(specs):
    changed = type(specs[0])()
    changed.CopyFrom(specs[0])
    component = changed.components["comp-evaluate"]
    component.input_definitions.parameters["lr"].parameter_type = 1
    del component.output_definitions.artifacts["evaluation"]
    assert disagreements(STEPS.values(), STAGES, [changed, specs[1]]) == [
        "component evaluate has the parameters ['lr', 'params'], and not its view alone",
        "component evaluate has no output evaluation",
    ]
