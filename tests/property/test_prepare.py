"""Laws of prepare: a row's split is its own; nothing is lost; order leaves no trace."""

import csv
import io
import random
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.config.data import PrepareData, Splits
from openautoglm.data.checks import check
from openautoglm.data.formats.table import Table
from openautoglm.data.rows import Reason, settle
from openautoglm.data.splits import NAMES, assign, feature_ids, text_ids
from openautoglm.errors import DataError
from openautoglm.text.normalise import normalise
from tests.support.data import Sandbox, digest, rejected, split_of

# Enough rows that every split and two classes are there whatever else comes.
BASE = [(f"文本{i}", "甲" if i % 2 else "乙") for i in range(60)]
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
LABELS = st.sampled_from(["甲", "乙", "丙", "", " "])
NUMBERED = st.integers(0, 90).map(lambda i: f"文本{i}")
ROWS = st.lists(st.tuples(st.one_of(NUMBERED, CELLS), LABELS), max_size=25)
LOOSE = {"max_bad_share": 1.0}
few = settings(max_examples=25, deadline=None)


def as_csv(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(
        [("text", "label"), *rows]
    )
    return out.getvalue()


def prepared(rows, test=None):
    folder = tempfile.TemporaryDirectory()
    box = Sandbox(Path(folder.name))
    out = box.run(as_csv(rows), None if test is None else as_csv(test), **LOOSE)
    return folder, out


@few
@given(ROWS, ROWS)
def test_a_rows_split_does_not_move_when_other_rows_come_or_go(one, two):
    folder_a, a = prepared(BASE + one)
    folder_b, b = prepared(BASE + two)
    with folder_a, folder_b:
        found = split_of(a)
        for text, split in split_of(b).items():
            assert found.get(text, split) == split


@few
@given(ROWS, st.none() | st.lists(st.tuples(NUMBERED, LABELS), max_size=8))
def test_every_row_is_kept_once_or_rejected_once(extra, test):
    rows = BASE + extra
    fixed = None if test is None else [("nur hier", "甲"), *test]
    folder, out = prepared(rows, fixed)
    with folder:
        kept = split_of(out)
        told = Counter((row["file"], int(row["row"])) for row in rejected(out))
    assert set(told.values()) <= {1}
    for file, part in (("rows.csv", rows), ("fixed.csv", fixed or [])):
        left = [text for i, (text, _) in enumerate(part, 1) if (file, i) not in told]
        for text in left:
            # Kept rows are unique, so popping one twice would fail here.
            assert (kept.pop(normalise(text)) == "test") or file == "rows.csv"
    assert kept == {}


@few
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_change_the_digest(extra, rng):
    rows = BASE + extra
    shuffled = random.Random(rng.random()).sample(rows, len(rows))
    folder_a, a = prepared(rows)
    folder_b, b = prepared(shuffled)
    with folder_a, folder_b:
        assert digest(a) == digest(b)


@given(st.lists(NUMBERED, min_size=1), st.lists(NUMBERED))
def test_an_id_is_a_function_of_the_text(texts, others):
    ids = text_ids(texts)
    assert text_ids(others + texts)[len(others) :].tolist() == ids.tolist()
    assert len(set(ids.tolist())) == len(set(texts))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_an_id_of_numbers_does_not_know_the_sign_of_zero(row):
    values = np.array([row])
    negative = np.where(values == 0, -0.0, values)
    assert feature_ids(values) == feature_ids(negative)


SHARES = st.lists(st.integers(0, 20), min_size=5, max_size=5).filter(lambda n: n[0] and n[1])


@given(SHARES, st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_a_split_of_share_zero_gets_nothing_and_a_test_file_moves_only_test(parts, ids):
    shares = Splits(**{name: n / sum(parts) for name, n in zip(NAMES, parts, strict=True)})
    ids = np.array(ids, np.uint64)
    free, fixed = (assign(ids, shares, fixed_test=flag) for flag in (False, True))
    assert all(parts[place] for place in free.tolist())
    test = free == NAMES.index("test")
    assert (fixed[~test] == free[~test]).all()
    assert (fixed[test] == NAMES.index("train")).all()


def test_the_splits_have_their_shares():
    ids = text_ids([f"文本{i}" for i in range(20_000)])
    found = np.bincount(assign(ids, Splits(), fixed_test=False), minlength=5) / len(ids)
    assert np.allclose(found, [0.76, 0.06, 0.08, 0.05, 0.05], atol=0.01)


@given(st.lists(st.tuples(NUMBERED, st.sampled_from("甲乙")), min_size=1))
def test_settling_keeps_exactly_the_texts_of_one_label_once(rows):
    texts, labels = map(list, zip(*rows, strict=True))
    found = check(Table("t", {"text": texts, "label": labels}, None), PrepareData())
    settle(found)
    meanings = {text: {k for t, k in rows if t == text} for text in texts}
    unique = sorted(text for text, seen in meanings.items() if len(seen) == 1)
    assert sorted(np.array(texts)[found.kept].tolist()) == unique
    ambiguous = sum(len(meanings[text]) > 1 for text in texts)
    assert found.counts()[Reason.AMBIGUOUS] == ambiguous


@few
@given(st.binary(max_size=300), st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".parquet"]))
def test_whatever_the_bytes_they_are_read_or_refused_as_data(content, suffix):
    with tempfile.TemporaryDirectory() as folder:
        box = Sandbox(Path(folder))
        for head in (b"", b"text,label\n", b"text\tlabel\n"):
            with suppress(DataError):
                box.run(head + content, suffix=suffix, **LOOSE)
