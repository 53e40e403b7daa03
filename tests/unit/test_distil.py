"""Short fits without checkpoints, and students that learn from a teacher."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.artifacts.digest import folder_digest
from openautoglm.config.training import TransformerSettings
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training import families
from openautoglm.training.characters import character_tokenizer
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.inherit import folded, inherit
from openautoglm.training.job import Teacher
from openautoglm.training.launch import devices_of
from openautoglm.training.loss import Taught, heads_loss, soften
from openautoglm.training.ngrams import ngram_ids
from openautoglm.training.tfidf import inverse_document_frequency
from tests.support.training import job


def fitted(folder, given_job, family="transformer"):
    folder.mkdir()
    families.fit(family, given_job, folder)
    return np.load(folder / "valid.npy")


def one_hot(y, classes):
    return np.eye(classes, dtype=np.float32)[y]


def taught(given_job, weight=0.5):
    proba = 0.9 * one_hot(given_job.train.y, given_job.classes) + 0.1 / given_job.classes
    return replace(given_job, teacher=Teacher(proba.astype(np.float32), 2.0, weight))


@given(
    st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=4),
    st.floats(0.2, 10),
)
@settings(max_examples=50, deadline=None)
def test_softened_probabilities_are_those_of_softened_logits(logits, temperature):
    z = torch.tensor(logits, dtype=torch.float64)
    proba = torch.softmax(z, -1).numpy()
    expected = torch.softmax(z / temperature, -1).numpy()
    assert soften(proba, temperature) == pytest.approx(expected, abs=1e-5)


def test_certain_probabilities_soften_to_themselves():
    proba = np.array([[0, 1, 0]], np.float32)
    assert soften(proba, 0.01).tolist() == soften(proba, 8.0).tolist() == [[0, 1, 0]]


def test_the_loss_is_shared_between_labels_and_teacher():
    torch.manual_seed(0)
    logits, y = torch.randn(5, 1, 3), torch.tensor([0, 1, 2, 0, 1])
    proba = torch.softmax(torch.randn(5, 3), -1)
    soft = torch.from_numpy(soften(proba.numpy(), 2.0))
    found = heads_loss(
        logits, y, weight=None, smoothing=0.0, mutual=0.0, taught=Taught(soft, 2.0, 0.3)
    )
    cross = torch.nn.functional.cross_entropy(logits[:, 0], y)
    student = torch.log_softmax(logits[:, 0] / 2, -1)
    distance = (soft * (soft.log() - student)).sum(1).mean()
    assert float(found) == pytest.approx(float(0.7 * cross + 0.3 * 4 * distance), abs=1e-6)


def test_a_student_that_says_what_its_teacher_says_pays_nothing():
    logits, y = torch.randn(5, 1, 3), torch.tensor([0, 1, 2, 0, 1])
    soft = torch.softmax(logits[:, 0] / 3, -1)
    found = heads_loss(
        logits, y, weight=None, smoothing=0.1, mutual=1.0, taught=Taught(soft, 3.0, 1.0)
    )
    assert float(found) == pytest.approx(0, abs=1e-5)


def test_a_student_believes_its_teacher_rather_than_the_labels(tmp_path):
    given_job = job(None, epochs=6, lr=3e-3)
    moved = (given_job.train.y + 1) % given_job.classes
    teacher = Teacher(one_hot(moved, given_job.classes), 1.0, 1.0)
    found = fitted(tmp_path / "out", replace(given_job, teacher=teacher)).argmax(1)
    assert (found == (given_job.valid.y + 1) % given_job.classes).mean() > 0.5


def test_a_teacher_of_weight_0_changes_nothing(tmp_path):
    given_job = job(None)
    fitted(tmp_path / "a", given_job)
    fitted(tmp_path / "b", taught(given_job, weight=0.0))
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def test_two_students_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        fitted(tmp_path / name, taught(job(None)))
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def test_a_student_may_be_trained_with_checkpoints(tmp_path):
    found = fitted(tmp_path / "out", taught(job(tmp_path / "work")))
    assert np.isfinite(found).all()


def test_without_work_nothing_is_written_beside_the_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fitted(tmp_path / "out", job(None))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_work_the_last_epoch_counts_not_the_best(tmp_path):
    seen = []
    settings_ = {"epochs": 3, "patience": 1, "lr": 0.0001}
    curve = job(None, **settings_)
    proba = fitted(tmp_path / "out", replace(curve, curve=lambda m, step: seen.append(m)))
    epochs = [m["transformer.valid_accuracy"] for m in seen if "transformer.valid_accuracy" in m]
    assert len(epochs) == 3
    assert (proba.argmax(1) == curve.valid.y).mean() == pytest.approx(epochs[-1])


def test_without_work_there_is_one_process_whatever_the_devices(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert devices_of(replace(job(None), device="auto")) == 1
    assert devices_of(replace(job(tmp_path), device="auto")) == 4


def test_a_job_names_its_lines_and_its_curve(tmp_path, capsys):
    names = set()
    named = replace(job(None), name="distilled", curve=lambda metrics, step: names.update(metrics))
    fitted(tmp_path / "out", named)
    assert "distilled.valid_macro_f1" in names
    assert "transformer" not in capsys.readouterr().err


class Pruned(Exception):  # noqa: N818, it is no error
    pass


@pytest.mark.parametrize("family", ["transformer", "glm"])
@pytest.mark.parametrize("work", [True, False])
def test_what_a_curve_raises_ends_the_fit(tmp_path, family, work):
    def curve(metrics, step):
        if f"{family}.valid_macro_f1" in metrics:
            raise Pruned(step)

    with pytest.raises(Pruned):
        families.fit(
            family, replace(job(tmp_path / "work" if work else None), curve=curve), tmp_path
        )


def test_a_fit_that_was_ended_leaves_no_trace_in_the_next(tmp_path):
    def curve(metrics, step):
        raise Pruned

    fitted(tmp_path / "a", job(None))
    with pytest.raises(Pruned):
        families.fit("transformer", replace(job(None), curve=curve), tmp_path)
    fitted(tmp_path / "b", job(None))
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def test_a_glm_has_one_point_of_its_curve(tmp_path):
    seen = []
    given_job = replace(job(None), curve=lambda metrics, step: seen.append((metrics, step)))
    fitted(tmp_path / "out", given_job, "glm")
    assert [(list(metrics), step) for metrics, step in seen] == [(["glm.valid_macro_f1"], 1)]


SHAPE = {"dim": 16, "hidden": 32, "heads": 2, "layers": 1, "buckets": 2048}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    root = tmp_path_factory.mktemp("teachers")
    for name in ("transformer", "glm"):
        fitted(root / name, job(None, epochs=3), name)
    return {name: root / name for name in ("transformer", "glm")}


def student(teachers, names, **shape):
    """A student as it is before its first step, its encoder and its texts."""
    given_job = job(None)
    texts = given_job.train.inputs
    encoder = TextEncoder(character_tokenizer(texts), max_length=32, pad_id=0)
    torch.manual_seed(5)
    module = NgramTransformer(
        character_tokenizer(texts).get_vocab_size(),
        given_job.classes,
        32,
        TransformerSettings(**SHAPE | shape),
    ).eval()
    ids = encoder.matrix(encoder.ids(texts))
    idf = inverse_document_frequency(ids, module.linear.orders, module.settings.buckets)
    module.linear.idf.copy_(torch.from_numpy(idf))
    inherit(module, encoder, texts, {name: teachers[name] for name in names})
    return module, torch.from_numpy(ids)


def summed(module, ids):
    total = module.characters(ids)
    for order in module.settings.ngram_orders:
        total = total + module.ngrams(ngram_ids(ids, order, module.settings.buckets))
    return total.detach()


def test_a_student_of_the_same_shape_has_its_teachers_linear_head(teachers):
    module, ids = student(teachers, ["transformer"])
    teacher = families.restore("transformer", teachers["transformer"]).module.heads
    assert torch.allclose(module(ids)[:, 1], teacher(ids)[:, 1], atol=1e-4)


def test_a_student_of_more_buckets_has_the_linear_head_of_the_glm(teachers):
    module, ids = student(teachers, ["transformer", "glm"], buckets=4096)
    glm = families.restore("glm", teachers["glm"]).module
    assert torch.allclose(torch.softmax(module(ids)[:, 1], -1), glm(ids), atol=1e-4)


def test_embeddings_are_turned_and_keep_their_angles(teachers):
    module, ids = student(teachers, ["transformer"])
    teacher = families.restore("transformer", teachers["transformer"]).module.heads
    there = ids > 0
    ours, theirs = summed(module, ids)[there][:99], summed(teacher, ids)[there][:99]
    assert torch.allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-3)


def test_a_narrower_student_keeps_the_largest_directions(teachers):
    full, ids = student(teachers, ["transformer"])
    narrow, _ = student(teachers, ["transformer"], dim=8)
    assert torch.allclose(summed(narrow, ids), summed(full, ids)[..., :8], atol=1e-4)
    energy = summed(full, ids)[ids > 0].square().sum(0)
    assert torch.equal(energy, energy.sort(descending=True).values)


def test_a_wider_student_starts_with_nothing_in_what_is_new(teachers):
    module, ids = student(teachers, ["transformer"], dim=24)
    assert summed(module, ids)[..., 16:].abs().max() == 0


def test_ngrams_that_share_a_bucket_are_meaned_by_their_counts():
    table = torch.tensor([[0.0], [1.0], [5.0], [9.0]])
    pairs = [(torch.tensor([[1, 2], [2, 3]]), torch.tensor([[1, 1], [1, 0]]))]
    assert folded(table, 3, pairs).tolist() == [[0], [pytest.approx(11 / 3)], [0]]


def test_a_base_has_no_tables_to_inherit(teachers, tmp_path):
    (tmp_path / "input.json").write_text("{}")
    module, _ = student({"transformer": tmp_path}, ["transformer"])
    again, _ = student({}, [])
    assert torch.equal(module.ngrams.weight, again.ngrams.weight)


def test_a_student_that_inherits_is_nearly_as_good_as_its_teacher(teachers, tmp_path):
    given_job = job(None, epochs=1, transformer=SHAPE | {"dim": 8})
    proba = np.mean([_on_train(name, teachers[name], given_job) for name in teachers], 0)
    teacher = Teacher(proba.astype(np.float32), 2.0, 0.9, teachers)
    for name in ("a", "b"):
        found = fitted(tmp_path / name, replace(given_job, teacher=teacher))
    right = (found.argmax(1) == given_job.valid.y).mean()
    expected = np.load(teachers["glm"] / "valid.npy").argmax(1) == given_job.valid.y
    assert right > expected.mean() - 0.05
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def _on_train(name, folder, given_job):
    restored = families.restore(name, folder)
    taken = restored.input
    encoder = TextEncoder.load(
        folder / taken.tokenizer, max_length=taken.max_length, pad_id=taken.pad_id
    )
    ids = torch.from_numpy(encoder.matrix(encoder.ids(given_job.train.inputs)))
    with torch.no_grad():
        return restored.module(ids).numpy()
