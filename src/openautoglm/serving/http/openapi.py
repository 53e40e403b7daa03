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
    return _post("Open Inference Protocol v2", _ref("InferRequest"), _ref("InferResponse"))


def _post(summary: str, body: Schema, answer: Schema) -> Schema:
    return {
        "summary": summary,
        "parameters": [
            _header("x-request-id", {"type": "string", "maxLength": 128}),
            _header("traceparent", {"type": "string"}),
            _header("x-request-timeout-ms", {"type": "integer", "minimum": 1, "maximum": 600_000}),
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


def _header(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "required": False, "schema": schema}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Schema, optional: Schema | None = None, *, closed: bool = False) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
    }
    return found | ({"additionalProperties": False} if closed else {})


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
        number = {"type": "number", "minimum": -3.4e38, "maximum": 3.4e38}
        one = {"type": "array", "items": number, "minItems": width, "maxItems": width}
        key = "features"
    else:
        one, key = {"type": "string", "maxLength": limits.text_characters}, "text"
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": limits.rows}
    return _object({key: {"oneOf": [one, many]}}, closed=True)


def _infer_request(predictor: Predictor) -> Schema:
    numeric = isinstance(predictor.input, NumericInput)
    item: Schema = {"type": "number"} if numeric else {"type": "string"}
    size: Schema = {"type": "integer", "minimum": 1, "maximum": predictor.limits.rows}
    tensor = _object(
        {
            "name": {"const": "features" if numeric else "text"},
            "datatype": {"enum": ["FP32", "FP64"] if numeric else ["BYTES"]},
            "shape": {"type": "array", "items": size, "minItems": 1, "maxItems": 2},
            "data": {"type": "array", "items": item, "minItems": 1},
        },
        {"parameters": {"type": "object"}},
    )
    output = _object(
        {"name": {"enum": ["label", "probabilities"]}}, {"parameters": {"type": "object"}}
    )
    return _object(
        {"inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1}},
        {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "outputs": {"type": "array", "items": output},
        },
    )
