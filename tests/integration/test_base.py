"""Fine-tuning of a base: from its folder to a graph that is checked against it."""

import shutil

import numpy as np
import pytest
import torch

from openautoglm.compression.agreement import agreement
from openautoglm.compression.export import export
from openautoglm.errors import SourceError
from openautoglm.inference.model import open_model
from openautoglm.training import families
from openautoglm.training.base import locate
from tests.support.bert import tiny_bert
from tests.support.training import job

pytestmark = pytest.mark.xdist_group("base")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    root = tmp_path_factory.mktemp("base")
    tiny_bert(root / "bert")
    given = job(root / "work", base=locate("bert", None, root), lr=3e-3, epochs=3)
    out = root / "out"
    out.mkdir()
    families.fit("transformer", given, out)
    return root, given, out


def test_it_learns(fitted):
    _, given, out = fitted
    assert (np.load(out / "valid.npy").argmax(1) == given.valid.y).mean() > 0.5


def test_the_folder_tells_nothing_of_where_the_base_was(fitted):
    root, _, out = fitted
    for path in out.rglob("*"):
        assert str(root).encode() not in path.read_bytes(), path


def test_the_graph_agrees_with_the_framework(fitted):
    _, given, out = fitted
    restored = families.restore("transformer", out)
    export(restored.module, restored.example, out / "fp32.onnx")
    model = open_model(out, out / "fp32.onnx", restored.input, ("a", "b", "c"), threads=1)
    found = agreement(model.predict_proba(list(given.valid.inputs)), np.load(out / "valid.npy"))
    assert found.max_difference < 1e-5
    assert found.agreement == 1
    # every length the model takes, and characters it has never seen
    texts = ["", "龘", "铁" * 200, "列车"]
    proba = model.predict_proba(texts)
    assert np.isfinite(proba).all()
    assert proba.sum(1) == pytest.approx(1)


def test_texts_are_cut_to_the_positions_of_the_base(fitted):
    _, _, out = fitted
    assert families.restore("transformer", out).input.max_length == 32


def test_another_content_is_another_base(tmp_path):
    one = locate(str(tiny_bert(tmp_path / "bert")), None, tmp_path)
    (tmp_path / "bert" / "note.txt").write_text("x")
    assert locate("bert", None, tmp_path).digest != one.digest


def test_a_folder_that_holds_no_model_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    given = job(tmp_path / "work", base=locate("empty", None, tmp_path))
    with pytest.raises(SourceError, match="cannot be loaded"):
        families.fit("transformer", given, tmp_path)


def test_cut_weights_are_refused(tmp_path):
    folder = tiny_bert(tmp_path / "bert")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    given = job(tmp_path / "work", base=locate("bert", None, tmp_path))
    with pytest.raises(SourceError, match="cannot be loaded"):
        families.fit("transformer", given, tmp_path)


def test_a_folder_has_no_revision(tmp_path):
    tiny_bert(tmp_path / "bert")
    with pytest.raises(SourceError, match="no revision"):
        locate("bert", "v1", tmp_path)


@pytest.mark.parametrize("name", ["a b", "x/y/z", "../nowhere"])
def test_what_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(SourceError) as caught:
        locate(name, None, tmp_path)
    assert caught.value.exit_code == 2
    assert "model.base" in str(caught.value)


def test_the_cache_of_the_hub_is_used_when_the_hub_is_silent(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--bert"
    tiny_bert(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    found = locate("someone/bert", None, tmp_path)
    assert found.digest == commit
    shutil.rmtree(tmp_path / "hub")
    with pytest.raises(SourceError, match="does not hold it"):
        locate("someone/bert", None, tmp_path)


def test_threads_are_put_back():
    from openautoglm.training.devices import threads

    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
