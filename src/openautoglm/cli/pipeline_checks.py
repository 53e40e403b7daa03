"""What `openautoglm doctor` looks at before a pipeline is compiled for a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openautoglm.cli.check import Check
from openautoglm.config.pipelines import PipelineSettings
from openautoglm.config.project import Project
from openautoglm.config.schedules import load_schedules
from openautoglm.config.yaml import load
from openautoglm.errors import InputError

_SETTINGS, _SCHEDULES = "pipeline settings", "schedules"


def pipeline_checks(project: Project) -> Iterator[Check]:
    """Settings and schedules of the project's pipelines; no server is asked.

    Args:
        project: Whose files.
    """
    if not project.pipeline_settings.is_file():
        where = "pipelines/settings.yaml, which openautoglm pipeline needs"
        yield Check(_SETTINGS, "note", "none here", where)
        return
    yield _settings(project)
    schedules = project.root / "pipelines" / "schedules.yaml"
    if schedules.is_file():
        yield _schedules(schedules)


def _settings(project: Project) -> Check:
    try:
        settings = load(project.pipeline_settings, PipelineSettings)
    except InputError as error:
        return Check(_SETTINGS, "broken", str(error))
    if settings.image is None:
        advice = "pipeline run needs none; compile and submit take --image NAME@sha256:..."
        return Check(_SETTINGS, "note", "no image", advice)
    return Check(_SETTINGS, "ok", f"image {settings.image}")


def _schedules(file: Path) -> Check:
    try:
        declared = load_schedules(file).schedules
    except InputError as error:
        return Check(_SCHEDULES, "broken", str(error))
    fire = sum(one.enabled for one in declared.values())
    return Check(_SCHEDULES, "ok", f"{len(declared)} declared, {fire} enabled")
