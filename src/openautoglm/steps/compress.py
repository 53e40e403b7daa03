"""compress: both families as ONNX graphs, each checked against the framework on every row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.compression.agreement import agreement
from openautoglm.compression.catalog import RECIPES
from openautoglm.config.params import CompressParams, CompressSettings
from openautoglm.data.prepared import Inputs, read
from openautoglm.errors import StepError
from openautoglm.inference.model import open_model
from openautoglm.inference.package import (
    CHOICE,
    PACKAGE,
    Choice,
    Family,
    Package,
    TextInput,
    Variant,
)
from openautoglm.observability.progress import say
from openautoglm.steps.body import pure
from openautoglm.steps.runtime import Runtime
from openautoglm.training.families import restore
from openautoglm.training.job import VALID


@pure
def compress(
    *, prepared: Path, trained: Path, params: CompressParams, runtime: Runtime, out: Path
) -> None:
    """Write `payload/model.json`, its graphs and tokenizers, and `choice.json` beside them.

    Raises:
        StepError: A graph differs from the framework by more than `compress.max_difference`.
    """
    source = trained / PAYLOAD
    told: dict[str, Any] = json.loads((source / "trained.json").read_text(encoding="utf-8"))
    labels = tuple(told["labels"])
    valid = read(prepared).split("valid").inputs
    package = Package(
        labels=labels,
        base=told["base"],
        candidate=told["candidate"],
        fallback=told["fallback"],
        families={
            name: _family(source / name, valid, labels, params.compress, out / PAYLOAD)
            for name in told["families"]
        },
    )
    _write(out / PAYLOAD / PACKAGE, package)
    choice = Choice(
        family=package.candidate,
        variant="fp32",
        reason="fp32 is the only recipe in compress.recipes",
    )
    _write(out / CHOICE, choice)


def _family(
    source: Path, valid: Inputs, labels: tuple[str, ...], settings: CompressSettings, payload: Path
) -> Family:
    name = source.name
    restored = restore(name, source)
    (payload / name).mkdir()
    input_ = restored.input
    if isinstance(input_, TextInput):
        tokenizer = f"{name}/tokenizer.json"
        shutil.copyfile(source / input_.tokenizer, payload / tokenizer)
        input_ = input_.model_copy(update={"tokenizer": tokenizer})
    expected = np.load(source / VALID)
    variants = {}
    for recipe in settings.recipes:
        graph = payload / name / f"{recipe}.onnx"
        RECIPES[recipe](restored.module, restored.example, graph)
        model = open_model(payload, graph, input_, labels, threads=settings.threads)
        found = agreement(model.predict_proba(valid), expected)
        size = graph.stat().st_size
        say(
            f"{name} {recipe}: {size / 1e6:.1f} MB, largest difference to the framework "
            f"{found.max_difference:.1e} on {len(expected)} rows"
        )
        if not found.max_difference <= settings.max_difference:
            raise StepError(
                f"the {recipe} graph of {name} differs from the framework by "
                f"{found.max_difference:.2e} on valid",
                where="params.yaml, key compress.max_difference",
                allowed=f"at most {settings.max_difference:g}",
            )
        # Rounded: the last digits of a difference are no property of the model.
        variants[recipe] = Variant(
            file=f"{name}/{recipe}.onnx",
            bytes=size,
            max_difference=float(f"{found.max_difference:.1e}"),
            agreement=found.agreement,
        )
    return Family(input=input_, variants=variants)


def _write(path: Path, model: BaseModel) -> None:
    text = json.dumps(model.model_dump(mode="json"), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
