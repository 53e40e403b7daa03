"""Logistic regression: the module's arithmetic is scikit-learn's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from openautoglm.artifacts.digest import folder_digest
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training import families, glm
from openautoglm.training.job import Rows
from openautoglm.training.tfidf import inverse_document_frequency, tfidf_matrix
from tests.support.training import job


def test_idf_counts_rows_and_weighs_unseen_ngrams_0():
    ids = np.array([[5, 5, 6], [5, 0, 0]], np.int64)
    idf = inverse_document_frequency(ids, (1,), 1024)
    assert sorted(np.round(idf[idf > 0], 5)) == pytest.approx([1.0, np.log(3 / 2) + 1], abs=1e-5)
    assert idf[0] == 0


def test_the_module_gives_the_matrix_times_the_weights():
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 30, (7, 9))
    ids[3, 4:] = 0
    idf = inverse_document_frequency(ids, (1, 2), 256)
    weight = rng.normal(size=(256, 3))
    weight[0] = 0
    module = glm.TextGlm((1, 2), 256, 3)
    with torch.no_grad():
        module.linear.table.weight.copy_(torch.from_numpy(weight))
        module.linear.idf.copy_(torch.from_numpy(idf))
        found = module(torch.from_numpy(ids)).numpy()
    logits = tfidf_matrix(ids, (1, 2), idf) @ weight
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_text_model_is_restored_as_fitted_and_learns(tmp_path):
    given = job(tmp_path / "work")
    families.fit("glm", given, tmp_path)
    restored = families.restore("glm", tmp_path)
    taken = restored.input
    encoder = TextEncoder.load(
        tmp_path / taken.tokenizer, max_length=taken.max_length, pad_id=taken.pad_id
    )
    ids = encoder.matrix(encoder.ids(list(given.valid.inputs)))
    with torch.no_grad():
        found = restored.module(torch.from_numpy(ids)).numpy()
    assert found == pytest.approx(np.load(tmp_path / "valid.npy"), abs=1e-6)
    assert (found.argmax(1) == given.valid.y).mean() > 0.8


def numbers(count, seed, classes=3):
    rng = np.random.default_rng(seed)
    x = rng.normal([2000.0, 0.0, -5.0], [1.0, 1e-3, 40.0], (count, 3))
    y = np.digitize((x[:, 0] - 2000) + (x[:, 2] + 5) / 40, [-0.5, 0.5][: classes - 1])
    return Rows(np.float32(x).astype(np.float64), y.astype(np.int64))


@pytest.mark.parametrize("classes", [2, 3])
def test_standardisation_is_folded_into_the_weights(tmp_path, classes):
    train, valid = numbers(400, 0, classes), numbers(100, 1, classes)
    given = replace(
        job(tmp_path / "work", glm={"penalty": 1.0}),
        train=train,
        valid=valid,
        classes=classes,
        features=("year", "tiny", "wide"),
    )
    families.fit("glm", given, tmp_path)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=300))
    expected = reference.fit(train.inputs, train.y).predict_proba(valid.inputs)
    assert np.load(tmp_path / "valid.npy") == pytest.approx(expected, abs=2e-3)


def test_crosses_learn_what_single_features_cannot(tmp_path):
    rng = np.random.default_rng(0)
    train, valid = (Rows(x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)) for x in
                    (rng.normal(size=(400, 2)), rng.normal(size=(200, 2))))  # fmt: skip
    found = {}
    for crosses in (False, True):
        out = tmp_path / str(crosses)
        out.mkdir()
        given = job(tmp_path / "work", glm={"crosses": crosses})
        given = replace(given, train=train, valid=valid, classes=2, features=("a", "b"))
        families.fit("glm", given, out)
        found[crosses] = (np.load(out / "valid.npy").argmax(1) == valid.y).mean()
    assert found[True] > 0.95 > 0.7 > found[False]


def test_a_class_that_train_does_not_hold_is_never_predicted(tmp_path):
    given = replace(job(tmp_path / "work"), classes=4)
    families.fit("glm", given, tmp_path)
    assert np.load(tmp_path / "valid.npy")[:, 3].max() == 0


def test_two_fits_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        families.fit("glm", job(tmp_path / f"work-{name}"), tmp_path / name)
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")
