"""Which of our modules a step imports: part of its digest, and its DVC dependencies."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import grimp

import openautoglm
from openautoglm.artifacts.digest import PREFIX, file_sha256

PACKAGE = "openautoglm"


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, cache_dir=None, exclude_type_checking_imports=True)


def imported_modules(module: str) -> list[str]:
    """The module, everything of ours it imports at any depth, and their packages; sorted.

    Imports inside functions count: they run too.
    """
    found = {module, *_graph().find_upstream_modules(module)}
    for name in tuple(found):
        parts = name.split(".")
        found.update(".".join(parts[:depth]) for depth in range(1, len(parts)))
    return sorted(found)


def source_file(module: str) -> Path:
    """Where a module of ours lies: `pkg/name.py`, or `pkg/name/__init__.py` for a package."""
    root = Path(openautoglm.__file__).parent
    relative = Path(*module.split(".")[1:])
    package = root / relative / "__init__.py"
    return package if package.is_file() else root / relative.with_suffix(".py")


def code_digest(module: str) -> str:
    """Digest over the sources of `imported_modules(module)`."""
    total = hashlib.sha256()
    for name in imported_modules(module):
        total.update(f"{name}\0{file_sha256(source_file(name))}\n".encode())
    return PREFIX + total.hexdigest()
