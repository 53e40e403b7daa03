"""What a task on a cluster can reach: not this machine's disk, and stores that it is told of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from openautoglm.config.data import DvcSource, FileSource, HuggingFaceSource
from openautoglm.config.params import Params
from openautoglm.config.pipelines import PipelineSettings
from openautoglm.config.project import Project
from openautoglm.errors import ConfigError

_DVC = "{kind: dvc, repo: URL, path: data/mine.csv, rev: v1}, with a remote that pods can read"


_KEPT_IN = {
    **dict.fromkeys(("tune", "train", "register", "remember", "locate"), "MLFLOW_TRACKING_URI"),
    **dict.fromkeys(("canary", "rollout", "decide", "record"), "MLFLOW_TRACKING_URI"),
    "tune-part": "OPENAUTOGLM_STUDY",
}
"""Task to the variable that names the store where it keeps what others look for."""


def refuse_lost_stores(
    tasks: Mapping[str, str], settings: PipelineSettings, project: Project
) -> None:
    """See that tasks are told where the registry and a shared search are.

    A pod that is not told makes a registry of its own, and takes it along when it ends.

    Args:
        tasks: Name of each task to its place in the source.
        settings: What tasks are told.
        project: Whose.

    Raises:
        ConfigError: One is not told.
    """
    told = {*settings.environment}.union(*(one.variables.values() for one in settings.secrets))
    for task, place in tasks.items():
        wanted = _KEPT_IN.get(task)
        if wanted is not None and wanted not in told:
            raise ConfigError(
                f"task `{task}` ({place}) is not told {wanted}: what it keeps ends with its pod",
                where=f"{project.pipeline_settings}, keys secrets and environment",
                allowed=f"a secret with `variables: {{KEY: {wanted}}}`, or `environment`",
                hint="infra/kubeflow makes the secret openautoglm-stores with keys for both stores",
            )


def refuse_what_pods_lack(params: Params, project: Project) -> None:
    """See that data and base model lie where a pod can read them.

    Raises:
        ConfigError: One lies on this machine's disk.
    """
    source = params.data.source
    if isinstance(source, FileSource):
        raise _refused("data.source.path", source.path, _DVC, project)
    if isinstance(source, DvcSource) and _is_here(source.repo, project):
        raise _refused("data.source.repo", source.repo, "the URL of a repository", project)
    if isinstance(source, HuggingFaceSource) and _is_here(source.path, project):
        raise _refused("data.source.path", source.path, "a name on the hub, or kind dvc", project)
    if params.data.test is not None:
        raise _refused("data.test", params.data.test, "null: test is a split of the rows", project)
    base = params.model.base
    if base is not None and _is_here(base, project):
        raise _refused("model.base", base, "a hub id, with model.revision", project)


def _is_here(path: str, project: Project) -> bool:
    return path.startswith("file:") or (project.root / Path(path).expanduser()).exists()


def _refused(key: str, found: str, allowed: str, project: Project) -> ConfigError:
    return ConfigError(
        f"`{found}` lies on this machine, where no pod can read it",
        where=f"{project.params_file}, key {key}",
        allowed=allowed,
        hint="dvc add, git push, dvc push; or here: openautoglm pipeline run training",
    )
