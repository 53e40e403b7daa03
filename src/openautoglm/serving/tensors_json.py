"""Open Inference Protocol v2 in JSON, with the binary tensor data extension.

A body may be JSON followed by bytes: an input with the parameter `binary_data_size` has its data
there, inputs one after the other, and outputs asked for with `binary_data` are answered the same
way. The caller cuts the body at `Inference-Header-Content-Length` and parses the JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from openautoglm.serving.refusals import INVALID, Refusal
from openautoglm.serving.signature import OUTPUTS, Served
from openautoglm.serving.tensors import (
    Input,
    Output,
    Rows,
    check_outputs,
    check_timeout,
    encode,
    read_rows,
    write_outputs,
)

if TYPE_CHECKING:
    from openautoglm.serving.predictor import Answer


class InferRequest(NamedTuple):
    """A request that was read.

    Attributes:
        rows: As a `Predictor` takes them.
        id: The client's own word for the request; empty without one.
        outputs: Names of the outputs to answer with.
        binary: Those of them that are answered as bytes.
        timeout: Seconds the client gives it; None is the replica's own.
    """

    rows: Rows
    id: str
    outputs: tuple[str, ...]
    binary: frozenset[str]
    timeout: float | None


def read_request(header: object, binary: memoryview, *, served: Served) -> InferRequest:
    """Read an inference request.

    Args:
        header: The parsed JSON.
        binary: The bytes behind it.
        served: The model.

    Raises:
        Refusal: INVALID or TOO_LARGE.
    """
    body = _object(header, "", "id", "parameters", "inputs", "outputs")
    parameters = _object(body.get("parameters", {}), "parameters", "timeout", "binary_data_output")
    identifier = body.get("id", "")
    if type(identifier) is not str:
        _refuse("id", "a string")
    names, as_bytes = _outputs(
        body.get("outputs", []), _flag(parameters, "binary_data_output", "parameters", False)
    )
    timeout = check_timeout(parameters["timeout"]) if "timeout" in parameters else None
    inputs = _inputs(body.get("inputs"), binary)
    return InferRequest(read_rows(inputs, served), identifier, names, as_bytes, timeout)


def write_answer(
    answer: Answer, request: InferRequest, *, served: Served
) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON of an answer, and the parts of bytes that follow it."""
    parts: list[bytes] = []
    outputs = []
    for output in write_outputs(answer, served, request.outputs):
        entry: dict[str, Any] = _shape(output)
        if output.name in request.binary:
            parts.append(encode(output))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = output.values
        outputs.append(entry)
    identity = served.identity
    header: dict[str, Any] = {"model_name": identity.name, "model_version": identity.version}
    if request.id:
        header["id"] = request.id
    return {**header, "outputs": outputs}, parts


def _shape(output: Output) -> dict[str, Any]:
    return {"name": output.name, "datatype": output.datatype, "shape": output.shape}


def _inputs(value: object, binary: memoryview) -> list[Input]:
    if type(value) is not list or len(value) > 16:
        _refuse("inputs", "a list of one input")
    found, at = [], 0
    for place, each in enumerate(value):
        where = f"inputs[{place}]"
        entry = _object(each, where, "name", "datatype", "shape", "parameters", "data")
        name, datatype, shape = (
            _needed(entry, key, where) for key in ("name", "datatype", "shape")
        )
        size = _object(entry.get("parameters", {}), f"{where}.parameters", "binary_data_size").get(
            "binary_data_size"
        )
        if size is None:
            found.append(Input(name, datatype, shape, _needed(entry, "data", where)))
            continue
        if "data" in entry:
            _refuse(where, "either `data` or the parameter `binary_data_size`", "both")
        if type(size) is not int or not 0 <= size <= len(binary) - at:
            _refuse(
                f"{where}.parameters.binary_data_size",
                f"a whole number; {len(binary) - at} bytes are left behind the JSON",
            )
        found.append(Input(name, datatype, shape, binary[at : at + size]))
        at += size
    if at != len(binary):
        _refuse("", "as many as `binary_data_size` says", f"{len(binary) - at} more bytes")
    return found


def _outputs(value: object, binary: bool) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of the outputs, and those wanted as bytes."""
    if type(value) is not list or len(value) > 16:
        _refuse("outputs", f"a list of {' and '.join(OUTPUTS)}")
    wanted: dict[str, bool] = {}
    names = []
    for place, each in enumerate(value):
        where = f"outputs[{place}]"
        entry = _object(each, where, "name", "parameters")
        name = _needed(entry, "name", where)
        if type(name) is not str:
            _refuse(f"{where}.name", " or ".join(OUTPUTS))
        parameters = _object(entry.get("parameters", {}), f"{where}.parameters", "binary_data")
        names.append(name)
        wanted[name] = _flag(parameters, "binary_data", f"{where}.parameters", binary)
    checked = check_outputs(names)
    return checked, frozenset(name for name in checked if wanted.get(name, binary))


def _object(value: object, where: str, *keys: str) -> dict[str, Any]:
    if type(value) is not dict:
        _refuse(where, f"an object with {', '.join(keys)}")
    unknown = next((key for key in value if key not in keys), None)
    if unknown is not None:
        _refuse(where, ", ".join(keys), f"the unknown key `{str(unknown)[:80]}`")
    return value


def _needed(entry: dict[str, Any], key: str, where: str) -> Any:
    if key not in entry:
        _refuse(where, f"`{key}`", f"no `{key}`")
    return entry[key]


def _flag(entry: dict[str, Any], key: str, where: str, default: bool) -> bool:
    value = entry.get(key, default)
    if type(value) is not bool:
        _refuse(f"{where}.{key}", "true or false")
    return value


def _refuse(where: str, allowed: str, found: str = "something else") -> NoReturn:
    raise Refusal(INVALID, f"found {found}", where=where or "the request", allowed=allowed)
