"""The OpenAPI document of one replica: its own model, labels and bounds."""

from __future__ import annotations

from typing import Any

from openautoglm import __version__
from openautoglm.inference.package import NumericInput
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import KINDS

Schema = dict[str, Any]

_ERRORS = {
    400: "what was sent cannot be used",
    404: "there is no such path, model or version",
    405: "the path takes another method",
    408: "the request did not arrive in time",
    413: "too many bytes, rows or characters",
    415: "the body is compressed",
    429: "no room or no time for it now; `Retry-After` says when",
    431: "request line and headers are too long",
    500: "the model failed on it",
    503: "starting, stopping, or too much is open; `Retry-After` says when",
}
_MILLISECONDS = {"type": "integer", "minimum": 1, "maximum": 600_000}
_FLOAT32 = {"type": "number", "minimum": -3.4028234663852886e38, "maximum": 3.4028234663852886e38}
_FLOATS = ["FP32", "FP64"]
_ANY = (400, 405, 408, 413, 415, 431, 503)  # whatever the path


def document(predictor: Predictor) -> Schema:
    """OpenAPI 3.1 for the model that `predictor` serves."""
    name, version = predictor.identity.name, predictor.identity.version
    paths: Schema = {
        "/v1/predict": {"post": _predict(predictor)},
        "/health/live": {"get": _get("Whether the process works", _ref("Status"), 500)},
        "/health/ready": {"get": _get("Whether requests are taken", _ref("Status"))},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _get("This document", {"type": "object"})},
        "/v2": {"get": _get("The server", _ref("ServerMetadata"))},
        "/v2/health/live": {"get": _get("Whether the process works", _ref("Status"), 500)},
        "/v2/health/ready": {"get": _get("Whether requests are taken", _ref("Status"))},
    }
    for model in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
        paths[model] = {"get": _get("The model", _ref("ModelMetadata"))}
        paths[f"{model}/ready"] = {"get": _get("Whether it is ready", _ref("Status"))}
        paths[f"{model}/infer"] = {"post": _infer()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{name}, version {version}",
            "version": __version__,
            "description": f"Model digest {predictor.identity.digest}.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(predictor)},
    }


def _predict(predictor: Predictor) -> Schema:
    answer = {"oneOf": [_ref("Prediction"), _ref("Predictions")]}
    return _post("Predict one row or a list", _ref("PredictRequest"), answer)


def _infer() -> Schema:
    found = _post("Open Inference Protocol v2", _ref("InferRequest"), _ref("InferResponse"))
    # What was asked for with `binary_data`: JSON, and behind it the tensors.
    found["responses"]["200"]["content"]["application/octet-stream"] = {}
    return found


def _post(summary: str, body: Schema, answer: Schema) -> Schema:
    return {
        "summary": summary,
        "parameters": [
            _header(
                "x-request-id", {"type": "string"}, "1 to 128 visible ASCII ones; else replaced"
            ),
            _header("traceparent", {"type": "string"}, "W3C Trace Context; else a new trace"),
            _header("x-request-timeout-ms", _MILLISECONDS, "refused when it cannot be met"),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": _responses(answer, *_ANY, 429, 500),
    }


def _get(summary: str, answer: Schema, *errors: int) -> Schema:
    return {"summary": summary, "responses": _responses(answer, *_ANY, *errors)}


def _metrics() -> Schema:
    found = _get("Prometheus metrics", {"type": "string"})
    found["responses"]["200"]["content"] = {
        "text/plain": {"schema": {"type": "string"}},
        "application/openmetrics-text": {"schema": {"type": "string"}},
    }
    return found


def _responses(answer: Schema, *errors: int) -> Schema:
    found: Schema = {
        "200": {"description": "OK", "content": {"application/json": {"schema": answer}}}
    }
    for status in sorted(errors):
        found[str(status)] = {
            "description": _ERRORS[status],
            "content": {"application/json": {"schema": _ref("Error")}},
        }
    return found


def _header(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "header", "description": text, "schema": schema}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Schema, optional: Schema | None = None, *, closed: bool = False) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
    }
    return found | ({"additionalProperties": False} if closed else {})


def _list(items: Schema, least: int, most: int) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _schemas(predictor: Predictor) -> dict[str, Schema]:
    string: Schema = {"type": "string"}
    label: Schema = {"enum": list(predictor.labels)}
    score: Schema = {"type": "number", "minimum": 0, "maximum": 1.000001}
    row = _object({"label": label, "scores": _object(dict.fromkeys(predictor.labels, score))})
    told: Schema = {"version": string, "request_id": string}
    rows: Schema = {"type": "array", "items": row}
    shape: Schema = {"type": "array", "items": {"type": "integer"}}
    tensor = _object({"name": string, "datatype": string, "shape": shape})
    parameters: Schema = {"type": "object"}
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
