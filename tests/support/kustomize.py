"""The overlays of infra/kubeflow, configured and built as a person does it, and their objects."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
from ruamel.yaml import YAML

from tests.support.project import BIN, ROOT

KUBEFLOW = ROOT / "infra" / "kubeflow"
IMAGE = "registry.example/openautoglm-runner@sha256:" + "0123456789abcdef" * 4
GIVEN = {
    "dev": {"RUNNER_IMAGE": IMAGE},
    "production": {
        "RUNNER_IMAGE": IMAGE,
        **{
            f"{name.upper()}_DB_URL": f"postgresql://{name}:p%40ss@db.example:5432/{name}"
            for name in ("mlflow", "study", "feedback")
        },
        "S3_ENDPOINT": "https://s3.example",
        "S3_REGION": "eu-central-1",
        "S3_BUCKET": "models",
        "S3_ACCESS_KEY": "access",
        "S3_SECRET_KEY": "secret",
    },
}


def committed(pattern: str) -> list[Path]:
    """Files of infra/kubeflow that are no secrets of somebody who works here."""
    return sorted(file for file in KUBEFLOW.rglob(pattern) if file.parent.name != "private")


def copied(folder: Path, overlay: str, **settings: str) -> Path:
    """An overlay in a copy of infra/kubeflow, with these settings filled in; not configured yet."""
    shutil.copytree(
        KUBEFLOW, folder, ignore=shutil.ignore_patterns("private", "settings.env", "__pycache__")
    )
    found = folder / "overlays" / overlay
    text = (found / "settings.example.env").read_text(encoding="utf-8")
    for key, value in settings.items():
        text, done = re.subn(f"^{key}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
        assert done == 1, key
    (found / "settings.env").write_text(text, encoding="utf-8")
    return found


def configure(overlay: Path) -> subprocess.CompletedProcess[str]:
    """What `configure.py` does with an overlay."""
    script = overlay.parents[1] / "configure.py"
    return subprocess.run(
        [sys.executable, str(script), overlay.name], capture_output=True, text=True
    )


def build(overlay: Path) -> list[dict[str, Any]]:
    """The objects of a configured overlay; skips without kubectl."""
    kubectl = shutil.which("kubectl", path=str(BIN)) or shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here to build the overlays with")
    done = subprocess.run([kubectl, "kustomize", str(overlay)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def documents(text: str) -> list[dict[str, Any]]:
    """The YAML documents of a text."""
    return list(YAML(typ="safe").load_all(text))


@dataclass(frozen=True)
class Pod:
    """What a workload makes.

    Attributes:
        workload: The object.
        spec: Of its pods.
        labels: Of its pods.
    """

    workload: Mapping[str, Any]
    spec: Mapping[str, Any]
    labels: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.workload['kind']} {self.workload['metadata']['name']}"

    @property
    def namespace(self) -> str:
        """Where it is."""
        return str(self.workload["metadata"]["namespace"])

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """All of them."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


class Cluster:
    """The objects of an overlay."""

    def __init__(self, objects: list[dict[str, Any]]) -> None:
        self.objects = objects

    def of(self, kind: str, namespace: str | None = None) -> dict[str, dict[str, Any]]:
        """Those of a kind, by name; in a namespace, or names that are unique."""
        found = [one for one in self.objects if one["kind"] == kind]
        if namespace is not None:
            found = [one for one in found if one["metadata"].get("namespace") == namespace]
        named = {one["metadata"]["name"]: one for one in found}
        assert len(named) == len(found), f"{kind}: one name in two namespaces"
        return named

    @cached_property
    def pods(self) -> list[Pod]:
        """Of every workload."""
        return [
            Pod(one, template["spec"], template["metadata"]["labels"])
            for one in self.objects
            if (template := _template(one.get("spec", {})))
        ]


def _template(spec: Mapping[str, Any]) -> Any:
    return spec.get("jobTemplate", {}).get("spec", spec).get("template")


def problems(object_: Mapping[str, Any], *, complete: bool = True) -> Iterator[str]:
    """What Kubernetes' models do not know in an object; and what they miss, if it is complete."""
    kind = "V1" + str(object_["kind"])
    if not hasattr(kubernetes.client, kind):
        yield f"{object_['apiVersion']} {object_['kind']}: not known"
        return
    yield from _problems(
        object_, kind, f"{object_['kind']} {object_['metadata']['name']}", complete
    )


def _problems(value: Any, kind: str, where: str, complete: bool) -> Iterator[str]:
    inner = re.fullmatch(r"(list|dict)[\[(](?:str, )?(.*)[\])]", kind)
    if inner and isinstance(value, list if inner[1] == "list" else dict):
        pairs = enumerate(value) if inner[1] == "list" else value.items()
        for key, part in pairs:
            yield from _problems(part, inner[2], f"{where}.{key}", complete)
    elif (simple := {"str": str, "int": int, "bool": bool, "object": object}.get(kind)) is not None:
        if not isinstance(value, simple):
            yield f"{where}: {value!r} is no {kind}"
    elif inner or not isinstance(value, dict):
        yield f"{where}: {value!r} is no {kind}"
    else:
        yield from _model_problems(value, kind, where, complete)


def _model_problems(value: Any, kind: str, where: str, complete: bool) -> Iterator[str]:
    model = getattr(kubernetes.client, kind)
    names = {json: name for name, json in model.attribute_map.items()}
    for key, part in value.items():
        if key in names:
            yield from _problems(part, model.openapi_types[names[key]], f"{where}.{key}", complete)
        else:
            yield f"{where}: no field {key}"
    if complete:
        try:
            model(**{names[key]: part for key, part in value.items() if key in names})
        except ValueError as error:
            yield f"{where}: {error}"
