"""The table of characters gives what `tokenizers` gives, whatever the text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split, Whitespace

from openautoglm.text.characters import CharacterTable
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training.characters import character_tokenizer

KNOWN = ["高速铁路轨道结构", "Harry Potter, a novel ß σς İ"]
TEXTS = st.lists(
    st.one_of(st.text(max_size=20), st.text("".join(KNOWN) + "[]BEGINPADU", max_size=20)),
    max_size=6,
)


def slow(texts, max_length):
    """As `tokenizers` has it."""
    tokenizer = character_tokenizer(KNOWN)
    tokenizer.enable_truncation(max_length)
    return [item.ids or [0] for item in tokenizer.encode_batch(texts)]


@given(TEXTS, st.integers(1, 24))
@example(["[BEGIN]x", "İstanbul", "ΑΣ"], 24)
@example(["a\ud800b"[:1], ""], 3)
def test_ids_by_the_table_are_the_tokenizers_own(texts, max_length):
    encoder = TextEncoder(character_tokenizer(KNOWN), max_length=max_length, pad_id=0)
    assert encoder.ids(texts) == slow(texts, max_length)


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), max_size=6))
def test_a_matrix_holds_its_rows_and_else_padding(rows):
    matrix = TextEncoder(character_tokenizer(KNOWN), max_length=9, pad_id=0).matrix(rows)
    assert matrix.shape == (len(rows), max(map(len, rows), default=1))
    assert matrix.dtype == np.int64
    for found, row in zip(matrix.tolist(), rows, strict=True):
        assert found == row + [0] * (len(found) - len(row))


def test_the_tokenizer_of_models_from_scratch_is_looked_up():
    assert CharacterTable.of(character_tokenizer(KNOWN)) is not None


@pytest.mark.parametrize("split", [Whitespace(), Split(Regex(r"[\s\S]"), "removed")])
def test_a_tokenizer_that_does_anything_else_is_not(split):
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = split
    assert CharacterTable.of(tokenizer) is None
