"""TF-IDF weights of hashed n-grams, as a matrix for solvers that take one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from openautoglm.text.ngrams import ngram_ids

CHUNK = 4096


def inverse_document_frequency(
    ids: NDArray[np.int64], orders: Sequence[int], buckets: int
) -> NDArray[np.float32]:
    """Smoothed idf of each bucket: `log((1 + rows) / (1 + rows that hold it)) + 1`.

    Args:
        ids: Character ids `int64[rows, length]`, padded with 0.
        orders: Orders of the n-grams; each counts in the same buckets.
        buckets: Number of buckets; bucket 0 ("none here") and those that no row holds weigh 0.

    Returns:
        `float32[buckets]`.
    """
    counts = np.zeros(buckets, np.int64)
    for start in range(0, len(ids), CHUNK):
        grams = np.sort(all_ngram_ids(ids[start : start + CHUNK], orders, buckets), axis=1)
        first = np.ones(grams.shape, bool)
        first[:, 1:] = grams[:, 1:] != grams[:, :-1]
        counts += np.bincount(grams[first], minlength=buckets)
    idf = np.log((1 + len(ids)) / (1 + counts)) + 1
    # An n-gram that train never showed says nothing; counted in the norm, it would shrink the
    # logits towards the bias and so the prediction towards the largest class.
    idf[counts == 0] = 0
    idf[0] = 0
    return idf.astype(np.float32)


def tfidf_matrix(
    ids: NDArray[np.int64], orders: Sequence[int], idf: NDArray[np.float32]
) -> csr_matrix:
    """Rows of `count * idf / norm`, `[rows, buckets]`; the norm is that of `NgramLinear`."""
    buckets = len(idf)
    parts = []
    for start in range(0, len(ids), CHUNK):
        grams = all_ngram_ids(ids[start : start + CHUNK], orders, buckets)
        weight = idf[grams].astype(np.float64)
        norm = np.sqrt(np.maximum(np.square(weight).sum(1, keepdims=True), 1e-12))
        present = grams > 0
        rows = np.broadcast_to(np.arange(len(grams))[:, None], grams.shape)[present]
        values = (weight / norm)[present]
        parts.append(
            csr_matrix((values, (rows, grams[present])), shape=(len(grams), buckets))
        )  # the constructor adds up what an n-gram that occurs twice brings
    return vstack(parts, format="csr")


def all_ngram_ids(ids: NDArray[np.int64], orders: Sequence[int], buckets: int) -> NDArray[np.int64]:
    """The n-gram ids of every order side by side, `int64[rows, length * orders]`."""
    return np.concatenate([ngram_ids(ids, order, buckets) for order in orders], axis=1)
