"""Files of DVC's own that a kill can cut off: it writes them in place."""

from __future__ import annotations

import json
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from voluptuous import Invalid

from openautoglm.errors import BusyError, StoreError

LOCKFILE = "dvc.lock"
_RWLOCK = ".dvc/tmp/rwlock"


def remove_broken(root: Path) -> list[str]:
    """Remove a `dvc.lock` or lock table that was cut off in the middle of a write.

    Nothing is lost: what `dvc.lock` recorded lies in DVC's cache, and `dvc repro` finds it there
    by its inputs.

    Returns:
        A sentence for each file that was removed.

    Raises:
        BusyError: DVC is at work here, so that a write may be going on.
        StoreError: This is no DVC repository.
    """
    broken = [path for path in (root / LOCKFILE, root / _RWLOCK) if not _whole(path)]
    if not broken:
        return []
    try:
        with Repo(str(root)) as repo, repo.lock:
            # Again: a write that was going on has ended by now.
            broken = [path for path in broken if not _whole(path)]
            for path in broken:
                path.unlink()
    except LockError as error:
        raise BusyError(
            "DVC is at work here", where=str(root), hint="wait until it ends, then again"
        ) from error
    except DvcException as error:
        raise StoreError(f"DVC does not take this as its own: {error}", where=str(root)) from error
    return [f"{path.relative_to(root)} was cut off by a kill: removed" for path in broken]


def _whole(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    except UnicodeDecodeError:
        return False
    try:
        if path.name == LOCKFILE:
            COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
        else:
            json.loads(text)
    except (YAMLError, Invalid, ValueError):
        return False
    return True
