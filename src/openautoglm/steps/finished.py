"""Outputs kept by what they were made from: a cache for callers that have none of their own.

Kubeflow's cache goes by the names of artifacts, so a step that ran again with the same result
sends every later one to work. Here the key is content: inputs, parameters, code.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from openautoglm.artifacts.folder import PAYLOAD, published, remove_all_stale
from openautoglm.artifacts.manifest import Manifest, read_manifest
from openautoglm.errors import ArtifactError
from openautoglm.observability.progress import say

_KEPT = 8
"""Outputs of one step that are kept; of more, those not used for longest go."""


def take(store: Path, attempt: str, out: Path) -> Manifest | None:
    """Put a kept output at `out`, if there is one and it is whole.

    Args:
        store: The outputs of one step.
        attempt: Digest of what they were made from.
        out: Where it is wanted.
    """
    kept = store / attempt
    found = _identity(kept)
    if found is None:
        return None
    try:
        manifest = read_manifest(kept)
        with published(out) as part:
            _copy(kept, part)
        os.utime(kept)
    except ArtifactError:
        # It was changed behind our back: it is made anew.
        _remove(kept)
        return None
    except OSError:
        if _identity(kept) == found:
            raise
        # Another worker needed its place meanwhile, and may have kept the same again since.
        return None
    return manifest


def _identity(kept: Path) -> tuple[int, int] | None:
    """What tells a folder from a later one of the same name; None where there is none."""
    try:
        seen = kept.stat()
    except FileNotFoundError:
        return None
    # The number of a folder that is gone is given to the next one.
    return seen.st_ino, seen.st_ctime_ns


def keep(store: Path, attempt: str, out: Path) -> None:
    """Keep an output, and let go of those not used for longest.

    A step that has ended well does not fail because nothing more can be kept.
    """
    try:
        if not (store / attempt).is_dir():
            remove_all_stale(store)
            with published(store / attempt) as part:
                _copy(out, part)
    except OSError as error:
        # Another worker may have kept the same in this moment.
        if not (store / attempt).is_dir():
            say(f"not kept for later runs: {error}")
    # Another worker may remove the same one.
    with suppress(FileNotFoundError):
        oldest_first = sorted(store.glob("sha256-*"), key=lambda kept: kept.stat().st_mtime)
        for kept in oldest_first[:-_KEPT]:
            _remove(kept)


def _remove(kept: Path) -> None:
    """At once for whoever looks, so that nobody takes a part of it."""
    going = kept.with_name(f".{kept.name}.part-{os.getpid()}-old")
    with suppress(OSError):
        kept.rename(going)
    shutil.rmtree(going, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    # What lies beside the payload is no part of its digest: a change would be seen by nobody.
    beside = shutil.ignore_patterns(PAYLOAD)
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=beside)
    shutil.copytree(source / PAYLOAD, target / PAYLOAD, copy_function=_link)


def _link(source: str, target: str) -> None:
    """One file with two names where one disk holds both: a model may have gigabytes."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
