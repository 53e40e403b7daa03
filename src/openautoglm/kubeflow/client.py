"""What is asked of a Kubeflow Pipelines server, through the models of its v2beta1 API.

Nothing that has no name of its own is made twice because an answer got lost: after such a failure
the server is looked at first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import kfp_server_api as kfp

from openautoglm.kubeflow.connection import Connection
from openautoglm.kubeflow.errors import OtherServerError, RefusedError, ServerError
from openautoglm.kubeflow.health import Health, health
from openautoglm.kubeflow.transport import Transport

T = TypeVar("T")
_PAGE = 100


@dataclass(frozen=True)
class Made:
    """Something that the server has.

    Attributes:
        id: What the server calls it.
        new: Whether it was made just now.
    """

    id: str
    new: bool


class Server:
    """A Kubeflow Pipelines server that was found to be one, and to let us in.

    Args:
        connection: Where it is and how it is spoken to.

    Raises:
        ServerError: It does not answer, is no such server, or does not let us in.
        ConfigError: The token cannot be read, or a namespace is needed.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._transport = Transport(connection)
        api = _generated(connection, self._transport)
        self._experiments = kfp.ExperimentServiceApi(api)
        self._pipelines = kfp.PipelineServiceApi(api)
        self._uploads = kfp.PipelineUploadServiceApi(api)
        self._runs = kfp.RunServiceApi(api)
        self._recurring = kfp.RecurringRunServiceApi(api)
        self.health: Health = health(connection, self._transport)
        self._whose = {"namespace": connection.namespace} if self.health.multi_user else {}
        # The first question that needs a right: it finds a bad token before anything is made.
        self._experiments.experiment_service_list_experiments(page_size=1, **self._whose)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def find_experiment(self, name: str) -> str | None:
        """The id of an experiment."""
        found = _pages(
            self._experiments.experiment_service_list_experiments,
            "experiments",
            filter=_called(name),
            **self._whose,
        )
        return next((one.experiment_id for one in found if one.display_name == name), None)

    def experiment(self, name: str) -> Made:
        """The experiment of a name, made if there is none."""
        body = kfp.V2beta1Experiment(display_name=name, **self._whose)
        return self._made(
            lambda: self.find_experiment(name),
            lambda: self._experiments.experiment_service_create_experiment(body).experiment_id,
        )

    def find_pipeline(self, name: str) -> str | None:
        """The id of a pipeline."""
        found = _pages(
            self._pipelines.pipeline_service_list_pipelines,
            "pipelines",
            filter=_called(name),
            **self._whose,
        )
        return next((one.pipeline_id for one in found if one.display_name == name), None)

    def pipeline(self, name: str, description: str) -> Made:
        """The pipeline of a name, made without a version if there is none."""
        body = kfp.V2beta1Pipeline(
            name=name, display_name=name, description=description, **self._whose
        )
        return self._made(
            lambda: self.find_pipeline(name),
            lambda: self._pipelines.pipeline_service_create_pipeline(body).pipeline_id,
        )

    def find_version(self, pipeline: str, name: str) -> str | None:
        """The id of a version of a pipeline."""
        found = _pages(
            self._pipelines.pipeline_service_list_pipeline_versions,
            "pipeline_versions",
            pipeline_id=pipeline,
            filter=_called(name),
        )
        return next((one.pipeline_version_id for one in found if one.display_name == name), None)

    def version(self, pipeline: str, name: str, text: str) -> Made:
        """The version of a name, uploaded if there is none.

        Args:
            pipeline: Id of its pipeline.
            name: Of the version; it stands for the text.
            text: The compiled pipeline.
        """

        def upload() -> str:
            # The server tells YAML by the end of the file's name.
            with TemporaryDirectory() as folder:
                file = Path(folder) / f"{name}.yaml"
                file.write_text(text, encoding="utf-8")
                made = self._uploads.upload_pipeline_version(
                    str(file), name=name, pipelineid=pipeline
                )
            return str(made.pipeline_version_id)

        return self._made(lambda: self.find_version(pipeline, name), upload)

    def run(self, body: kfp.V2beta1Run) -> str:
        """Begin a run; returns its id.

        Args:
            body: Its display name is what it is found by when the answer gets lost, and nobody
                else's.
        """

        def find() -> str | None:
            found = _pages(
                self._runs.run_service_list_runs,
                "runs",
                experiment_id=body.experiment_id,
                filter=_called(body.display_name),
            )
            same = (one.run_id for one in found if one.display_name == body.display_name)
            return next(same, None)

        return self._once(find, lambda: self._runs.run_service_create_run(body).run_id)

    def get_run(self, run: str) -> kfp.V2beta1Run:
        """A run with its tasks, as it stands."""
        return self._runs.run_service_get_run(run)

    def recurring_runs(self) -> list[kfp.V2beta1RecurringRun]:
        """Every recurring run that we may see: of the namespace, or of the whole server."""
        return list(
            _pages(
                self._recurring.recurring_run_service_list_recurring_runs,
                "recurring_runs",
                **self._whose,
            )
        )

    def recur(self, body: kfp.V2beta1RecurringRun) -> str:
        """Make a recurring run; returns its id.

        Args:
            body: Name and description together are what it is found by when the answer gets lost.
        """
        before = {one.recurring_run_id for one in self._like(body)}

        def find() -> str | None:
            new = (one.recurring_run_id for one in self._like(body))
            return next((found for found in new if found not in before), None)

        make = self._recurring.recurring_run_service_create_recurring_run
        return self._once(find, lambda: make(body).recurring_run_id)

    def _like(self, body: kfp.V2beta1RecurringRun) -> Iterator[kfp.V2beta1RecurringRun]:
        wanted = (body.display_name, body.description)
        for one in self.recurring_runs():
            if (one.display_name, one.description) == wanted:
                yield one

    def enable(self, recurring_run: str, *, enabled: bool) -> None:
        """Let a recurring run fire, or not."""
        api = self._recurring
        if enabled:
            api.recurring_run_service_enable_recurring_run(recurring_run)
        else:
            api.recurring_run_service_disable_recurring_run(recurring_run)

    def delete(self, recurring_run: str) -> None:
        """Delete a recurring run; its runs go on. One that is gone is well deleted."""
        try:
            self._recurring.recurring_run_service_delete_recurring_run(recurring_run)
        except RefusedError as error:
            if error.status != 404:
                raise

    def _made(self, find: Callable[[], str | None], make: Callable[[], Any]) -> Made:
        if found := find():
            return Made(found, new=False)
        return Made(self._once(find, make), new=True)

    def _once(self, find: Callable[[], str | None], make: Callable[[], Any]) -> str:
        """Make something, and never a second one because an answer got lost."""
        for turn in self.connection.patience.turns():
            try:
                return _id(make(), self.connection)
            except ServerError as error:
                # A conflict is the echo of our own request, or somebody was faster.
                rested = error.unsure and turn.rest(error.what, error.retry_after)
                if (error.unsure or error.status == 409) and (found := find()):
                    return found
                if not rested:
                    raise
        raise AssertionError("the last turn raises")


def _generated(connection: Connection, transport: Transport) -> Any:
    settings = kfp.Configuration(host=connection.host)
    api = kfp.ApiClient(settings)
    api.rest_client = transport
    return api


def _called(name: str) -> str:
    """The server compares without regard to case, so look again at what comes back."""
    equals = {"operation": "EQUALS", "key": "display_name", "string_value": name}
    return json.dumps({"predicates": [equals]})


def _pages(ask: Callable[..., Any], key: str, **given: Any) -> Iterator[Any]:
    token = ""
    while True:
        page = ask(page_token=token, page_size=_PAGE, **given)
        yield from getattr(page, key) or ()
        token = page.next_page_token or ""
        if not token:
            return


def _id(found: Any, connection: Connection) -> str:
    if not found:
        raise OtherServerError(
            "the server made something and does not name it", where=connection.host
        )
    return str(found)
