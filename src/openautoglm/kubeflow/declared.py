"""From `pipelines/schedules.yaml` to what a server is to have: compiled, checked, marked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kfp_server_api as kfp

from openautoglm.config.pipelines import PipelineSettings
from openautoglm.config.schedules import Schedule, Schedules, line_of
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.arguments import check_arguments, inputs_of
from openautoglm.kubeflow.compiling import Compiled
from openautoglm.kubeflow.crons import six_fields
from openautoglm.kubeflow.marks import Mark, declaration
from openautoglm.kubeflow.submitting import Order, Stored

Compiler = Callable[[str, list[str]], Compiled]
"""From a pipeline's name and assignments over params.yaml to the compiled pipeline."""


@dataclass(frozen=True)
class Declared:
    """A schedule that may be sent to a server.

    Attributes:
        name: Of the schedule.
        schedule: As it is declared.
        order: What each of its runs is.
    """

    name: str
    schedule: Schedule
    order: Order

    @property
    def cron(self) -> str:
        """The six fields."""
        return six_fields(self.schedule.times)

    @property
    def mark(self) -> Mark:
        """What its recurring run is known by: another declaration has another digest."""
        order = self.order
        told = self.schedule.model_dump(mode="json", exclude={"enabled", "cron", "set"})
        told |= {
            "cron": self.cron,
            "pipeline": order.pipeline,
            "version": order.version,
            "experiment": order.experiment,
            "service_account": order.service_account,
            "pipeline_root": order.pipeline_root,
        }
        return Mark(order.owner, self.name, declaration(told))

    def body(self, experiment: str, stored: Stored) -> kfp.V2beta1RecurringRun:
        """The recurring run.

        Args:
            experiment: Id of the experiment.
            stored: Where the pipeline's version is.
        """
        mine = self.schedule
        cron = kfp.V2beta1CronSchedule(
            cron=self.cron, start_time=mine.start or None, end_time=mine.end or None
        )
        return kfp.V2beta1RecurringRun(
            display_name=self.name,
            description=self.mark.description,
            pipeline_version_reference=stored.reference,
            runtime_config=self.order.runtime,
            service_account=self.order.service_account,
            max_concurrency=str(mine.max_concurrency),
            trigger=kfp.V2beta1Trigger(cron_schedule=cron),
            mode="ENABLE" if mine.enabled else "DISABLE",
            no_catchup=mine.no_catchup,
            experiment_id=experiment,
        )


def declared(
    file: Path, schedules: Schedules, settings: PipelineSettings, owner: str, compiler: Compiler
) -> dict[str, Declared]:
    """Compile and check what is declared; nothing is asked of a server.

    Args:
        file: `pipelines/schedules.yaml`, for messages.
        schedules: What it holds.
        settings: What it leaves open.
        owner: The model's name.
        compiler: How a pipeline is compiled.

    Raises:
        ConfigError: A pipeline does not exist or compile, or takes no such arguments; the
            message names the schedule's line.
    """
    found = {}
    texts: dict[str, Compiled] = {}
    for name, schedule in schedules.schedules.items():
        sets = sorted(f"{key}={json.dumps(value)}" for key, value in schedule.set.items())
        same = json.dumps([schedule.pipeline, sets])
        if same not in texts:
            texts[same] = _compiled(file, name, compiler, schedule.pipeline, sets)
        place = line_of(file, name, "arguments")
        check_arguments(
            schedule.pipeline, inputs_of(texts[same]), schedule.arguments, f"{place}.{{}}".format
        )
        order = Order(
            texts[same],
            owner,
            schedule.arguments,
            schedule.experiment or settings.experiment,
            settings.service_account,
            settings.pipeline_root,
        )
        found[name] = Declared(name, schedule, order)
    return found


def _compiled(
    file: Path, name: str, compiler: Compiler, pipeline: str, sets: list[str]
) -> Compiled:
    """As the compiler does it; its errors name the schedule too."""
    try:
        return compiler(pipeline, sets)
    except ConfigError as error:
        mine = (error.where or "").startswith("--set")
        place = line_of(file, name, "set" if mine else "pipeline")
        error.where = f"{place}; {error.where}" if error.where else place
        raise
