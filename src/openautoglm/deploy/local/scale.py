"""How many replicas the champion has: what `config.yaml` says, or what the load asks for."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from time import monotonic

from openautoglm.artifacts.folder import write_text
from openautoglm.config.service import Autoscale, Service
from openautoglm.deploy.local.autoscale import Autoscaler
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.unit import Unit


class Scale:
    """Keeps the count in `scale.json`, so that a new controller goes on with it.

    Args:
        folder: The service's.
    """

    def __init__(self, folder: ServiceFolder) -> None:
        self._folder = folder
        self._autoscaler: tuple[Autoscale, Autoscaler] | None = None

    def count(
        self,
        service: Service,
        replicas: Sequence[Unit],
        ready: Collection[str],
        cpu: Mapping[str, float | None],
    ) -> int:
        """Replicas that the champion is to have now.

        Args:
            service: What `config.yaml` says.
            replicas: Those there are.
            ready: Units that are ready.
            cpu: Share of its threads that each had in use.
        """
        settings = service.autoscale
        if settings is None:
            self._folder.scale.unlink(missing_ok=True)
            return service.replicas
        live = live_replicas(self._folder) or service.replicas
        live = min(max(live, settings.min_replicas), settings.max_replicas)
        if self._autoscaler is None or self._autoscaler[0] != settings:
            self._autoscaler = settings, Autoscaler(settings)
        wanted = self._autoscaler[1].decide(live, _busiest(replicas, ready, cpu), monotonic())
        if wanted != live_replicas(self._folder):
            write_text(self._folder.scale, json.dumps({"replicas": wanted}) + "\n")
        return wanted


def live_replicas(folder: ServiceFolder) -> int | None:
    """The count the autoscaler has come to; None when there is none."""
    try:
        found = json.loads(folder.scale.read_text(encoding="utf-8"))["replicas"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, int) and found > 0 else None


def _busiest(
    replicas: Sequence[Unit], ready: Collection[str], cpu: Mapping[str, float | None]
) -> float | None:
    """Mean CPU use of the release whose replicas are busiest, in percent; None if not known."""
    shares: dict[str, list[float]] = {}
    for unit in replicas:
        share = cpu.get(unit.name)
        if unit.name in ready and share is not None:
            shares.setdefault(unit.release, []).append(share)
    return max((100 * sum(of) / len(of) for of in shares.values()), default=None)
