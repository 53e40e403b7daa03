"""An environment that holds the distributions of one list only, made of this one."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType


def pins(file: Path) -> dict[str, str]:
    """Distribution to version, of a file of `name==version` lines."""
    lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return dict(line.split("==") for line in lines if line)


def only(file: Path) -> None:
    """From now on this process imports nothing installed that is not of the file's distributions.

    Judged by the file that would be loaded: several distributions share `google` and
    `opentelemetry`. The project itself is not installed but lies beside, and is free.
    """
    files = {
        str(Path(part.locate()).resolve())
        for name in pins(file)
        for part in distribution(name).files or []
    }
    sys.meta_path.insert(0, _Only(files))


class _Only:
    def __init__(self, files: set[str]) -> None:
        self._files = files
        self._installed = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None leaves it to the finders behind."""
        spec = PathFinder.find_spec(name, path, target)
        origin = (spec and spec.origin) or ""
        installed = origin.startswith(self._installed)
        if installed and str(Path(origin).resolve()) not in self._files:
            raise ModuleNotFoundError(f"{name} is not in the list", name=name)
        return None
