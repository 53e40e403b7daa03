"""What fewer bits gain in time: an encoder of 6 layers, 384 wide, one text of 64 characters.

    python benchmarks/int8.py [--runs 100] [--write]

Prints the milliseconds of a call of each variant, one thread, and how many times faster than fp32
it is. Variants take turns, so that whatever else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from document import described, table, write_section

from openautoglm.compression.catalog import RECIPES
from openautoglm.compression.recipe import Source
from openautoglm.config.compression import Precision
from openautoglm.config.training import TransformerSettings
from openautoglm.inference.model import INPUT, OUTPUT, open_session
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.scratch_folder import Classifier

SHAPE = TransformerSettings(
    dim=384, layers=6, heads=12, hidden=1536, ngram_orders=(), linear_orders=()
)
VOCABULARY, CLASSES, LENGTH = 5000, 14, 64
VARIANTS: tuple[Precision, ...] = ("fp32", "fused", "fp16", "int8", "int8-static", "int4-rtn")
BAR = 2.5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, help="calls of each variant")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too")
    given = parser.parse_args()
    head = described()
    with tempfile.TemporaryDirectory(prefix="openautoglm-bench-") as name:
        graphs = build(Path(name))
        parts = [head]
        parts += [rows(graphs, batch, max(given.runs // batch, 10)) for batch in (1, 32)]
    text = "\n\n".join(parts)
    print(f"{text}\n\nBar: int8 at least {BAR} times fp32 at batch 1.")
    if given.write:
        write_section("benchmarks/int8.py", text)


def build(folder: Path) -> dict[Precision, Path]:
    """Each variant of an encoder with random weights."""
    torch.manual_seed(0)
    module = Classifier(NgramTransformer(VOCABULARY, CLASSES, LENGTH, SHAPE)).eval()
    example = torch.ones(2, LENGTH // 2, dtype=torch.int64)
    graphs = {variant: folder / f"{variant}.onnx" for variant in VARIANTS}
    source = Source(module, example, graphs["fp32"], [texts(16, seed) for seed in range(4)])
    for variant, graph in graphs.items():
        RECIPES[variant].build(source, graph)
    return graphs


def texts(rows: int, seed: int) -> np.ndarray:
    """Random ids, `int64[rows, LENGTH]`, without padding."""
    return np.random.default_rng(seed).integers(2, VOCABULARY, (rows, LENGTH))


def rows(graphs: dict[Precision, Path], batch: int, runs: int) -> str:
    """Median milliseconds of a call at one batch size, as a table."""
    sessions = {variant: open_session(graph, threads=1) for variant, graph in graphs.items()}
    ids, spent = texts(batch, seed=9), {variant: list[float]() for variant in graphs}
    for run in range(runs + 3):
        for variant, session in sessions.items():
            start = time.perf_counter()
            session.run([OUTPUT], {INPUT: ids})
            if run >= 3:  # the first calls find room for their results
                spent[variant].append(time.perf_counter() - start)
    medians = {variant: statistics.median(times) for variant, times in spent.items()}
    return table(
        (f"batch {batch}", "MB", "ms", "times fp32"),
        (
            (
                variant,
                f"{graphs[variant].stat().st_size / 1e6:.1f}",
                f"{median * 1e3:.2f}",
                f"{medians['fp32'] / median:.2f}",
            )
            for variant, median in medians.items()
        ),
    )


if __name__ == "__main__":
    main()
