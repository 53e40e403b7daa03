"""Each step of the catalog has a function, a command and a DVC stage that agree."""

import inspect
import typing
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from openautoglm.cli.main import app
from openautoglm.config.params import Params, dvc_keys
from openautoglm.config.yaml import load
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.runtime import Runtime
from openautoglm.steps.stages import dvc_yaml

ROOT = Path(__file__).parents[2]
each_step = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())


@each_step
def test_the_function_takes_the_inputs_of_the_catalog(step):
    signature = inspect.signature(step.function)
    assert set(signature.parameters) == {*step.inputs, "params", "runtime", "out"}
    hints = typing.get_type_hints(inspect.unwrap(step.function))
    assert hints["params"] is step.params
    assert hints["runtime"] is Runtime
    assert all(hints[name] is Path for name in (*step.inputs, "out"))


@each_step
def test_the_command_offers_the_inputs_of_the_catalog(step):
    shown = CliRunner().invoke(app, ["step", step.name, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    for name, place in {**step.inputs, "out": step.out}.items():
        assert f"--{name}" in shown.output
        assert place in shown.output


def test_dvc_yaml_is_what_the_catalog_says():
    found = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert found == dvc_yaml(), "mend it with: openautoglm stages > dvc.yaml"


def test_what_dvc_watches_exists():
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    made = [f"{step.out}/" for step in STEPS.values()]
    for stage in stages.values():
        for dep in stage["deps"]:
            assert (ROOT / dep).exists() or any(dep.startswith(out) for out in made), dep


def test_params_yaml_is_valid_and_holds_every_key_that_dvc_watches():
    load(ROOT / "params.yaml", Params)
    data = YAML(typ="safe").load(ROOT / "params.yaml")
    for step in STEPS.values():
        for key in dvc_keys(step.params):
            node = data
            for part in key.split("."):
                assert part in node, key
                node = node[part]


def test_every_key_of_params_reaches_a_step():
    watched = {key for step in STEPS.values() for key in dvc_keys(step.params)}
    for name, field in Params.model_fields.items():
        section = field.alias or name
        keys = {f"{section}.{key}" for key in field.annotation.model_fields}
        assert section in watched or keys <= watched, section
