"""From a compiled pipeline to a run of it on a server."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import kfp_server_api as kfp

from openautoglm.kubeflow.client import Made, Server
from openautoglm.kubeflow.compiling import Compiled
from openautoglm.kubeflow.errors import ServerError

_NAMED = len("sha256-") + 16


@dataclass(frozen=True)
class Order:
    """A pipeline and how it is to run.

    Attributes:
        compiled: The pipeline.
        owner: Whose it is: the model's name, which sets projects on one server apart.
        arguments: Of the pipeline, checked.
        experiment: What its runs are grouped under.
        service_account: What its tasks may do; None is the server's default.
        pipeline_root: Where its artifacts go; None is the server's own.
    """

    compiled: Compiled
    owner: str
    arguments: Mapping[str, Any]
    experiment: str
    service_account: str | None = None
    pipeline_root: str | None = None

    @property
    def pipeline(self) -> str:
        """The pipeline's name on the server."""
        return f"{self.owner}-{self.compiled.name}"

    @property
    def version(self) -> str:
        """The version's name on the server: equal texts are one version."""
        return self.compiled.digest[:_NAMED]

    @property
    def runtime(self) -> kfp.V2beta1RuntimeConfig:
        """What a run is given."""
        return kfp.V2beta1RuntimeConfig(
            parameters=dict(self.arguments) or None, pipeline_root=self.pipeline_root
        )


@dataclass(frozen=True)
class Stored:
    """Where a version is on the server.

    Attributes:
        pipeline: The pipeline.
        version: Its version.
    """

    pipeline: Made
    version: Made

    @property
    def reference(self) -> kfp.V2beta1PipelineVersionReference:
        """How runs refer to it."""
        return kfp.V2beta1PipelineVersionReference(
            pipeline_id=self.pipeline.id, pipeline_version_id=self.version.id
        )


@dataclass(frozen=True)
class Submitted:
    """A run that has begun.

    Attributes:
        run: Its id.
        name: What the UI calls it.
        url: Its page in the UI.
        stored: The version that it runs.
    """

    run: str
    name: str
    url: str
    stored: Stored


def store(server: Server, order: Order) -> Stored:
    """See to it that the server has a pipeline's version; what it has is not sent again."""
    about = f"pipelines/{order.compiled.file.name}; versions are named by their content"
    pipeline = server.pipeline(order.pipeline, about)
    return Stored(pipeline, server.version(pipeline.id, order.version, order.compiled.text))


def submit(server: Server, order: Order) -> Submitted:
    """Begin a run.

    Args:
        server: On which.
        order: Of what.

    Raises:
        ServerError: It did not begin. Experiment, pipeline and version may be there by then; the
            next attempt finds them.
    """
    experiment = server.experiment(order.experiment)
    stored = store(server, order)
    name = f"{order.compiled.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    body = kfp.V2beta1Run(
        display_name=name,
        experiment_id=experiment.id,
        pipeline_version_reference=stored.reference,
        runtime_config=order.runtime,
        service_account=order.service_account,
    )
    try:
        run = server.run(body)
    except ServerError as error:
        stays = f"version {order.version} of {order.pipeline} is on the server and does no harm"
        error.hint = f"{error.hint}; {stays}" if error.hint else stays
        raise
    return Submitted(run, name, f"{server.connection.host}/#/runs/details/{run}", stored)
