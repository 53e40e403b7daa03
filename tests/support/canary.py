"""What canary needs of a project beside a registered model."""

from __future__ import annotations

from pathlib import Path

from tests.support.registry import PARAMS, write_prepared

QUICK = """\
canary:
  alpha: 0.1
  metrics: {errors: {margin: 20}, slow: {objective_ms: 2500, margin: 30}, accuracy: {margin: 30}}
"""
"""Margins that some hundred requests can decide on."""


def write_replay(root: Path, rows: int = 300, settings: str = QUICK) -> None:
    """The replay split, and the canary's own parameters."""
    (root / "params.yaml").write_text(PARAMS + settings, encoding="utf-8")
    write_prepared(root / "data" / "prepared", rows)
