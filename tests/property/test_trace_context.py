"""Ids of a request: the caller's `traceparent` and `x-request-id`, or our own."""

import re
import string
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openautoglm.serving.observe.context import make_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def digits(count):
    return st.text("0123456789abcdef", min_size=count, max_size=count)


def nonzero(count):
    return digits(count).filter(lambda text: set(text) != {"0"})


def context(traceparent=None, request_id=None, ratio=0.0):
    return make_context(
        protocol="http", request_id=request_id, traceparent=traceparent, ratio=ratio
    )


def valid(header):
    """The recommendation's rules, one by one."""
    parts = header.split("-")
    if [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return False
    version, trace, span, _ = parts[:4]
    return (
        set("".join(parts[:4])) <= set("0123456789abcdef")
        and version != "ff"
        and set(trace) != {"0"}
        and set(span) != {"0"}
        and (len(parts) == 4 or version != "00")
    )


@given(nonzero(32), nonzero(16), st.integers(0, 255))
def test_the_callers_trace_and_its_decision_are_kept(trace, span, flags):
    for header in (f"00-{trace}-{span}-{flags:02x}", f"00-{trace}-{span}-{flags:02x}".encode()):
        for ratio in (0.0, 1.0):
            found = context(header, ratio=ratio)
            assert (found.trace_id, found.parent_id) == (trace, span)
            assert found.sampled == (flags % 2 == 1)


@given(digits(2), nonzero(32), nonzero(16), digits(2), st.text("0123456789abcdef-", max_size=8))
def test_a_later_version_may_have_more_fields(version, trace, span, flags, more):
    found = context(f"{version}-{trace}-{span}-{flags}-{more}")
    assert (found.parent_id == span) == (version not in ("00", "ff"))


@given(
    st.one_of(
        st.text(max_size=70),
        st.text("0123456789abcdefABCDEF-_+ ", min_size=50, max_size=60),
        st.tuples(digits(2), digits(32), digits(16), digits(2)).map("-".join),
    )
)
@example(f"00-{TRACE}-{SPAN}-01\n")
@example(f"00-{TRACE}-{SPAN}-0١")
def test_only_what_the_recommendation_allows_is_taken(header):
    found = context(header, ratio=1.0)
    assert (found.parent_id is not None) == valid(header)
    assert re.fullmatch("[0-9a-f]{32}", found.trace_id)
    assert set(found.trace_id) != {"0"}


@pytest.mark.parametrize(
    "header",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00_{TRACE}_{SPAN}_01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
        "",
    ],
)
def test_a_header_that_is_not_valid_counts_as_none(header):
    found = context(header)
    assert found.parent_id is None
    assert found.trace_id != TRACE
    assert not found.sampled


@given(st.text(max_size=130), st.booleans())
@example("x" * 128, True)
@example("x" * 129, True)
@example('a"b\\c', False)
def test_a_request_id_is_taken_over_if_it_is_short_visible_ascii(name, as_bytes):
    visible = set(string.ascii_letters + string.digits + string.punctuation)
    given_ = name.encode() if as_bytes else name
    found = context(request_id=given_).request_id
    if 1 <= len(name) <= 128 and set(name) <= visible:
        assert found == name
    else:
        assert re.fullmatch("[0-9a-f]{32}", found)


def test_ids_made_here_are_never_the_same():
    made = [context() for _ in range(10_000)]
    assert len({found.trace_id for found in made} | {found.request_id for found in made}) == 20_000


def test_without_a_caller_the_ratio_decides():
    assert not any(context(ratio=0.0).sampled for _ in range(1000))
    assert all(context(ratio=1.0).sampled for _ in range(1000))
    share = sum(context(ratio=0.25).sampled for _ in range(20_000)) / 20_000
    assert 0.2 < share < 0.3


def test_the_wall_clock_is_read_for_sampled_requests_only():
    assert context(ratio=1.0).start_ns > 10**18
    assert context(ratio=0.0).start_ns == 0


def test_a_forked_child_makes_other_ids_than_its_parent():
    code = """
import os
from openautoglm.serving.observe.context import make_context
child = os.fork()
made = make_context(protocol="http", request_id=None, traceparent=None, ratio=0.0)
if child:
    os.waitpid(child, 0)
print(made.trace_id, made.request_id, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ids = done.stdout.split()
    assert len(set(ids)) == 4
