"""Hugging Face data sets: folders on this machine, and names without a network."""

import os
import subprocess
import sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from openautoglm.errors import SourceError
from tests.support.data import Sandbox, digest, origin, schema
from tests.support.wait import PATIENCE

pytestmark = pytest.mark.xdist_group("hub")
ROWS = {
    "text": [f"文本{i}" for i in range(60)],
    "label": ["甲" if i % 2 else "乙" for i in range(60)],
}


@pytest.fixture
def box(tmp_path):
    return Sandbox(tmp_path / "project")


def folder(path, suffix):
    path.mkdir(parents=True)
    table = pa.table(ROWS)
    if suffix == "parquet":
        pq.write_table(table, path / "train.parquet")
    else:
        lines = ["text,label", *(",".join(row.values()) for row in table.to_pylist())]
        (path / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_folder_is_read_and_prepared(box, suffix):
    folder(box.source / "news", suffix)
    raw = box.fetch({"kind": "huggingface", "path": "data/source/news"})
    assert origin(raw)["rows"]["name"] == "news:train"
    assert pq.read_table(raw / "payload" / "rows.parquet").to_pydict() == ROWS
    assert schema(box.prepare())["classes"] == {"乙": 30, "甲": 30}


def test_two_places_give_one_digest(tmp_path):
    found = set()
    for place in ("one", "two/three"):
        box = Sandbox(tmp_path / place)
        path = folder(box.source / "news", "csv")
        found.add(digest(box.fetch({"kind": "huggingface", "path": "data/source/news"})))
        assert str(tmp_path) not in str(
            origin(box.fetch({"kind": "huggingface", "path": str(path)}))
        )
    assert len(found) == 1


def test_class_labels_become_their_names(box):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["乙", "甲"])}
    )
    codes = [i % 2 for i in range(59)] + [-1]
    made = datasets.Dataset.from_dict({"text": ROWS["text"], "label": codes}, features=features)
    (box.source / "news").mkdir()
    made.to_parquet(str(box.source / "news" / "train.parquet"))
    raw = box.fetch({"kind": "huggingface", "path": "data/source/news"})
    labels = pq.read_table(raw / "payload" / "rows.parquet")["label"].to_pylist()
    assert labels == [*ROWS["label"][:59], None]


def test_a_split_that_is_not_there_is_told(box):
    folder(box.source / "news", "csv")
    with pytest.raises(SourceError, match="cannot be loaded") as caught:
        box.fetch({"kind": "huggingface", "path": "data/source/news", "split": "exam"})
    assert "exam" in str(caught.value)


SCRIPT = """
import sys
from pathlib import Path
from openautoglm.errors import SourceError
from tests.support.data import Sandbox

if sys.argv[2] == "missing":
    sys.modules["datasets"] = None
try:
    Sandbox(Path(sys.argv[1])).fetch({"kind": "huggingface", "path": "nobody/nothing"})
except SourceError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_a_path_that_is_no_name_is_told_without_asking_the_hub(box):
    with pytest.raises(SourceError, match="neither a folder nor a name"):
        box.fetch({"kind": "huggingface", "path": "data/source/nowhere"})


@pytest.mark.parametrize(
    ("case", "environment", "said"),
    [
        ("offline", {"HF_HUB_OFFLINE": "1"}, "cannot be loaded"),
        # Port 9 (discard) on this machine: refused at once, as without a network.
        ("no answer", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "does not answer"),
        ("missing", {}, "pip install 'open-autoglm[hub]'"),
    ],
)
def test_a_name_that_cannot_be_asked_for_is_told_and_not_tried_for_long(
    tmp_path, case, environment, said
):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTEST_"))}
    own = {"HF_HOME": str(tmp_path / "home"), "PYTHONPATH": "."}
    done = subprocess.run(
        (sys.executable, "-c", SCRIPT, str(tmp_path / "project"), case),
        env=kept | own | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stdout
    assert "nobody/nothing" in done.stdout or case == "missing"
