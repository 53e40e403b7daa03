"""The recipes by the names that `compress.recipes` uses."""

from __future__ import annotations

from openautoglm.compression.recipe import Recipe
from openautoglm.compression.recipes import (
    fp16,
    fp32,
    fused,
    int4_gptq,
    int4_rtn,
    int8,
    int8_static,
)
from openautoglm.config.compression import Precision

RECIPES: dict[Precision, Recipe] = {
    "fp32": fp32.RECIPE,
    "fused": fused.RECIPE,
    "fp16": fp16.RECIPE,
    "int8": int8.RECIPE,
    "int8-static": int8_static.RECIPE,
    "int4-rtn": int4_rtn.RECIPE,
    "int4-gptq": int4_gptq.RECIPE,
}
