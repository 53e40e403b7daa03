"""N-gram ids: one function, written once for numpy and once for the graph."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from openautoglm.text.ngrams import MAX_ORDER, PAD, ngram_ids
from openautoglm.training import ngrams as graph

ROWS = st.lists(st.lists(st.integers(1, 2**29 - 1), max_size=12), min_size=1, max_size=5)
ORDERS = st.integers(1, MAX_ORDER)
BUCKETS = st.integers(2, 2**20)


def matrix(rows, extra=0):
    width = max(1, *map(len, rows)) + extra
    return np.array([row + [PAD] * (width - len(row)) for row in rows], np.int64)


@given(ROWS, ORDERS, BUCKETS)
def test_the_graph_computes_what_numpy_computes(rows, order, buckets):
    ids = matrix(rows)
    found = graph.ngram_ids(torch.from_numpy(ids), order, buckets).numpy()
    assert (found == ngram_ids(ids, order, buckets)).all()


@given(ROWS, ORDERS, BUCKETS)
def test_an_id_is_0_exactly_where_no_ngram_fits(rows, order, buckets):
    found = ngram_ids(matrix(rows), order, buckets)
    assert found.min() >= 0
    assert found.max() < buckets
    for row, line in zip(rows, found, strict=True):
        assert (line > 0).sum() == max(0, len(row) - order + 1)


@given(ROWS, ORDERS, BUCKETS, st.integers(1, 5))
def test_padding_changes_nothing(rows, order, buckets, extra):
    ids, wider = matrix(rows), matrix(rows, extra)
    found = ngram_ids(wider, order, buckets)
    assert (found[:, : ids.shape[1]] == ngram_ids(ids, order, buckets)).all()
    assert (found[:, ids.shape[1] :] == 0).all()


@given(st.lists(st.integers(1, 2**29 - 1), min_size=2, max_size=4, unique=True))
def test_the_order_of_characters_matters(row):
    one, two = (ngram_ids(matrix([r]), len(row), 2**24)[0, 0] for r in (row, row[::-1]))
    assert one != two
