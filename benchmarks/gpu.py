"""Latency of a BERT-base-sized classifier on a GPU: fp16 beside fp32, eager and compiled.

    python benchmarks/gpu.py [--length 64] [--write]

Random weights, a batch of texts of equal length, in and out of the device not counted: what is
timed is the network. fp32 is real fp32 (TF32 off, as PyTorch has it by default); TF32 stands
beside it. Compiled is `torch.compile(mode="reduce-overhead")`, with CUDA graphs. The ways take
turns, so that clocks and other work meet them all. Exits with 2 where there is no CUDA device.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import torch
import transformers
from document import table, write_section
from transformers import BertConfig, BertForSequenceClassification

BATCHES = (1, 8, 32)
WARM_UP, TURNS = 20, 100
AIM = -0.5  # change of latency at the largest batch
_COMPILER = "reduce-overhead"


class Way(NamedTuple):
    """A precision and whether it is compiled."""

    precision: str
    compiled: bool

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{self.precision}, {'compiled' if self.compiled else 'eager'}"


WAYS = tuple(Way(p, c) for c in (False, True) for p in ("fp32", "tf32", "fp16"))


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--length", type=int, default=64, help="tokens of each text")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("torch sees no CUDA device: nothing was measured", file=sys.stderr)
        return 2
    parts = [f"{described()}; {given.length} tokens a text, median of {TURNS} turns.", ""]
    parts.append(table(("latency, ms", *(f"batch {b}" for b in BATCHES)), rows(given.length)))
    text = "\n".join(parts)
    print(text, flush=True)
    if given.write:
        write_section("benchmarks/gpu.py", text)
    return 0


def described() -> str:
    """Device, driver's CUDA and versions."""
    return (
        f"{torch.cuda.get_device_name()}; torch {torch.__version__}, CUDA {torch.version.cuda}, "
        f"transformers {transformers.__version__}"
    )


def rows(length: int) -> Iterator[tuple[str, ...]]:
    """Milliseconds of each way, then the change that fp16 brings, eager and compiled."""
    times = {batch: measured(batch, length) for batch in BATCHES}
    for way in WAYS:
        yield (way.name, *(f"{times[batch][way]:.2f}" for batch in BATCHES))
    for compiled in (False, True):
        change = [
            times[batch][Way("fp16", compiled)] / times[batch][Way("fp32", compiled)] - 1
            for batch in BATCHES
        ]
        told = [f"{100 * one:+.0f} %" for one in change]
        if change[-1] > AIM:
            told[-1] += " **beyond**"
        yield (f"fp16 against fp32, {'compiled' if compiled else 'eager'}", *told)


def measured(batch: int, length: int) -> dict[Way, float]:
    """Median milliseconds of one call of each way, taken in turns."""
    ids = torch.randint(1, 21128, (batch, length), device="cuda")
    calls = {way: prepared(way, ids) for way in WAYS}
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    found: dict[Way, list[float]] = {way: [] for way in WAYS}
    for _ in range(TURNS):
        for way, call in calls.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begin.record()
            call()
            end.record()
            torch.cuda.synchronize()
            found[way].append(begin.elapsed_time(end))
    return {way: median(some) for way, some in found.items()}


def prepared(way: Way, ids: torch.Tensor) -> Callable[[], torch.Tensor]:
    """A call of the classifier in one way; its first call compiles."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=21128, num_labels=10)  # the shape of bert-base-chinese
    model = BertForSequenceClassification(config).eval().to("cuda")
    if way.precision == "fp16":
        model = model.half()
    if way.compiled:
        # One code object for every batch and precision: past the limit, eager would stand in.
        torch._dynamo.config.recompile_limit = 64
        model = torch.compile(model, mode=_COMPILER, dynamic=False)
    mask = torch.ones_like(ids)

    @torch.inference_mode()
    def call() -> torch.Tensor:
        torch.backends.cuda.matmul.allow_tf32 = way.precision == "tf32"
        logits: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits
        return logits

    return call


if __name__ == "__main__":
    sys.exit(main())
