"""A pipeline's intermediate representation (IR), from its YAML text to messages.

Kubeflow's server reads the same messages, but passes over what it does not know; here an unknown
field is a finding, because nobody would ever see what became of it. The text is read as YAML 1.2,
as the server does: `1e3` without quotes is a number there, whatever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    PipelineDeploymentConfig,
    PipelineSpec,
    PlatformSpec,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

Message = Any
"""A protobuf message: its classes are made when they are imported, so nobody can check them."""
PLATFORM = "kubernetes"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        what: In words.
        path: Keys that lead to it in the IR, from `platforms` on in the platform's part.
        task: The task that it is about, or "".
        fatal: Whether the pipeline must not be submitted with it.
    """

    what: str
    path: tuple[str, ...] = ()
    task: str = ""
    fatal: bool = True


@dataclass(frozen=True)
class Ir:
    """What could be read of an IR.

    Attributes:
        spec: The pipeline: root, components.
        executors: By label, what containers run.
        kubernetes: By executor's label, what is asked of the cluster beside that.
        findings: What could not be read.
    """

    spec: Message
    executors: Mapping[str, Message] = field(default_factory=dict)
    kubernetes: Mapping[str, Message] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def parse(text: str) -> list[Any]:
    """The documents of an IR: the pipeline, and the platform's part where there is one.

    Raises:
        ValueError: It is no YAML.
    """
    try:
        return [one for one in YAML(typ="safe").load_all(text) if one is not None]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{error.problem or error.context}{line}") from None
    except YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None


def read(documents: Sequence[Any]) -> Ir | Finding:
    """Messages of the documents; a finding alone when there is no pipeline in them.

    Args:
        documents: As `parse` gives them.
    """
    if not all(isinstance(one, dict) for one in documents):
        return Finding("a document of the IR is no mapping")
    pipelines = [one for one in documents if "pipelineInfo" in one]
    platforms = [one for one in documents if "platforms" in one and "pipelineInfo" not in one]
    if len(pipelines) != 1:
        return Finding(f"the IR holds {len(pipelines)} pipelines (documents with pipelineInfo)")
    found: list[Finding] = []
    if len(platforms) > 1 or len(documents) > 1 + len(platforms):
        found.append(
            Finding(f"the IR has {len(documents)} documents: allowed are pipeline and platforms")
        )
    return _messages(pipelines[0], platforms[0] if platforms else {}, found)


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """The line of an IR that a path leads to, or that of the deepest key that is there.

    Args:
        text: The IR.
        path: Keys, as `Finding.path`.
    """
    found: int | None = None
    best = 0
    try:
        nodes = list(YAML(typ="safe").compose_all(text))
    except YAMLError:
        return None
    for node in nodes:
        for depth, line in enumerate(_lines(node, path), start=1):
            if depth > best:
                best, found = depth, line
    return found


def _lines(node: Any, path: tuple[str, ...]) -> Iterator[int]:
    for key in path:
        pairs = node.value if isinstance(getattr(node, "value", None), list) else []
        for one in pairs:
            if isinstance(one, tuple) and one[0].value == key:
                yield one[0].start_mark.line + 1
                node = one[1]
                break
        else:
            return


def _messages(pipeline: dict[str, Any], platform: dict[str, Any], found: list[Finding]) -> Ir:
    spec = _parsed(pipeline, PipelineSpec(), (), found)
    given = pipeline.get("deploymentSpec")
    deployment = _parsed(
        given if isinstance(given, dict) else {},
        PipelineDeploymentConfig(),
        ("deploymentSpec",),
        found,
    )
    platforms = _parsed(platform, PlatformSpec(), (), found).platforms
    for name in set(platforms) - {PLATFORM}:
        found.append(Finding(f"there is no platform `{name}`", ("platforms", name)))
    kubernetes: dict[str, Message] = {}
    if PLATFORM in platforms:
        # As a plain dict again: executors are free-form there, and are messages of their own here.
        executors = platform["platforms"][PLATFORM].get("deploymentSpec", {}).get("executors", {})
        for label in platforms[PLATFORM].deployment_spec.executors:
            path = ("platforms", PLATFORM, "deploymentSpec", "executors", label)
            kubernetes[label] = _parsed(executors[label], KubernetesExecutorConfig(), path, found)
    return Ir(spec, dict(deployment.executors), kubernetes, tuple(found))


def _parsed(
    data: dict[str, Any], message: Message, path: tuple[str, ...], found: list[Finding]
) -> Message:
    """As much of a message as can be read; what is not known in it is a finding."""
    for lenient in (False, True):
        try:
            return ParseDict(data, type(message)(), ignore_unknown_fields=lenient)
        except (ParseError, TypeError, ValueError, AttributeError) as error:
            told = str(error).splitlines()[0]
            if not lenient:
                found.append(Finding(f"Kubeflow does not know this: {told}", path))
    return message
