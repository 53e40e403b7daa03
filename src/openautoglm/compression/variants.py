"""Networks and their variants in a work folder, each made once.

What is finished is found again, so that a killed search loses no network it has trained and no
graph it has measured.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch

from openautoglm.artifacts.digest import value_digest
from openautoglm.artifacts.folder import published
from openautoglm.artifacts.lock import in_turn
from openautoglm.compression.catalog import RECIPES
from openautoglm.compression.measure import Ground, Inputs, Measured, Proba, Reference
from openautoglm.compression.recipe import Source
from openautoglm.config.compression import Precision
from openautoglm.inference.model import open_model
from openautoglm.inference.package import NumericInput, TextInput

PRECISION = "precision"
PROBA = "valid.npy"
"""Probabilities on valid `float32[n, k]`, in the folders of networks and of variants."""
_OPEN = 2
"""Networks that stay in memory: each is stored in several precisions, one after the other."""
_GRAPH, _MEASURED = "graph.onnx", "measured.json"
_NETWORKS, _VARIANTS, _GRAPHS, _TAUGHT = "networks", "variants", "graphs", "taught"
_COSTLY = (_NETWORKS, _TAUGHT, _VARIANTS)
"""What is worth carrying elsewhere; a graph of `graphs` is also a variant, or soon made again."""


class Network(Protocol):
    """A fitted network: module to probabilities, an example of its input, what it takes."""

    @property
    def module(self) -> torch.nn.Module: ...  # noqa: D102
    @property
    def example(self) -> torch.Tensor: ...  # noqa: D102
    @property
    def input(self) -> TextInput | NumericInput: ...  # noqa: D102


class Variation(NamedTuple):
    """A variant that was built: its network's folder, its own, and what was found."""

    network: Path
    folder: Path
    measured: Measured

    @property
    def graph(self) -> Path:
        """Its ONNX file."""
        return self.folder / _GRAPH


class Builder:
    """Networks and variants in a work folder.

    Args:
        ground: What they are measured on.
        trained: Folders of the networks that are there already, by branch.
        fits: How a network of another branch is made: called with its settings and a folder.
        restore: Reads a folder that was trained or made.
        work: Where finished ones are kept.
    """

    def __init__(
        self,
        ground: Ground,
        *,
        trained: Mapping[str, Path],
        fits: Mapping[str, Callable[[Mapping[str, Any], Path], None]],
        restore: Callable[[str, Path], Network],
        work: Path,
    ) -> None:
        self._ground = ground
        self._trained = trained
        self._fits = fits
        self._restore = restore
        self._work = work
        self._read = lru_cache(_OPEN)(self._read_network)

    def network(self, branch: str, values: Mapping[str, Any]) -> Path:
        """The folder of a network, made if it is not there; its precision does not matter."""
        if branch in self._trained:
            return self._trained[branch]
        own = {key: value for key, value in values.items() if key != PRECISION}
        return self._once(f"{_NETWORKS}/{_name(branch, own)}", partial(self._fits[branch], own))

    def variant(self, branch: str, values: Mapping[str, Any]) -> Variation:
        """A variant, made and measured if it is not there."""
        folder = self._once(
            f"{_VARIANTS}/{_name(branch, values)}",
            lambda part: self._measure(branch, values, part),
        )
        found = Measured.model_validate_json((folder / _MEASURED).read_text(encoding="utf-8"))
        return Variation(self.network(branch, values), folder, found)

    def source(self, branch: str, network: Path) -> Source:
        """What recipes are given for a network; its fp32 graph is made if it is not there."""
        found, reference = self._read(branch, network)

        def build(part: Path) -> None:
            graph = part / _GRAPH
            if branch in self._trained and (known := self._fp32(branch)).is_file():
                shutil.copyfile(known, graph)
            else:
                RECIPES["fp32"].build(Source(found.module, found.example, graph, ()), graph)

        folder = self._once(f"{_GRAPHS}/{_name(branch, {'network': network.name})}", build)
        rows = reference.batches(self._ground.calibration)
        return Source(found.module, found.example, folder / _GRAPH, rows)

    def taught(self, branches: Sequence[str], rows: Inputs) -> Proba:
        """Mean probabilities of trained networks on rows, `float32[n, k]`, kept for the next."""
        name = f"{_TAUGHT}/{_name('mean', {'branches': list(branches)})}"
        found: Proba = np.load(self._once(name, partial(self._teach, branches, rows)) / PROBA)
        return found

    def _fp32(self, branch: str) -> Path:
        """Where the fp32 graph of a trained network is as a variant, when that is finished."""
        return self._work / _VARIANTS / _name(branch, {PRECISION: "fp32"}) / _GRAPH

    def _teach(self, branches: Sequence[str], rows: Inputs, part: Path) -> None:
        found = []
        for branch in branches:
            network = self._trained[branch]
            taken = self._read(branch, network)[0].input
            graph, ground = self.source(branch, network).fp32, self._ground
            model = open_model(network, graph, taken, ground.labels, threads=ground.threads)
            found.append(model.predict_proba(rows))
        np.save(part / PROBA, np.mean(found, axis=0, dtype=np.float32))

    def _read_network(self, branch: str, network: Path) -> tuple[Network, Reference]:
        found = self._restore(branch, network)
        valid = np.load(network / PROBA)
        return found, Reference(network, found.module, found.input, valid, self._ground)

    def _once(self, place: str, make: Callable[[Path], None]) -> Path:
        once(self._work, place, make)
        return self._work / place

    def _measure(self, branch: str, values: Mapping[str, Any], part: Path) -> None:
        network, precision = self.network(branch, values), cast(Precision, values[PRECISION])
        source, graph = self.source(branch, network), part / _GRAPH
        idle = RECIPES[precision].applies(source)
        if precision == "fp32" or idle:
            shutil.copyfile(source.fp32, graph)
        else:
            RECIPES[precision].build(source, graph)
        _, reference = self._read(branch, network)
        measured, proba = reference.measure("fp32" if idle else precision, graph)
        if idle:
            measured = measured.model_copy(update={"left_out": idle})
        np.save(part / PROBA, proba)
        (part / _MEASURED).write_text(measured.model_dump_json(indent=2), encoding="utf-8")


def finished(work: Path) -> Iterator[tuple[Path, str]]:
    """Each finished network and variant of a work folder: where it lies, and its place there."""
    for kind in _COSTLY:
        for folder in sorted((work / kind).glob("[!.]*")):
            if folder.is_dir():
                yield folder, f"{kind}/{folder.name}"


def once(work: Path, place: str, make: Callable[[Path], None]) -> bool:
    """Make a folder at a place of a work folder, whole, unless it is there.

    Args:
        work: The work folder; several processes may share it.
        place: Relative to it.
        make: Fills an empty folder.

    Returns:
        Whether it was made now.
    """
    folder = work / place
    with in_turn(work / f"{place}.lock"):
        if folder.is_dir():
            return False
        with published(folder) as part:
            make(part)
    return True


def _name(branch: str, values: Mapping[str, Any]) -> str:
    return f"{branch}-{value_digest(dict(values))[7:23]}"
