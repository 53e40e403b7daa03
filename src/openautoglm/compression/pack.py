"""Put finished variants together as the package that is evaluated, registered and served."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.compression.choice import Offer, choose
from openautoglm.compression.measure import Ground, Inputs, batches
from openautoglm.compression.speed import BATCHES, measure_speed
from openautoglm.compression.variants import PROBA, Variation
from openautoglm.config.compression import CompressSettings
from openautoglm.inference.package import (
    CHOICE,
    PACKAGE,
    SPEED,
    Choice,
    Family,
    Kind,
    Package,
    TextInput,
    Variant,
)
from openautoglm.statistics.bootstrap import Interval, paired_difference

VARIANTS, LEFT_OUT = "variants.csv", "left_out.json"


@dataclass(frozen=True)
class Built:
    """A finished variant.

    Attributes:
        trial: Number of its trial.
        family: Its network's name in the package.
        kind: Where the network comes from.
        settings: What tune found for it, or how it was cut or taught.
        precision: How it is stored.
        variation: Its folders and figures.
        pareto: Whether no other variant beats it in bytes, macro F1 and operations at once.
    """

    trial: int
    family: str
    kind: Kind
    settings: Mapping[str, Any]
    precision: str
    variation: Variation
    pareto: bool


def pack(
    built: Sequence[Built],
    refused: Sequence[Mapping[str, str]],
    trained: Mapping[str, Any],
    ground: Ground,
    settings: CompressSettings,
    out: Path,
) -> Choice:
    """Write `payload/` with graphs and tables, and `choice.json` and `speed.json` beside it.

    Args:
        built: What was built, in the order of trials; what is left out is told, not packed.
        refused: Recipes that do nothing for a network: family, variant, reason.
        trained: What train says: labels, base, candidate, fallback.
        ground: What was measured on.
        settings: The gate, and the seed of its intervals.
        out: The step's folder.
    """
    kept = [one for one in built if one.variation.measured.left_out is None]
    told = [
        {"family": one.family, "variant": one.precision, "reason": one.variation.measured.left_out}
        for one in built
        if one not in kept
    ]
    payload = out / PAYLOAD
    families = {one.family: _family(one, kept, payload) for one in kept}
    package = Package(
        labels=ground.labels,
        base=trained["base"],
        candidate=trained["candidate"],
        fallback=trained["fallback"],
        families=families,
    )
    offers = _offers(kept, package.candidate, ground, settings)
    fp32 = next(o for o in offers if (o.family, o.variant) == (package.candidate, "fp32"))
    chosen = choose(offers, fp32, settings.gate)
    choice = Choice(family=chosen.family, variant=chosen.variant, reason=chosen.reason)
    _write(payload / PACKAGE, package)
    _table(payload / VARIANTS, kept, offers)
    _json(payload / LEFT_OUT, [*refused, *told])
    _write(out / CHOICE, choice)
    _json(out / SPEED, _speed(package, ground, payload))
    return choice


def _family(one: Built, kept: Sequence[Built], payload: Path) -> Family:
    mine = [other for other in kept if other.family == one.family]
    folder = payload / one.family
    if not folder.is_dir():
        folder.mkdir()
        for other in mine:
            shutil.copyfile(other.variation.graph, folder / f"{other.precision}.onnx")
    taken = one.variation.measured.input
    if isinstance(taken, TextInput):
        tokenizer = f"{one.family}/tokenizer.json"
        shutil.copyfile(one.variation.network / taken.tokenizer, payload / tokenizer)
        taken = taken.model_copy(update={"tokenizer": tokenizer})
    return Family(
        kind=one.kind,
        settings=dict(one.settings),
        operations=one.variation.measured.operations,
        input=taken,
        variants={other.precision: _variant(other) for other in mine},
    )


def _variant(one: Built) -> Variant:
    found = one.variation.measured
    return Variant(
        file=f"{one.family}/{one.precision}.onnx",
        bytes=found.bytes,
        max_difference=found.max_difference,
        odd_difference=found.odd_difference,
        agreement=found.agreement,
    )


def _offers(
    kept: Sequence[Built], candidate: str, ground: Ground, settings: CompressSettings
) -> list[Offer]:
    predicted = [np.load(one.variation.folder / PROBA).argmax(1) for one in kept]
    first = next(
        place
        for place, one in enumerate(kept)
        if (one.family, one.precision) == (candidate, "fp32")
    )
    gate = settings.gate
    return [
        Offer(
            one.family,
            one.precision,
            one.variation.measured.bytes,
            Interval(0.0, 0.0, 0.0)
            if place == first
            else paired_difference(
                ground.y,
                predicted[place],
                predicted[first],
                len(ground.labels),
                metric=gate.metric,
                resamples=gate.resamples,
                confidence=gate.confidence,
                seed=settings.seed,
            ),
        )
        for place, one in enumerate(kept)
    ]


def _table(path: Path, kept: Sequence[Built], offers: Sequence[Offer]) -> None:
    """One line a variant: size, arithmetic, agreement, quality on valid and what was lost."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for one, offer in zip(kept, offers, strict=True):
            found = one.variation.measured
            writer.writerow(
                [
                    *(one.trial, one.family, one.precision, found.bytes, found.operations),
                    *(found.max_difference, found.odd_difference, found.agreement),
                    *(found.macro_f1, found.accuracy, *offer.change, int(one.pareto)),
                ]
            )


_COLUMNS = (
    *("trial", "family", "variant", "bytes", "operations"),
    *("max_difference", "odd_difference", "agreement"),
    *("macro_f1", "accuracy", "change", "change_low", "change_high", "pareto"),
)


def _speed(package: Package, ground: Ground, payload: Path) -> dict[str, Any]:
    graphs, rows = {}, {}
    for name, family in package.families.items():
        given = [
            batches(payload, family.input, _some(ground.inputs, size), size)[0] for size in BATCHES
        ]
        for precision, variant in family.variants.items():
            graphs[f"{name}/{precision}"] = payload / variant.file
            rows[f"{name}/{precision}"] = given
    return measure_speed(graphs, rows)


def _some(inputs: Inputs, size: int) -> Inputs:
    """So many rows, from the first again where there are fewer."""
    places = np.resize(np.arange(len(inputs)), size)
    return (
        inputs[places] if isinstance(inputs, np.ndarray) else [inputs[at] for at in places.tolist()]
    )


def _write(path: Path, model: BaseModel) -> None:
    _json(path, model.model_dump(mode="json"))


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
