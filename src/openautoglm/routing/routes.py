"""What a router is asked to put into force, and the checks that come before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from openautoglm.errors import RouteError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Endpoint:
    """Where one replica listens; `grpc_port` is None when it serves no gRPC."""

    host: str
    port: int
    grpc_port: int | None = None


@dataclass(frozen=True)
class Shadow:
    """Copies of requests whose answers nobody sees.

    Attributes:
        variant: Who gets them.
        percent: Of the requests, 1 to 100.
    """

    variant: str
    percent: int


@dataclass(frozen=True)
class Routes:
    """The whole state of a router.

    Attributes:
        variants: Endpoints that may be sent requests, by variant.
        weights: Percent of the requests by variant; integers that sum to 100. Empty while no
            variant can answer: every request is then answered with 503.
        shadow: The variant that gets copies.
    """

    variants: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    shadow: Shadow | None = None

    def check(self) -> None:
        """Refuse what engines accept and then answer with errors.

        Raises:
            RouteError: A name cannot be one, a weight or the shadow names a variant that does not
                exist or has no endpoint, or the weights are no integers from 0 that sum to 100.
        """
        for name in self.variants:
            if not _NAME.fullmatch(name):
                raise RouteError(
                    f"`{name}` cannot name a variant",
                    allowed="up to 63 small letters, digits and dashes",
                )
        check_weights(self.weights)
        for name, weight in self.weights.items():
            self._reachable(name, f"a weight of {weight}", needed=weight > 0)
        if self.shadow:
            percent = self.shadow.percent
            if isinstance(percent, bool) or not isinstance(percent, int) or not 1 <= percent <= 100:
                raise RouteError(f"found a shadow of {percent} percent", allowed="1 to 100")
            self._reachable(self.shadow.variant, "the shadow", needed=True)

    def _reachable(self, name: str, what: str, *, needed: bool) -> None:
        if name not in self.variants:
            raise RouteError(
                f"{what} is for `{name}`, which is no variant",
                allowed=", ".join(self.variants) or "no variant runs yet",
            )
        if needed and not self.variants[name]:
            raise RouteError(f"{what} is for `{name}`, which has no replica that is ready")


def check_weights(weights: Mapping[str, int]) -> None:
    """Refuse weights that are no integers from 0, or that do not sum to 100; none are allowed.

    Raises:
        RouteError: They are not.
    """
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= 100:
            raise RouteError(f"found a weight of {weight} for `{name}`", allowed="0 to 100")
    total = sum(weights.values())
    if weights and total != 100:
        told = ", ".join(f"{name}={weight}" for name, weight in weights.items())
        raise RouteError(f"the weights {told} sum to {total}", allowed="integers that sum to 100")
