"""The command line's own entry, called in this process: torch and MLflow take seconds to import."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from openautoglm.cli.main import main


class Said(NamedTuple):
    """What a command wrote."""

    stdout: str
    stderr: str


def command(root: Path, *arguments: str, code: int = 0, **environment: str) -> Said:
    """Run `openautoglm` in a project's folder and demand an exit code."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(root)
        patch.setattr(sys, "argv", ["openautoglm", "--project", str(root), *arguments])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main()
    said = Said(out.getvalue(), err.getvalue())
    assert (end.value.code or 0) == code, f"{arguments} ended with {end.value.code}: {said}"
    return said
