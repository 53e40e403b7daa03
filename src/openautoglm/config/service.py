"""`config.yaml`: how a model is served."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from openautoglm.config.bounds import (
    one_for_each_process,
    room_at_replicas,
)
from openautoglm.config.feedback import Feedback
from openautoglm.config.gateway import Gateway
from openautoglm.config.model import Settings
from openautoglm.config.percent import Percent, at_most
from openautoglm.config.rollout import RolloutSettings
from openautoglm.config.serving import Seconds, Serving
from openautoglm.config.yaml import read

ServiceName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]


class Pipeline(Settings):
    """What the model does, checked against the model itself."""

    task: Literal["text-classification", "tabular-classification"] = Field(
        "text-classification", description="texts, or rows of numbers"
    )
    labels: tuple[str, ...] | None = Field(
        None, min_length=2, description="the classes the model must have; null takes the model's"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.labels or ())) < len(self.labels or ()):
            raise ValueError("`labels` has one label twice")
        return self


class Autoscale(Settings):
    """Replicas follow the load, as Kubernetes' HorizontalPodAutoscaler does it."""

    # Use ends near 100 %: a higher target would never call for another replica.
    cpu_threshold: Annotated[Percent, at_most(95)] = Field(
        description="CPU use to keep a replica at, of its `serving.threads`; at most 95%",
    )
    min_replicas: int = Field(1, ge=1, le=100, description="never fewer")
    max_replicas: int = Field(ge=1, le=100, description="never more")
    scale_up_seconds: Seconds = Field(
        5, ge=0, description="load must call for more replicas this long"
    )
    scale_down_seconds: Seconds = Field(
        60, ge=0, description="load must call for fewer replicas this long"
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"`min_replicas` ({self.min_replicas}) is more than `max_replicas` "
                f"({self.max_replicas})"
            )
        if self.min_replicas == self.max_replicas:
            raise ValueError(
                f"`max_replicas` ({self.max_replicas}) is `min_replicas`, so nothing can be "
                f"scaled: raise it, or remove `autoscale` and set replicas: {self.max_replicas}"
            )
        return self


class Service(Settings):
    """One model behind one gateway."""

    name: ServiceName | None = Field(
        None, description="what it is called; null takes the registered model's name"
    )
    model: str = Field(
        min_length=1,
        description="models:/NAME@ALIAS, models:/NAME/VERSION, a folder in the project, or the "
        "base model of a champion",
    )
    quantization: str = Field(
        "auto", min_length=1, description="the precision served; auto is the one compress chose"
    )
    replicas: int = Field(2, ge=1, le=100, description="processes that serve the model")
    autoscale: Autoscale | None = Field(None, description="replicas follow the load")
    pipeline: tuple[Pipeline, ...] = Field(
        (Pipeline(),), min_length=1, max_length=1, description="what the model does: one task"
    )
    serving: Serving = Field(Serving(), description="each replica, as in docs/serving-settings.md")
    rollout: RolloutSettings = Field(
        RolloutSettings(), description="how a challenger takes over from the champion"
    )
    gateway: Gateway = Field(Gateway(), description="Envoy, before the replicas")
    feedback: Feedback = Field(Feedback(), description="labels that come after the answers")

    @model_validator(mode="after")
    def _first_count(self) -> Self:
        scale = self.autoscale
        if scale and not scale.min_replicas <= self.replicas <= scale.max_replicas:
            given = "replicas" in self.model_fields_set
            told = "`replicas` is" if given else "without `replicas` the first count is"
            raise ValueError(
                f"{'replicas' if given else 'autoscale'}: {told} {self.replicas}, not between "
                f"`min_replicas` ({scale.min_replicas}) and `max_replicas` ({scale.max_replicas})"
            )
        return self

    @model_validator(mode="after")
    def _labels_come(self) -> Self:
        if self.rollout.metrics.accuracy and not self.feedback.enabled:
            raise ValueError(
                "rollout: `metrics.accuracy` needs labels, and `feedback.enabled: false` takes none"
            )
        return self

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        one_for_each_process(self)
        room_at_replicas(self)
        return self


def key_line(file: Path, key: str) -> str:
    """Where a key of a `config.yaml` stands, for messages; the first line where it is left out.

    Args:
        file: The file, which was read before.
        key: A key of the first level.
    """
    data = read(file)
    line = data.lc.key(key)[0] + 1 if key in data else 1
    return f"{file}:{line}, key {key}"
