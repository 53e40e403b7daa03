"""`pipelines/settings.yaml`: where and how the tasks of a Kubeflow pipeline run."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from openautoglm.config.model import Settings
from openautoglm.config.quantities import cores, memory
from openautoglm.config.retrain import RetrainSettings

PINNED = re.compile(r"^[\w.\-:/]+@sha256:[0-9a-f]{64}$")
_KUBERNETES = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
KubernetesName = Annotated[str, Field(pattern=_KUBERNETES)]
Cpu = Annotated[str, Field(pattern=r"^([0-9]*[.])?[0-9]+m?$")]
Memory = Annotated[str, Field(pattern=r"^[0-9]+(E|P|T|G|M|K|Ei|Pi|Ti|Gi|Mi|Ki)?$")]
Label = Annotated[str, Field(min_length=1, max_length=316)]
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]


class Retries(Settings):
    """How often a task that fails is tried again; not in a fan-out, where Kubeflow ignores it."""

    count: int = Field(2, ge=0, le=10, description="times after the first one")
    seconds: int = Field(30, ge=0, description="pause before the first of them")
    factor: float = Field(2.0, ge=1, description="by which each pause is longer than the last")
    most_seconds: int = Field(600, ge=0, description="the longest pause")


class Toleration(Settings):
    """A taint of nodes that tasks may run on nevertheless."""

    key: str = Field(description="key of the taint")
    operator: Literal["Exists", "Equal"] = Field("Exists", description="how `value` is compared")
    value: str | None = Field(None, description="its value, with `Equal`")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="its effect; null is any"
    )

    @model_validator(mode="after")
    def _valued(self) -> Self:
        if (self.value is not None) != (self.operator == "Equal"):
            raise ValueError("`value` belongs to `operator: Equal`, and only to that")
        return self


class Accelerator(Settings):
    """A device of the node."""

    resource: str = Field(description="the device plugin's name, e.g. nvidia.com/gpu")
    count: int = Field(1, ge=1, le=16, description="how many of them")


class Place(Settings):
    """What one task asks of the cluster."""

    cpu: Cpu | None = Field(None, description="requested cores, e.g. 500m or 2")
    cpu_limit: Cpu | None = Field(None, description="most cores")
    memory: Memory | None = Field(None, description="requested memory, e.g. 2Gi")
    memory_limit: Memory | None = Field(None, description="most memory")
    accelerator: Accelerator | None = Field(None, description="devices, or none")
    node_selector: dict[Label, str] = Field({}, description="labels its node must have")
    tolerations: tuple[Toleration, ...] = Field((), description="taints its node may have")

    @model_validator(mode="after")
    def _within(self) -> Self:
        for name, size in (("cpu", cores), ("memory", memory)):
            least, most = getattr(self, name), getattr(self, f"{name}_limit")
            if least is not None and most is not None and size(least) > size(most):
                raise ValueError(f"`{name}` ({least}) is more than `{name}_limit` ({most})")
        return self


class Secret(Settings):
    """A Kubernetes secret whose keys become environment variables of every task."""

    name: KubernetesName = Field(description="name of the secret, in the namespace of the runs")
    variables: dict[str, Variable] = Field(
        min_length=1, description="key of the secret to environment variable"
    )
    optional: bool = Field(False, description="whether tasks start without it")


class Volume(Settings):
    """A claim that tasks mount."""

    claim: KubernetesName = Field(description="name of the PersistentVolumeClaim")
    path: str = Field(pattern=r"^/", description="where it is mounted")


class FanOut(Settings):
    """Over how many tasks a step's work is spread; 1 leaves it to the step's own task."""

    tune: int = Field(1, ge=1, le=100, description="workers that share the search of tune")
    compress: int = Field(1, ge=1, le=100, description="tasks that share compress's recipes")


class PipelineSettings(Settings):
    """The whole of `pipelines/settings.yaml`."""

    image: str | None = Field(
        None, description="runner image pinned by digest, NAME@sha256:...; or --image"
    )
    namespace: KubernetesName | None = Field(
        None, description="whose runs they are, on a server of several users; null: of one"
    )
    experiment: str = Field("openautoglm", min_length=1, description="what runs are grouped under")
    service_account: KubernetesName | None = Field(
        "openautoglm-pipeline", description="what tasks may do; null is the server's default"
    )
    pipeline_root: str | None = Field(
        None, description="where artifacts go, e.g. s3://bucket/pipelines; null: the server's own"
    )
    secrets: tuple[Secret, ...] = Field((), description="credentials of stores")
    volumes: tuple[Volume, ...] = Field((), description="claims that every task mounts")
    environment: dict[Variable, str] = Field({}, description="variables of every task, no secrets")
    retries: Retries = Retries()
    fan_out: FanOut = FanOut()
    retrain: RetrainSettings = RetrainSettings()
    default: Place = Field(Place(), description="what a task asks for that `tasks` does not name")
    tasks: dict[str, Place] = Field({}, description="component to what its task asks for")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.image is not None and not PINNED.match(self.image):
            raise ValueError(f"`image` ({self.image}) is not pinned: write NAME@sha256:<64 hex>")
        given = [name for secret in self.secrets for name in secret.variables.values()]
        given += list(self.environment)
        if twice := sorted({name for name in given if given.count(name) > 1}):
            raise ValueError(f"the environment variable {twice[0]} is set twice")
        paths = [volume.path for volume in self.volumes]
        if len(set(paths)) < len(paths):
            raise ValueError("two `volumes` have one `path`")
        for name in self.tasks:
            try:
                self.place(name)
            except ValidationError as error:
                message = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ValueError(f"tasks.{name}: with `default`, {message}") from None
        return self

    def place(self, task: str) -> Place:
        """What a task asks for: its own, where that is null or empty the default."""
        mine, rest = self.tasks.get(task, Place()), self.default
        own = {key for key in mine.model_fields_set if getattr(mine, key) is not None}
        merged = rest.model_copy(update={key: getattr(mine, key) for key in own})
        return Place.model_validate(merged.model_dump(), strict=False)
