"""fetch: the source's rows as found, and where they came from."""

from __future__ import annotations

from pathlib import Path

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.data import DvcSource, HuggingFaceSource, PackageSource, Source
from openautoglm.config.params import FetchParams
from openautoglm.data.raw import Raw, RawFile, write_raw
from openautoglm.data.sources.dvc_repository import fetch_dvc
from openautoglm.data.sources.huggingface import fetch_huggingface
from openautoglm.data.sources.local import fetch_file
from openautoglm.data.sources.package import fetch_package
from openautoglm.steps.body import pure
from openautoglm.steps.runtime import Runtime


@pure
def fetch(*, params: FetchParams, runtime: Runtime, out: Path) -> None:
    """Write `payload/rows.*`, `payload/test.*` where a test file is named, and `source.json`.

    Raises:
        SourceError: The source cannot be read; the message says what to do.
    """
    payload, source = out / PAYLOAD, params.data.source
    rows, origin = _rows(source, runtime, payload)
    test = params.data.test
    write_raw(
        payload,
        Raw(
            kind=source.kind,
            origin=origin,
            rows=rows,
            test=None if test is None else fetch_file(test, runtime.project, payload, "test"),
            key=getattr(source, "key", None),
            columns=getattr(source, "columns", None),
        ),
    )


def _rows(source: Source, runtime: Runtime, payload: Path) -> tuple[RawFile, dict[str, str | None]]:
    if isinstance(source, PackageSource):
        return fetch_package(source, payload)
    if isinstance(source, DvcSource):
        return fetch_dvc(source, runtime.project, payload)
    if isinstance(source, HuggingFaceSource):
        return fetch_huggingface(source, runtime.project, runtime.work, payload)
    return fetch_file(source.path, runtime.project, payload, "rows"), {}
