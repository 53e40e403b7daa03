"""`params.yaml`: how a model is made.

Each step sees a view that holds only the keys it uses; the same keys are its `params` in
`dvc.yaml`, and only they enter its digest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from openautoglm.config.canary import CanarySettings
from openautoglm.config.compression import CompressSettings
from openautoglm.config.data import DataParams, FetchData, PrepareData
from openautoglm.config.drift import DriftSettings
from openautoglm.config.model import Settings, Share
from openautoglm.config.search import check_space, dimensions
from openautoglm.config.training import TrainSettings
from openautoglm.config.tuning import TuneSettings, family_of

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class ModelIdentity(Settings):
    """What the registry calls the model."""

    name: Name = Field(description="what the registry calls the model")


class ModelFamilies(Settings):
    """What kinds of model compete."""

    families: tuple[Literal["transformer", "glm"], ...] = Field(
        ("transformer", "glm"),
        description="what is trained; the better is the candidate, the other the fallback",
    )
    base: str | None = Field(
        None, description="local folder or hub id to fine-tune; null trains from scratch"
    )
    revision: str | None = Field(None, description="revision of a hub id")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.families or len(set(self.families)) != len(self.families):
            raise ValueError("`families` needs at least one family, each once")
        if self.base is None and self.revision is not None:
            raise ValueError("`revision` has no meaning without `base`")
        return self


class ModelParams(ModelFamilies, ModelIdentity):
    """The model's name and families."""


class Gate(Settings):
    """No worse than the baseline: the paired interval's lower end lies above -margin."""

    metric: Literal["macro_f1", "accuracy"] = Field("macro_f1", description="what is compared")
    margin: Share = Field(0.02, description="how far below the baseline that lower end may lie")


class EvaluateSettings(Settings):
    """How the candidate is measured on test."""

    resamples: int = Field(1000, ge=100, description="bootstrap resamples")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="coverage of the intervals")
    seed: int = Field(1, ge=0, description="seed of the resamples")
    threads: int = Field(2, ge=1, description="CPU threads that predict")
    gate: Gate = Gate()


class RegisterSettings(Settings):
    """How a candidate is compared with the champion."""

    resamples: int = Field(1000, ge=100, description="bootstrap resamples")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="coverage of the intervals")
    seed: int = Field(1, ge=0, description="seed of the resamples")


class FetchParams(Settings):
    """What fetch sees."""

    data: FetchData


class PrepareParams(Settings):
    """What prepare sees."""

    data: PrepareData


class TuneParams(Settings):
    """What tune sees."""

    model: ModelFamilies = ModelFamilies()
    train: TrainSettings = TrainSettings()
    tune: TuneSettings = TuneSettings()


class TrainParams(Settings):
    """What train sees."""

    model: ModelFamilies = ModelFamilies()
    train: TrainSettings = TrainSettings()


class CompressParams(Settings):
    """What compress sees; students and recovery train as `train` says."""

    train: TrainSettings = TrainSettings()
    compress: CompressSettings = CompressSettings()


class EvaluateParams(Settings):
    """What evaluate sees."""

    evaluate: EvaluateSettings = EvaluateSettings()


class DriftParams(Settings):
    """What drift sees."""

    drift: DriftSettings = DriftSettings()


class RegisterParams(Settings):
    """What register sees."""

    model: ModelIdentity
    register_: RegisterSettings = Field(RegisterSettings(), alias="register")


class CanaryParams(Settings):
    """What canary sees."""

    model: ModelIdentity
    canary: CanarySettings = CanarySettings()


class Params(Settings):
    """The whole of `params.yaml`."""

    data: DataParams
    model: ModelParams
    tune: TuneSettings = TuneSettings()
    train: TrainSettings = TrainSettings()
    compress: CompressSettings = CompressSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    drift: DriftSettings = DriftSettings()
    register_: RegisterSettings = Field(RegisterSettings(), alias="register")
    canary: CanarySettings = CanarySettings()

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        """No setting is silently ignored: one that could not matter here is refused."""
        families, base = self.model.families, self.model.base
        numeric = self.data.features is not None
        if numeric and "transformer" in families:
            raise ValueError(
                "model.families: the transformer takes texts; with data.features use [glm]"
            )
        if base is not None and "transformer" not in families:
            raise ValueError("model.base has no meaning without the transformer family")
        shaped = "transformer" in self.train.model_fields_set
        if base is not None and shaped and "distilled" not in self.compress.recipes:
            raise ValueError(
                "train.transformer has no meaning with model.base, which has a shape of its own, "
                "and without a student: remove that section"
            )
        if "glm" not in families and "glm" in self.train.model_fields_set:
            raise ValueError("train.glm has no meaning without the glm in model.families")
        glm = self.train.glm.model_fields_set
        if numeric and (unused := sorted(glm & {"orders", "buckets"})):
            raise ValueError(f"train.glm.{unused[0]} has no meaning for numeric features")
        if not numeric and self.train.glm.crosses:
            raise ValueError("train.glm.crosses is about numeric features, and these are texts")
        self._searches_agree(base, numeric)
        return self

    def _searches_agree(self, base: str | None, numeric: bool) -> None:
        families, recipes = self.model.families, self.compress.recipes
        for name, section, settings, space in (
            ("tune.space", "train", self.train, self.tune.space),
            (
                "compress.search.pruned",
                "compress.prune",
                self.compress.prune,
                self.compress.search.pruned,
            ),
            (
                "compress.search.distilled",
                "compress.distill",
                self.compress.distill,
                self.compress.search.distilled,
            ),
        ):
            try:
                check_space(settings, space or {}, section)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        for recipe, section in (("pruned", "prune"), ("distilled", "distill")):
            given = section in self.compress.model_fields_set
            if recipe not in recipes and (
                given or getattr(self.compress.search, recipe) is not None
            ):
                key = section if given else f"search.{recipe}"
                raise ValueError(
                    f"compress.{key} has no meaning without `{recipe}` in compress.recipes"
                )
        for key, _ in dimensions(self.tune.space or {}):
            if family_of(key) not in families:
                raise ValueError(
                    f"tune.space.{key} is about the {family_of(key)}, which model.families lacks"
                )
            if base is not None and key.startswith("transformer."):
                raise ValueError(f"tune.space.{key} has no meaning with model.base")
            if numeric and key in ("glm.orders", "glm.buckets"):
                raise ValueError(f"tune.space.{key} has no meaning for numeric features")
            if not numeric and key == "glm.crosses":
                raise ValueError("tune.space.glm.crosses is about numeric features")


V = TypeVar("V", bound=Settings)


def view(params: Params, model: type[V]) -> V:
    """The part of `params` that one step sees."""
    whole: dict[str, Any] = params.model_dump(mode="json", by_alias=True)
    picked = {
        section: {key: whole[section][key] for key in keys}
        for section, keys in _sections(model).items()
    }
    return model.model_validate(picked, strict=False)


def dvc_keys(model: type[Settings]) -> list[str]:
    """The keys of `params.yaml` a step depends on, as `dvc.yaml` lists them."""
    whole = _sections(Params)
    return [
        name
        for section, keys in _sections(model).items()
        for name in ([section] if keys == whole[section] else [f"{section}.{k}" for k in keys])
    ]


def _sections(model: type[Settings]) -> dict[str, list[str]]:
    sections = {}
    for name, field in model.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, Settings)
        sections[field.alias or name] = sorted(section.model_fields)
    return sections
