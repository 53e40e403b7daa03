"""evaluate: candidate, fallback and baseline on test, with intervals, and the gate."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.params import EvaluateParams, EvaluateSettings
from openautoglm.data.prepared import Prepared, Split, read
from openautoglm.inference.package import read_choice, read_package
from openautoglm.observability.progress import say
from openautoglm.reports.evaluation import write_page
from openautoglm.reports.plots import confusion_plot
from openautoglm.statistics.bootstrap import Interval, interval, paired_difference
from openautoglm.statistics.classification import (
    METRICS,
    Labels,
    calibration_error,
    confusion,
    per_class,
)
from openautoglm.steps.body import pure
from openautoglm.steps.runtime import Runtime
from openautoglm.steps.variants import compared, predicted
from openautoglm.training.baseline import Baseline, fit_baseline

Proba = NDArray[np.floating]
_FIGURES = ("bytes", "agreement", "macro_f1", "accuracy", "change", "change_low", "change_high")


@pure
def evaluate(
    *, prepared: Path, compressed: Path, params: EvaluateParams, runtime: Runtime, out: Path
) -> None:
    """Write metrics, per-class figures, predictions, verdict, plots and `report.html`."""
    settings = params.evaluate
    rows = read(prepared)
    test = rows.split("test")
    k = len(rows.labels)
    package, choice = read_package(compressed), read_choice(compressed)
    found = predicted(compressed, package, test, threads=settings.threads)
    proba = found[choice.family, choice.variant]
    # Where the smaller family is served, the other one is what is fallen back to.
    other = package.candidate if choice.family == package.fallback else package.fallback
    fallback = found[other, "fp32"] if other else None
    variants = compared(found, package, choice, test, settings)
    baseline = _baseline(rows, k)
    baseline_proba = baseline.predict_proba(test.inputs, k)

    difference = paired_difference(
        test.y,
        proba.argmax(1),
        baseline_proba.argmax(1),
        k,
        metric=settings.gate.metric,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    metrics = {
        "rows": len(test.y),
        "candidate": {"family": choice.family, "variant": choice.variant}
        | _measured(test.y, proba, settings),
        "baseline": _measured(test.y, baseline_proba, settings) | {"penalty": baseline.penalty},
        "fallback": fallback
        if fallback is None
        else {"family": other} | _measured(test.y, fallback, settings),
        "difference": {"metric": settings.gate.metric, **difference._asdict()},
    }
    verdict = _verdict(difference, settings)
    say(f"{verdict['verdict']}: {verdict['reason']}")
    _write(out, rows.labels, test, proba, metrics, variants, verdict, settings.confidence)
    with runtime.tracker.run("evaluate", key=runtime.work.name) as run:
        run.params(params.model_dump(mode="json"))
        run.metrics(_flat(metrics))
        for row in variants:
            name = f"variants.{row['family']}.{row['variant']}"
            run.metrics({f"{name}.{key}": row[key] for key in _FIGURES})
        for file in (out / "report.html", out / "confusion.png", out / PAYLOAD / "variants.csv"):
            run.artifact(file)


def _baseline(rows: Prepared, k: int) -> Baseline:
    train, valid = rows.split("train"), rows.split("valid")
    return fit_baseline((train.inputs, train.y), (valid.inputs, valid.y), k)


def _measured(y: Labels, proba: Proba, settings: EvaluateSettings) -> dict[str, float]:
    found: dict[str, float] = {"calibration_error": calibration_error(y, proba)}
    for metric in METRICS:
        spread = interval(
            y,
            proba.argmax(1),
            proba.shape[1],
            metric=metric,
            resamples=settings.resamples,
            confidence=settings.confidence,
            seed=settings.seed,
        )
        found |= {
            metric: spread.value,
            f"{metric}_low": spread.low,
            f"{metric}_high": spread.high,
        }
    return found


def _verdict(difference: Interval, settings: EvaluateSettings) -> dict[str, str]:
    metric, margin = settings.gate.metric, settings.gate.margin
    passed = difference.low > -margin
    reason = (
        f"{metric} {difference.value:+.4f} against the baseline, "
        f"{100 * settings.confidence:g} % interval "
        f"[{difference.low:+.4f}, {difference.high:+.4f}]; "
        f"its lower end must lie above {-margin:+g}"
    )
    return {"verdict": "pass" if passed else "fail", "reason": reason}


def _write(
    out: Path,
    labels: Sequence[str],
    test: Split,
    proba: Proba,
    metrics: dict[str, Any],
    variants: list[dict[str, Any]],
    verdict: dict[str, str],
    confidence: float,
) -> None:
    payload = out / PAYLOAD
    predicted = proba.argmax(1)
    counts = confusion(test.y, predicted, len(labels))
    columns = per_class(test.y, predicted, len(labels))
    classes = [
        {"label": label} | {name: float(column[i]) for name, column in columns.items()}
        for i, label in enumerate(labels)
    ]
    _json(payload / "metrics.json", metrics)
    _json(payload / "verdict.json", verdict)
    _csv(payload / "per_class.csv", list(classes[0]), [list(row.values()) for row in classes])
    _csv(payload / "variants.csv", list(variants[0]), [list(row.values()) for row in variants])
    _csv(
        payload / "confusion.csv",
        ["label", *labels],
        [[label, *line] for label, line in zip(labels, counts.tolist(), strict=True)],
    )
    names = np.asarray(labels, dtype=object)
    truth, found = names[test.y].tolist(), names[predicted].tolist()
    _csv(payload / "classes.csv", ["actual", "predicted"], zip(truth, found, strict=True))
    table = {"id": test.ids, "label": truth, "predicted": found} | {
        f"p_{label}": pa.array(proba[:, i].astype(np.float32)) for i, label in enumerate(labels)
    }
    pq.write_table(pa.table(table), payload / "predictions.parquet")
    confusion_plot(counts, labels, out / "confusion.png")
    write_page(
        out / "report.html",
        metrics=metrics,
        classes=classes,
        variants=variants,
        verdict=verdict,
        confidence=confidence,
        confusion=out / "confusion.png",
    )


def _flat(metrics: dict[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            found[prefix + name] = value
    return found


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _csv(path: Path, header: list[str], rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
