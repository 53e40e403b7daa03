"""Laws of the cache of scores, one a sentence of what it promises."""

from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from openautoglm.serving.cache import Cache

MODEL, OTHER = f"sha256-{'1' * 64}", f"sha256-{'1' * 63}2"
ROWS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.lists(st.floats(-4, 4, width=16), min_size=1, max_size=2),
)


def key(row):
    return row if isinstance(row, str) else tuple(map(repr, row))


@given(st.lists(st.tuples(st.booleans(), ROWS)), st.integers(1, 4))
def test_it_keeps_the_rows_that_were_asked_for_last_and_no_more(steps, entries):
    cache, known = Cache(MODEL, entries), OrderedDict()
    for number, (put, row) in enumerate(steps):
        if put:
            cache.put(row, [float(number)])
            known[key(row)] = [float(number)]
            known.move_to_end(key(row))
            if len(known) > entries:
                known.popitem(last=False)
        else:
            assert cache.get(row) == known.get(key(row))
            if key(row) in known:
                known.move_to_end(key(row))
        assert len(cache) == len(known) <= entries


@given(ROWS, ROWS)
def test_only_the_very_same_row_matches(row, other):
    cache = Cache(MODEL, 8)
    cache.put(row, [1.0])
    assert (cache.get(other) is not None) == (key(row) == key(other))


@given(ROWS)
def test_a_row_is_kept_under_the_digest_of_its_model(row):
    # The same store could hold both, and neither would answer for the other.
    assert Cache(MODEL, 1)._hash(row) != Cache(OTHER, 1)._hash(row)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=30))
def test_an_entry_costs_the_same_whatever_the_text(text):
    assert len(Cache(MODEL, 1)._hash(text)) == 16
