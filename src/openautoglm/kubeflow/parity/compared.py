"""What the callers wrote, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openautoglm.artifacts.digest import file_sha256
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.manifest import read_manifest
from openautoglm.kubeflow.parity.callers import Outputs
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.effect import RECEIPT

_METRICS = "metrics.json"


@dataclass(frozen=True)
class Row:
    """One thing that must be equal.

    Attributes:
        name: A step, or what of it.
        values: Caller to digest, or to text.
        differing: Files of the payload that are not equal; empty where there are none to name.
    """

    name: str
    values: Mapping[str, str]
    differing: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether all callers have it alike."""
        return len(set(self.values.values())) == 1


def compared(outputs: Mapping[str, Outputs]) -> list[Row]:
    """Digests of pure steps, metrics, and receipts of effects.

    Args:
        outputs: Caller to what it wrote; what one of them has not run is not compared.

    Raises:
        ArtifactError: A folder is missing, or is not what its manifest says.
    """
    rows = []
    for name, step in STEPS.items():
        if not all(name in places for places in outputs.values()):
            continue
        folders = {caller: places[name] for caller, places in outputs.items()}
        if step.effect:
            rows.append(Row(f"{name}: receipt", _texts(folders, RECEIPT)))
            continue
        digests = {caller: read_manifest(folder).digest for caller, folder in folders.items()}
        row = Row(name, digests)
        rows.append(row if row.equal else Row(name, digests, _differing(folders)))
        if all((folder / PAYLOAD / _METRICS).is_file() for folder in folders.values()):
            rows.append(Row(f"{name}: metrics", _texts(folders, f"{PAYLOAD}/{_METRICS}")))
    return rows


def _texts(folders: Mapping[str, Path], file: str) -> dict[str, str]:
    return {
        caller: (folder / file).read_text(encoding="utf-8") for caller, folder in folders.items()
    }


def _differing(folders: Mapping[str, Path]) -> tuple[str, ...]:
    listed = [_files(folder / PAYLOAD) for folder in folders.values()]
    names = sorted(set().union(*listed))
    return tuple(name for name in names if len({files.get(name) for files in listed}) > 1)


def _files(payload: Path) -> dict[str, str]:
    return {
        path.relative_to(payload).as_posix(): file_sha256(path)
        for path in payload.rglob("*")
        if path.is_file()
    }
