"""Which accelerators torch sees, and how many threads it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def accelerators() -> list[str]:
    """Name and memory of each CUDA device."""
    if not torch.cuda.is_available():
        return []
    properties = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [f"{found.name}, {found.total_memory / 1e9:.0f} GB" for found in properties]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads inside the block: sums, and so digests, depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
