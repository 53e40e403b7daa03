"""The transformer from scratch: its parts, and what a kill may not change."""

import numpy as np
import pytest
import torch

from openautoglm.artifacts.digest import folder_digest
from openautoglm.config.training import TransformerSettings
from openautoglm.errors import ConfigError
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training import families
from openautoglm.training.characters import character_tokenizer
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.loss import class_weights, heads_loss, probabilities
from openautoglm.training.optimizer import table_optimizer
from openautoglm.training.trainer import predict
from tests.support.training import job

SETTINGS = TransformerSettings(dim=16, hidden=32, heads=2, layers=2, buckets=1024)


@pytest.fixture
def module():
    torch.manual_seed(0)
    return NgramTransformer(50, 3, 32, SETTINGS).eval()


def test_a_text_stands_between_two_marks_and_is_lower_case():
    tokenizer = character_tokenizer(["ab", "AB", "铁路"])
    assert tokenizer.encode("A路x").tokens == ["[BEGIN]", "a", "路", "[UNK]", "[END]"]


def test_rare_characters_can_count_as_unknown():
    tokenizer = character_tokenizer(["aab"], min_count=2)
    assert tokenizer.encode("ab").tokens == ["[BEGIN]", "a", "[UNK]", "[END]"]


def test_a_long_text_is_cut_and_keeps_its_marks():
    encoder = TextEncoder(character_tokenizer(["abc"]), max_length=4, pad_id=0)
    assert [len(row) for row in encoder.ids(["a" * 99, ""])] == [4, 2]


def test_padding_does_not_change_a_prediction(module):
    ids = torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0]])
    wider = torch.nn.functional.pad(ids, (0, 9))
    with torch.no_grad():
        assert torch.allclose(module(ids), module(wider), atol=1e-6)
        alone = module(ids[1:, :3])
        assert torch.allclose(module(ids)[1:], alone, atol=1e-6)


def test_there_are_two_heads_and_the_prediction_is_their_mean(module):
    with torch.no_grad():
        heads = module(torch.tensor([[2, 7, 8, 3]]))
    assert heads.shape == (1, 2, 3)
    assert torch.allclose(probabilities(heads), torch.softmax(heads, -1).mean(1))


def test_without_linear_orders_there_is_one_head():
    settings = SETTINGS.model_copy(update={"linear_orders": (), "ngram_orders": ()})
    module = NgramTransformer(50, 3, 32, settings)
    assert module(torch.tensor([[2, 7, 3]])).shape == (1, 1, 3)
    assert module.tables() == []


def test_ngrams_are_hidden_in_training_only():
    settings = SETTINGS.model_copy(update={"ngram_dropout": 1.0, "dropout": 0, "input_dropout": 0})
    torch.manual_seed(0)
    module = NgramTransformer(50, 3, 32, settings)
    ids = torch.tensor([[2, 7, 8, 3]])
    with torch.no_grad():
        hidden = module.train()(ids)[:, 0]
        shown = module.eval()(ids)[:, 0]
        module.ngrams.weight.zero_()
        assert torch.allclose(hidden, module(ids)[:, 0], atol=1e-6)
    assert not torch.allclose(hidden, shown)


def test_the_loss_of_one_head_is_cross_entropy():
    logits, y = torch.randn(5, 1, 3), torch.tensor([0, 1, 2, 0, 1])
    found = heads_loss(logits, y, weight=None, smoothing=0.1, mutual=1.0)
    expected = torch.nn.functional.cross_entropy(logits[:, 0], y, label_smoothing=0.1)
    assert found == pytest.approx(float(expected))


def test_heads_that_agree_pay_nothing_for_each_other():
    logits, y = torch.randn(5, 1, 3).repeat(1, 2, 1), torch.tensor([0, 1, 2, 0, 1])
    apart = logits + torch.tensor([[[0.0], [1.0]]]) * torch.randn(5, 1, 3)
    without, with_ = (
        [float(heads_loss(x, y, weight=None, smoothing=0, mutual=m)) for x in (logits, apart)]
        for m in (0.0, 1.0)
    )
    assert with_[0] == pytest.approx(without[0], abs=1e-6)
    assert with_[1] > without[1]


