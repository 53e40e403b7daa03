"""The protocol of whatever carries requests to variants: Envoy here, Istio on a cluster."""

from __future__ import annotations

from typing import Protocol

from openautoglm.routing.routes import Routes


class Router(Protocol):
    """Puts routes into force; the only writer of them.

    `tests/conformance/router.py` is what every implementation must pass.
    """

    def apply(self, routes: Routes) -> None:
        """Check the routes and put them into force; the same routes again change nothing.

        Returns when every running gateway has them, so that a variant that is no longer named
        gets no new request from then on.

        Raises:
            RouteError: They cannot be; what was in force stays.
            RouterError: A gateway refused them, or did not say in time that it has them.
        """

    def current(self) -> Routes | None:
        """What was applied last, by whichever process; None before the first time."""
