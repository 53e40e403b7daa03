"""What tune settled for each family, as train and compress read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.search import changed
from openautoglm.config.training import TrainSettings
from openautoglm.errors import ArtifactError, ConfigError

BEST = "best.json"


def read_settled(tuned: Path) -> dict[str, dict[str, Any]]:
    """Family name to `settings` (by dotted key of `train`), and `reason` for people.

    Raises:
        ArtifactError: It is not what tune writes.
    """
    path = tuned / PAYLOAD / BEST
    try:
        found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"this is not what tune writes: {error}", where=str(path), hint="dvc repro tune"
        ) from None
    return found


def settings_of(
    family: str, settings: TrainSettings, settled: dict[str, dict[str, Any]]
) -> TrainSettings:
    """`train` with what tune found for a family.

    Raises:
        ArtifactError: Tune has searched other families.
    """
    if family not in settled:
        raise ArtifactError(
            f"tune has settled nothing for the {family}",
            where="models/tuned",
            allowed=", ".join(settled),
            hint="dvc repro tune",
        )
    return changed(settings, settled[family]["settings"])


def refuse_numeric(families: Sequence[str], features: Sequence[str] | None) -> None:
    """Check that the families take what the data has.

    Raises:
        ConfigError: The data has numeric features, and the transformer takes texts.
    """
    if features is not None and "transformer" in families:
        raise ConfigError(
            "the transformer takes texts, and the data has numeric features",
            where="params.yaml, key model.families",
            allowed="[glm]",
        )
