"""What a gateway counts: each request once, after its end, under the variant that it went to.

A cluster's own statistics count something else: attempts, health checks and copies among them;
a gRPC call that failed is a 200 there, because its status is a trailer; their histograms are gone
when a setting of the cluster changes. So the port's access log counts (Envoy's stats logger,
https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/access_loggers/stats/v3/stats.proto):
it sees what the client got, over either protocol, and how many attempts that took.
"""

from __future__ import annotations

from openautoglm.routing.envoy.message import Message, duration, extension

SCOPE = "served"
"""Prefix of these statistics."""

_FLUSH_SECONDS = 0.25
_STATS = "extensions.access_loggers.stats.v3.Config"
_NO_PREDICTION = r"/grpc\..*|/inference\.GRPCInferenceService/(Server|Model)(Live|Ready|Metadata)"


def access_log() -> list[Message]:
    """The port's logs; they write nothing, and count."""
    return [
        _log(_predictions(), counters=[_requests()]),
        _log(
            _all(_predictions(), _any(_answered_well(), _timed_out())),
            histograms=[_time("us", "%COMMON_DURATION(DS_RX_END:DS_TX_BEG:us)%", "Microseconds")],
        ),
        _log(
            _all(_predictions(), _status("EQ", 0)),
            histograms=[_time("left_ms", "%DURATION%", "Milliseconds")],
        ),
    ]


def settings() -> Message:
    """The bootstrap's part: histograms are read as they were at the last flush."""
    return {"stats_flush_interval": duration(_FLUSH_SECONDS)}


def _log(when: Message, **counts: list[Message]) -> Message:
    return {
        **extension("envoy.access_loggers.stats", _STATS, stats_scope={"prefix": SCOPE}, **counts),
        "filter": when,
    }


def _requests() -> Message:
    # None of these is the client's to choose: there are as many counters as kinds of ends.
    tags = {
        "cluster": "%UPSTREAM_CLUSTER_RAW%",
        "code": "%RESPONSE_CODE%",
        "grpc": "%GRPC_STATUS_NUMBER%",
        "flags": "%RESPONSE_FLAGS%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    }
    return {"stat": _stat("requests", tags), "value_fixed": 1}


def _time(name: str, value: str, unit: str) -> Message:
    stat = _stat(name, {"cluster": "%UPSTREAM_CLUSTER_RAW%"})
    return {"stat": stat, "value_format": value, "unit": unit}


def _stat(name: str, tags: dict[str, str]) -> Message:
    told = [{"name": tag, "value_format": value} for tag, value in tags.items()]
    return {"name": name, "tags": told}


def _predictions() -> Message:
    """Everything that is posted, but for gRPC's questions about the server."""
    other = {
        "name": ":path",
        "string_match": {"safe_regex": {"regex": _NO_PREDICTION}},
        "invert_match": True,
    }
    post = {"name": ":method", "string_match": {"exact": "POST"}}
    return _all({"header_filter": {"header": post}}, {"header_filter": {"header": other}})


def _answered_well() -> Message:
    """With 2xx or 3xx; with gRPC's OK, which plain HTTP never has."""
    plain = {
        "name": "content-type",
        "string_match": {"prefix": "application/grpc"},
        "invert_match": True,
        "treat_missing_header_as_empty": True,
    }
    return _any(
        _all({"header_filter": {"header": plain}}, _status("GE", 200), _status("LE", 399)),
        {"grpc_status_filter": {"statuses": ["OK"]}},
    )


def _timed_out() -> Message:
    return {"response_flag_filter": {"flags": ["UT"]}}


def _status(operator: str, value: int) -> Message:
    told = {"default_value": value, "runtime_key": f"openautoglm.counted.{value}"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": told}}}


def _all(*filters: Message) -> Message:
    return {"and_filter": {"filters": list(filters)}}


def _any(*filters: Message) -> Message:
    return {"or_filter": {"filters": list(filters)}}
