"""How a replica of a variant is picked.

*least_request* draws two replicas and takes the one with fewer requests under way. It needs
nobody's report and follows at once, but a gateway counts only its own requests. It does not look
at every replica: one that just died has the fewest, so each new request and each retry would go
there, and nowhere else.

*load_weighted* gives each replica a share by the ORCA reports in its answers. Those count the work
of all gateways and of clients that ask a replica directly, and errors too; they are a second old,
and a new replica is given an equal share until it has told for a second. Worth choosing where
requests cost very different times, or where others than this gateway load the replicas.

With one slow replica among four both reach the sum of the capacities, least_request at once and
load_weighted after some seconds (`benchmarks/balancing.py`).
"""

from __future__ import annotations

from typing import Literal

from openautoglm.routing.envoy.message import Message, duration, extension

_POLICIES = "load_balancing_policies"
_SETTINGS: dict[str, Message] = {
    "least_request": {},
    "round_robin": {},
    "client_side_weighted_round_robin": {
        # From a replica's first report until its weight counts: its first second is half empty.
        "blackout_period": duration(1),
        "weight_expiration_period": duration(10),
        "weight_update_period": duration(0.25),
        "error_utilization_penalty": 1.0,
    },
}


def balancing(policy: Literal["least_request", "round_robin", "load_weighted"]) -> Message:
    """The policy, and nothing to fall back to: this Envoy knows it."""
    name = "client_side_weighted_round_robin" if policy == "load_weighted" else policy
    kind = "".join(word.capitalize() for word in name.split("_"))
    found = extension(
        f"envoy.{_POLICIES}.{name}", f"extensions.{_POLICIES}.{name}.v3.{kind}", **_SETTINGS[name]
    )
    return {"policies": [{"typed_extension_config": found}]}
