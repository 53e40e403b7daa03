"""A data file inside an installed Python package."""

from __future__ import annotations

import difflib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from openautoglm.config.data import PackageSource
from openautoglm.data.raw import RawFile, suffix_of
from openautoglm.data.sources.local import copy
from openautoglm.errors import SourceError
from openautoglm.observability.progress import say


def fetch_package(source: PackageSource, payload: Path) -> tuple[RawFile, dict[str, str | None]]:
    """Copy the file into the payload.

    Returns:
        The file, and its origin: package, version and path.

    Raises:
        SourceError: The package is not installed, or holds no such file.
    """
    suffix = suffix_of(source.file)
    try:
        package = distribution(source.package)
    except PackageNotFoundError:
        raise SourceError(
            f"the package `{source.package}` is not installed",
            where="params.yaml, key data.source.package",
            hint=f"pip install {source.package}",
        ) from None
    path = Path(str(package.locate_file(source.file)))
    if not path.is_file():
        raise _no_file(source, package)
    say(f"from {source.package} {package.version}")
    origin: dict[str, str | None] = {
        "package": source.package,
        "version": package.version,
        "file": source.file,
    }
    return copy(path, payload, f"rows{suffix}"), origin


def _no_file(source: PackageSource, package: Distribution) -> SourceError:
    names = [str(name) for name in package.files or ()]
    near = difflib.get_close_matches(source.file, names, n=3, cutoff=0.4)
    return SourceError(
        f"{source.package} {package.version} holds no file `{source.file}`",
        where="params.yaml, key data.source.file",
        hint=f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else None,
    )
