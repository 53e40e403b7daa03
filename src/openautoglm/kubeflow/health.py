"""Whether a server is Kubeflow Pipelines of a version that we speak, found out cheaply."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openautoglm.errors import ConfigError
from openautoglm.kubeflow.connection import Connection
from openautoglm.kubeflow.errors import (
    OtherServerError,
    OverloadedError,
    RefusedError,
    ServerError,
    VersionError,
)
from openautoglm.kubeflow.transport import Transport

MAJOR = 2
"""Versions of Kubeflow Pipelines that are supported begin with it."""
_KEYS = ("multi_user", "apiServerReady", "tag_name", "commit_sha")


@dataclass(frozen=True)
class Health:
    """What a server says of itself.

    Attributes:
        multi_user: Whether pipelines and runs belong to namespaces.
        version: Its tag; None where it does not say.
    """

    multi_user: bool
    version: str | None


def health(connection: Connection, transport: Transport) -> Health:
    """Ask the server what it is.

    Raises:
        ServerError: It does not answer, or is not Kubeflow Pipelines 2.
        ConfigError: It is for several users, and no namespace is named.
    """
    url = f"{connection.host}/apis/v2beta1/healthz"
    try:
        found = _ask(transport, url)
    except (OtherServerError, RefusedError) as error:
        _refuse_version_1(connection, transport, url)
        if isinstance(error, OtherServerError):
            raise
        raise OtherServerError(
            f"what answers there is not Kubeflow Pipelines: {error.what}",
            where=error.where,
            hint="the address ends where /apis/v2beta1 begins",
            status=error.status,
        ) from None
    if not any(key in found for key in _KEYS):
        raise OtherServerError(
            "what answers there is not Kubeflow Pipelines: it tells nothing of itself",
            where=url,
            hint="the address ends where /apis/v2beta1 begins",
        )
    if found.get("apiServerReady") is False:
        raise OverloadedError(
            "Kubeflow's web server answers, but not the API server behind it",
            where=url,
            hint="kubectl get pods -n kubeflow -l app=ml-pipeline",
        )
    version = _version(found) or _version(_older(connection, transport))
    _refuse_version(version, url)
    multi_user = bool(found.get("multi_user", found.get("apiServerMultiUser", False)))
    if multi_user and not connection.namespace:
        raise ConfigError(
            "this server is for several users, and no namespace is named",
            where=connection.host,
            hint="--namespace NAME, or `namespace` in pipelines/settings.yaml",
        )
    return Health(multi_user, version)


def _ask(transport: Transport, url: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(transport.GET(url).data)
    return found


def _version(found: Mapping[str, Any]) -> str | None:
    return found.get("tag_name") or found.get("apiServerTagName") or None


def _older(connection: Connection, transport: Transport) -> Mapping[str, Any]:
    """What the older API says of the server: version 2 tells its tag only there."""
    try:
        return _ask(transport, f"{connection.host}/apis/v1beta1/healthz")
    except ServerError:
        return {}


def _refuse_version_1(connection: Connection, transport: Transport, url: str) -> None:
    found = _older(connection, transport)
    if any(key in found for key in _KEYS):
        raise VersionError(
            f"this is Kubeflow Pipelines {_version(found) or '1'}, which has no API v2beta1",
            where=url,
            allowed=f"versions {MAJOR}.x",
        )


def _refuse_version(version: str | None, url: str) -> None:
    number = re.match(r"v?(\d+)\.\d", version or "")  # builds have tags of other forms
    if number and int(number[1]) != MAJOR:
        raise VersionError(
            f"this is Kubeflow Pipelines {version}", where=url, allowed=f"versions {MAJOR}.x"
        )
