"""`openautoglm predict` as a person types it."""

import json
import shlex
import subprocess

import pytest

from tests.support.project import BIN
from tests.support.registry import LABELS, write_compressed
from tests.support.replica import digest_of, serving

pytestmark = pytest.mark.xdist_group("predict")

MOST = 20_000
"""Characters of one text that a replica takes."""


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A replica of a text model."""
    folder = tmp_path_factory.mktemp("text")
    write_compressed(folder / "model", 0)
    with serving(folder / "model", folder / "log") as replica:
        replica.digest = digest_of(folder / "model")
        yield replica


@pytest.fixture(scope="module")
def numeric(tmp_path_factory):
    """A replica of a model of numbers."""
    folder = tmp_path_factory.mktemp("numeric")
    write_compressed(folder / "model", 0, "numeric")
    with serving(folder / "model", folder / "log") as replica:
        yield replica


@pytest.fixture
def url(text):
    return text.url


def predict(url, *options, given="", code=0):
    done = subprocess.run(
        [BIN / "openautoglm", "predict", "--url", url, *options],
        input=given if isinstance(given, bytes) else given.encode(),
        capture_output=True,
    )
    shown = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == code, shown
    assert "Traceback" not in shown[1]
    return shown


def objects(out):
    return [json.loads(line) for line in out.splitlines()]


def test_texts_get_a_line_each_with_label_score_and_second_best(text):
    out, _ = predict(text.url, "列车轨道", "诗词")
    head, first, second, *_ = out.splitlines()
    assert head.split() == ["row", "label", "score", "second"]
    for line, given in ((first, "列车轨道"), (second, "诗词")):
        shown, label, most, other, less = line.split()
        assert shown == given
        assert {label, other} < set(LABELS)
        assert float(most) >= float(less)
    assert f"2 rows by version 7, {text.digest[:19]}" in out


def test_json_has_every_score_and_who_said_it(text):
    out, _ = predict(text.url, "列车轨道", "--json")
    [said] = objects(out)
    assert said["text"] == "列车轨道"
    assert tuple(said["scores"]) == LABELS
    assert said["label"] == max(said["scores"], key=said["scores"].get)
    assert (said["version"], said["digest"]) == ("7", text.digest)
    assert said["request_id"]


def test_a_file_is_answered_line_by_line_in_order(url, tmp_path):
    texts = ["", *("字" * (n % 13) + str(n) for n in range(1500))]
    (tmp_path / "texts").write_text("\n".join(texts) + "\n", encoding="utf-8")
    out, _ = predict(url, "--file", str(tmp_path / "texts"), "--json")
    assert [said["text"] for said in objects(out)] == texts


@pytest.mark.parametrize("options", [[], ["--file", "-"]])
def test_standard_input_is_read(url, options):
    out, _ = predict(url, *options, "--json", given="\ufeff列车\r\n诗词")
    assert [said["text"] for said in objects(out)] == ["列车", "诗词"]


def test_long_files_make_one_table(url):
    out, _ = predict(url, given="".join(f"{n}\n" for n in range(600)))
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:-2]] == ["row", *map(str, range(600))]
    assert len({len(line.rstrip()) for line in lines[1:-2]}) == 1


def test_rows_of_features(numeric):
    out, _ = predict(numeric.url, "--features", "1,2.5,0", "--features=-3,4e2,1", "--json")
    assert [said["features"] for said in objects(out)] == [[1.0, 2.5, 0.0], [-3.0, 400.0, 1.0]]
    assert predict(numeric.url, "--features", "1,2.5,0")[0].splitlines()[1].startswith("1, 2.5, 0 ")


def test_a_row_of_another_width_is_refused(numeric):
    _, said = predict(numeric.url, "--features", "1,2", code=2)
    assert "features[0]: found 2 numbers; allowed: exactly 3" in said


def test_a_text_cannot_write_to_the_terminal(url):
    out, _ = predict(url, "\x1b[31m[bold]红\tx\r" + "字" * 500)
    assert "\x1b" not in out
    assert out.splitlines()[1].startswith("[31m[bold]红 x 字")
    assert max(map(len, out.splitlines())) <= 80


def test_nothing_in_nothing_out(url):
    assert predict(url)[0] == "no rows\n"
    assert predict(url, "--json")[0] == ""


def test_nobody_there():
    _, said = predict("http://127.0.0.1:9", "列车", code=2)
    assert "error: the replica is not reachable" in said
    assert "where:   http://127.0.0.1:9/v1/predict" in said
    for way in ("openautoglm status", "--url", "openautoglm deploy", "openautoglm serve"):
        assert way in said


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        (["列车", "--file", "-"], "", "more than one source"),
        (["列车", "--features", "1"], "", "more than one source"),
        (["--features", "1,x"], "", "`1,x` is no row of numbers"),
        (["--features", "nan"], "", "cannot be sent as JSON"),
        (["--file", "missing"], "", "No such file"),
        (["--file", "/"], "", "Is a directory"),
        ([], b"a\n\xcc\xfa\n", "standard input:2"),
        (["--url", "replica"], "a", "`replica` is no address of a replica"),
    ],
)
def test_what_cannot_be_read_is_told(url, options, given, expected):
    out, said = predict(url, *options, given=given, code=2)
    assert expected in said
    assert out == ""


def test_a_refused_line_is_named_and_those_before_it_are_answered(url):
    texts = [*map(str, range(300)), "字" * (MOST + 1)]
    out, said = predict(url, "--json", given="\n".join(texts), code=2)
    assert [one["text"] for one in objects(out)] == texts[:256]
    assert "text[44]: found" in said
    assert "standard input, lines 257 to 301 (text[0] is line 257)" in said


def test_a_reader_that_has_enough_is_no_fault(url):
    command = f"{shlex.quote(str(BIN / 'openautoglm'))} predict --url {url} --json | head -n 1"
    texts = "".join(f"{n}\n" for n in range(20_000)).encode()
    done = subprocess.run(["sh", "-c", command], input=texts, capture_output=True)
    assert json.loads(done.stdout)["text"] == "0"
    assert done.stderr == b""
