"""Small fitted models of every kind, as a recipe is given them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from openautoglm.compression.agreement import odd_inputs
from openautoglm.compression.catalog import RECIPES
from openautoglm.compression.recipe import Batch, Source
from openautoglm.inference.model import Rows as Inputs
from openautoglm.inference.package import TextInput
from openautoglm.text.normalise import normalise
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training import families
from openautoglm.training.base import locate
from openautoglm.training.job import Job, Restored, Rows
from tests.support.bert import tiny_bert
from tests.support.training import job

KINDS = ("transformer", "glm", "numeric", "bert")


@dataclass(frozen=True)
class Network:
    """A fitted model, rows it did not see, and its graphs by the names of recipes that apply."""

    kind: str
    restored: Restored
    encoder: TextEncoder | None
    source: Source
    valid: Inputs
    graphs: dict[str, Path] = field(default_factory=dict)

    def batch(self, rows: Inputs) -> Batch:
        """Rows as an input of the graph."""
        if self.encoder is None:
            return np.asarray(rows, np.float32)
        return self.encoder.matrix(self.encoder.ids([normalise(text) for text in rows]))

    def expected(self, batch: Batch) -> NDArray[np.float32]:
        """The module's probabilities."""
        with torch.no_grad():
            found: NDArray[np.float32] = self.restored.module(torch.from_numpy(batch)).numpy()
        return found

    def odd(self, seed: int, count: int = 24) -> Batch:
        """Fuzzed rows as an input of the graph."""
        return self.batch(odd_inputs(self.restored.input, self.valid, count=count, seed=seed))


@functools.cache
def all_networks(base: Path) -> dict[str, Network]:
    """One of each kind, made once for a folder: a test session's."""
    return {kind: network(kind, base / "networks" / kind) for kind in KINDS}


def network(kind: str, root: Path) -> Network:
    """Fit a small model of one kind in the folder `root`, and build its variants."""
    given = _job(kind, root)
    family = "glm" if kind in ("glm", "numeric") else "transformer"
    folder = root / "fitted"
    folder.mkdir(parents=True)
    families.fit(family, given, folder)
    restored = families.restore(family, folder)
    encoder = None
    if isinstance(restored.input, TextInput):
        encoder = TextEncoder.load(
            folder / restored.input.tokenizer,
            max_length=restored.input.max_length,
            pad_id=restored.input.pad_id,
        )
    source = Source(restored.module, restored.example, root / "fp32.onnx", ())
    found = Network(kind, restored, encoder, source, given.valid.inputs)
    train = given.train.inputs
    batches = [found.batch(train[start : start + 32]) for start in range(0, 128, 32)]
    RECIPES["fp32"].build(source, source.fp32)
    source = replace(source, calibration=batches)
    for name, recipe in RECIPES.items():
        if recipe.applies(source) is None:
            found.graphs[name] = root / f"{name}.onnx"
            recipe.build(source, found.graphs[name])
    return replace(found, source=source)


def _job(kind: str, root: Path) -> Job:
    if kind == "numeric":
        numbers = {"classes": 3, "features": ("year", "tiny", "wide")}
        return replace(job(root / "work"), train=_numbers(400, 0), valid=_numbers(80, 1), **numbers)
    if kind == "bert":
        tiny_bert(root / "bert")
        return job(root / "work", base=locate("bert", None, root), lr=3e-3, epochs=2)
    return job(root / "work", epochs=4, lr=3e-3)


def _numbers(count: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.normal([2000.0, 0.0, -5.0], [1.0, 1e-3, 40.0], (count, 3))
    y = np.digitize((x[:, 0] - 2000) + (x[:, 2] + 5) / 40, [-0.5, 0.5])
    return Rows(np.float32(x).astype(np.float64), y.astype(np.int64))
