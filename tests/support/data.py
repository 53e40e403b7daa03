"""fetch and prepare on small files, called directly."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.params import FetchParams, PrepareParams
from openautoglm.steps.fetch import fetch
from openautoglm.steps.prepare import prepare
from openautoglm.steps.runtime import Runtime

SPLITS = ("train", "valid", "test", "replay", "reference")


class Sandbox:
    """A project folder in which rows are fetched and prepared."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = root / "data" / "source"
        self.source.mkdir(parents=True, exist_ok=True)

    @property
    def runtime(self) -> Runtime:
        return Runtime(work=self.root / "work", project=self.root)

    def fetch(self, source: dict, test: str | None = None) -> Path:
        """Fetch a source; returns the output folder."""
        out = self.root / "data" / "raw"
        params = FetchParams.model_validate(
            {"data": {"source": source, "test": test}}, strict=False
        )
        fetch(params=params, runtime=self.runtime, out=out)
        return out

    def prepare(self, **settings: object) -> Path:
        """Prepare what was fetched; returns the output folder."""
        out = self.root / "data" / "prepared"
        params = PrepareParams.model_validate({"data": settings}, strict=False)
        prepare(raw=self.root / "data" / "raw", params=params, runtime=self.runtime, out=out)
        return out

    def run(
        self,
        rows: str | bytes,
        test: str | None = None,
        /,
        *,
        suffix: str = ".csv",
        **settings: object,
    ) -> Path:
        """Fetch and prepare a file of this content, with a test file of that one."""
        columns = settings.pop("columns", None)
        self.write(f"rows{suffix}", rows)
        if test is not None:
            self.write(f"fixed{suffix}", test)
        source = {"kind": "file", "path": f"data/source/rows{suffix}", "columns": columns}
        self.fetch(source, None if test is None else f"data/source/fixed{suffix}")
        return self.prepare(**settings)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.source / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def schema(prepared: Path) -> dict:
    return json.loads((prepared / PAYLOAD / "schema.json").read_text(encoding="utf-8"))


def digest(folder: Path) -> str:
    return json.loads((folder / "manifest.json").read_text())["digest"]


def origin(raw: Path) -> dict:
    return json.loads((raw / PAYLOAD / "source.json").read_text(encoding="utf-8"))


def rejected(prepared: Path) -> list[dict[str, str]]:
    with (prepared / "rejected.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def reasons(prepared: Path) -> list[tuple[int, str]]:
    """Row and reason of each rejection."""
    return [(int(row["row"]), row["reason"]) for row in rejected(prepared)]


def split_of(prepared: Path, column: str = "text") -> dict[str, str]:
    """Each kept text to the split it is in."""
    return {
        text: name
        for name in SPLITS
        for text in pq.read_table(prepared / PAYLOAD / f"{name}.parquet")[column].to_pylist()
    }
