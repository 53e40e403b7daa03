"""How good the models are: each family beside the baseline, over seeds, on test.

    python benchmarks/quality.py                                  # the data of params.yaml
    python benchmarks/quality.py --data thucnews3 --data thucnews10
    python benchmarks/quality.py --seeds 1 --set train.epochs=3 --set train.transformer.dim=64

The steps themselves run, fetch to compress (fp32 alone), in a temporary folder: what is measured
is the exported graph that a user gets. `--set` changes any key of params.yaml, its value in YAML.
`--write` puts the tables into `docs/benchmarks.md`. Some three minutes a seed on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from document import ROOT, described, table, write_section
from ruamel.yaml import YAML

from openautoglm.config.params import (
    CompressParams,
    EvaluateSettings,
    FetchParams,
    Params,
    PrepareParams,
    TrainParams,
    TuneParams,
    view,
)
from openautoglm.config.yaml import load
from openautoglm.data.prepared import Prepared, read
from openautoglm.inference.model import load as load_model
from openautoglm.statistics.bootstrap import Interval
from openautoglm.statistics.classification import Labels, confusion, metric_of, scores
from openautoglm.steps.compress import compress
from openautoglm.steps.fetch import fetch
from openautoglm.steps.prepare import prepare
from openautoglm.steps.runtime import Runtime
from openautoglm.steps.train import train
from openautoglm.steps.tune import tune
from openautoglm.training.baseline import fit_baseline

THUCNEWS = ROOT.parent / "shared" / "data" / "thucnews"
TOPICS = (
    *("finance", "realty", "stocks", "education", "science"),
    *("society", "politics", "sports", "game", "entertainment"),
)
"""The lines of class.txt: 财经 房产 股票 教育 科技 社会 时政 体育 游戏 娱乐."""
THREE = ("science", "sports", "entertainment")
SEEDED = "transformer"
"""The family that draws random numbers; baseline and glm are the same for every seed."""


@dataclass(frozen=True)
class Found:
    """Predicted classes of test, `int64[n]`, of one model."""

    model: str
    predicted: Labels


def main() -> None:
    """Measure each data set that is here, and print a table of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", action="append", choices=("project", "thucnews3", "thucnews10"), default=[]
    )
    parser.add_argument("--seeds", default="1,2,3", help="numbers with commas between")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    parts = [described()]
    for data in given.data or ["project"]:
        if data != "project" and not THUCNEWS.is_dir():
            print(f"{data} is left out: {THUCNEWS} is not here")
            continue
        with tempfile.TemporaryDirectory(prefix="openautoglm-quality-") as folder:
            parts.append(measured(data, parameters(data, given.changes), seeds, Path(folder)))
        print(f"\n{parts[-1]}\n", flush=True)
    if given.write and len(parts) > 1:
        write_section("benchmarks/quality.py", "\n\n".join(parts))


def parameters(data: str, changes: Iterable[str]) -> Params:
    """`params.yaml`, with another data set and other values."""
    values = load(ROOT / "params.yaml", Params).model_dump(mode="json", exclude_unset=True)
    values["register"] = values.pop("register_", {})
    values["compress"]["recipes"] = ["fp32"]  # what variants lose is evaluate's matter
    if data != "project":
        values["data"] = _thucnews(THREE if data == "thucnews3" else TOPICS)
    for change in changes:
        key, _, text = change.partition("=")
        *sections, last = key.split(".")
        node: dict[str, Any] = values
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = YAML(typ="safe").load(text)
    return Params.model_validate(values, strict=False)


def _thucnews(topics: Iterable[str]) -> dict[str, Any]:
    return {
        "source": {
            "kind": "file",
            "path": str(THUCNEWS / "train.txt"),
            "columns": ["text", "label"],
        },
        "test": str(THUCNEWS / "dev.txt"),
        "labels": {str(TOPICS.index(topic)): topic for topic in topics},
        "max_bad_share": 1.0,  # the other topics' rows are no fault of theirs
    }


def measured(data: str, params: Params, seeds: list[int], folder: Path) -> str:
    """A heading and the table of one data set."""
    runtime = Runtime(work=folder / "work", project=ROOT)
    raw, prepared = folder / "raw", folder / "prepared"
    fetch(params=view(params, FetchParams), runtime=runtime, out=raw)
    prepare(raw=raw, params=view(params, PrepareParams), runtime=runtime, out=prepared)
    rows = read(prepared)
    baseline = _baseline(rows)
    found = _families(prepared, rows, params, seeds, runtime, folder)
    title = (
        f"**{data}**: {len(rows.labels)} classes, {rows.rows['train']} rows of train, "
        f"{rows.rows['test']} of test."
    )
    return f"{title}\n\n{_table(rows, baseline, found, params.evaluate)}"


