"""What a gateway answers itself, in the form of a replica's refusals."""

from __future__ import annotations

from typing import NamedTuple

from openautoglm.routing.envoy.message import Message

_ENVOYS_WORDS = "%LOCAL_REPLY_BODY%"
_ENVOYS_REASON = "%RESPONSE_CODE_DETAILS%"
_RETRY_AFTER = [{"header": {"key": "retry-after", "value": "1"}}]


class _Reply(NamedTuple):
    """One of the gateway's answers.

    Attributes:
        when: Envoy's flags for what happened, or a status.
        kind: As in a replica's refusals.
        words: What happened, and what to do.
        again: Whether the same request may succeed later.
    """

    when: tuple[str, ...] | int
    kind: str
    words: str
    again: bool = False


_REPLIES = (
    _Reply(("OM",), "overloaded", "the gateway has no memory left: ask again later", again=True),
    _Reply(
        ("UO",),
        "overloaded",
        "as many requests are under way as gateway.breakers allows: ask again later, or raise them",
        again=True,
    ),
    _Reply(("UH", "NC"), "overloaded", "no replica is ready: ask again later", again=True),
    _Reply(("UF",), "overloaded", "no replica could be reached: ask again later", again=True),
    _Reply(
        ("UC", "UR", "LR"),
        "overloaded",
        "the replica ended while it had the request: ask again",
        again=True,
    ),
    _Reply(("UPE",), "gateway", "the replica's answer cannot be read: its log may say why"),
    _Reply(400, "invalid", f"the gateway cannot read the request: {_ENVOYS_REASON}"),
    _Reply(403, "unsupported", "the gateway changes to no other protocol: ask without `upgrade`"),
    _Reply(
        404,
        "not_found",
        "the gateway has no such path: /openapi.json lists them, and /metrics is only at a "
        "replica's own port",
    ),
    _Reply(408, "slow", "the request did not arrive in time"),
    _Reply(413, "too_large", "the body is longer than the gateway takes"),
    _Reply(
        429,
        "rate_limited",
        "more requests a second than the gateway takes: ask again later",
        again=True,
    ),
    _Reply(431, "headers", "request line and headers are longer, or more, than the gateway takes"),
    _Reply(501, "unsupported", f"the gateway does not know how to take this: {_ENVOYS_REASON}"),
    _Reply(503, "overloaded", _ENVOYS_WORDS, again=True),
    _Reply(504, "deadline", "no replica answered in time"),
)


def local_replies() -> Message:
    """Kinds by what happened; gRPC clients get plain words, which become the status' message."""
    told = [mapper for reply in _REPLIES for mapper in (_grpc(reply), _json(reply))]
    return {
        "mappers": told,
        "body_format": _body("gateway", f"the gateway refuses this: {_ENVOYS_REASON}"),
    }


def _grpc(reply: _Reply) -> Message:
    header = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    called = {"header_filter": {"header": header}}
    return {
        "filter": {"and_filter": {"filters": [called, _filter(reply.when)]}},
        "body_format_override": {"text_format_source": {"inline_string": reply.words}},
    }


def _json(reply: _Reply) -> Message:
    return {
        "filter": _filter(reply.when),
        "body_format_override": _body(reply.kind, reply.words),
        **({"headers_to_add": _RETRY_AFTER} if reply.again else {}),
    }


def _filter(when: tuple[str, ...] | int) -> Message:
    if isinstance(when, tuple):
        return {"response_flag_filter": {"flags": list(when)}}
    value = {"default_value": when, "runtime_key": f"openautoglm.status.{when}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _body(kind: str, words: str) -> Message:
    return {"json_format": {"error": words, "kind": kind, "request_id": "%REQ(X-REQUEST-ID)%"}}
