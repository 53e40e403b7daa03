"""Whether a model is what a `config.yaml` says it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.config.service import Pipeline, key_line
from openautoglm.errors import ConfigError, OpenAutoGLMError
from openautoglm.inference.package import Choice, Family, Package, TextInput

AUTO = "auto"
LEFT_OUT = f"{PAYLOAD}/left_out.json"
_LONGEST_NAME = 40


def service_name(model: str, file: Path) -> str:
    """What a service is called when its `config.yaml` does not say it.

    Args:
        model: The registered model's name, or the folder's.
        file: The `config.yaml`, for messages.

    Raises:
        ConfigError: No name can be made of that one.
    """
    made = re.sub(r"[^a-z0-9]+", "-", model.lower())[:_LONGEST_NAME].strip("-")
    if not made:
        raise ConfigError(
            f"the model's name, `{model}`, cannot be the service's",
            where=key_line(file, "name"),
            allowed="up to 40 small letters, digits and dashes",
            hint="give one: `name: news`",
        )
    return made


def chosen_family(package: Package, choice: Choice) -> Family:
    """The family that compress chose.

    Raises:
        ConfigError: The model does not hold what was chosen.
    """
    family = package.families.get(choice.family)
    if family is None or choice.variant not in family.variants:
        raise ConfigError(
            f"the model does not hold its chosen part, {choice.family} {choice.variant}",
            allowed=", ".join(
                f"{name} {variant}"
                for name, one in package.families.items()
                for variant in one.variants
            ),
            hint="dvc repro",
        )
    return family


def pick(
    quantization: str,
    family: Family,
    choice: Choice,
    left_out: Callable[[], str],
    file: Path,
) -> str:
    """The precision that is served.

    Args:
        quantization: What `config.yaml` says.
        family: The chosen one.
        choice: The same family's name, and the precision that compress chose.
        left_out: Gives the model's own list of what was not built, and why: JSON.
        file: The `config.yaml`, for messages.

    Raises:
        ConfigError: It was not built.
    """
    if quantization == AUTO:
        return choice.variant
    if quantization in family.variants:
        return quantization
    reason = _reason(left_out, choice.family, quantization)
    raise ConfigError(
        f"{choice.family} was not built as `{quantization}`{f': {reason}' if reason else ''}",
        where=key_line(file, "quantization"),
        allowed=f"{AUTO} (now {choice.variant}), {', '.join(family.variants)}",
    )


def check_pipeline(pipeline: Pipeline, package: Package, family: Family, file: Path) -> None:
    """See that the model does what the pipeline says.

    Raises:
        ConfigError: It takes something else, or has other classes.
    """
    taken, where = family.input, key_line(file, "pipeline")
    task = "text-classification" if taken.kind == "text" else "tabular-classification"
    if pipeline.task != task:
        takes = "texts" if isinstance(taken, TextInput) else f"{len(taken.features)} numbers"
        raise ConfigError(
            f"found the task {pipeline.task}, and the model takes {takes}",
            where=where,
            allowed=f"task: {task}",
        )
    if pipeline.labels is None:
        return
    missing = [label for label in package.labels if label not in pipeline.labels]
    extra = [label for label in pipeline.labels if label not in package.labels]
    if missing or extra:
        parts = [
            f"{told} {', '.join(labels)}"
            for told, labels in (("the model has also", missing), ("it does not have", extra))
            if labels
        ]
        raise ConfigError(
            f"the labels are not the model's: {'; '.join(parts)}",
            where=where,
            allowed=f"labels: [{', '.join(package.labels)}]",
            hint="leave `labels` out to take the model's",
        )


def _reason(left_out: Callable[[], str], family: str, variant: str) -> str | None:
    try:
        return next(
            str(one["reason"])
            for one in json.loads(left_out())
            if (one["family"], one["variant"]) == (family, variant)
        )
    except (OpenAutoGLMError, OSError, ValueError, LookupError, TypeError, StopIteration):
        return None  # it only makes a message better
