"""What Open Inference Protocol v2 says of the served model: its name, its inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from openautoglm import __version__
from openautoglm.config.serving import Limits
from openautoglm.inference.package import NumericInput, TextInput
from openautoglm.serving.refusals import NOT_FOUND, Refusal

if TYPE_CHECKING:
    from openautoglm.serving.predictor import Identity

LABEL, PROBABILITIES = "label", "probabilities"
OUTPUTS = (LABEL, PROBABILITIES)
SERVER = {
    "name": "open-autoglm",
    "version": __version__,
    "extensions": ["binary_tensor_data"],
}
"""Metadata of the server."""


class Served(Protocol):
    """What the protocol must know of the model that is served; a `Predictor` has it."""

    @property
    def identity(self) -> Identity:
        """Name, version and digest."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Order of scores."""

    @property
    def input(self) -> TextInput | NumericInput:
        """What the model takes."""

    @property
    def limits(self) -> Limits:
        """Bounds on a request."""


class Shape(NamedTuple):
    """Name, datatype and shape of a tensor the model takes or gives; -1 is any number of rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def input_shape(served: Served) -> Shape:
    """The one input of the model."""
    if isinstance(served.input, TextInput):
        return Shape("text", "BYTES", (-1,))
    return Shape("features", "FP32", (-1, len(served.input.features)))


def output_shapes(served: Served) -> tuple[Shape, Shape]:
    """The outputs of the model."""
    return (
        Shape(LABEL, "BYTES", (-1,)),
        Shape(PROBABILITIES, "FP32", (-1, len(served.labels))),
    )


def check_model(served: Served, name: str, version: str) -> None:
    """See that a request is for this model; an empty version means the one that is served.

    Raises:
        Refusal: NOT_FOUND.
    """
    identity = served.identity
    if name != identity.name:
        raise Refusal(NOT_FOUND, f"no model `{name[:100]}`", allowed=identity.name)
    if version not in ("", identity.version):
        raise Refusal(
            NOT_FOUND, f"no version `{version[:100]}` of `{name}`", allowed=identity.version
        )


def model_metadata(served: Served) -> dict[str, Any]:
    """What the model takes and gives."""
    return {
        "name": served.identity.name,
        "versions": [served.identity.version],
        "platform": "onnxruntime_onnx",
        "inputs": [input_shape(served)._asdict()],
        "outputs": [shape._asdict() for shape in output_shapes(served)],
    }
