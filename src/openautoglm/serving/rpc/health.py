"""`grpc.health.v1.Health`: the check that probes of Kubernetes and Envoy send."""

from __future__ import annotations

from typing import Any

from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import NOT_FOUND, Refusal
from openautoglm.serving.rpc import messages, numeric, service
from openautoglm.serving.rpc.call import Call

NAME = "grpc.health.v1.Health"
_SERVICES = ("", service.NAME, numeric.NAME)


class Health:
    """The call over one predictor; all services of a replica are in the same state."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def check(self, request: Any, call: Call) -> Any:
        """SERVING while requests are taken."""
        call.context.probe = True
        if request.service not in _SERVICES:
            raise Refusal(
                NOT_FOUND,
                f"no service `{request.service[:100]}`",
                allowed=", ".join(_SERVICES[1:]),
            )
        states = messages.HealthCheckResponse.ServingStatus
        return messages.HealthCheckResponse(
            status=states.Value("SERVING" if self._predictor.ready else "NOT_SERVING")
        )
