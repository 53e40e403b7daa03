"""Which local runs registered versions came from: their outputs are where later runs begin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from openautoglm.artifacts.folder import write_text
from openautoglm.config.project import Project

_NOTE = "version.txt"


def note(project: Project, uris: Iterable[str], version: str) -> None:
    """Note with the local runs that hold artifacts which version is made of them.

    Args:
        project: Whose runs.
        uris: Of the artifacts; those that lie elsewhere are somebody else's to keep.
        version: The model and its version.
    """
    for run in {found for uri in uris if (found := _run_of(project, Path(uri)))}:
        write_text(run / _NOTE, f"{version}\n")


def remembered(runs: Sequence[Path]) -> set[Path]:
    """The newest run of each version.

    Args:
        runs: Folders of runs, the newest last.
    """
    noted = {run: run / _NOTE for run in runs if (run / _NOTE).is_file()}
    return set({note.read_text(encoding="utf-8"): run for run, note in noted.items()}.values())


def _run_of(project: Project, artifact: Path) -> Path | None:
    if not artifact.is_relative_to(project.pipelines):
        return None
    return project.pipelines / artifact.relative_to(project.pipelines).parts[0]
