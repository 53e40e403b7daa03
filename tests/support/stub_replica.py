"""A replica whose model is a stub: the real process around a model that takes a known time.

    python -m tests.support.stub_replica SECONDS [--set KEY=VALUE ...] [--feedback FILE]

A text that holds `poison` makes it fail; `nan` gets scores that are no numbers.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from openautoglm.config.feedback import Feedback
from openautoglm.config.overrides import load_with
from openautoglm.config.serving import Serving
from openautoglm.config.yaml import load
from openautoglm.inference.package import TextInput
from openautoglm.serving.listen import Places
from openautoglm.serving.loaded import Loaded
from openautoglm.serving.observe import logs
from openautoglm.serving.predictor import Identity
from openautoglm.serving.replica import run

LABELS = ("long", "short")


class Stub:
    """Takes its time for a batch, whatever it holds, without a core."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def encode(self, rows: list[str]) -> np.ndarray:
        """Lengths, `float32[rows, 1]`."""
        if any("poison" in row for row in rows):
            raise ValueError("poison")
        return np.array([[np.nan if row == "nan" else len(row)] for row in rows], np.float32)

    def score(self, values: np.ndarray) -> np.ndarray:
        """`float32[rows, 2]`."""
        time.sleep(self._seconds)
        share = values / (values + 10)
        return np.concatenate([share, 1 - share], axis=1)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--feedback", type=Path)
    given = parser.parse_args()
    logs.configure()
    identity = Identity("stub", "1", f"sha256-{'0' * 64}", "stub", "fp32")
    input_ = TextInput(kind="text", tokenizer="none", max_length=64, pad_id=0)
    run(
        Loaded(Stub(given.seconds), LABELS, input_, identity),
        load_with(None, given.set, Serving),
        Places("127.0.0.1", 0, 0, reuse_port=False),
        feedback=load(given.feedback, Feedback) if given.feedback else None,
        ready=lambda places: print(
            f"stub at http://127.0.0.1:{places.port}, gRPC at 127.0.0.1:{places.grpc_port}",
            flush=True,
        ),
    )


if __name__ == "__main__":
    main()
