"""A reference as one model sees it, and windows judged against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openautoglm.config.drift import DriftSettings
from openautoglm.drift.columns import Columns, sample_columns
from openautoglm.drift.compare import WindowVerdict, compare
from openautoglm.drift.vocabulary import vocabulary_of
from openautoglm.drift.window import Inputs, Window
from openautoglm.inference.model import Model


class Watch:
    """Judges windows.

    Args:
        model: The model whose predictions are watched.
        reference: Rows like those the model was made for, all with a label.
        train: Inputs the model learned from: what is not in them is unseen.
        features: Names of the numeric columns; None for texts.
        settings: Sample size, thresholds and alpha.

    Attributes:
        reference: The columns of the reference's sample.
    """

    def __init__(
        self,
        model: Model,
        reference: Window,
        *,
        train: Inputs,
        features: Sequence[str] | None,
        settings: DriftSettings,
    ) -> None:
        self._model = model
        self._features = features
        self._settings = settings
        self._vocabulary = None if isinstance(train, np.ndarray) else vocabulary_of(train)
        self.reference = self.columns(reference)

    def columns(self, window: Window) -> Columns:
        """The columns of a window's sample."""
        return sample_columns(
            window,
            self._model,
            self._vocabulary,
            self._features,
            rows=self._settings.rows,
            seed=self._settings.seed,
        )

    def judge(self, columns: Columns) -> WindowVerdict:
        """Compare the columns of a window with the reference's."""
        return compare(self.reference, columns, self._settings)
