"""The recipes by the names that `compress.recipes` uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from openautoglm.compression.recipes import fp32

Recipe = Callable[[torch.nn.Module, torch.Tensor, Path], None]

RECIPES: dict[str, Recipe] = {"fp32": fp32.build}
