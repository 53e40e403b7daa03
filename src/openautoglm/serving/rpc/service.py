"""`inference.GRPCInferenceService`: Open Inference Protocol v2."""

from __future__ import annotations

from typing import Any

from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import INVALID, Refusal
from openautoglm.serving.rpc import messages
from openautoglm.serving.rpc.call import Call
from openautoglm.serving.signature import SERVER, check_model, model_metadata
from openautoglm.serving.tensors import (
    Input,
    check_outputs,
    check_timeout,
    encode,
    read_rows,
    write_outputs,
)

NAME = "inference.GRPCInferenceService"
_CONTENTS = {"BYTES": "bytes_contents", "FP32": "fp32_contents", "FP64": "fp64_contents"}


class OpenInference:
    """The protocol's calls over one predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def server_live(self, request: Any, call: Call) -> Any:
        """Whether the process answers and its model's thread works."""
        call.context.probe = True
        return messages.ServerLiveResponse(live=self._predictor.live())

    async def server_ready(self, request: Any, call: Call) -> Any:
        """Whether requests are taken."""
        call.context.probe = True
        return messages.ServerReadyResponse(ready=self._predictor.ready)

    async def model_ready(self, request: Any, call: Call) -> Any:
        """The same for the model by name."""
        call.context.probe = True
        check_model(self._predictor, request.name, request.version)
        return messages.ModelReadyResponse(ready=self._predictor.ready)

    async def server_metadata(self, request: Any, call: Call) -> Any:
        """Name, version and extensions of the server."""
        return messages.ServerMetadataResponse(**SERVER)

    async def model_metadata(self, request: Any, call: Call) -> Any:
        """What the model takes and gives."""
        check_model(self._predictor, request.name, request.version)
        return messages.ModelMetadataResponse(**model_metadata(self._predictor))

    async def model_infer(self, request: Any, call: Call) -> Any:
        """Labels and probabilities."""
        served = self._predictor
        check_model(served, request.model_name, request.model_version)
        timeout = _timeout(request, call.timeout)
        names = check_outputs([_output(each) for each in request.outputs])
        rows, identifier = read_rows(_inputs(request), served), request.id
        del request  # while it waits a call holds its rows only
        call.job = await served.predict(rows, timeout=timeout, context=call.context)
        answer = served.answer(call.job, call.context)
        response = messages.ModelInferResponse(
            model_name=served.identity.name, model_version=served.identity.version, id=identifier
        )
        for output in write_outputs(answer, served, names):
            response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
            response.raw_output_contents.append(encode(output))
        return response


def _inputs(request: Any) -> list[Input]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise Refusal(
            INVALID,
            f"found {len(raw)} contents for {len(request.inputs)} inputs",
            where="raw_input_contents",
            allowed="one for each input, or none",
        )
    found = []
    for place, given in enumerate(request.inputs):
        _no_parameters(given.parameters, f"inputs.{given.name[:80]}")
        if raw:
            if given.HasField("contents"):
                raise Refusal(
                    INVALID,
                    "data in both `contents` and `raw_input_contents`",
                    where=f"inputs.{given.name[:80]}",
                    allowed="one of them",
                )
            data: Any = memoryview(raw[place])
        else:
            data = list(getattr(given.contents, _CONTENTS.get(given.datatype, "bytes_contents")))
        found.append(Input(given.name, given.datatype, list(given.shape), data))
    return found


def _output(requested: Any) -> str:
    _no_parameters(requested.parameters, f"outputs.{requested.name[:80]}")
    return str(requested.name)


def _timeout(request: Any, left: float | None) -> float | None:
    """The shorter of the call's deadline and the request's own, in seconds."""
    parameters = request.parameters
    _no_parameters([name for name in parameters if name != "timeout"], "parameters", "timeout")
    if "timeout" not in parameters:
        return left
    given = parameters["timeout"]
    kind = given.WhichOneof("parameter_choice")
    asked = check_timeout(getattr(given, kind) if kind else None)
    return min((each for each in (asked, left) if each is not None), default=None)


def _no_parameters(parameters: Any, where: str, allowed: str = "none") -> None:
    """Refuse what would be ignored: a client that sets it counts on it."""
    for name in parameters:
        raise Refusal(INVALID, f"no parameter `{name[:80]}`", where=where, allowed=allowed)
