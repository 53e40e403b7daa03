"""A model of a folder, verified, with what its answers are attributed to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.errors import ArtifactError, ConfigError
from openautoglm.inference.model import load
from openautoglm.inference.package import NumericInput, TextInput, read_choice
from openautoglm.serving.batching.run import Scorer
from openautoglm.serving.predictor import Identity

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Loaded(NamedTuple):
    """A model that is ready to be called, with what its answers are attributed to."""

    scorer: Scorer
    labels: tuple[str, ...]
    input: TextInput | NumericInput
    identity: Identity


def load_verified(
    folder: Path,
    digest: str,
    *,
    name: str,
    version: str | None,
    family: str | None,
    variant: str | None,
    threads: int,
) -> Loaded:
    """Verify a model and load one variant of it.

    Args:
        folder: A compressed model: `payload/`, and `choice.json` unless a variant is named.
        digest: What its payload must have.
        name: What clients call it.
        version: What answers carry; the first 12 digits of the digest when None.
        family: As in `openautoglm.inference.model.load`.
        variant: The same.
        threads: CPU threads inside one call.

    Raises:
        ArtifactError: It is not readable, or not what the digest says.
        ConfigError: Name or version cannot stand in a path and a header.
    """
    if version is None:
        version = digest.removeprefix("sha256-")[:12]
    for option, value in (("--name", name), ("--version", version)):
        if not _NAME.fullmatch(value):
            raise ConfigError(
                f"found `{value}`",
                where=option,
                allowed="up to 64 letters, digits, dots, dashes and underscores",
            )
    found = folder_digest(folder / PAYLOAD)
    if found != digest:
        raise ArtifactError(
            f"the model's digest is {found}",
            where=str(folder / PAYLOAD),
            allowed=digest,
            hint="copy the model again, or give the digest of the one that is meant",
        )
    if family is None:
        choice = read_choice(folder)
        family, variant = choice.family, variant or choice.variant
    variant = variant or "fp32"
    # Batches are small: to wake a pool of threads costs more than they save.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    model = load(folder, family=family, variant=variant, threads=threads)
    identity = Identity(name, version, digest, family, variant)
    return Loaded(model, model.labels, model.input, identity)
