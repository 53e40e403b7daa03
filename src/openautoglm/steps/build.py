"""One trial of compress: a network, made if it must be, in one precision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.compression.catalog import RECIPES
from openautoglm.compression.measure import Ground
from openautoglm.compression.pack import Built
from openautoglm.compression.variants import PRECISION, Builder
from openautoglm.config.compression import Precision, distilled_space, pruned_space
from openautoglm.config.params import CompressParams
from openautoglm.data.prepared import Prepared, read
from openautoglm.inference.package import Kind
from openautoglm.observability.progress import say
from openautoglm.training.devices import threads
from openautoglm.training.families import restore
from openautoglm.training.job import Job, Restored, Rows
from openautoglm.training.smaller import Smaller
from openautoglm.tuning.settings import present, searched
from openautoglm.tuning.space import Point, Space
from openautoglm.tuning.trials import Direction, Report, Trial

DIRECTIONS: tuple[Direction, ...] = ("minimize", "maximize", "minimize")
"""Of bytes, macro F1 on valid, and operations a text."""
PRUNED: Final = "pruned"
DISTILLED: Final = "distilled"
MADE: dict[str, Kind] = {PRUNED: "pruned", DISTILLED: "distilled"}
"""Branches whose networks are made here."""


@dataclass
class Build:
    """One trial: a network, made if it must be, in one precision; workers get it pickled."""

    prepared: Path
    trained: Path
    params: CompressParams
    device: str
    work: Path

    def __reduce__(self) -> tuple[type[Build], tuple[Any, ...]]:
        # A worker reads for itself what is cached here.
        return Build, (self.prepared, self.trained, self.params, self.device, self.work)

    def __call__(self, point: Point, report: Report) -> tuple[float, ...]:
        """Bytes, macro F1 and operations of a variant; not finite when it is left out."""
        try:
            with threads(self.params.compress.threads):
                found = self.builder.variant(point.branch, point.values).measured
        except ValidationError as error:
            # Values that are allowed one by one, and not together.
            say(f"{point} cannot be: {error.errors()[0]['msg']}")
            return (float("nan"),) * len(DIRECTIONS)
        if found.left_out:
            say(f"{point.branch} {point.values[PRECISION]} is left out: {found.left_out}")
            return (float("nan"),) * len(DIRECTIONS)
        return float(found.bytes), found.macro_f1, float(found.operations)

    @cached_property
    def told(self) -> dict[str, Any]:
        """What train says of its networks."""
        text = (self.trained / PAYLOAD / "trained.json").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text)
        return found

    @cached_property
    def ground(self) -> Ground:
        """Rows of valid, and some of train for calibration."""
        settings = self.params.compress
        train, valid = self._data.split("train"), self._data.split("valid")
        return Ground(
            labels=self._data.labels,
            inputs=valid.inputs,
            y=valid.y,
            # Rows lie in the order of their hashes: the first ones are a random sample.
            calibration=train.inputs[: settings.calibration_rows],
            threads=settings.threads,
            max_difference=settings.max_difference,
            seed=settings.seed,
        )

    @cached_property
    def builder(self) -> Builder:
        """Makes what the trials need."""
        return Builder(
            self.ground,
            trained=self._trained,
            fits={PRUNED: self._smaller.prune, DISTILLED: self._smaller.distil},
            restore=self._restore,
            work=self.work,
        )

    def built(self, trial: Trial, on_front: bool) -> Built:
        """A finished trial as a part of the package."""
        branch, values = trial.point.branch, trial.point.values
        own: Mapping[str, Any] = {k: v for k, v in values.items() if k != PRECISION}
        if branch not in MADE:
            own = self.told["settings"][branch]
        return Built(
            trial=trial.number,
            family=branch if trial.round == 0 else f"{branch}-{trial.number}",
            kind=MADE.get(branch, "trained"),
            settings=own,
            precision=str(values[PRECISION]),
            variation=self.builder.variant(branch, values),
            pareto=on_front,
        )

    def space(self) -> Space:
        """How else the candidate may be cut and a student be made."""
        settings, recipes = self.params.compress, self.params.compress.recipes
        branches = {}
        if PRUNED in recipes and self._why_not(PRUNED) is None:
            branches[PRUNED] = searched(settings.prune, pruned_space(settings))
        if DISTILLED in recipes and self._why_not(DISTILLED) is None:
            branches[DISTILLED] = searched(settings.distill, distilled_space(settings))
        return Space("network", branches)

    def starts(self) -> tuple[Point, ...]:
        """Each recipe as it is set, for each network that it does something for."""
        return tuple(point for point, why in self._recipes if why is None)

    def left_out(self) -> list[dict[str, str]]:
        """Recipes that do nothing for a network, and why."""
        return [
            {"family": point.branch, "variant": str(point.values[PRECISION]), "reason": why}
            for point, why in self._recipes
            if why is not None
        ]

    def points(self) -> list[Point]:
        """A point for each recipe and network, whether it does something or not."""
        settings, found = self.params.compress, []
        for recipe in settings.recipes:
            if recipe in RECIPES:
                found += [Point(family, {PRECISION: recipe}) for family in self._trained]
                continue
            own = settings.prune if recipe == PRUNED else settings.distill
            space = (pruned_space if recipe == PRUNED else distilled_space)(settings)
            found.append(Point(recipe, present(own, space)))
        return found

    def idle(self, point: Point) -> str | None:
        """Why a recipe does nothing for a network; None where it does something."""
        if point.branch in MADE:
            return self._why_not(point.branch)
        source = self.builder.source(point.branch, self._trained[point.branch])
        return RECIPES[cast(Precision, point.values[PRECISION])].applies(source)

    @cached_property
    def _recipes(self) -> list[tuple[Point, str | None]]:
        return [(point, self.idle(point)) for point in self.points()]

    def _why_not(self, recipe: str) -> str | None:
        if recipe == PRUNED:
            return self._smaller.uncuttable()
        return None if self._data.features is None else "a student takes texts, not numbers"

    @cached_property
    def _data(self) -> Prepared:
        return read(self.prepared)

    @cached_property
    def _smaller(self) -> Smaller:
        train, valid = self._data.split("train"), self._data.split("valid")
        job = Job(
            train=Rows(train.inputs, train.y),
            valid=Rows(valid.inputs, valid.y),
            classes=len(self._data.labels),
            features=self._data.features,
            base=None,
            settings=self.params.train,
            work=None,
            device=self.device,
            curve=lambda metrics, step: None,
        )
        return Smaller(
            job,
            self.told["candidate"],
            self._trained,
            self.told["base"] is not None,
            self.params.compress,
            self._teacher,
        )

    def _teacher(self, who: str) -> NDArray[np.float32]:
        candidate = self.told["candidate"]
        families = [candidate] if who == "candidate" else self.told["families"]
        rows = self._data.split("train").inputs
        return self.builder.taught(families, rows)

    @cached_property
    def _trained(self) -> dict[str, Path]:
        return {family: self.trained / PAYLOAD / family for family in self.told["families"]}

    def _restore(self, branch: str, folder: Path) -> Restored:
        # What is cut or taught is a transformer.
        return restore("transformer" if branch in MADE else branch, folder)
