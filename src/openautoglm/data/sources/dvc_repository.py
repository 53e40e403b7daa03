"""A file in a DVC repository at a revision; tracked by DVC or by git itself."""

from __future__ import annotations

import errno
from contextlib import closing
from pathlib import Path

from openautoglm.artifacts.digest import file_sha256
from openautoglm.config.data import DvcSource
from openautoglm.data.raw import RawFile, suffix_of
from openautoglm.errors import SourceError
from openautoglm.observability.progress import say


def fetch_dvc(
    source: DvcSource, project: Path, payload: Path
) -> tuple[RawFile, dict[str, str | None]]:
    """Copy the file into the payload, from the repository's cache or remote.

    Returns:
        The file, and its origin: repository, path, revision as given and the commit it means
        (None for a local repository's working tree).

    Raises:
        SourceError: The repository, the revision, the path or the remote cannot be read.
    """
    # Half a second that only this kind of source has to wait for.
    from dvc.api import DVCFileSystem

    file = f"rows{suffix_of(source.path)}"
    folder = project / Path(source.repo).expanduser()
    url = str(folder) if folder.is_dir() else source.repo
    say(f"reading {source.path} of {source.repo} at {source.rev or 'its present state'}")
    try:
        with closing(DVCFileSystem(url=url, rev=source.rev)) as store:
            # Without a revision a folder is read as it stands, which may be no commit at all.
            commit = None if url == str(folder) and source.rev is None else store.repo.get_rev()
            if store.isdir(source.path):
                raise SourceError("this is a folder, not a file", where=_where(source))
            store.get_file(source.path, str(payload / file))
    # git, DVC and each remote's library have their own roots of errors.
    except Exception as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or isinstance(error, SourceError):
            raise
        raise SourceError(
            f"cannot be read: {_reason(error)}",
            where=_where(source),
            hint="check data.source.repo, path and rev; "
            "in the repository: git log, dvc list . --dvc-only -R, dvc push",
        ) from error
    raw = RawFile(
        file=file, name=source.path.rsplit("/", 1)[-1], sha256=file_sha256(payload / file)
    )
    origin: dict[str, str | None] = {
        # An absolute path is this machine's own business.
        "repo": folder.name if Path(source.repo).expanduser().is_absolute() else source.repo,
        "path": source.path,
        "rev": source.rev,
        "commit": commit,
    }
    return raw, origin


def _where(source: DvcSource) -> str:
    return f"{source.path} in {source.repo}, revision {source.rev or 'none given'}"


def _reason(error: BaseException) -> str:
    """The message, or that of its cause where DVC says only `failed to ...`."""
    parts = [str(error) or type(error).__name__]
    if error.__cause__ is not None:
        parts.append(str(error.__cause__))
    return ": ".join(dict.fromkeys(part.strip() for part in parts if part.strip()))
