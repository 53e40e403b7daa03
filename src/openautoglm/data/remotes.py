"""The DVC remote that `dvc push` and `dvc pull` use without naming one."""

from __future__ import annotations

from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from openautoglm.errors import StoreError


def default_remote(root: Path) -> str | None:
    """Ask the default remote of the repository at `root` for an answer.

    Returns:
        What was found, for people; None when no default remote is configured.

    Raises:
        StoreError: The remote does not answer, or the extra for its scheme is not installed.
    """
    try:
        with Repo(str(root)) as repo:
            name = repo.config["core"].get("remote")
            if name is None:
                return None
            store = repo.cloud.get_remote_odb()
            place = f"{name}: {repo.config['remote'][name]['url']}"
            if store.fs.exists(store.path):
                return f"{place}, answers"
            if store.fs.protocol == "local":
                return f"{place}, made by the first dvc push"
            store.fs.ls(store.path)
            return f"{place}, answers"
    except FileNotFoundError:
        return f"{place}, empty"
    except (DvcException, OSError) as error:
        raise StoreError(
            f"the default DVC remote does not answer: {error}",
            where=str(root / ".dvc" / "config"),
            hint="dvc remote modify NAME url URL; for S3 install the extra `s3`",
        ) from error
