"""What requests and answers of the Open Inference Protocol v2 mean, over REST and over gRPC alike.

A text model takes one input `text` of BYTES, a numeric one `features` of FP32 (FP64 is taken too).
Both give `label`, BYTES, and `probabilities`, FP32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from openautoglm.config.serving import Limits
from openautoglm.inference.package import TextInput
from openautoglm.serving.refusals import INVALID, TOO_LARGE, Refusal
from openautoglm.serving.rows import check_features, check_texts
from openautoglm.serving.signature import LABEL, OUTPUTS, PROBABILITIES, Served, input_shape

if TYPE_CHECKING:
    from openautoglm.serving.predictor import Answer

_FLOATS: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
_LENGTH = 4  # bytes in front of each element of a BYTES tensor, little-endian

Rows = list[str] | list[list[float]]


class Input(NamedTuple):
    """A tensor as a client sent it.

    Attributes:
        data: A list of values in row-major order, flat or nested as the shape says (str or bytes
            for BYTES), or the bytes of the tensor in the protocol's binary form.
    """

    name: object
    datatype: object
    shape: object
    data: object


class Output(NamedTuple):
    """A tensor of the answer; `values` are flat, in row-major order."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[str] | list[float]


def read_rows(inputs: Sequence[Input], served: Served) -> Rows:
    """Rows of the one input, checked, as a `Predictor` takes them.

    Raises:
        Refusal: INVALID or TOO_LARGE.
    """
    expected = input_shape(served)
    if len(inputs) != 1:
        raise Refusal(
            INVALID, f"found {len(inputs)} inputs", where="inputs", allowed=f"one, {expected.name}"
        )
    given, where = inputs[0], f"inputs.{expected.name}"
    if given.name != expected.name:
        raise Refusal(
            INVALID, f"no input {_show(given.name)}", where="inputs", allowed=expected.name
        )
    if isinstance(served.input, TextInput):
        return _texts(given, served.limits, where)
    return _features(given, len(served.input.features), served.limits, where)


def _texts(given: Input, limits: Limits, where: str) -> list[str]:
    if given.datatype != "BYTES":
        raise Refusal(
            INVALID, f"found datatype {_show(given.datatype)}", where=where, allowed="BYTES"
        )
    shape = _dimensions(given.shape, where)
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
        raise Refusal(INVALID, f"found shape {_show(shape)}", where=where, allowed="[n] or [n, 1]")
    count = _count(shape[0], limits, where)
    if isinstance(given.data, memoryview):
        values: list[object] = [*decode_bytes(given.data, count, where=where)]
    else:
        rows = _split(given.data, count, 1, nested=len(shape) == 2, where=where)
        values = [row[0] for row in rows]
    texts = [_text(value, f"{where}[{place}]") for place, value in enumerate(values)]
    return check_texts(texts, limits, where=where)


def _text(value: object, where: str) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Refusal(
            INVALID, f"byte {error.start} is not UTF-8", where=where, allowed="UTF-8"
        ) from None


def _features(given: Input, width: int, limits: Limits, where: str) -> list[list[float]]:
    dtype = _FLOATS.get(given.datatype) if isinstance(given.datatype, str) else None
    if dtype is None:
        raise Refusal(
            INVALID, f"found datatype {_show(given.datatype)}", where=where, allowed="FP32 or FP64"
        )
    shape = _dimensions(given.shape, where)
    if len(shape) != 2 or shape[1] != width:
        raise Refusal(INVALID, f"found shape {_show(shape)}", where=where, allowed=f"[n, {width}]")
    count = _count(shape[0], limits, where)
    if isinstance(given.data, memoryview):
        size = count * width * dtype.itemsize
        if len(given.data) != size:
            raise Refusal(
                INVALID, f"found {len(given.data)} bytes", where=where, allowed=f"{size} bytes"
            )
        rows: object = np.frombuffer(given.data, dtype).reshape(count, width).tolist()
    else:
        rows = _split(given.data, count, width, nested=True, where=where)
    return check_features(rows, width, limits, where=where)


def _dimensions(shape: object, where: str) -> list[int]:
    if not isinstance(shape, list) or any(type(size) is not int or size < 0 for size in shape):
        raise Refusal(
            INVALID, f"found shape {_show(shape)}", where=where, allowed="a list of whole numbers"
        )
    return shape


