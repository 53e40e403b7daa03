"""A model folder with nothing around it: what the probe and every peer serve.

Imported by servers whose environments do not hold this project: numpy, tokenizers and ONNX
Runtime alone. Texts are taken as they are; the replica normalises them, at its own cost.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # one thread a process, as in the replica

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer


class Bare:
    """Tokenizer and graph of the variant that `choice.json` names, one thread.

    Attributes:
        labels: Class names, in the order of the graph's output columns.
    """

    def __init__(self, folder: Path) -> None:
        payload = folder / "payload"
        package = json.loads((payload / "model.json").read_text(encoding="utf-8"))
        choice = json.loads((folder / "choice.json").read_text(encoding="utf-8"))
        family = package["families"][choice["family"]]
        taken = family["input"]
        self.labels: list[str] = package["labels"]
        self._tokenizer = Tokenizer.from_file(str(payload / taken["tokenizer"]))
        self._tokenizer.enable_truncation(taken["max_length"])
        self._tokenizer.enable_padding(pad_id=taken["pad_id"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        graph = payload / family["variants"][choice["variant"]]["file"]
        self._session = ort.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """`float32[texts, labels]`, in one call of the graph."""
        encoded = self._tokenizer.encode_batch_fast(texts)
        ids = np.array([one.ids for one in encoded], np.int64)
        return self._session.run(["probabilities"], {"input": ids})[0]

    def answers(self, texts: Sequence[str]) -> list[dict[str, object]]:
        """Of each text what `POST /v1/predict` answers, but for `request_id`."""
        found = self.probabilities(texts)
        return [
            {
                "label": self.labels[best],
                "scores": dict(zip(self.labels, row, strict=True)),
                "version": "1",
            }
            for best, row in zip(found.argmax(1).tolist(), found.tolist(), strict=True)
        ]


def arguments() -> argparse.Namespace:
    """`--model FOLDER --port P`, as every server here takes them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    return parser.parse_args()
