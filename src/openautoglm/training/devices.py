"""Which accelerators torch sees."""

from __future__ import annotations

import torch


def accelerators() -> list[str]:
    """Name and memory of each CUDA device."""
    if not torch.cuda.is_available():
        return []
    properties = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [f"{found.name}, {found.total_memory / 1e9:.0f} GB" for found in properties]
