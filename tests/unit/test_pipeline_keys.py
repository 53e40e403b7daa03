"""No key of `pipelines/settings.yaml` does nothing: each changes what a server is given."""

import json
import re
from pathlib import Path

import pytest

from openautoglm.cli import pipeline_server
from openautoglm.config.overrides import load_with
from openautoglm.config.pipelines import PipelineSettings
from openautoglm.config.project import Project
from openautoglm.kubeflow import compiling
from openautoglm.kubeflow.connection import connection
from tests.support.kubeflow_server import kubeflow_server

pytestmark = pytest.mark.slow
PROJECT = Project(Path(__file__).parents[2])
IMAGES = [f"name@sha256:{sign * 64}" for sign in "ab"]
CHANGES = {
    "image": IMAGES[1],
    "namespace": "somebody",
    "experiment": "other",
    "service_account": "other",
    "pipeline_root": "s3://bucket/other",
    "secrets": "[{name: other, variables: {uri: MLFLOW_TRACKING_URI}}]",
    "volumes": "[{claim: other, path: /project/.openautoglm}]",
    "environment": "{MORE: words}",
    "retries.count": "1",
    "retries.seconds": "7",
    "retries.factor": "3.5",
    "retries.most_seconds": "77",
    "fan_out.tune": "2",
    "fan_out.compress": "2",
    "retrain.looks": "7",
    "retrain.cooldown_hours": "7",
    "retrain.stale_hours": "7",
    "default.cpu": "250m",
    "default.cpu_limit": "'3'",
    "default.memory": "2Gi",
    "default.memory_limit": "5Gi",
    "default.accelerator": "{resource: nvidia.com/gpu, count: 2}",
    "default.node_selector": "{pool: other}",
    "default.tolerations": "[{key: gpu, operator: Equal, value: a, effect: NoSchedule}]",
    "tasks": "{train: {memory: 3Gi}}",
}
"""Key to another value than the project's."""
_OF_ITSELF = r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""Times and ids."""


def test_every_key_is_among_them():
    sections = {
        name: field.annotation.model_fields
        for name, field in PipelineSettings.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }
    known = {f"{section}.{key}" for section, keys in sections.items() for key in keys}
    assert known | (PipelineSettings.model_fields.keys() - sections.keys()) == CHANGES.keys()


def given(monkeypatch, *changes):
    """What a server has after retrain, which holds every component, was submitted to it."""
    assigned = [f"image={IMAGES[0]}", "namespace=nobody", *changes]
    settings = load_with(PROJECT.pipeline_settings, assigned, PipelineSettings)
    for module in (compiling, pipeline_server):
        monkeypatch.setattr(module, "settings_of", lambda project, image=None: settings)
    with kubeflow_server(multi_user=True) as server:
        asked = connection(server.url, timeout=60)
        pipeline_server.submit(PROJECT, "retrain", connection=asked, arguments=["window=w.csv"])
        rows = {kind: server.rows(kind) for kind in server.state.rows}
        (run,) = rows["runs"]
        # The only things that differ by themselves.
        told = json.dumps(rows, default=str, sort_keys=True).replace(run["display_name"], "NAME")
    return re.sub(_OF_ITSELF, "", told)


@pytest.fixture(scope="module")
def plain():
    with pytest.MonkeyPatch.context() as patch:
        yield given(patch)


def test_unchanged_it_is_given_the_same(monkeypatch, plain):
    assert given(monkeypatch) == plain


@pytest.mark.parametrize("key", CHANGES)
def test_each_key_changes_what_a_server_is_given(monkeypatch, plain, key):
    assert given(monkeypatch, f"{key}={CHANGES[key]}") != plain
