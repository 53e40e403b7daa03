"""A file on this machine."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

from openautoglm.artifacts.digest import file_sha256
from openautoglm.data.raw import RawFile, suffix_of
from openautoglm.errors import SourceError
from openautoglm.observability.progress import say

WATCHED = "data/source"
"""The folder `dvc.yaml` names as a dependency of fetch."""


def fetch_file(given: str, project: Path, payload: Path, stem: str) -> RawFile:
    """Copy a file into the payload as `stem` with its own suffix.

    Args:
        given: Its path, absolute or relative to the project.
        project: The project root.
        payload: Where to copy it.
        stem: `rows` or `test`.

    Raises:
        SourceError: It is missing, not readable, or of no format we read.
    """
    suffix = suffix_of(given)
    path = project / Path(given).expanduser()
    if not path.is_file():
        raise _missing(given, path)
    if not path.resolve().is_relative_to((project / WATCHED).resolve()):
        say(
            f"{given} lies outside {WATCHED}: `dvc repro` will not notice when it changes "
            "(dvc repro --force fetch)"
        )
    return copy(path, payload, stem + suffix)


def copy(path: Path, payload: Path, file: str) -> RawFile:
    """Copy an existing file into the payload as `file`.

    Raises:
        SourceError: We may not read it.
    """
    try:
        # Chunk by chunk, in the kernel where it can: never the whole file in memory.
        shutil.copyfile(path, payload / file)
    except PermissionError:
        raise SourceError(
            "the file may not be read", where=str(path), hint=f"chmod u+r {path}"
        ) from None
    say(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return RawFile(file=file, name=path.name, sha256=file_sha256(payload / file))


def _missing(given: str, path: Path) -> SourceError:
    if path.is_dir():
        return SourceError(f"{given} is a folder, not a file", where=str(path))
    if not path.parent.is_dir():
        return SourceError(f"there is no folder for {given}", where=str(path.parent))
    names = [other.name for other in path.parent.iterdir() if other.is_file()]
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.4)
    return SourceError(
        f"there is no file {given}",
        where=str(path.parent),
        hint=f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else None,
    )
