"""What every model must beat: character 1-3 TF-IDF with logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from openautoglm.observability.progress import say
from openautoglm.statistics.classification import Labels, scores

PENALTIES = (4.0, 16.0, 64.0)
Inputs = Sequence[str] | NDArray[np.float64]


class Baseline(NamedTuple):
    """The fitted baseline and the penalty chosen on valid."""

    pipeline: Pipeline
    penalty: float

    def predict_proba(self, inputs: Inputs, k: int) -> NDArray[np.float64]:
        """Probabilities `[n, k]`; 0 for a class that train did not hold."""
        out = np.zeros((len(inputs), k))
        out[:, self.pipeline.classes_] = self.pipeline.predict_proba(inputs)
        return out


def fit_baseline(train: tuple[Inputs, Labels], valid: tuple[Inputs, Labels], k: int) -> Baseline:
    """Fit on train for each C of `PENALTIES` and keep the best macro F1 on valid.

    For numeric features the TF-IDF is a standardisation; the rest is the same.

    Args:
        train: Texts or features `[n, d]`, and classes `int64[n]`.
        valid: The same, for the choice of C.
        k: Number of classes.
    """
    numeric = isinstance(train[0], np.ndarray)
    features = (
        StandardScaler()
        if numeric
        else TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=1)
    )
    x_train = features.fit_transform(train[0])
    x_valid = features.transform(valid[0])

    best: tuple[float, float, LogisticRegression] | None = None
    # The solver's sums are over long vectors: a second BLAS thread costs more than it brings.
    with threadpool_limits(1, "blas"):
        for penalty in PENALTIES:
            model = LogisticRegression(C=penalty, max_iter=300).fit(x_train, train[1])
            found = scores(valid[1], model.predict(x_valid), k)["macro_f1"]
            say(f"baseline, C {penalty:g}: macro F1 {found:.3f} on valid")
            if best is None or found > best[0]:
                best = (found, penalty, model)
    assert best is not None
    return Baseline(make_pipeline(features, best[2]), best[1])
