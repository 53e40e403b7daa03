"""train: the best of each family; the better one is the candidate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from openautoglm.artifacts.folder import PAYLOAD, published
from openautoglm.config.params import TrainParams
from openautoglm.data.prepared import read
from openautoglm.observability.progress import say
from openautoglm.statistics.classification import scores
from openautoglm.steps.body import pure
from openautoglm.steps.runtime import Runtime
from openautoglm.training.base import locate
from openautoglm.training.devices import threads
from openautoglm.training.families import fit
from openautoglm.training.job import VALID, Job, Rows
from openautoglm.training.settled import read_settled, refuse_numeric, settings_of


@pure
def train(*, prepared: Path, tuned: Path, params: TrainParams, runtime: Runtime, out: Path) -> None:
    """Write `payload/trained.json` and a folder a family, with its predictions on valid.

    Each family trains with `train` and what tune found for it. One that a killed attempt has
    finished is taken as it is.

    Raises:
        ConfigError: A setting does not fit the data or cannot be had on this machine.
        SourceError: `model.base` cannot be read.
    """
    rows = read(prepared)
    refuse_numeric(params.model.families, rows.features)
    settled = read_settled(tuned)
    split = {name: rows.split(name) for name in ("train", "valid")}
    train_rows, valid_rows = (Rows(split[name].inputs, split[name].y) for name in split)
    base = None
    if params.model.base is not None:
        base = locate(params.model.base, params.model.revision, runtime.project)
    found = {}
    with threads(params.train.threads), runtime.tracker.run("train", key=runtime.work.name) as run:
        run.params(params.model_dump(mode="json"))
        for family in params.model.families:
            # Another content of a base of the same name is another fit.
            work = runtime.work / (f"{family}-{base.digest}" if base else family)
            done, checkpoints = work / "done", work / "checkpoints"
            if done.is_dir():
                say(f"{family}: finished by a killed attempt")
            else:
                mine = settings_of(family, params.train, settled)
                say(f"{family}: {settled[family]['reason']}")
                job = Job(
                    train=train_rows,
                    valid=valid_rows,
                    classes=len(rows.labels),
                    features=rows.features,
                    base=base,
                    settings=mine,
                    work=checkpoints,
                    device=runtime.device,
                    curve=run.metrics,
                )
                checkpoints.mkdir(parents=True, exist_ok=True)
                with published(done) as part:
                    fit(family, job, part)
                shutil.rmtree(checkpoints)
            shutil.copytree(done, out / PAYLOAD / family)
            predicted = np.load(done / VALID).argmax(1)
            found[family] = scores(valid_rows.y, predicted, len(rows.labels))
            run.metrics({f"{family}.{name}": value for name, value in found[family].items()})
    ranked = sorted(found, key=lambda family: -found[family]["macro_f1"])  # ties: params' order
    for family in ranked:
        say(f"{family}: macro F1 {found[family]['macro_f1']:.4f} on valid")
    told = {
        "labels": rows.labels,
        "base": params.model.base,
        "base_digest": base.digest if base else None,
        "candidate": ranked[0],
        "fallback": ranked[1] if len(ranked) > 1 else None,
        "families": list(params.model.families),
        "settings": {family: settled[family]["settings"] for family in params.model.families},
        "valid": found,
    }
    text = json.dumps(told, indent=2, ensure_ascii=False)
    (out / PAYLOAD / "trained.json").write_text(text + "\n", encoding="utf-8")
