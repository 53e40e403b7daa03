"""The trained model as it is."""

from __future__ import annotations

from pathlib import Path

import torch

from openautoglm.compression.export import export


def build(module: torch.nn.Module, example: torch.Tensor, out: Path) -> None:
    """Write the graph of `module` to `out`; arguments as in `export`."""
    export(module, example, out)
