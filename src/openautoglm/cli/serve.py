"""`openautoglm serve`: one replica in the foreground."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.manifest import MANIFEST, read_manifest
from openautoglm.config.feedback import Feedback
from openautoglm.config.overrides import load_with
from openautoglm.config.serving import Serving
from openautoglm.config.yaml import load
from openautoglm.errors import ArtifactError, ConfigError
from openautoglm.serving.listen import Places, check_ports
from openautoglm.serving.loaded import Loaded, load_verified
from openautoglm.serving.observe import logs
from openautoglm.serving.replica import run

_log = logging.getLogger("openautoglm.serving")
_DIGEST = re.compile(r"sha256-[0-9a-f]{64}")


def serve(
    model: Path,
    *,
    digest: str | None,
    name: str,
    version: str | None,
    family: str | None,
    variant: str | None,
    places: Places,
    settings_file: Path | None,
    assigned: Sequence[str],
    feedback_file: Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        model: Folder of a compressed model.
        digest: What its payload must have; its manifest's when None.
        name: What clients call it.
        version: What answers carry.
        family: Family, when not the chosen one.
        variant: Variant, when not the chosen one.
        places: Host and ports.
        settings_file: YAML with keys of `Serving`.
        assigned: `key=value` over it.
        feedback_file: YAML with keys of `Feedback`, the store's URL among them; None keeps no
            answers.

    Raises:
        InputError: The model, a setting or a port cannot be used.
    """
    check_ports(places)
    settings = load_with(settings_file, assigned, Serving)
    feedback = _feedback(feedback_file) if feedback_file else None
    loaded = load_verified(
        model,
        _own(model) if digest is None else _checked(digest, model),
        name=name,
        version=version,
        family=family,
        variant=variant,
        threads=settings.threads,
    )
    logs.configure()
    run(loaded, settings, places, feedback=feedback, ready=lambda found: _ready(loaded, found))


def _feedback(file: Path) -> Feedback:
    """Settings that name a store: there is no service's folder here that could have one."""
    settings = load(file, Feedback)
    if settings.enabled and settings.url is None:
        raise ConfigError(
            "the key `url` is missing",
            where=str(file),
            allowed="url: sqlite:// and an absolute path, or postgresql://...",
        )
    return settings


def _own(model: Path) -> str:
    """The digest that a model's own manifest tells."""
    if not (model / PAYLOAD).is_dir():
        raise ArtifactError(
            "there is no compressed model",
            where=str(model),
            allowed="a folder that holds payload/ and choice.json, such as models/compressed",
            hint="make run",
        )
    if not (model / MANIFEST).is_file():
        raise ArtifactError(
            "the model has no manifest that tells its digest",
            where=str(model / MANIFEST),
            hint="--digest sha256-..., as you had it with the model",
        )
    return read_manifest(model).digest


def _checked(digest: str, model: Path) -> str:
    if _DIGEST.fullmatch(digest):
        return digest
    try:
        hint = f"this model's is {read_manifest(model).digest}"
    except (ArtifactError, OSError):
        hint = None
    raise ConfigError(
        f"found `{digest}`",
        where="--digest",
        allowed="sha256- and 64 digits of 0-9 and a-f",
        hint=hint,
    )


def _ready(loaded: Loaded, places: Places) -> None:
    identity = loaded.identity
    host = f"[{places.host}]" if ":" in places.host else places.host
    url = f"http://{host}:{places.port}"
    grpc = f"{host}:{places.grpc_port}" if places.grpc_port is not None else None
    print(
        f"{identity.name} {identity.version} ({identity.family} {identity.variant}, "
        f"{identity.digest[:19]}) at {url}" + (f", gRPC at {grpc}" if grpc else ""),
        flush=True,
    )
    told = {f"model_{key}": value for key, value in identity._asdict().items()}
    _log.info("ready", extra={"http": url, "grpc": grpc, **told})
