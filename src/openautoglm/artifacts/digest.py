"""Digests: of a file, of a payload folder, of parameters."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from openautoglm.errors import ArtifactError

PREFIX = "sha256-"


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Digest of a folder: SHA-256 over its sorted (relative path, file SHA-256) pairs.

    Empty folders do not count; a symbolic link or special file is refused, because a digest
    that follows a link says nothing about what will be copied.

    Returns:
        `sha256-` and 64 hex digits.

    Raises:
        ArtifactError: The folder is missing, or holds something that is not a plain file.
    """
    if not folder.is_dir():
        raise ArtifactError(f"there is no folder {folder}")
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArtifactError("a payload may hold only plain files", where=str(path))
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            total.update(f"{name}\0{file_sha256(path)}\n".encode())
    return PREFIX + total.hexdigest()


def value_digest(value: Any) -> str:
    """Digest of a JSON value, independent of key order and white space."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return PREFIX + hashlib.sha256(text.encode()).hexdigest()
