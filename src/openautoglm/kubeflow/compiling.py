"""From a project to a pipeline's intermediate representation (IR), checked."""

from __future__ import annotations

import difflib
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kfp import compiler
from kfp.dsl.graph_component import GraphComponent

from openautoglm.artifacts.digest import PREFIX
from openautoglm.config.overrides import load_with
from openautoglm.config.params import Params
from openautoglm.config.pipelines import PINNED, PipelineSettings
from openautoglm.config.project import Project
from openautoglm.config.yaml import load
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.building import Building
from openautoglm.kubeflow.checks import check
from openautoglm.kubeflow.loading import load_pipeline, source
from openautoglm.kubeflow.reach import refuse_lost_stores, refuse_what_pods_lack


@dataclass(frozen=True)
class Compiled:
    """A pipeline that has been compiled and checked.

    Attributes:
        name: Of the pipeline.
        text: Its IR as YAML.
        file: Its source.
        places: Task name to the place in the source where it was made.
    """

    name: str
    text: str
    file: Path
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Names this very text: equal for equal sources, parameters and settings."""
        return PREFIX + hashlib.sha256(self.text.encode()).hexdigest()


def settings_of(project: Project, *, image: str | None = None) -> PipelineSettings:
    """The project's `pipelines/settings.yaml`, with another image where one is given.

    Raises:
        ConfigError: The file, or the image, is not as it must be.
    """
    if not project.pipeline_settings.is_file():
        raise ConfigError(
            "there is no such file",
            where=str(project.pipeline_settings),
            allowed="a file with `image: null` at least; docs/pipeline-settings.md has every key",
        )
    found = load(project.pipeline_settings, PipelineSettings)
    _refuse_unknown_tasks(found, project)
    if image is None:
        return found
    if not PINNED.match(image):
        raise ConfigError(
            f"found `{image}`",
            where="--image",
            allowed="an image pinned by digest: NAME@sha256:<64 hex digits>",
            hint="docker buildx imagetools inspect NAME:TAG prints its digest",
        )
    return found.model_copy(update={"image": image})


def _refuse_unknown_tasks(settings: PipelineSettings, project: Project) -> None:
    known = sorted(file.stem for file in (project.root / "components").glob("[!_]*.py"))
    for name in sorted(settings.tasks.keys() - set(known)):
        near = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"there is no component `{name}`",
            where=f"{project.pipeline_settings}, key tasks.{name}",
            allowed=", ".join(known) or "none: the project has no folder components",
            hint=f"did you mean `{near[0]}`?" if near else None,
        )


def params_of(project: Project, sets: Sequence[str] = ()) -> str:
    """What `params.yaml` says, with assignments, checked; JSON, which is YAML, on one line.

    One line, because kfp repeats a parameter's default in a comment of the IR.

    Raises:
        ConfigError: A key or value is not allowed; the message names line or assignment.
    """
    return _text_of(load_with(project.params_file, sets, Params))


def _text_of(params: Params) -> str:
    given = params.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return "".join(map(_printable, json.dumps(given, ensure_ascii=False)))


def _printable(character: str) -> str:
    """YAML takes fewer characters as they are than JSON does."""
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def compiled(
    project: Project, name: str, *, image: str | None = None, sets: Sequence[str] = ()
) -> Compiled:
    """Compile a pipeline for a cluster, and check it.

    Args:
        project: Whose.
        name: Which.
        image: Instead of the one in `pipelines/settings.yaml`.
        sets: `key.path=value` over `params.yaml`.

    Raises:
        ConfigError: Settings, parameters or the pipeline are not as they must be.
    """
    file = source(project, name)
    settings = settings_of(project, image=image)
    if settings.image is None:
        raise ConfigError(
            "no image says what tasks run in",
            where=f"{project.pipeline_settings}, key image",
            allowed="NAME@sha256:<64 hex digits>, of infra/docker/runner.Dockerfile",
            hint=f"openautoglm pipeline compile {name} -o {name}.yaml --image NAME@sha256:...",
        )
    params = load_with(project.params_file, sets, Params)
    refuse_what_pods_lack(params, project)
    given = Building(_text_of(params), settings)
    pipeline = load_pipeline(project, name, given)
    refuse_lost_stores(given.places, settings, project)
    if settings.pipeline_root is not None:
        pipeline.pipeline_spec.default_pipeline_root = settings.pipeline_root
    found = Compiled(name, _text(pipeline), file, given.places)
    check(found)
    return found


def _text(pipeline: GraphComponent) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(file))
        return file.read_text(encoding="utf-8")
