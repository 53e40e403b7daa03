"""Kubernetes quantities: `500m` cores, `2Gi` of memory."""

from __future__ import annotations

_UNITS: dict[str, int] = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "E": 10**18,
} | {f"{unit}i": 1024 ** (power + 1) for power, unit in enumerate("KMGTPE")}


def memory(quantity: str) -> int:
    """Bytes of a Kubernetes quantity."""
    digits = quantity.rstrip("KMGTPEi")
    return int(digits) * _UNITS[quantity[len(digits) :]]


def cores(quantity: str) -> float:
    """Cores of a Kubernetes quantity."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
