"""The schemas of the OpenAPI document: what this model takes and gives."""

from __future__ import annotations

from typing import Any

from openautoglm.inference.package import NumericInput
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import KINDS

Schema = dict[str, Any]
MILLISECONDS: Schema = {"type": "integer", "minimum": 1, "maximum": 600_000}
_FLOAT32 = {"type": "number", "minimum": -3.4028234663852886e38, "maximum": 3.4028234663852886e38}
_FLOATS = ["FP32", "FP64"]


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(predictor: Predictor) -> dict[str, Schema]:
    """Every schema by its name, for the model that `predictor` serves."""
    string: Schema = {"type": "string"}
    label: Schema = {"enum": list(predictor.labels)}
    score: Schema = {"type": "number", "minimum": 0, "maximum": 1.000001}
    row = _object({"label": label, "scores": _object(dict.fromkeys(predictor.labels, score))})
    told: Schema = {"version": string, "request_id": string}
    rows: Schema = {"type": "array", "items": row}
    shape: Schema = {"type": "array", "items": {"type": "integer"}}
    tensor = _object({"name": string, "datatype": string, "shape": shape})
    parameters: Schema = {"type": "object"}
    named = _named(predictor)
    return {
        "PredictRequest": _request(predictor),
        "Prediction": _object(row["properties"] | told),
        "Predictions": _object({"predictions": rows} | told),
        "Error": _object(
            {
                "error": string,
                "kind": {"enum": [kind.name for kind in KINDS]},
                "request_id": string,
            },
            {"next": string},
        ),
        "Status": _object({"status": string}),
        "ServerMetadata": _object(
            {"name": string, "version": string, "extensions": {"type": "array", "items": string}}
        ),
        "ModelMetadata": _object(
            {
                "name": string,
                "versions": {"type": "array", "items": string},
                "platform": string,
                "inputs": {"type": "array", "items": tensor},
                "outputs": {"type": "array", "items": tensor},
            }
        ),
        "Feedback": _object(named, closed=True),
        "Standing": _object(named | {"first": {"type": "boolean"}}),
        "InferRequest": _infer_request(predictor),
        "InferResponse": _object(
            {
                "model_name": string,
                "model_version": string,
                "outputs": {
                    "type": "array",
                    "items": _object(tensor["properties"], {"data": {"type": "array"}}),
                },
            },
            {"id": string, "parameters": parameters},
        ),
    }


def _request(predictor: Predictor) -> Schema:
    limits, input_ = predictor.limits, predictor.input
    one: Schema
    if isinstance(input_, NumericInput):
        width = len(input_.features)
        one, key = _list(_FLOAT32, width, width), "features"
    else:
        one, key = {"type": "string", "maxLength": limits.text_characters}, "text"
    return _object({key: {"oneOf": [one, _list(one, 1, limits.rows)]}}, closed=True)


def _named(predictor: Predictor) -> Schema:
    """A request's id and its label, or one for each of its rows."""
    # Not the classes of this model only: another version may have given the answer.
    label: Schema = {"type": "string"}
    # `$` would let a line end through where the pattern is read as Python's.
    return {
        "request_id": {"type": "string", "pattern": r"^[!-~]{1,128}(?![\s\S])"},
        "label": {"oneOf": [label, _list(label, 1, predictor.limits.rows)]},
    }


def _infer_request(predictor: Predictor) -> Schema:
    rows, input_ = predictor.limits.rows, predictor.input
    value: Schema
    if isinstance(input_, NumericInput):
        width, least, name, datatypes, value = (
            len(input_.features),
            2,
            "features",
            _FLOATS,
            _FLOAT32,
        )
    else:
        width, least, name, datatypes, value = 1, 1, "text", ["BYTES"], {"type": "string"}
    size = {"type": "integer", "minimum": 1, "maximum": rows}
    flat, nested = _list(value, 1, rows * width), _list(_list(value, width, width), 1, rows)
    tensor = _object(
        {
            "name": {"const": name},
            "datatype": {"enum": datatypes},
            "shape": {**_list({"const": width}, least, 2), "prefixItems": [size]},
            "data": {"oneOf": [flat, nested]},
        },
        closed=True,
    )
    flag: Schema = {"type": "boolean"}
    output = _object(
        {"name": {"enum": ["label", "probabilities"]}},
        {"parameters": _object({}, {"binary_data": flag}, closed=True)},
        closed=True,
    )
    microseconds = {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1}
    parameters = _object({}, {"timeout": microseconds, "binary_data_output": flag}, closed=True)
    return _object(
        {"inputs": _list(tensor, 1, 1)},
        {
            "id": {"type": "string"},
            "parameters": parameters,
            "outputs": _list(output, 0, 2),
        },
        closed=True,
    )


def _object(required: Schema, optional: Schema | None = None, *, closed: bool = False) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
    }
    return found | ({"additionalProperties": False} if closed else {})


def _list(items: Schema, least: int, most: int) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}