def _baseline(rows: Prepared) -> Labels:
    split = {name: rows.split(name) for name in ("train", "valid", "test")}
    train_rows, valid_rows = ((split[name].inputs, split[name].y) for name in ("train", "valid"))
    fitted = fit_baseline(train_rows, valid_rows, len(rows.labels))
    return fitted.predict_proba(split["test"].inputs, len(rows.labels)).argmax(1)


def _families(
    prepared: Path, rows: Prepared, params: Params, seeds: list[int], runtime: Runtime, folder: Path
) -> list[Found]:
    found: list[Found] = []
    families = list(params.model.families)
    for seed in seeds:
        trained, compressed = folder / f"trained-{seed}", folder / f"compressed-{seed}"
        model = params.model.model_copy(update={"families": tuple(families)})
        of_seed = params.model_copy(
            update={
                "model": model,
                "tune": params.tune.model_copy(update={"seed": seed}),
                "train": params.train.model_copy(update={"seed": seed}),
            }
        )
        tuned = folder / f"tuned-{seed}"
        tune(prepared=prepared, params=view(of_seed, TuneParams), runtime=runtime, out=tuned)
        train(
            prepared=prepared,
            tuned=tuned,
            params=view(of_seed, TrainParams),
            runtime=runtime,
            out=trained,
        )
        compress(
            prepared=prepared,
            trained=trained,
            params=view(of_seed, CompressParams),
            runtime=runtime,
            out=compressed,
        )
        for family in families:
            graph = load_model(compressed, family=family, threads=params.evaluate.threads)
            predicted = graph.predict_proba(rows.split("test").inputs).argmax(1)
            name = f"{family}, seed {seed}" if family == SEEDED else family
            found.append(Found(name, predicted))
        families = [family for family in families if family == SEEDED]
        if not families:
            break
    return sorted(found, key=lambda one: one.model)


def _table(rows: Prepared, baseline: Labels, found: list[Found], settings: EvaluateSettings) -> str:
    y, k = rows.split("test").y, len(rows.labels)
    groups = [(one.model, [one.predicted]) for one in found]
    seeded = [one.predicted for one in found if one.model.startswith(SEEDED)]
    if len(seeded) > 1:
        groups.append((f"{SEEDED}, mean of {len(seeded)}", seeded))
    lines = [("baseline", *_scores(y, [baseline], k), "", "")]
    for name, predictions in groups:
        spreads = (
            mean_difference(y, predictions, baseline, k, metric, settings)
            for metric in ("macro_f1", "accuracy")
        )
        lines.append((name, *_scores(y, predictions, k), *map(_spread, spreads)))
    header = ("model", "macro F1", "accuracy", "macro F1 - baseline", "accuracy - baseline")
    percent = f"{100 * settings.confidence:g} %"
    return f"{table(header, lines)}\n\nDifferences: paired, with their {percent} interval."


def mean_difference(
    y: Labels,
    predictions: list[Labels],
    baseline: Labels,
    k: int,
    metric: str,
    settings: EvaluateSettings,
) -> Interval:
    """Mean of the models' metric minus the baseline's, with the interval over rows.

    The models are fixed: another seed's model may lie outside. Percentile bootstrap (Efron &
    Tibshirani 1993) of whole rows, so what all of them find hard cancels out.
    """

    def difference(places: Any) -> float:
        truth = y[places]
        ours = [float(metric_of(metric, confusion(truth, p[places], k))) for p in predictions]
        return float(np.mean(ours) - metric_of(metric, confusion(truth, baseline[places], k)))

    rng = np.random.default_rng(settings.seed)
    n = len(y)
    draws = [difference(rng.integers(0, n, n)) for _ in range(settings.resamples)]
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(difference(slice(None)), float(low), float(high))


def _scores(y: Labels, predictions: list[Labels], k: int) -> tuple[str, str]:
    each = [scores(y, predicted, k) for predicted in predictions]
    macro_f1, accuracy = (np.mean([one[name] for one in each]) for name in ("macro_f1", "accuracy"))
    return f"{macro_f1:.4f}", f"{accuracy:.4f}"


def _spread(found: Interval) -> str:
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


if __name__ == "__main__":
    main()
