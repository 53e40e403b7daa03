"""What `dvc.yaml` must say about each step; the file is `openautoglm stages`, word for word.

DVC sees a payload and not the manifest beside it, so that a step which ran again with the same
result stops the chain there. It sees each module of ours that the step imports, so that a
change of code runs what it can change and nothing else.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from openautoglm.artifacts.code import imported_modules, source_file
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.params import dvc_keys
from openautoglm.inference.package import CHOICE
from openautoglm.steps.catalog import STEPS, Step
from openautoglm.steps.effect import RECEIPT

_HEAD = """\
# The chain for `dvc repro`. Written by `openautoglm stages > dvc.yaml`; a test holds it against
# the steps' own list. How a model is made stands in params.yaml.

"""
_LOCAL_FILES = "data/source"
_EVALUATION = "reports/evaluation/payload"


def dvc_yaml() -> str:
    """The text of `dvc.yaml`."""
    out = StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(
        {
            "stages": {step.name: stage(step) for step in STEPS.values()},
            "metrics": [f"{_EVALUATION}/metrics.json"],
            "plots": _plots(),
        },
        out,
    )
    return _HEAD + out.getvalue()


def stage(step: Step) -> dict[str, Any]:
    """One stage: command, dependencies, parameters, outputs."""
    receipts = {other.out for other in STEPS.values() if other.effect}
    data = [
        f"{folder}/{RECEIPT if folder in receipts else PAYLOAD}" for folder in step.inputs.values()
    ]
    if not step.inputs:
        data.append(_LOCAL_FILES)
    if "compressed" in step.inputs:
        data.append(f"{step.inputs['compressed']}/{CHOICE}")
    code = [_project_path(name) for name in imported_modules(step.module)]
    found: dict[str, Any] = {"cmd": f"openautoglm step {step.name}", "deps": data + code}
    if keys := dvc_keys(step.params):
        found["params"] = keys
    # A receipt is persisted: the run-cache, which could stand in for the effect, leaves
    # persisted outputs alone.
    found["outs"] = [{step.out: {"persist": True}}] if step.effect else [step.out]
    return found


def _project_path(module: str) -> str:
    file = source_file(module)
    depth = len(module.split(".")) + (file.name == "__init__.py")
    return "/".join(("src", *file.parts[-depth:]))


def _plots() -> list[dict[str, Any]]:
    return [
        {
            f"{_EVALUATION}/classes.csv": {
                "template": "confusion",
                "x": "actual",
                "y": "predicted",
                "title": "test: true and predicted class",
            }
        },
        {
            f"{_EVALUATION}/per_class.csv": {
                "template": "bar_horizontal_sorted",
                "x": "f1",
                "y": "label",
                "title": "test: F1 of each class",
            }
        },
        {
            f"{_EVALUATION}/variants.csv": {
                "template": "scatter",
                "x": "bytes",
                "y": "accuracy",
                "title": "test: accuracy and bytes of each variant",
            }
        },
        {
            "models/tuned/payload/trials.csv": {
                "template": "scatter",
                "x": "trial",
                "y": "macro_f1",
                "title": "tune: macro F1 of each trial on valid",
            }
        },
    ]
