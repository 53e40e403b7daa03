"""How ends of requests are read, and when counts are lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openautoglm.routing.counts import Counts, Seen, Totals, advance
from openautoglm.routing.envoy.counted import access_log
from openautoglm.routing.envoy.outcomes import End, counts
from openautoglm.routing.envoy.telemetry import EnvoyTelemetry


def end(code, *flags, grpc=None, attempts=1):
    return counts(End(code, grpc, frozenset(flags), attempts), 1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (end(200), {}),
        (end(200, "DC"), {}),  # it left when it had its answer, or most of it
        (end(200, grpc=0), {}),
        (end(422), {"refused": 1}),
        (end(408), {"refused": 1}),
        (end(200, grpc=3), {"refused": 1}),
        (end(0, "DC"), {"abandoned": 1}),
        (end(429), {"errors": 1, "shed": 1}),
        (end(503), {"errors": 1, "shed": 1}),
        (end(503, "UO"), {"errors": 1, "shed": 1}),
        (end(200, grpc=8), {"errors": 1, "shed": 1}),
        (end(503, "UH"), {"errors": 1}),
        (end(503, "UF", "URX"), {"errors": 1}),
        (end(504, "UT"), {"errors": 1}),
        (end(200, "UT", grpc=14), {"errors": 1}),
        (end(200, "UPE"), {"errors": 1}),  # half an answer
        (end(200, "UC"), {"errors": 1}),
        (end(200, grpc=13), {"errors": 1}),
        (end(200, grpc=4), {"errors": 1}),
        (end(200, attempts=2), {"errors": 1, "retried": 1}),
        (end(400, attempts=2), {"errors": 1}),
        (end(0, "DC", attempts=3), {"errors": 1}),
    ],
)
def test_an_end_is_one_thing(found, expected):
    told = {name: n for name, n in vars(found).items() if isinstance(n, int) and n}
    assert told == {"requests": 1, **expected}


def test_what_never_reached_a_variant_is_nothing():
    assert end(429, "RL", attempts=0) == Counts()


def test_exposure_leaves_out_what_says_nothing():
    assert Counts(requests=10, refused=2, abandoned=3, errors=1).exposure == 5


def test_a_new_gateway_counts_from_nothing_and_loses_nothing():
    begun = advance(None, {}).totals
    look = advance(begun, {"g": Seen("1-0", {"v": Counts(requests=3)})})
    assert look.variants == {"v": Counts(requests=3)}
    assert look.lost == ()


def test_one_that_was_missing_at_the_first_look_begins_when_it_is_seen():
    begun = advance(None, {"g": None})
    assert begun.missing == ("g",)
    look = advance(begun.totals, {"g": Seen("1-0", {"v": Counts(requests=3)})})
    assert (look.variants, look.lost) == ({}, ("g",))
    look = advance(look.totals, {"g": Seen("1-0", {"v": Counts(requests=5)})})
    assert (look.variants, look.lost) == ({"v": Counts(requests=2)}, ())


def test_copies_that_begin_anew_leave_clients_requests_alone():
    last = Totals({"g": Seen("1-0", {"v": Counts(requests=9)}, {"w": Counts(requests=9)})})
    look = advance(last, {"g": Seen("1-0", {"v": Counts(requests=10)}, {"w": Counts(requests=2)})})
    assert look.variants == {"v": Counts(requests=1)}
    assert look.copies == {"w": Counts(requests=2)}
    assert look.lost == ("g",)


def test_a_socket_nobody_listens_at_is_a_missing_gateway():
    look = EnvoyTelemetry(lambda: [Path("/nowhere/gateway-0.sock")]).look(None)
    assert look.missing == ("gateway-0",)


def test_no_edge_cuts_a_bin_of_the_gateways_histograms():
    for edge in EnvoyTelemetry.edges:
        for scaled in (edge * 1e6, edge * 1e3):
            assert float(f"{scaled:.1e}") == pytest.approx(scaled, rel=1e-12)


def test_nothing_that_clients_choose_names_a_counter():
    assert not re.search(r"%(REQ|PATH|TRAILER|RESP)\(", str(access_log()))
