"""A beside B: two registered versions on the rows both were tested on, as one MLflow run."""

from __future__ import annotations

import csv
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from openautoglm.config.params import RegisterSettings
from openautoglm.errors import InputError
from openautoglm.registry.comparison import (
    FEWEST,
    Comparison,
    compare_predictions,
    figures,
    shared_rows,
    verdict,
)
from openautoglm.registry.predictions import predictions_of
from openautoglm.registry.store import Store
from openautoglm.registry.tracker import MlflowTracker, Run
from openautoglm.registry.versions import DIGEST, by_name
from openautoglm.reports.plots import difference_plot

Values = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Compared:
    """What `compare_versions` found.

    Attributes:
        a: Number of version A.
        b: Number of version B.
        comparison: A minus B.
        verdict: The same in words.
        params: Parameters that differ: name to the values of A and B.
        run: Id of the MLflow run that holds all of this.
        page: Path of MLflow's own compare page for the two versions' runs, from its root.
    """

    a: str
    b: str
    comparison: Comparison
    verdict: str
    params: Values
    run: str
    page: str


def compare_versions(
    store: Store, model: str, a: str, b: str, settings: RegisterSettings
) -> Compared:
    """Compare two versions and write the MLflow run; the same two again give the same run.

    Args:
        store: An open store.
        model: Registered name.
        a: Version or alias.
        b: Version or alias.
        settings: Resamples, confidence and seed.

    Raises:
        InputError: A name is unknown, both are one version, or they share too few test rows.
    """
    first, second = by_name(store, model, a), by_name(store, model, b)
    if first.version == second.version:
        raise InputError(
            f"`{a}` and `{b}` are both version {first.version} of `{model}`",
            hint="name two versions",
        )
    left, right = predictions_of(store, first), predictions_of(store, second)
    found = compare_predictions(
        left,
        right,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    if found is None:
        raise InputError(
            f"versions {first.version} and {second.version} share "
            f"{len(shared_rows(left, right))} test rows with the same label",
            allowed=f"at least {FEWEST}",
            hint="both must be evaluated on the same data: dvc repro with one data.test for both",
        )
    words = verdict(found, _called(a, first), _called(b, second), settings.confidence)
    params = _different(store, first, second)
    name = f"compare {model} {first.version} with {second.version}"
    key = f"{first.tags.get(DIGEST)} {second.tags.get(DIGEST)}"
    tags = {"model": model, "verdict": words}
    with MlflowTracker(store).run(name, key=key, tags=tags) as run:
        run.params({f"a.{key}": pair[0] for key, pair in params.items()})
        run.params({f"b.{key}": pair[1] for key, pair in params.items()})
        run.metrics(figures(found))
        run.metrics(
            {
                f"f1_difference/{label}": value
                for label, value in zip(found.labels, found.f1[0] - found.f1[1], strict=True)
                if not np.isnan(value)
            }
        )
        run.note(f"{words}\n\n{_table(params)}")
        _files(run, found, params, f"version {first.version} minus version {second.version}")
    page = _page(store, first, second)
    return Compared(str(first.version), str(second.version), found, words, params, run.id, page)


def _called(given: str, version: ModelVersion) -> str:
    number = f"version {version.version}"
    return number if given.removeprefix("v") == str(version.version) else f"{given} ({number})"


def _different(store: Store, first: ModelVersion, second: ModelVersion) -> Values:
    """Parameters, and the digests they led to, that are not the same."""
    sides = []
    for version in (first, second):
        try:
            known = dict(store.client.get_run(version.run_id).data.params)
        except MlflowException:  # the run was removed by hand; tags still tell the digests
            known = {}
        digests = {k: v for k, v in version.tags.items() if k.startswith("digest.")}
        sides.append(known | {k: v for k, v in digests.items() if k != "digest.packed"})
    a, b = sides
    names = sorted({*a, *b})
    return {k: (a.get(k, "-"), b.get(k, "-")) for k in names if a.get(k, "-") != b.get(k, "-")}


def _table(params: Values) -> str:
    lines = [f"| {name} | {a} | {b} |" for name, (a, b) in params.items()]
    return "\n".join(["| parameter | A | B |", "|---|---|---|", *lines])


def _files(run: Run, found: Comparison, params: Values, title: str) -> None:
    with tempfile.TemporaryDirectory(prefix="openautoglm-") as folder:
        out = Path(folder)
        difference_plot(
            np.nan_to_num(found.f1[0] - found.f1[1]),
            found.labels,
            title,
            "difference of F1 on shared test rows",
            out / "per_class.png",
        )
        lines = zip(found.labels, *found.f1.tolist(), strict=True)
        _csv(out / "per_class.csv", ["label", "f1_a", "f1_b"], lines)
        _csv(out / "parameters.csv", ["parameter", "a", "b"], ((k, *v) for k, v in params.items()))
        run.artifact(out)


def _csv(path: Path, header: list[str], rows: object) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)  # type: ignore[arg-type]


def _page(store: Store, first: ModelVersion, second: ModelVersion) -> str:
    runs = json.dumps([first.run_id, second.run_id], separators=(",", ":"))
    experiments = json.dumps([store.experiment])
    return f"/#/compare-runs?runs={quote(runs)}&experiments={quote(experiments)}"
