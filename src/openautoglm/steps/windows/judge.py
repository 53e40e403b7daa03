"""A window beside the reference split: its verdict, a report whole or not at all, an MLflow run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openautoglm.artifacts.digest import value_digest
from openautoglm.artifacts.folder import published
from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.params import DriftParams, Params, view
from openautoglm.data.prepared import Prepared
from openautoglm.data.prepared import read as read_rows
from openautoglm.drift.compare import WindowVerdict
from openautoglm.drift.report import write_report
from openautoglm.errors import ArtifactError, InputError
from openautoglm.observability.progress import say
from openautoglm.observability.tracking import Tracker
from openautoglm.reports.page import render
from openautoglm.steps.drift import PAGE, watch_of
from openautoglm.steps.windows.result import RESULT
from openautoglm.steps.windows.rows import Read, Source


@dataclass(frozen=True)
class Judged:
    """A window that was judged.

    Attributes:
        found: Its verdict.
        document: What `window.json` holds.
    """

    found: WindowVerdict
    document: dict[str, Any]


def judge(
    source: Source,
    *,
    prepared: Path,
    compressed: Path,
    params: Params,
    tracker: Tracker,
    out: Path,
) -> Judged:
    """Judge a window, write its report and log it.

    Args:
        source: Where the window comes from.
        prepared: The rows that the model was made from, with the reference split.
        compressed: The model.
        params: The project's.
        tracker: Gets one run, the same again for the same window beside the same reference.
        out: Folder of the report; one of an earlier window is replaced.

    Raises:
        InputError: The window or a column is missing, model and rows do not belong together, or
            `out` is a folder of something else.
        StoreError: MLflow does not answer; the report stands.
    """
    digests = _digests({"prepared": prepared, "compressed": compressed})
    _refuse_other(out)
    rows, settings = read_rows(prepared), view(params, DriftParams)
    window = source.read(params.data, rows.labels)
    say(f"{len(window.window)} of {window.found} rows of {source.name} can be used")
    watch = watch_of(rows, compressed, settings)
    columns = watch.columns(window.window)
    found = watch.judge(columns)
    document = _document(source, window, rows, found, digests)
    with published(out) as part:
        write_report(part, "report", watch.reference, columns, found)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (part / RESULT).write_text(text + "\n", encoding="utf-8")
        page = render("drift.html.j2", windows={source.name: document})
        (part / PAGE).write_text(page, encoding="utf-8")
    key = value_digest([digests, settings.model_dump(mode="json"), document])
    tags = {"window": source.name, "verdict": found.verdict.value} | {
        f"digest.{name}": digest for name, digest in digests.items()
    }
    with tracker.run(f"drift {source.stem}", key=key, tags=tags) as run:
        run.params(settings.model_dump(mode="json"))
        run.metrics(found.figures("drift.window"))
        run.artifact(out)
    return Judged(found, document)


def _digests(folders: Mapping[str, Path]) -> dict[str, str]:
    """Payload digest of rows and model, checked to belong together."""
    manifests = {name: read_manifest(folder) for name, folder in folders.items()}
    digests = {name: manifest.digest for name, manifest in manifests.items()}
    if manifests["compressed"].inputs.get("prepared") != digests["prepared"]:
        raise ArtifactError(
            "the model was made from other rows than these",
            where=str(folders["prepared"]),
            allowed=manifests["compressed"].inputs.get("prepared"),
            hint="dvc repro",
        )
    return digests


def _refuse_other(out: Path) -> None:
    """The report replaces its folder, so it must be one of ours, or empty."""
    if out.exists() and not (out / RESULT).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            "this is no report of an earlier window, and would be replaced",
            where=str(out),
            allowed="a new folder, an empty one, or such a report",
            hint="--out FOLDER",
        )


def _document(
    source: Source,
    window: Read,
    rows: Prepared,
    found: WindowVerdict,
    digests: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "file": source.name,
        "digest": source.digest(),
        "model_digest": digests["compressed"],
        "found": window.found,
        "used": len(window.window),
        "rejected": window.rejected,
        "notes": [*window.notes, *_learned(window, rows)],
        **found.as_json(),
    }


def _learned(window: Read, rows: Prepared) -> list[str]:
    if rows.features is not None:
        return []
    train = set(rows.split("train").inputs)
    n = sum(text in train for text in window.window.inputs)
    told = f"{n} of these rows are in train: nothing in them is unseen, and the model knows them"
    return [told] if n else []