def _count(count: int, limits: Limits, where: str) -> int:
    """The declared rows, bounded before anything of that size is made."""
    if count > limits.rows:
        raise Refusal(
            TOO_LARGE,
            f"found {count} rows",
            where=where,
            allowed=f"at most {limits.rows}",
            hint="send them in several requests",
        )
    return count


def _split(data: object, count: int, width: int, *, nested: bool, where: str) -> list[list[object]]:
    """Rows of a list that holds them one after the other, or each in a list of its own."""
    if not isinstance(data, list):
        raise Refusal(INVALID, "found no list of values", where=f"{where}.data")
    if nested and data and isinstance(data[0], list):
        if len(data) != count or any(type(row) is not list or len(row) != width for row in data):
            raise Refusal(
                INVALID,
                "the values are not nested as the shape says",
                where=f"{where}.data",
                allowed=f"{count} lists of {width}",
            )
        return data
    if len(data) != count * width:
        raise Refusal(
            INVALID,
            f"found {len(data)} values",
            where=f"{where}.data",
            allowed=f"{count * width}, as the shape says",
        )
    return [data[start : start + width] for start in range(0, len(data), width)]


def decode_bytes(raw: memoryview, count: int, *, where: str) -> list[bytes]:
    """Elements of a BYTES tensor, each behind its length.

    Raises:
        Refusal: INVALID: there are not exactly `count`.
    """
    found: list[bytes] = []
    at = 0
    while at < len(raw) and len(found) < count:
        start = at + _LENGTH
        at = start + int.from_bytes(raw[at:start], "little")
        if start > len(raw) or at > len(raw):
            break
        found.append(bytes(raw[start:at]))
    if at != len(raw) or len(found) != count:
        raise Refusal(
            INVALID,
            f"{len(raw)} bytes do not hold {count} elements",
            where=where,
            allowed="for each element its length in 4 bytes, little-endian, and its bytes",
        )
    return found


def check_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the outputs a client wants; none means all.

    Raises:
        Refusal: INVALID.
    """
    allowed = " and ".join(OUTPUTS)
    for name in names:
        if name not in OUTPUTS:
            raise Refusal(INVALID, f"no output {_show(name)}", where="outputs", allowed=allowed)
    if len(set(names)) < len(names):
        raise Refusal(INVALID, "one output twice", where="outputs", allowed=allowed)
    return tuple(names) or OUTPUTS


def check_timeout(microseconds: object) -> float | None:
    """Seconds of the request parameter `timeout`; 0 means none, as in Triton.

    Raises:
        Refusal: INVALID.
    """
    if type(microseconds) is not int or not 0 <= microseconds < 1 << 63:
        raise Refusal(
            INVALID,
            f"found {_show(microseconds)}",
            where="parameters.timeout",
            allowed="whole microseconds, 0 or more",
        )
    return microseconds / 1e6 or None


def write_outputs(answer: Answer, served: Served, names: Sequence[str]) -> list[Output]:
    """The outputs a client asked for, in its order."""
    rows, width = len(answer.labels), len(served.labels)
    made = {
        LABEL: lambda: Output(LABEL, "BYTES", (rows,), answer.labels),
        PROBABILITIES: lambda: Output(
            PROBABILITIES, "FP32", (rows, width), [score for row in answer.scores for score in row]
        ),
    }
    return [made[name]() for name in names]


def encode(output: Output) -> bytes:
    """An output in the protocol's binary form."""
    if output.datatype == "FP32":
        return np.asarray(output.values, _FLOATS["FP32"]).tobytes()
    texts = [str(value).encode() for value in output.values]
    return b"".join(
        part for text in texts for part in (len(text).to_bytes(_LENGTH, "little"), text)
    )


def _show(value: object) -> str:
    """A value in a message; lists and numbers of any size are not printed whole."""
    if isinstance(value, str):
        return f"`{value[:80]}`"
    if isinstance(value, list) and len(value) <= 8 and all(_small(size) for size in value):
        return str(value)
    return str(value) if _small(value) else f"a value of type {type(value).__name__}"


def _small(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1 << 64