def test_class_weights_have_mean_1_and_favour_rare_classes():
    y = np.array([0] * 90 + [1] * 10)
    assert class_weights(y, 2, "none") is None
    balanced = class_weights(y, 2, "balanced").numpy()
    root = class_weights(y, 2, "sqrt").numpy()
    assert balanced.mean() == pytest.approx(1)
    assert balanced[1] / balanced[0] == pytest.approx(9)
    assert root[1] / root[0] == pytest.approx(3)


@pytest.mark.parametrize("sparse", [True, False])
def test_the_tables_follow_their_own_rate(sparse):
    table = torch.nn.Embedding(10, 4, sparse=sparse)
    layer = torch.nn.Linear(4, 2)
    given = {"lr": 0.1, "table_lr": 0.5, "weight_decay": 0.0, "sparse": sparse}
    optimizer = table_optimizer(list(layer.parameters()), [table.weight], **given)
    assert {group["lr"] for group in optimizer.param_groups} == {0.1, 0.5}
    before = table.weight.detach().clone()
    layer(table(torch.tensor([3]))).sum().backward()
    optimizer.step()
    moved = (table.weight.detach() - before).abs().max(1).values
    assert moved[3] == pytest.approx(0.5, rel=0.01)  # Adam's first step is its rate
    assert moved.sum() == pytest.approx(float(moved[3]))
    state = optimizer.state_dict()
    again = table_optimizer(list(layer.parameters()), [table.weight], **given)
    again.load_state_dict(state)
    again.param_groups[-1]["lr"] = 0.0
    before = table.weight.detach().clone()
    again.step()
    assert torch.equal(table.weight.detach(), before), "a scheduler turns the rate that is used"


class KilledError(Exception):
    pass


def killed_after(points):
    seen = []

    def curve(metrics, step):
        seen.append(step)
        if len(seen) == points:
            raise KilledError

    return curve


@pytest.mark.slow
@pytest.mark.parametrize("points", [2, 5])
def test_a_resumed_fit_gives_the_same_bytes(tmp_path, points):
    from dataclasses import replace

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    families.fit("transformer", job(tmp_path / "work-a", epochs=3), tmp_path / "a")
    interrupted = job(tmp_path / "work-b", epochs=3)
    with pytest.raises(KilledError):
        families.fit("transformer", replace(interrupted, curve=killed_after(points)), tmp_path)
    half = tmp_path / "work-b" / "checkpoint-9999"  # a kill in the middle of writing one
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    families.fit("transformer", interrupted, tmp_path / "b")
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def test_what_was_restored_predicts_what_was_fitted(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    given = job(tmp_path / "work")
    families.fit("transformer", given, out)
    restored = families.restore("transformer", out)
    taken = restored.input
    encoder = TextEncoder.load(
        out / taken.tokenizer, max_length=taken.max_length, pad_id=taken.pad_id
    )
    found = predict(restored.module.heads, encoder, given.valid.inputs)
    assert found == pytest.approx(np.load(out / "valid.npy"), abs=1e-6)
    assert (found.argmax(1) == given.valid.y).mean() > 0.5


@pytest.mark.slow
def test_several_processes_train_one_model(tmp_path):
    from dataclasses import replace

    from openautoglm.training.launch import fit_in_processes

    points = []
    out = tmp_path / "out"
    out.mkdir()
    given = replace(job(tmp_path / "work"), curve=lambda metrics, step: points.append(metrics))
    fit_in_processes("transformer", given, out, 2)
    assert [key for metrics in points for key in metrics].count("transformer.valid_macro_f1") == 2
    found = np.load(out / "valid.npy")
    assert (found.argmax(1) == given.valid.y).mean() > 0.5
    assert not list((tmp_path / "work").glob("*.pickle"))


def test_fp16_without_a_gpu_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="fp16"):
        families.fit("transformer", job(tmp_path, precision="fp16"), tmp_path)


@pytest.mark.slow
def test_bf16_trains_on_a_cpu(tmp_path):
    families.fit("transformer", job(tmp_path / "work", precision="bf16", epochs=1), tmp_path)
    assert np.isfinite(np.load(tmp_path / "valid.npy")).all()
