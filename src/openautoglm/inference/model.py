"""Load one variant of a compressed model and predict with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.errors import ArtifactError, DataError
from openautoglm.inference.package import NumericInput, TextInput, read_choice, read_package
from openautoglm.text.normalise import normalise
from openautoglm.text.tokenise import TextEncoder

Rows = Sequence[str] | NDArray[np.floating]
INPUT, OUTPUT = "input", "probabilities"


class Model:
    """A graph with its labels and its way from rows to inputs.

    Attributes:
        labels: Class names, in the order of the graph's output columns.
        input: What the graph takes.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        labels: tuple[str, ...],
        input_: TextInput | NumericInput,
        encoder: TextEncoder | None,
    ) -> None:
        self.labels = labels
        self.input = input_
        self._session = session
        self._encoder = encoder

    def predict_proba(self, rows: Rows, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Probabilities, `float32[n, k]`.

        Args:
            rows: n texts, or features `[n, d]`.
            batch_size: Rows a call of the graph; texts are sorted by length, so that short ones
                are not padded to long ones.

        Raises:
            DataError: The rows are not what this model takes.
        """
        if self._encoder is None:
            return self._run(self._features(rows), batch_size)
        if isinstance(rows, np.ndarray) and rows.dtype.kind not in "OUT":
            raise DataError("this model takes texts, found numbers")
        if any(not isinstance(text, str) for text in rows):
            raise DataError("this model takes texts", allowed="a list of strings")
        ids = self._encoder.ids([normalise(str(text)) for text in rows])
        order = np.argsort([len(row) for row in ids], kind="stable")
        out = np.empty((len(ids), len(self.labels)), np.float32)
        for start in range(0, len(ids), batch_size):
            chunk = order[start : start + batch_size]
            out[chunk] = self.score(self._encoder.matrix([ids[i] for i in chunk]))
        return out

    def encode(
        self, rows: Sequence[str] | Sequence[list[float]]
    ) -> NDArray[np.int64] | NDArray[np.float32]:
        """Rows that were checked as one input of the graph; texts are normalised."""
        if self._encoder is None:
            return np.asarray(rows, np.float32)
        texts = [normalise(text) for text in cast(Sequence[str], rows)]
        return self._encoder.matrix(self._encoder.ids(texts))

    def score(self, values: NDArray[np.int64] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities `float32[rows, k]` of one input of the graph, in one call."""
        found: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: values})[0]
        return found

    def _features(self, rows: Rows) -> NDArray[np.float32]:
        assert isinstance(self.input, NumericInput)
        try:
            values = np.asarray(rows, np.float32)
        except (TypeError, ValueError):
            raise DataError("this model takes numbers", allowed="float[rows, d]") from None
        width = len(self.input.features)
        if values.ndim != 2 or values.shape[1] != width:
            raise DataError(
                f"found shape {list(values.shape)}",
                allowed=f"[rows, {width}]: {', '.join(self.input.features)}",
            )
        return values

    def _run(self, values: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
        parts = [
            self.score(values[start : start + batch_size])
            for start in range(0, len(values), batch_size)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.labels)), np.float32)


def load(
    folder: Path, *, family: str | None = None, variant: str | None = None, threads: int = 1
) -> Model:
    """Load one variant of a compressed model.

    Args:
        folder: The model: `payload/` and, unless both names are given, `choice.json`.
        family: Family name; None takes the chosen one.
        variant: Variant name; None takes the chosen one, or fp32 when a family was named.
        threads: Threads inside one call of the graph.

    Raises:
        ArtifactError: The model is not readable, or has no such family or variant.
    """
    package = read_package(folder)
    if family is None:
        choice = read_choice(folder)
        family, variant = choice.family, variant or choice.variant
    variant = variant or "fp32"
    payload = folder / PAYLOAD
    if family not in package.families:
        raise ArtifactError(
            f"no family `{family}`", where=str(folder), allowed=", ".join(package.families)
        )
    part = package.families[family]
    if variant not in part.variants:
        raise ArtifactError(
            f"no variant `{variant}`", where=str(folder), allowed=", ".join(part.variants)
        )
    graph = payload / part.variants[variant].file
    return open_model(payload, graph, part.input, package.labels, threads=threads)


def open_model(
    payload: Path,
    graph: Path,
    input_: TextInput | NumericInput,
    labels: tuple[str, ...],
    *,
    threads: int,
) -> Model:
    """Put a graph of `payload` together with its tokenizer; arguments as in `load`.

    Raises:
        ArtifactError: A file is missing or not readable.
    """
    encoder = None
    if isinstance(input_, TextInput):
        encoder = TextEncoder.load(
            payload / input_.tokenizer, max_length=input_.max_length, pad_id=input_.pad_id
        )
    return Model(open_session(graph, threads=threads), labels, input_, encoder)


def open_session(graph: Path, *, threads: int) -> ort.InferenceSession:
    """An ONNX Runtime session on the CPU.

    Raises:
        ArtifactError: The file is missing or not a graph this runtime can run.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base below Exception
        raise ArtifactError(f"the graph cannot be loaded: {error}", where=str(graph)) from None
