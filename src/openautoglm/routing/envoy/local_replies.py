"""What a gateway answers itself, in the form of a replica's refusals."""

from __future__ import annotations

from openautoglm.routing.envoy.message import Message

_ENVOYS_WORDS = "%LOCAL_REPLY_BODY%"
_RETRY_AFTER = [{"header": {"key": "retry-after", "value": "1"}}]
_KINDS = {
    400: ("invalid", _ENVOYS_WORDS),
    404: ("not_found", _ENVOYS_WORDS),
    408: ("slow", "the request did not arrive in time"),
    413: ("too_large", _ENVOYS_WORDS),
    429: ("rate_limited", "more requests a second than the gateway takes"),
    431: ("headers", "request line and headers are longer than the gateway takes"),
    503: ("overloaded", _ENVOYS_WORDS),
    504: ("deadline", "no replica answered in time"),
}


def local_replies() -> Message:
    """Kinds by status; gRPC clients get plain words, which become the status' message."""
    return {
        "mappers": [_grpc(), *(_mapper(status) for status in _KINDS)],
        "body_format": _json("gateway", _ENVOYS_WORDS),
    }


def _grpc() -> Message:
    header = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    return {
        "filter": {"header_filter": {"header": header}},
        "body_format_override": {"text_format_source": {"inline_string": _ENVOYS_WORDS}},
    }


def _mapper(status: int) -> Message:
    kind, words = _KINDS[status]
    value = {"default_value": status, "runtime_key": f"openautoglm.status.{status}"}
    comparison = {"op": "EQ", "value": value}
    return {
        "filter": {"status_code_filter": {"comparison": comparison}},
        "body_format_override": _json(kind, words),
        **({"headers_to_add": _RETRY_AFTER} if status in (429, 503) else {}),
    }


def _json(kind: str, words: str) -> Message:
    told = {"error": words, "kind": kind, "request_id": "%REQ(X-REQUEST-ID)%"}
    return {"json_format": told}
