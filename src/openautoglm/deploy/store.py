"""The model store: `.openautoglm/models/sha256-.../`, shared by the services of a project.

A model is copied into it once, verified before it appears, and read-only from then on. Nothing is
removed that a ledger names, or that a deploy under way is about to name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD, published, remove_all_stale, sync
from openautoglm.artifacts.lock import in_turn
from openautoglm.artifacts.manifest import MANIFEST
from openautoglm.config.project import Project
from openautoglm.errors import ArtifactError
from openautoglm.inference.package import CHOICE, PACKAGE

_DIGEST = re.compile(r"sha256-[0-9a-f]{64}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class ModelStore:
    """The models of a project's services, by digest.

    Args:
        project: Whose.
    """

    def __init__(self, project: Project) -> None:
        self.root = project.state / "models"

    def folder(self, digest: str) -> Path:
        """Where a model lies, or would.

        Raises:
            ArtifactError: This is no digest.
        """
        if not _DIGEST.fullmatch(digest):  # it becomes a path, and may come from a registry's tag
            raise ArtifactError(f"found the digest `{digest}`", allowed="sha256- and 64 hex digits")
        return self.root / digest

    def has(self, digest: str) -> bool:
        """Whether a model is here; whether it is still whole, `verify` tells."""
        return (self.folder(digest) / PAYLOAD / PACKAGE).is_file()

    def verify(self, digest: str) -> Path:
        """The folder of a model, after reading all of it.

        Raises:
            ArtifactError: It is not here, not readable, or not what the digest says.
        """
        folder = self.folder(digest)
        hint = "openautoglm deploy copies it again"
        try:
            found = folder_digest(folder / PAYLOAD)
        except OSError as error:
            raise ArtifactError(
                f"the stored model cannot be read: {error.strerror}", where=str(folder), hint=hint
            ) from error
        if found != digest:
            raise ArtifactError(
                f"the stored model was changed: its digest is {found}", where=str(folder), hint=hint
            )
        return folder

    def put(self, source: Path, digest: str) -> Path:
        """Copy a model in; one that is here and whole stays as it is, a damaged one is replaced.

        Args:
            source: A compressed model: `payload/`, and `choice.json` beside it.
            digest: What its payload must have.

        Returns:
            Its folder here.

        Raises:
            ArtifactError: The source is missing, not readable, or not what the digest says.
            OSError: The disk is full or read-only. Nothing stays of the attempt.
        """
        out = self.folder(digest)
        with self.reserved(), in_turn(self.root / f".{digest}.lock"):
            with suppress(ArtifactError):
                self.verify(digest)
                _protect(out)
                return out
            if out.exists():
                _unprotect(out)
            with published(out) as part:
                _copy(source, part, digest)
            _protect(out)
        return out

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Between `put` and the ledger's record that names the model, nothing is swept."""
        with self._flock(fcntl.LOCK_SH):
            yield

    def sweep(self, named: Callable[[], set[str]]) -> list[str]:
        """Remove what no ledger names, and what killed processes left half written.

        Args:
            named: Tells the digests that stay. Asked here, while nobody can add to them; when it
                raises, nothing is removed.

        Returns:
            What was removed. None while a deploy is between copying and recording: the next sweep
            finds it.
        """
        if not self.root.is_dir():
            return []
        removed = []
        with suppress(BlockingIOError), self._flock(fcntl.LOCK_EX | fcntl.LOCK_NB):
            keep = named()
            for folder in sorted(self.root.glob("sha256-*")):
                if folder.name not in keep:
                    _unprotect(folder)
                    # Its name goes first: a kill on the way leaves no model that looks whole.
                    doomed = self.root / f".{folder.name}.part-{os.getpid()}"
                    folder.rename(doomed)
                    shutil.rmtree(doomed)
                    removed.append(folder.name)
            remove_all_stale(self.root)
            for lock in self.root.glob(".sha256-*.lock"):
                lock.unlink(missing_ok=True)
        return removed

    @contextmanager
    def _flock(self, kind: int) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("a", encoding="utf-8") as stream:
            fcntl.flock(stream, kind)
            yield


def _copy(source: Path, part: Path, digest: str) -> None:
    """Copy payload, choice and manifest, and verify the copy.

    Raises:
        ArtifactError: As `ModelStore.put`.
    """
    if not (source / PAYLOAD).is_dir():
        raise ArtifactError("there is no compressed model", where=str(source))
    try:
        for name in (CHOICE, MANIFEST):
            if (source / name).is_file():
                shutil.copyfile(source / name, part / name)
        (part / PAYLOAD).mkdir()
        for path in sorted((source / PAYLOAD).rglob("*")):
            target = part / PAYLOAD / path.relative_to(source / PAYLOAD)
            if path.is_dir():
                target.mkdir()
            else:
                shutil.copyfile(path, target)
        found = folder_digest(part / PAYLOAD)
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise ArtifactError(
            f"the model cannot be read: {error.strerror or error}",
            where=str(error.filename or source),
        ) from error
    if found != digest:
        raise ArtifactError(
            f"the model's digest is {found}",
            where=str(source / PAYLOAD),
            allowed=digest,
            hint="it is damaged or was changed: dvc checkout, or openautoglm verify",
        )


def _protect(folder: Path) -> None:
    """Nobody writes here by mistake; files first, so that a cut-off attempt is easily finished."""
    for path in (*folder.rglob("*"), folder):
        mode = 0o555 if path.is_dir() else 0o444
        if stat.S_IMODE(path.stat().st_mode) != mode:  # what another user put is done already
            path.chmod(mode)
    sync(folder)


def _unprotect(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
