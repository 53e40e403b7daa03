"""Where the watched files lie, and what tells that a gateway has one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from openautoglm.routing.envoy.message import Message

LISTENER = "gateway"
ROUTES = "routes"


@dataclass(frozen=True)
class Resource:
    """One watched file.

    Attributes:
        path: Where it lies.
        version: Digest of what it says; gateways tell it back once it is in force.
        text: All of it.
        scope: Where gateways count about it: `SCOPE.version_text`, `SCOPE.update_rejected`.
    """

    path: Path
    version: str
    text: str
    scope: str


@dataclass(frozen=True)
class Layout:
    """Files of one service's gateways.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def listeners(self) -> Path:
        """LDS."""
        return self.root / "lds.json"

    @property
    def clusters(self) -> Path:
        """CDS."""
        return self.root / "cds.json"

    @property
    def traffic(self) -> Path:
        """RDS."""
        return self.root / "rds.json"

    @property
    def endpoints(self) -> Path:
        """EDS, a file a cluster: Envoy takes one only if it holds that cluster and no other."""
        return self.root / "eds"

    @property
    def applied(self) -> Path:
        """The routes that were applied last."""
        return self.root / "routes.json"

    def endpoints_of(self, cluster: str) -> Path:
        """EDS of one cluster."""
        return self.endpoints / f"{cluster}.json"

    def listener_resource(self, listener: Message) -> Resource:
        """The only listener."""
        return _resource(self.listeners, "listener_manager.lds", [listener])

    def cluster_resource(self, clusters: Sequence[Message]) -> Resource:
        """All clusters."""
        return _resource(self.clusters, "cluster_manager.cds", clusters)

    def endpoint_resource(self, cluster: str, endpoints: Message) -> Resource:
        """One cluster's endpoints."""
        return _resource(self.endpoints_of(cluster), f"cluster.{cluster}", [endpoints])

    def traffic_resource(self, routes: Message) -> Resource:
        """The only route configuration."""
        return _resource(self.traffic, f"http.{LISTENER}.rds.{ROUTES}", [routes])


def _resource(path: Path, scope: str, messages: Sequence[Message]) -> Resource:
    version = hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:16]
    response = {"version_info": version, "resources": list(messages)}
    return Resource(path, version, json.dumps(response, indent=1, ensure_ascii=False) + "\n", scope)


def text_of(path: Path) -> str | None:
    """What a file says, None without one; of a damaged one something that nobody would write."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def names(path: Path, other: Path) -> bool:
    """Whether a file names another one, or one in that folder: not after a project moved."""
    quoted = json.dumps(str(other), ensure_ascii=False).removesuffix('"')
    return quoted in (text_of(path) or "")
