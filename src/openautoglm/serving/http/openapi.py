"""The OpenAPI document of one replica: its own model, labels and bounds."""

from __future__ import annotations

from openautoglm import __version__
from openautoglm.serving.http.schemas import MILLISECONDS, Schema, ref, schemas
from openautoglm.serving.predictor import Predictor

_ERRORS = {
    400: "what was sent cannot be used",
    404: "there is no such path, model, version or answer",
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


def document(predictor: Predictor, *, feedback: bool) -> Schema:
    """OpenAPI 3.1 for the model that `predictor` serves.

    Args:
        predictor: The model.
        feedback: Whether labels are taken.
    """
    name, version = predictor.identity.name, predictor.identity.version
    paths: Schema = {
        "/v1/predict": {"post": _predict(predictor)},
        "/health/live": {"get": _get("Whether the process works", ref("Status"), 500)},
        "/health/ready": {"get": _get("Whether requests are taken", ref("Status"))},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _get("This document", {"type": "object"})},
        "/v2": {"get": _get("The server", ref("ServerMetadata"))},
        "/v2/health/live": {"get": _get("Whether the process works", ref("Status"), 500)},
        "/v2/health/ready": {"get": _get("Whether requests are taken", ref("Status"))},
    }
    if feedback:
        paths["/v1/feedback"] = {"post": _feedback()}
    for model in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
        paths[model] = {"get": _get("The model", ref("ModelMetadata"))}
        paths[f"{model}/ready"] = {"get": _get("Whether it is ready", ref("Status"))}
        paths[f"{model}/infer"] = {"post": _infer()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{name}, version {version}",
            "version": __version__,
            "description": f"Model digest {predictor.identity.digest}.",
        },
        "paths": paths,
        "components": {"schemas": schemas(predictor)},
    }


def _predict(predictor: Predictor) -> Schema:
    answer = {"oneOf": [ref("Prediction"), ref("Predictions")]}
    return _post("Predict one row or a list", ref("PredictRequest"), answer)


def _feedback() -> Schema:
    found = _post("The label of an answer; first wins", ref("Feedback"), ref("Standing"))
    # The store has times of its own.
    found["parameters"] = found["parameters"][:2]
    return found | {"responses": _responses(ref("Standing"), *_ANY, 404, 429)}


def _infer() -> Schema:
    found = _post("Open Inference Protocol v2", ref("InferRequest"), ref("InferResponse"))
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
            _header("x-request-timeout-ms", MILLISECONDS, "refused when it cannot be met"),
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
            "content": {"application/json": {"schema": ref("Error")}},
        }
    return found


def _header(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "header", "description": text, "schema": schema}
