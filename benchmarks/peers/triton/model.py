"""The model as Triton's Python backend wants it; runs in the process of an instance."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton
from bare import Bare


class TritonPythonModel:
    """Texts `[n, 1]` in, labels `[n, 1]` and probabilities `[n, k]` out."""

    def initialize(self, args: dict[str, str]) -> None:
        """Called once."""
        self._model = Bare(Path(os.environ["PEER_MODEL"]))
        self._labels = np.array([label.encode() for label in self._model.labels], np.object_)

    def execute(self, requests: list[Any]) -> list[Any]:
        """One call of the graph for the requests that the batcher put together."""
        found = [triton.get_input_tensor_by_name(r, "text").as_numpy() for r in requests]
        texts = [text.decode() for rows in found for text in rows[:, 0]]
        scores = self._model.probabilities(texts)
        answers, start = [], 0
        for rows in found:
            part = scores[start : start + len(rows)]
            start += len(rows)
            label = triton.Tensor("label", self._labels[part.argmax(1)][:, None])
            answers.append(triton.InferenceResponse([label, triton.Tensor("probabilities", part)]))
        return answers
