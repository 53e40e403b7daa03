"""What lies where in a packed model; read without what it takes to pack one."""

from __future__ import annotations

from pathlib import Path

from openautoglm.artifacts.digest import file_sha256, value_digest

EVALUATION = "evaluation"
DATA = "model"


def model_folder(packed: Path) -> Path:
    """Where the compressed model lies in a packed one."""
    return packed / "data" / DATA


def packed_digest(packed: Path) -> str:
    """Digest of a packed model, without what loading it in place leaves there."""
    files = {
        path.relative_to(packed).as_posix(): file_sha256(path)
        for path in packed.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.name != "registered_model_meta"
    }
    return value_digest(files)
