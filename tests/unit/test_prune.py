"""Structured pruning: what is cut, what stays, and what is written."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    RobertaConfig,
)

from openautoglm.artifacts.digest import folder_digest
from openautoglm.config.training import TransformerSettings
from openautoglm.errors import StepError
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training import families
from openautoglm.training.base import locate
from openautoglm.training.blocks import blocks, cut_to, sizes
from openautoglm.training.characters import character_tokenizer
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.importance import importance, most_important
from openautoglm.training.job import Rows, Teacher
from openautoglm.training.pretrained import PretrainedHeads
from openautoglm.training.trainer import predict
from tests.support.bert import tiny_bert
from tests.support.training import job, text_rows

IDS = torch.tensor([[2, 7, 8, 5, 3], [2, 9, 3, 0, 0]])
SHAPE = {"dim": 16, "hidden": 32, "heads": 4, "layers": 2, "buckets": 1024}


def scratch_network():
    torch.manual_seed(0)
    return NgramTransformer(50, 3, 32, TransformerSettings(**SHAPE)).eval()


def pretrained_network(config, **names):
    torch.manual_seed(0)
    given_config = config(
        vocab_size=50, num_labels=3, attn_implementation="eager", pad_token_id=0, **names
    )
    model = AutoModelForSequenceClassification.from_config(given_config)
    return PretrainedHeads(model, 0).eval()


def bert_network(config=BertConfig):
    return pretrained_network(
        config,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=40,
    )


def distil_network():
    return pretrained_network(DistilBertConfig, dim=16, n_layers=2, n_heads=4, hidden_dim=32)


NETWORKS = {
    "scratch": scratch_network,
    "bert": bert_network,
    "roberta": lambda: bert_network(RobertaConfig),
    "distilbert": distil_network,
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]()


def heads_of(network):
    with torch.no_grad():
        return network(IDS)


def test_keeping_everything_changes_nothing(network):
    before = heads_of(network)
    for block in blocks(network):
        block.keep_heads(range(4))
        block.keep_hidden(range(32))
    assert torch.equal(heads_of(network), before)


def test_a_cut_head_is_one_that_says_nothing(network):
    silent = blocks(network)[1].after_heads
    width = silent.in_features // 4
    with torch.no_grad():
        silent.weight[:, :width] = 0
        silent.weight[:, 2 * width : 3 * width] = 0
    before = heads_of(network)
    blocks(network)[1].keep_heads([1, 3])
    assert torch.allclose(heads_of(network), before, atol=1e-6)
    assert sizes(network) == [(4, 32), (2, 32)]


def test_a_cut_row_is_one_that_says_nothing(network):
    kept = [1, 2, 3, 5, 8, 13, 21, 31]
    silent = [place for place in range(32) if place not in kept]
    with torch.no_grad():
        blocks(network)[0].after_hidden.weight[:, silent] = 0
    before = heads_of(network)
    blocks(network)[0].keep_hidden(kept)
    assert torch.allclose(heads_of(network), before, atol=1e-6)
    assert sizes(network) == [(4, 8), (4, 32)]


def test_the_weights_of_a_cut_network_fit_another_cut_to_its_sizes(network):
    blocks(network)[0].keep_heads([2])
    blocks(network)[1].keep_hidden(range(3, 12))
    torch.manual_seed(1)
    again = next(make for name, make in NETWORKS.items() if same_kind(make(), network))()
    cut_to(again, sizes(network))
    again.load_state_dict(network.state_dict())
    assert torch.equal(heads_of(again), heads_of(network))


def same_kind(one, other):
    return type(getattr(one, "model", one)) is type(getattr(other, "model", other))


def test_layers_of_an_unknown_kind_are_refused():
    network = pretrained_network(
        AlbertConfig, hidden_size=16, num_attention_heads=4, intermediate_size=32, embedding_size=8
    )
    with pytest.raises(StepError, match="cannot be pruned") as caught:
        blocks(network)
    assert caught.value.where == "AlbertForSequenceClassification"


def test_a_network_without_layers_is_refused():
    shape = TransformerSettings(**SHAPE | {"layers": 0})
    with pytest.raises(StepError, match="cannot be pruned"):
        blocks(NgramTransformer(50, 3, 32, shape))


def test_the_glm_is_refused(tmp_path):
    with pytest.raises(StepError, match="glm cannot be pruned"):
        families.prune("glm", tmp_path, job(None), heads=0.5, hidden=0.5, out=tmp_path)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.floats(0, 1), st.integers(1, 8))
@settings(deadline=None)
def test_what_stays_is_no_less_important_than_what_goes(values, share, fewest):
    kept = most_important(np.array(values, float), share, fewest)
    assert kept == sorted(set(kept))
    assert len(kept) >= min(fewest, len(values))
    gone = [place for place in range(len(values)) if place not in kept]
    pairs = [(-values[place], place) for place in kept]
    assert all(max(pairs) < (-values[place], place) for place in gone)


@pytest.mark.parametrize(
    ("share", "fewest", "count"), [(0.5, 1, 2), (0.0, 1, 1), (1.0, 1, 4), (0.1, 8, 4)]
)
def test_a_share_is_a_count(share, fewest, count):
    assert len(most_important(np.arange(4.0), share, fewest)) == count


def test_importance_is_the_gradient_of_a_gate(network):
    encoder = TextEncoder(character_tokenizer(["铁路车ab"]), max_length=8, pad_id=0)
    rows = Rows(["铁路", "路车ab"], np.array([0, 2]))
    found = importance(network, encoder, rows)
    last = blocks(network)[1]
    gates = torch.ones(4, requires_grad=True)

    def gated(_, inputs):
        return (inputs[0] * gates.repeat_interleave(inputs[0].shape[-1] // 4),)

    hook = last.after_heads.register_forward_pre_hook(gated)
    expected = torch.zeros(4)
    for ids, y in zip(encoder.ids(rows.inputs), rows.y, strict=True):
        heads = network(torch.tensor([ids]))[0]
        loss = torch.nn.functional.cross_entropy(heads, torch.full((len(heads),), y)) * len(heads)
        expected += torch.autograd.grad(loss, gates)[0].abs()
    hook.remove()
    assert found[1].heads == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-8)


def test_a_part_that_says_nothing_is_not_important(network):
    block = blocks(network)[0]
    width = block.after_heads.in_features // 4
    with torch.no_grad():
        block.after_heads.weight[:, width : 2 * width] = 0
        block.after_hidden.weight[:, 5] = 0
    rows = text_rows(40)
    encoder = TextEncoder(character_tokenizer(["铁路车ab"]), max_length=8, pad_id=0)
    found = importance(network, encoder, rows)[0]
    assert (found.heads[1], found.hidden[5]) == (0, 0)
    assert found.heads.argmin() == 1
    assert most_important(found.heads, 0.75, 1) == [0, 2, 3]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    root = tmp_path_factory.mktemp("scratch")
    families.fit("transformer", job(None, epochs=4, transformer=SHAPE), root)
    return root


@pytest.fixture(scope="module")
def fitted_base(tmp_path_factory):
    root = tmp_path_factory.mktemp("base")
    tiny_bert(root / "bert")
    out = root / "out"
    out.mkdir()
    given_job = job(None, base=locate("bert", None, root), lr=3e-3, epochs=3)
    families.fit("transformer", given_job, out)
    return out


def pruned(source, out, *, epochs=1, teacher=None, heads=0.5, hidden=0.5):
    out.mkdir()
    given_job = job(None, lr=1e-3)
    quick = given_job.settings.model_copy(update={"epochs": epochs})
    given_job = replace(given_job, settings=quick, name="pruned", teacher=teacher)
    families.prune("transformer", source, given_job, heads=heads, hidden=hidden, out=out)
    return given_job


def predicted(folder, texts):
    restored = families.restore("transformer", folder)
    taken = restored.input
    encoder = TextEncoder.load(
        folder / taken.tokenizer, max_length=taken.max_length, pad_id=taken.pad_id
    )
    return predict(restored.module.heads, encoder, texts)


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize("kind", ["fitted", "fitted_base"])
def test_what_was_pruned_is_restored_as_it_was(tmp_path, request, kind, epochs):
    source = request.getfixturevalue(kind)
    before = folder_digest(source)
    given_job = pruned(source, tmp_path / "out", epochs=epochs)
    found = predicted(tmp_path / "out", given_job.valid.inputs)
    assert found == pytest.approx(np.load(tmp_path / "out" / "valid.npy"), abs=1e-6)
    assert (found.argmax(1) == given_job.valid.y).mean() > 0.5
    full, left = (
        sizes(families.restore("transformer", folder).module.heads)
        for folder in (source, tmp_path / "out")
    )
    assert left == [(size.heads // 2, size.hidden // 2) for size in full]
    assert folder_digest(source) == before


@pytest.mark.parametrize("kind", ["fitted", "fitted_base"])
def test_two_prunings_are_the_same_bytes(tmp_path, request, kind):
    for name in ("a", "b"):
        pruned(request.getfixturevalue(kind), tmp_path / name)
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def test_what_was_pruned_can_be_pruned_again(tmp_path, fitted):
    pruned(fitted, tmp_path / "a", epochs=0)
    given_job = pruned(tmp_path / "a", tmp_path / "b", epochs=0)
    assert sizes(families.restore("transformer", tmp_path / "b").module.heads) == [(1, 8)] * 2
    found = predicted(tmp_path / "b", given_job.valid.inputs)
    assert found == pytest.approx(np.load(tmp_path / "b" / "valid.npy"), abs=1e-6)


def test_pruning_nothing_loses_nothing(tmp_path, fitted):
    pruned(fitted, tmp_path / "out", epochs=0, heads=1.0, hidden=1.0)
    assert np.load(tmp_path / "out" / "valid.npy") == pytest.approx(
        np.load(fitted / "valid.npy"), abs=1e-6
    )


def test_recovery_may_have_a_teacher(tmp_path, fitted):
    moved = (text_rows(300).y + 1) % 3
    teacher = Teacher(np.eye(3, dtype=np.float32)[moved], 1.0, 1.0)
    pruned(fitted, tmp_path / "a")
    pruned(fitted, tmp_path / "b", teacher=teacher)
    assert folder_digest(tmp_path / "a") != folder_digest(tmp_path / "b")


def test_the_folder_tells_what_is_left_of_each_layer(tmp_path, fitted):
    pruned(fitted, tmp_path / "out", epochs=0)
    told = json.loads((tmp_path / "out" / "encoder.json").read_text())
    assert told["left"] == [[2, 16], [2, 16]]
