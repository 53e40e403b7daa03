"""prepare: input that cannot be used is refused with what to do about it, and exit code 2."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openautoglm.errors import DataError
from tests.support.data import Sandbox

GOOD = [(f"文本{i}", "甲" if i % 2 else "乙") for i in range(60)]


@pytest.fixture
def box(tmp_path):
    return Sandbox(tmp_path)


def lines(rows, header="text,label"):
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def message(box, rows, test=None, **settings):
    with pytest.raises(DataError) as caught:
        box.run(rows, test, **settings)
    assert caught.value.exit_code == 2
    assert not (box.root / "data" / "prepared").exists()
    return str(caught.value)


def test_a_missing_column_names_those_that_exist_and_the_nearest(box):
    text = message(box, lines(GOOD, "texts,label"))
    assert "no column `text`" in text
    assert "`texts`, `label`" in text
    assert "did you mean `texts`?" in text


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_an_empty_file_is_refused(box, suffix):
    assert "the file is empty" in message(box, "", suffix=suffix)


def test_a_header_alone_is_refused(box):
    assert "no rows" in message(box, "text,label\n")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json"])
@pytest.mark.parametrize("junk", [b"\x7fELF\x02\x01\x00" * 40, bytes(range(256)) * 9])
def test_binary_junk_is_refused(box, suffix, junk):
    assert "binary" in message(box, junk, suffix=suffix)


@pytest.mark.parametrize("junk", [b"PAR1 but not really", b"\x00" * 64])
def test_junk_is_no_parquet(box, junk):
    assert "no Parquet" in message(box, junk, suffix=".parquet")


def test_a_utf16_file_is_told_how_to_become_utf8(box):
    assert "iconv -f UTF-16" in message(box, lines(GOOD).encode("utf-16"))


def test_a_gb18030_file_is_told_how_to_become_utf8(box):
    text = message(box, lines(GOOD).encode("gb18030"))
    assert "60 undecodable bytes" in text
    assert "iconv -f GB18030" in text
    assert "iconv -f GB18030" in message(box, lines(GOOD, "文,label").encode("gb18030"))


def test_too_many_bad_rows_are_counted_and_the_first_are_shown(box):
    bad = [("", "甲")] * 25 + [("etwas", "")] * 15
    text = message(box, lines(GOOD + bad))
    assert "40 of 100 rows (40.0 %)" in text
    assert "25 empty text, 15 missing label" in text
    assert "rows.csv, row 61 (line 62): empty text" in text
    assert "allowed: 20 %" in text
    assert "data.max_bad_share" in text


def test_a_bad_test_file_is_not_hidden_by_good_rows(box):
    text = message(box, lines(GOOD), test=lines([("a", "甲"), ("", "甲")]))
    assert "1 of 2 rows" in text
    assert "fixed.csv, row 2" in text


def test_repeated_and_ambiguous_rows_are_not_bad_rows(box):
    repeated = GOOD[:50] * 3
    out = box.run(lines(GOOD + repeated))
    assert (out / "payload" / "schema.json").is_file()


def test_the_share_is_a_parameter(box):
    rows = lines(GOOD + [("", "甲")] * 40)
    box.run(rows, max_bad_share=0.4)
    assert (box.root / "data" / "prepared").exists()


def test_one_class_only_is_refused(box):
    text = message(box, lines([(text, "甲") for text, _ in GOOD]))
    assert "one class only" in text
    assert "`甲` 60" in text


def test_classes_that_are_all_too_small_are_told(box):
    text = message(box, lines(GOOD), min_class_rows=500)
    assert "fewer than two classes" in text
    assert "data.min_class_rows" in text


def test_too_few_rows_to_split_are_refused(box):
    text = message(
        box,
        lines(GOOD[:60]),
        splits={"train": 0.97, "valid": 0.01, "test": 0.01, "replay": 0.005, "reference": 0.005},
    )
    assert "no row fell into" in text


def test_a_test_file_of_other_classes_is_refused(box):
    text = message(box, lines(GOOD), test=lines([("a", "丙")]))
    assert "no row of the test file can be used" in text


def test_a_quote_that_is_never_closed_is_refused(box):
    text = message(box, lines([('"offen', "甲"), *GOOD]))
    assert "never closed" in text
    assert "line 2" in text


def test_a_column_twice_is_refused(box):
    text = message(box, lines([(t, t, k) for t, k in GOOD], "text,text,label"))
    assert "2 columns `text`" in text


@pytest.mark.parametrize(
    ("text", "said"), [("{", "no JSON"), ("3", "found int"), ("[" * 99999, "no JSON")]
)
def test_json_of_another_shape_is_refused(box, text, said):
    assert said in message(box, text, suffix=".json")


def test_lines_that_are_no_json_are_counted(box):
    assert "2 malformed row" in message(box, "so\nnicht\n", suffix=".jsonl")


def test_a_parquet_file_of_other_columns_is_refused(box):
    pq.write_table(pa.table({"txt": ["a"], "label": ["b"]}), box.source / "rows.parquet")
    box.fetch({"kind": "file", "path": "data/source/rows.parquet"})
    with pytest.raises(DataError, match="no column `text`"):
        box.prepare()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"features": ["a", "a"]}, "each column once"),
        ({"features": ["id"]}, "neither `id` nor `label`"),
        ({"features": ["a"], "label": "a"}, "the label column is no feature"),
    ],
)
def test_features_that_cannot_be_columns_are_refused(box, settings, said):
    with pytest.raises(ValueError, match=said):
        box.prepare(text=None, **settings)
