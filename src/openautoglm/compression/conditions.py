"""When a recipe has nothing to do: reasons for the user."""

from __future__ import annotations

from openautoglm.compression.graph import products, read, tables
from openautoglm.compression.recipe import Source


def holds_weights(source: Source) -> str | None:
    """A graph without large fp32 arrays gains nothing from fewer bits.

    A numeric `glm` is such a graph: its few weights are float64, because folding the
    standardisation into them subtracts large numbers.
    """
    model = read(source.fp32)
    if products(model) or tables(model):
        return None
    return "its graph holds no large matrix or table of fp32 numbers"


def holds_products(source: Source) -> str | None:
    """A graph that only looks up rows has no activations to calibrate."""
    if reason := holds_weights(source):
        return reason
    if products(read(source.fp32)):
        return None
    return "it has no matrix product, so calibration would change nothing"
