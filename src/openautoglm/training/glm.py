"""The `glm` family: multinomial logistic regression, as one module of plain arithmetic."""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer
from torch import Tensor, nn

from openautoglm.inference.package import NumericInput, TextInput
from openautoglm.observability.progress import say
from openautoglm.statistics.classification import scores
from openautoglm.text.ngrams import PAD
from openautoglm.text.tokenise import TextEncoder
from openautoglm.training.characters import character_tokenizer
from openautoglm.training.job import Job, Restored
from openautoglm.training.ngrams import NgramLinear, ngram_ids
from openautoglm.training.tfidf import inverse_document_frequency, tfidf_matrix

_SHAPE, _WEIGHTS, TOKENIZER = "glm.json", "model.safetensors", "tokenizer.json"


class TextGlm(nn.Module):
    """From character ids `int64[rows, length]` to probabilities `float32[rows, k]`."""

    def __init__(self, orders: tuple[int, ...], buckets: int, classes: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.linear = NgramLinear(orders, buckets, classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Probabilities of each row."""
        grams = {order: ngram_ids(ids, order, self.buckets) for order in self.linear.orders}
        return torch.softmax(self.linear(grams), dim=-1)


class NumericGlm(nn.Module):
    """From features `float32[rows, d]` to probabilities `float32[rows, k]`.

    Standardisation is folded into `weight` and `bias`. Inside it counts in float64: folding
    subtracts large numbers where a feature's mean is large beside its spread.
    """

    pairs: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, features: int, classes: int, *, crosses: bool) -> None:
        super().__init__()
        pairs = list(itertools.combinations(range(features), 2)) if crosses else []
        self.register_buffer("pairs", torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2))
        width = features + len(pairs)
        self.register_buffer("weight", torch.zeros(width, classes, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(classes, dtype=torch.float64))

    def expand(self, features: Tensor) -> Tensor:
        """The features and, after them, the product of each pair, float64."""
        wide = features.to(torch.float64)
        if not len(self.pairs):
            return wide
        products = wide[:, self.pairs[:, 0]] * wide[:, self.pairs[:, 1]]
        return torch.cat([wide, products], dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Probabilities of each row."""
        logits = self.expand(features) @ self.weight + self.bias
        return torch.softmax(logits, dim=-1).to(torch.float32)


def fit(job: Job, out: Path) -> NDArray[np.float32]:
    """Fit, write the family's folder, and return probabilities on valid `float32[n, k]`.

    The curve is one point, macro F1 on valid. A teacher is for gradient training only.
    """
    assert job.teacher is None
    proba = _fit_text(job, out) if job.features is None else _fit_numeric(job, out)
    found = scores(job.valid.y, proba.argmax(1), job.classes)
    job.curve({f"{job.name or 'glm'}.valid_macro_f1": found["macro_f1"]}, 1)
    return proba


def restore(folder: Path) -> Restored:
    """Read what `fit` wrote."""
    shape = json.loads((folder / _SHAPE).read_text(encoding="utf-8"))
    weights = load_file(folder / _WEIGHTS)
    module: TextGlm | NumericGlm
    if shape["kind"] == "text":
        module = TextGlm(tuple(shape["orders"]), shape["buckets"], shape["classes"])
        module.load_state_dict(weights)
        example = torch.ones(2, 6, dtype=torch.int64)
        taken = TextInput(
            kind="text", tokenizer=TOKENIZER, max_length=shape["max_length"], pad_id=PAD
        )
        return Restored(module.eval(), example, taken)
    features = tuple(shape["features"])
    module = NumericGlm(len(features), shape["classes"], crosses=shape["crosses"])
    module.load_state_dict(weights)
    return Restored(
        module.eval(),
        torch.zeros(2, len(features)),
        NumericInput(kind="numeric", features=features),
    )


def _fit_text(job: Job, out: Path) -> NDArray[np.float32]:
    settings = job.settings.glm
    tokenizer = character_tokenizer(job.train.inputs)
    encoder = TextEncoder(tokenizer, max_length=job.settings.max_length, pad_id=PAD)
    ids = encoder.matrix(encoder.ids(list(job.train.inputs)))
    idf = inverse_document_frequency(ids, settings.orders, settings.buckets)
    matrix = tfidf_matrix(ids, settings.orders, idf)
    # The solver's time goes into vectors of one number a column; an unused column has weight 0.
    used = np.unique(matrix.indices)
    say(f"glm: {len(ids)} rows, n-grams in {len(used)} of {settings.buckets} buckets")
    weight = np.zeros((settings.buckets, job.classes))
    weight[used], bias = _regress(job, matrix[:, used])
    module = TextGlm(settings.orders, settings.buckets, job.classes)
    with torch.no_grad():
        module.linear.table.weight.copy_(torch.from_numpy(weight))
        module.linear.bias.copy_(torch.from_numpy(bias))
        module.linear.idf.copy_(torch.from_numpy(idf))
    shape = {
        "kind": "text",
        "orders": settings.orders,
        "buckets": settings.buckets,
        "max_length": job.settings.max_length,
    }
    _save(out, module, shape | {"classes": job.classes}, tokenizer)
    valid = encoder.ids(list(job.valid.inputs))
    parts = [
        module(torch.from_numpy(encoder.matrix(valid[start : start + 256])))
        for start in range(0, len(valid), 256)
    ]
    return torch.cat(parts).detach().numpy()


def _fit_numeric(job: Job, out: Path) -> NDArray[np.float32]:
    assert job.features is not None
    module = NumericGlm(len(job.features), job.classes, crosses=job.settings.glm.crosses)
    # The graph takes float32: what it sees is what is fitted.
    train, valid = (
        torch.from_numpy(np.asarray(rows.inputs, np.float32)) for rows in (job.train, job.valid)
    )
    expanded = module.expand(train).numpy()
    mean, spread = expanded.mean(0), expanded.std(0)
    spread[spread == 0] = 1.0
    say(f"glm: {len(train)} rows, {expanded.shape[1]} features")
    weight, bias = _regress(job, (expanded - mean) / spread)
    module.weight.copy_(torch.from_numpy(weight / spread[:, None]))
    module.bias.copy_(torch.from_numpy(bias - (mean / spread) @ weight))
    shape = {"kind": "numeric", "features": job.features, "crosses": job.settings.glm.crosses}
    _save(out, module, shape | {"classes": job.classes}, None)
    with torch.no_grad():
        found: NDArray[np.float32] = module(valid).numpy()
    return found


def _regress(job: Job, matrix: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights `[width, k]` and bias `[k]`; a class that train does not hold is never predicted."""
    settings = job.settings.glm
    model = LogisticRegression(C=settings.penalty, max_iter=settings.max_iter)
    with warnings.catch_warnings(), threadpool_limits(job.settings.threads):
        warnings.simplefilter("ignore", ConvergenceWarning)  # told below, with the key to change
        model.fit(matrix, job.train.y)
    if int(model.n_iter_[0]) >= settings.max_iter:
        say(f"glm: stopped after {settings.max_iter} steps; train.glm.max_iter allows more")
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2 and len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercept = np.concatenate([-intercept, intercept]) / 2
    weight = np.zeros((coefficients.shape[1], job.classes))
    bias = np.full(job.classes, -1e4)
    weight[:, model.classes_] = coefficients.T
    bias[model.classes_] = intercept
    return weight, bias


def _save(out: Path, module: nn.Module, shape: dict[str, Any], tokenizer: Tokenizer | None) -> None:
    (out / _SHAPE).write_text(json.dumps(shape, indent=2) + "\n", encoding="utf-8")
    weights = {name: value.contiguous() for name, value in sorted(module.state_dict().items())}
    save_file(weights, out / _WEIGHTS)
    if tokenizer is not None:
        tokenizer.save(str(out / TOKENIZER))
