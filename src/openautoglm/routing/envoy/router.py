"""The order in which files are written, and waiting until every gateway has them.

Envoy takes a route to a cluster it does not know, and answers it with 503. So what is new comes
before the routes to it, and what is old goes after the routes away from it:

    1. endpoints and clusters of old and new variants together; wait until they are warm
    2. routes and the listener; wait
    3. clusters of new variants only; wait; then the old endpoints' files

What each file must say follows from the routes and the settings alone. So whoever was killed
between two writes, the next `apply` writes what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from openautoglm.artifacts.folder import write_text
from openautoglm.config.gateway import Gateway
from openautoglm.routing.envoy import stored
from openautoglm.routing.envoy.clusters import (
    clusters,
    feedback_cluster,
    grpc_cluster,
    http_cluster,
)
from openautoglm.routing.envoy.endpoints import endpoints
from openautoglm.routing.envoy.force import Force
from openautoglm.routing.envoy.layout import Layout, Resource, names, text_of
from openautoglm.routing.envoy.listener import listener
from openautoglm.routing.envoy.traffic import traffic
from openautoglm.routing.routes import Routes


class EnvoyRouter:
    """A Router whose gateways are Envoys on this machine.

    Args:
        folder: Where the files lie that gateways watch.
        gateway: Settings.
        replica_idle_seconds: How long a replica keeps an unused connection.
        admins: Admin sockets of the gateways there should be now.
        seconds: How long all gateways may take to have one change.
    """

    def __init__(
        self,
        folder: Path,
        gateway: Gateway,
        *,
        replica_idle_seconds: float,
        admins: Callable[[], Sequence[Path]],
        seconds: float = 5,
    ) -> None:
        self._layout = Layout(folder)
        self._gateway = gateway
        self._idle = replica_idle_seconds
        self._force = Force(admins, seconds)

    def prepare(self) -> None:
        """Write what a gateway needs to start: files that are missing, or name another folder.

        They say what was applied last, so gateways that run already notice nothing.
        """
        layout, routes = self._layout, self.current() or Routes()
        layout.endpoints.mkdir(parents=True, exist_ok=True)
        known = {*self._known_variants(), *routes.variants}
        missing = [*self._endpoints(routes, routes.variants), self._traffic(routes)]
        for one in missing:
            if not one.path.exists():
                write_text(one.path, one.text)
        for one, named in (
            (self._clusters(known), layout.endpoints if known else None),
            (self._listener(), layout.traffic),
        ):
            if not one.path.exists() or (named and not names(one.path, named)):
                write_text(one.path, one.text)

    def apply(self, routes: Routes) -> None:
        """Check the routes and put them into force, see `Router.apply`."""
        routes.check()
        self.prepare()
        known = self._known_variants()
        # A known variant that gets no requests any more may lose its replicas, but not before.
        first = [name for name in routes.variants if name not in known or _used(routes, name)]
        both = sorted({*known, *routes.variants})
        self._force.put([*self._endpoints(routes, first), self._clusters(both)])
        self._force.put([self._traffic(routes), self._listener()])
        self._force.put(
            [*self._endpoints(routes, routes.variants), self._clusters(routes.variants)]
        )
        self._remove_endpoints(routes)
        _write(self._layout.applied, stored.text_of(routes))

    def current(self) -> Routes | None:
        """What was applied last, see `Router.current`."""
        return stored.read(self._layout.applied)

    def _known_variants(self) -> list[str]:
        """Variants whose clusters a gateway may have; a file that is no JSON is no gateway's."""
        try:
            response = json.loads(text_of(self._layout.clusters) or "{}")
            found = {one["name"] for one in response["resources"]}
        except (ValueError, KeyError, TypeError):
            return []
        return [name for name in found if grpc_cluster(name) in found]

    def _listener(self) -> Resource:
        return self._layout.listener_resource(listener(self._gateway, self._layout.traffic))

    def _traffic(self, routes: Routes) -> Resource:
        return self._layout.traffic_resource(traffic(self._gateway, routes))

    def _clusters(self, variants: Iterable[str]) -> Resource:
        found = [
            cluster
            for name in sorted(variants)
            for cluster in clusters(
                self._layout, self._gateway, name, replica_idle_seconds=self._idle
            )
        ]
        return self._layout.cluster_resource(found)

    def _endpoints(self, routes: Routes, variants: Iterable[str]) -> list[Resource]:
        found = []
        for variant in variants:
            places = routes.variants[variant]
            http = [(one.host, one.port) for one in places]
            grpc = [(one.host, one.grpc_port) for one in places if one.grpc_port is not None]
            for name, where in (
                (http_cluster(variant), http),
                (grpc_cluster(variant), grpc),
                (feedback_cluster(variant), http),
            ):
                found.append(self._layout.endpoint_resource(name, endpoints(name, where)))
        return found

    def _remove_endpoints(self, routes: Routes) -> None:
        kept = {one.path for one in self._endpoints(routes, routes.variants)}
        for path in self._layout.endpoints.iterdir():
            if path not in kept:
                path.unlink()


def _used(routes: Routes, variant: str) -> bool:
    shadow = routes.shadow.variant if routes.shadow else None
    return routes.weights.get(variant, 0) > 0 or variant == shadow


def _write(path: Path, text: str) -> None:
    if text_of(path) != text:
        write_text(path, text)
