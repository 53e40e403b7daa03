"""One step towards what is wanted: which replicas to start, what to route, which ones to stop.

A pure function, called again and again with what is seen: whoever died in the middle of a step,
the next one goes on from there. What it keeps at every step:

- a variant gets a weight only when as many of its replicas are ready as are wanted, and until
  then the weights in force stay;
- a variant with a weight keeps its endpoints as long as it has no better ones: the champion keeps
  its last healthy replica;
- a replica is stopped only when the routes no longer name it, so that it has no new requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openautoglm.routing.routes import Endpoint, Routes, Shadow


@dataclass(frozen=True)
class Goal:
    """What is wanted.

    Attributes:
        replicas: How many of each release, by its key; at least 1.
        weights: Percent of the requests by release; sums to 100.
        shadow: The release that gets copies.
        settings: Digest of the settings every replica must have.
    """

    replicas: Mapping[str, int]
    weights: Mapping[str, int]
    shadow: Shadow | None
    settings: str


@dataclass(frozen=True)
class Replica:
    """What is seen of a replica that is not being stopped.

    Attributes:
        unit: Its name.
        release: Key of what it serves.
        settings: Digest of its settings.
        endpoint: Where it listens.
        ready: Whether it takes requests.
        started: Whether it ever was ready, as far as is known.
    """

    unit: str
    release: str
    settings: str
    endpoint: Endpoint
    ready: bool
    started: bool = True


@dataclass(frozen=True)
class Step:
    """What to do now, in this order.

    Attributes:
        start: Replicas to start, by release.
        routes: What to put into force.
        stop: Units to stop, once the routes are in force.
        done: Nothing was left to do.
    """

    start: Mapping[str, int]
    routes: Routes
    stop: tuple[str, ...]
    done: bool


def step(goal: Goal, seen: Sequence[Replica], now: Routes, *, surge: int, at_once: int) -> Step:
    """The next step.

    Args:
        goal: What is wanted.
        seen: The replicas there are, in the order they were started.
        now: The routes in force.
        surge: Replicas of a release, above those wanted, that may exist while it is replaced.
        at_once: Replicas that may be starting at a time; loading a model takes a core.
    """
    start: dict[str, int] = {}
    chosen: dict[str, list[Replica]] = {}
    starting = sum(not (replica.ready or replica.started) for replica in seen)
    for key, wanted in goal.replicas.items():
        mine = [replica for replica in seen if replica.release == key]
        fresh = [replica for replica in mine if replica.settings == goal.settings]
        stale = [replica for replica in mine if replica.settings != goal.settings and replica.ready]
        room = wanted + (surge if stale else 0) - len(fresh) - len(stale)
        missing = min(wanted - len(fresh), room, at_once - starting)
        if missing > 0:
            start[key] = missing
            starting += missing
        chosen[key] = _choose(fresh, stale, wanted, now.variants.get(key, ()))
    routes = _routes(goal, chosen, seen, now)
    stop = _stop(goal, seen, chosen, routes)
    done = not start and not stop and routes == _reached(goal, chosen)
    return Step(start, routes, stop, done)


def _choose(
    fresh: Sequence[Replica], stale: Sequence[Replica], wanted: int, routed: Sequence[Endpoint]
) -> list[Replica]:
    """The replicas of a release that are to serve, ready ones first, then those in the routes."""

    def rank(replica: Replica) -> tuple[bool, bool]:
        return not replica.ready, replica.endpoint not in routed

    kept = sorted(fresh, key=rank)[:wanted]
    ready = sum(replica.ready for replica in kept)
    return kept + sorted(stale, key=rank)[: max(wanted - ready, 0)]


def _routes(
    goal: Goal, chosen: Mapping[str, Sequence[Replica]], seen: Sequence[Replica], now: Routes
) -> Routes:
    variants = {
        key: tuple(sorted((r.endpoint for r in replicas if r.ready), key=_order))
        for key, replicas in chosen.items()
    }
    carrying = {key for key, weight in now.weights.items() if weight}
    copied = {now.shadow.variant} if now.shadow else set()
    for key in carrying | copied:
        ready = [r.endpoint for r in seen if r.release == key and r.ready]
        if key not in goal.replicas:
            variants[key] = tuple(sorted(ready, key=_order))
        # While none answers, the old endpoints: they come back, and a route to nowhere would not.
        variants[key] = variants[key] or now.variants.get(key, ())
    full = {
        key
        for key, wanted in goal.replicas.items()
        if sum(replica.ready for replica in chosen[key]) >= wanted
    }
    able = full | {key for key in carrying if variants[key]}
    reached = all(key in able for key, weight in goal.weights.items() if weight)
    weights = {key: weight for key, weight in goal.weights.items() if weight}
    if not reached:
        weights = {key: weight for key, weight in now.weights.items() if weight}
    shadow = goal.shadow
    if shadow and (shadow.variant not in able | copied or not reached):
        shadow = now.shadow if now.shadow == goal.shadow else None
    if not weights:
        shadow = None
    named = {*weights, *([shadow.variant] if shadow else [])}
    return Routes(
        {key: found for key, found in sorted(variants.items()) if found or key in named},
        dict(sorted(weights.items())),
        shadow,
    )


def _stop(
    goal: Goal,
    seen: Sequence[Replica],
    chosen: Mapping[str, Sequence[Replica]],
    routes: Routes,
) -> tuple[str, ...]:
    wanted = {replica.unit for replicas in chosen.values() for replica in replicas}
    routed = {endpoint for endpoints in routes.variants.values() for endpoint in endpoints}
    return tuple(
        replica.unit
        for replica in seen
        if replica.unit not in wanted and replica.endpoint not in routed
    )


def _reached(goal: Goal, chosen: Mapping[str, Sequence[Replica]]) -> Routes | None:
    """The routes of a goal that is reached; None while a replica is missing."""
    variants = {}
    for key, wanted in goal.replicas.items():
        ready = [r for r in chosen[key] if r.ready and r.settings == goal.settings]
        if len(ready) != wanted or len(chosen[key]) != wanted:
            return None
        variants[key] = tuple(sorted((r.endpoint for r in ready), key=_order))
    weights = {key: weight for key, weight in sorted(goal.weights.items()) if weight}
    return Routes(dict(sorted(variants.items())), weights, goal.shadow)


def _order(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.host, endpoint.port
