"""What the components of a fan-out do around their share of a step.

Nothing that a share needs is imported when there is nothing left to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.params import view
from openautoglm.config.project import Project
from openautoglm.observability.progress import say, working_on
from openautoglm.steps.attempt import attempt_of, part_name
from openautoglm.steps.caller import runtime_of
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.component import Artifact, entry, refuse_other_code, this_project
from openautoglm.steps.finished import keep, take
from openautoglm.steps.plan import planned


@entry
def tune_part(inputs: Mapping[str, Artifact], params: str, worker: int) -> int:
    """Take part in the search of tune until it is finished.

    Args:
        inputs: Input folders of tune, by argument name.
        params: What `params.yaml` would hold; in a loop Kubeflow's local runner gives no output
            of another task, such as a view, as it is.
        worker: Which worker, from 0.

    Returns:
        How many of its trials were begun here.

    Raises:
        SystemExit: With 2 for bad input and 1 for a fault, after the error was printed.
    """
    share = _share("tune", inputs, params)
    if share.known:
        say("tune has been made from the same before: nothing is left to search")
        return 0
    from openautoglm.steps.tune_part import take_part

    runtime = runtime_of(share.project)
    return take_part(**share.folders, params=share.params, runtime=runtime, worker=worker)


@entry
def compress_part(
    inputs: Mapping[str, Artifact], params: str, part: int, parts: int, out: Artifact
) -> Path:
    """Build one share of the recipes of compress, unless it is known.

    Args:
        inputs: Input folders of compress, by argument name.
        params: What `params.yaml` would hold.
        part: Which part, from 0.
        parts: How many there are.
        out: Where its work goes, for `work` of the component of compress.

    Returns:
        The folder that was written.

    Raises:
        SystemExit: With 2 for bad input and 1 for a fault, after the error was printed.
    """
    share = _share("compress", inputs, params)
    folder = Path(out.path)
    kept = share.project.finished / part_name("compress", part, parts)
    if share.known:
        told = "compress has been made from the same before: nothing is left to build"
        say(told)
        folder.mkdir(parents=True, exist_ok=True)
        # Object stores have no empty folders.
        (folder / "nothing.txt").write_text(told + "\n", encoding="utf-8")
        return folder
    if known := take(kept, share.attempt, folder):
        say(f"made before from the same: {known.digest[:19]}")
    else:
        from openautoglm.steps.compress_part import build_part

        build_part(
            **share.folders,
            params=share.params,
            runtime=runtime_of(share.project),
            part=part,
            parts=parts,
            out=folder,
        )
        keep(kept, share.attempt, folder)
    out.metadata["digest"] = read_manifest(folder).digest
    return folder


@dataclass(frozen=True)
class _Share:
    """What a share is a share of.

    Attributes:
        project: Where it is made.
        folders: The step's input folders.
        params: The step's parameters.
        attempt: Digest of both and of the step's code.
        known: Whether the project keeps what the step makes of them.
    """

    project: Project
    folders: dict[str, Path]
    params: Any
    attempt: str
    known: bool


def _share(name: str, inputs: Mapping[str, Artifact], params: str) -> _Share:
    working_on(name)
    step, project = STEPS[name], this_project()
    refuse_other_code(step.module)
    mine = view(planned(params), step.params)
    folders = {key: Path(artifact.path) for key, artifact in inputs.items()}
    manifests = {key: read_manifest(folder) for key, folder in folders.items()}
    attempt = attempt_of(step.module, manifests, mine.model_dump(mode="json", by_alias=True))
    known = (project.finished / name / attempt).is_dir()
    return _Share(project, folders, mine, attempt, known)
