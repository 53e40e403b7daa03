"""drift: two windows beside the reference split, test and one that is shifted on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.params import DriftParams
from openautoglm.data.prepared import Prepared, read
from openautoglm.drift.compare import Verdict, WindowVerdict
from openautoglm.drift.report import write_report
from openautoglm.drift.shifted import shifted
from openautoglm.drift.watch import Watch
from openautoglm.drift.window import Window
from openautoglm.inference.model import load
from openautoglm.observability.progress import say
from openautoglm.reports.page import render
from openautoglm.steps.body import pure
from openautoglm.steps.runtime import Runtime

PAGE = "drift.html"
EXPECTED = {"test": Verdict.NONE, "shifted": Verdict.DRIFT}


@pure
def drift(
    *, prepared: Path, compressed: Path, params: DriftParams, runtime: Runtime, out: Path
) -> None:
    """Write a verdict a window and their summary; beside them a page and Evidently's reports.

    A verdict that was not expected is a result: it is told, and nothing fails.
    """
    rows, settings = read(prepared), params.drift
    watch = watch_of(rows, compressed, params)
    test = window_of(rows, "test")
    found, reports = {}, []
    for name, window in {"test": test, "shifted": shifted(test)}.items():
        columns = watch.columns(window)
        found[name] = watch.judge(columns)
        _write(out / PAYLOAD / f"{name}.json", found[name].as_json())
        reports += write_report(out, name, watch.reference, columns, found[name])
        say(f"{name}: {_told(name, found[name])}")
    summary = {
        name: {"verdict": one.verdict, "expected": EXPECTED[name], "reason": one.reason}
        for name, one in found.items()
    }
    _write(out / PAYLOAD / "drift.json", {"rows": settings.rows, "windows": summary})
    page = out / PAGE
    windows = {name: one.as_json() for name, one in found.items()}
    page.write_text(render("drift.html.j2", windows=windows), encoding="utf-8")
    tags = {f"drift.{name}": one.verdict.value for name, one in found.items()}
    with runtime.tracker.run("drift", key=runtime.work.name, tags=tags) as run:
        run.params(params.model_dump(mode="json"))
        for name, one in found.items():
            run.metrics(one.figures(f"drift.{name}"))
        for path in (page, *reports):
            run.artifact(path)


def watch_of(rows: Prepared, compressed: Path, params: DriftParams) -> Watch:
    """The reference split as the chosen model sees it, ready to judge windows."""
    return Watch(
        load(compressed, threads=params.drift.threads),
        window_of(rows, "reference"),
        train=rows.split("train").inputs,
        features=rows.features,
        settings=params.drift,
    )


def window_of(rows: Prepared, name: str) -> Window:
    """One split as a window, each row with its label."""
    split = rows.split(name)
    return Window(split.inputs, np.array(rows.labels, object)[split.y].tolist())


def _told(name: str, found: WindowVerdict) -> str:
    text = f"{found.verdict}: {found.reason}"
    if found.verdict in (EXPECTED[name], Verdict.TOO_LITTLE):
        return text
    return f"UNEXPECTED {text} (expected: {EXPECTED[name]})"


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
