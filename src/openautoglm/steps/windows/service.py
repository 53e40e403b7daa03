"""The requests that a service kept, as a window: those of a sample, with labels from feedback."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from openautoglm.artifacts.digest import value_digest
from openautoglm.config.data import DataParams, PrepareData
from openautoglm.config.feedback import Feedback, shown
from openautoglm.data.formats.table import Table
from openautoglm.deploy.desired import read_desired
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.replicas import with_store
from openautoglm.errors import ArtifactError, DataError
from openautoglm.feedback.reading import Asked, asked
from openautoglm.feedback.store import FeedbackStore
from openautoglm.feedback.tables import exists
from openautoglm.steps.windows.rows import Read, Source, judged_rows


def service_source(folder: ServiceFolder, *, idle: bool = False) -> Source:
    """What a service of this machine was asked.

    Args:
        folder: The service's.
        idle: Whether a service that has kept no request yet is an empty window.

    Raises:
        DataError: It keeps no requests, or has kept none yet.
        StoreError: The store does not answer.
        ArtifactError: What was deployed cannot be read.
    """
    desired = read_desired(folder.desired)
    if desired is None:
        raise ArtifactError(
            f"{folder.name} is not deployed", where=str(folder.desired), hint="openautoglm deploy"
        )
    settings = desired.service.feedback
    numbers = desired.service.pipeline[0].task == "tabular-classification"
    _refuse_nothing(settings, folder.name, numbers=numbers)
    url = with_store(folder, settings).url
    assert url is not None
    rows = _kept(url, folder.name)
    if not rows and not idle:
        share = settings.requests.sample
        raise DataError(
            f"no request to {folder.name} was kept yet",
            where=shown(url),
            hint=f"{share:.0%} of the requests are kept: ask it, and try again",
        )
    return _source(rows, folder.name)


def stored_source(url: str, service: str) -> Source:
    """What a service was asked, wherever it runs: its requests in a feedback store.

    Args:
        url: The store, as `feedback.url` of the service's `config.yaml` names it.
        service: The service's name.

    Raises:
        StoreError: The store does not answer.
    """
    return _source(_kept(url, service), service)


def _source(rows: Sequence[Asked], service: str) -> Source:
    def read(data: DataParams, labels: tuple[str, ...]) -> Read:
        return _read(rows, data, labels, name=f"requests to {service}")

    digest = value_digest([[row.input, row.label] for row in rows])
    return Source(f"service {service}", f"service-{service}", read, lambda: digest)


def _refuse_nothing(settings: Feedback, name: str, *, numbers: bool) -> None:
    """See that there can be requests."""
    off = [
        *(["feedback.enabled: true"] if not settings.enabled else []),
        *(["feedback.requests.sample: 0.1"] if settings.requests.sample == 0 else []),
        *(["feedback.requests.texts: true"] if not (settings.requests.texts or numbers) else []),
    ]
    if off:
        raise DataError(
            f"{name} keeps no requests",
            where="config.yaml",
            hint=f"set {off[0]} and deploy, or give a file: --current FILE",
        )


def _kept(url: str, service: str) -> list[Asked]:
    if not exists(url):
        return []
    with closing(FeedbackStore(url)) as store:
        return list(asked(store.database, service))


def _read(rows: Sequence[Asked], data: DataParams, labels: tuple[str, ...], *, name: str) -> Read:
    # Labels are the model's classes already, and texts stand where the project's column is.
    told = data.model_dump() | {"label_pattern": None, "labels": None}
    settings = PrepareData.model_validate(
        {key: value for key, value in told.items() if key in PrepareData.model_fields}
    )
    if settings.features is None:
        columns: dict[str, list[Any]] = {str(settings.text): [row.input for row in rows]}
    else:
        columns = {
            feature: [_feature(row, place) for row in rows]
            for place, feature in enumerate(settings.features)
        }
    columns[settings.label] = [row.label for row in rows]
    return judged_rows(Table(name, columns, None), settings, labels, unlabelled=None)


def _feature(row: Asked, place: int) -> float | None:
    """A number of a row; None where the row is a text, or shorter."""
    return row.input[place] if isinstance(row.input, list) and place < len(row.input) else None
