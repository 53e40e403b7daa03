"""How fast variants are, measured side by side; the one figure that the machine decides."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from numpy.typing import NDArray

from openautoglm.inference.model import INPUT, OUTPUT, open_session
from openautoglm.observability.machine import cpu_flags, machine

BATCHES = (1, 32)
_THREADS = 1
_TURNS = {1: 60, 32: 12}


def measure_speed(
    graphs: Mapping[str, Path], rows: Mapping[str, Sequence[NDArray[Any]]]
) -> dict[str, Any]:
    """Median milliseconds of one call of each graph, taken in turns, on one thread.

    More threads would wait for each other's pools: every graph here is loaded at once.

    Args:
        graphs: The ONNX file of each variant, by any name.
        rows: For each name an input of the graph for each of `BATCHES`.

    Returns:
        CPU, its flags, threads, and for each variant `ms_1` and `ms_32`.
    """
    sessions = {name: open_session(graph, threads=_THREADS) for name, graph in graphs.items()}
    found: dict[str, dict[str, float]] = {name: {} for name in graphs}
    for place, batch in enumerate(BATCHES):
        times: dict[str, list[float]] = {name: [] for name in graphs}
        for turn in range(_TURNS[batch] + 2):
            for name, session in sessions.items():
                start = time.perf_counter()
                session.run([OUTPUT], {INPUT: rows[name][place]})
                if turn > 1:  # the first ones allocate
                    times[name].append(time.perf_counter() - start)
        for name, some in times.items():
            found[name][f"ms_{batch}"] = round(1000 * median(some), 4)
    here = machine()
    return {"cpu": here.cpu, "flags": cpu_flags(), "threads": _THREADS, "variants": found}
