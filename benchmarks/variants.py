"""How far each variant's probabilities are from its own network's, on trained weights.

    python benchmarks/variants.py [--write]

Needs `make run`. Prints the mean Kullback-Leibler divergence of each variant from its network's
fp32 graph on test, and the paired difference of 4 bits by rounding and by GPTQ: with everything
in 4 bits, and with the matrices alone, which is where the two differ.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from document import ROOT, described, table, write_section
from numpy.typing import NDArray
from onnx import numpy_helper

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.compression.blockwise import Grid, codes, grid
from openautoglm.compression.gptq import gptq
from openautoglm.compression.graph import Weight, products, read, write
from openautoglm.compression.measure import batches
from openautoglm.compression.observe import moments
from openautoglm.data.prepared import read as read_rows
from openautoglm.inference.model import load, open_model
from openautoglm.inference.package import read_package

FAMILY, CALIBRATION, RESAMPLES = "transformer", 512, 1000
COMPRESSED = ROOT / "models" / "compressed"
Numbers = NDArray[np.float64]


def main() -> None:
    """Measure and print; with `--write` into `docs/benchmarks.md` too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too")
    given = parser.parse_args()
    rows = read_rows(ROOT / "data" / "prepared")
    test = list(rows.split("test").inputs)
    divergence = dict(variants(test))
    lines = [(name, f"{1e6 * kl.mean():.1f}") for name, kl in divergence.items()]
    parts = [
        f"{described()} {len(test)} rows of test.",
        table(("variant", "divergence from its fp32, millionths"), lines),
        told(
            "Everything in 4 bits",
            divergence[f"{FAMILY} int4-rtn"],
            divergence[f"{FAMILY} int4-gptq"],
        ),
        told("The matrices alone", *matrices(rows.split("train").inputs[:CALIBRATION], test)),
    ]
    text = "\n\n".join(parts)
    print(text)
    if given.write:
        write_section("benchmarks/variants.py", text)


def variants(test: list[str]) -> Iterator[tuple[str, Numbers]]:
    """Divergence of each row, by variant, for the networks that have an fp32 graph."""
    for family, part in read_package(COMPRESSED).families.items():
        if "fp32" not in part.variants:
            continue
        exact = load(COMPRESSED, family=family, variant="fp32", threads=2).predict_proba(test)
        for variant in part.variants:
            if variant != "fp32":
                model = load(COMPRESSED, family=family, variant=variant, threads=2)
                yield f"{family} {variant}", divergences(exact, model.predict_proba(test))


def matrices(calibration: list[str], test: list[str]) -> tuple[Numbers, Numbers]:
    """Divergence with 4-bit matrices and fp32 tables: by rounding, and by GPTQ."""
    package = read_package(COMPRESSED)
    part, payload = package.families[FAMILY], COMPRESSED / PAYLOAD
    fp32 = payload / part.variants["fp32"].file
    model = read(fp32)
    seen = moments(model, products(model), batches(payload, part.input, calibration, 32))

    def nearest(weight: Weight, wide: Grid) -> NDArray[np.uint8]:
        return codes(weight.value.T, wide)

    def by_gptq(weight: Weight, wide: Grid) -> NDArray[np.uint8]:
        return gptq(weight.value.T, seen[weight.name], wide)

    def proba(graph: Path) -> NDArray[np.float32]:
        opened = open_model(payload, graph, part.input, package.labels, threads=2)
        return opened.predict_proba(test)

    exact, found = proba(fp32), []
    with tempfile.TemporaryDirectory(prefix="openautoglm-bench-") as name:
        for rounding in (nearest, by_gptq):
            graph = Path(name) / f"{rounding.__name__}.onnx"
            write(rounded(read(fp32), rounding), graph)
            found.append(divergences(exact, proba(graph)))
    return found[0], found[1]


def rounded(
    model: onnx.ModelProto, rounding: Callable[[Weight, Grid], NDArray[np.uint8]]
) -> onnx.ModelProto:
    """The graph with each matrix on its 4-bit grid, still stored as fp32."""
    values = {}
    for weight in products(model):
        wide = grid(np.ascontiguousarray(weight.value.T)).wide(len(weight.value))
        values[weight.name] = ((rounding(weight, wide) - wide.zero) * wide.scale).T
    for array in model.graph.initializer:
        if array.name in values:
            new = np.ascontiguousarray(values[array.name], np.float32)
            array.CopyFrom(numpy_helper.from_array(new, array.name))
    return model


def divergences(exact: NDArray[np.float32], found: NDArray[np.float32]) -> Numbers:
    """KL(exact || found) of each row, in nats."""
    p, q = (np.clip(part.astype(np.float64), 1e-12, 1) for part in (exact, found))
    return np.asarray((p * (np.log(p) - np.log(q))).sum(1))


def told(what: str, nearest: Numbers, by_gptq: Numbers) -> str:
    """Both means, and the bootstrap interval of their difference."""
    rng = np.random.default_rng(1)
    gain = nearest - by_gptq
    means = [gain[rng.integers(0, len(gain), len(gain))].mean() for _ in range(RESAMPLES)]
    low, high = 1e6 * np.quantile(means, [0.025, 0.975])
    return (
        f"{what}: rounding {1e6 * nearest.mean():.1f}, GPTQ {1e6 * by_gptq.mean():.1f}, "
        f"difference {1e6 * gain.mean():+.1f} [{low:+.1f}, {high:+.1f}] millionths."
    )


if __name__ == "__main__":
    main()
