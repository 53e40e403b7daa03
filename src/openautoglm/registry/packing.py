"""A compressed model as an MLflow model folder that needs neither torch nor open-autoglm.

Our few modules that run a model travel inside it, under a package name of their own: so they
neither hide an installed open-autoglm nor meet the modules of another model in one process.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from openautoglm.artifacts.code import PACKAGE, imported_modules, source_file
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.manifest import MANIFEST
from openautoglm.inference.package import CHOICE, SPEED, NumericInput, read_choice, read_package
from openautoglm.registry import loader
from openautoglm.registry.packed import DATA, EVALUATION

CARD = "README.md"
_IMPORT = re.compile(rf"^(\s*(?:from|import) ){PACKAGE}(?=[. ])", re.MULTILINE)
_REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas", "pydantic", "tokenizers")


def pack(
    out: Path, *, compressed: Path, evaluation: Path, example: Sequence[Any], card: str, work: Path
) -> None:
    """Write an MLflow model folder.

    Args:
        out: The folder to make.
        compressed: The compressed model.
        evaluation: Its evaluation: predictions, figures and pages travel along.
        example: Rows that the model takes, for the input example.
        card: The model card, Markdown.
        work: An empty folder for what is written on the way.
    """
    data = work / DATA
    shutil.copytree(compressed / PAYLOAD, data / PAYLOAD)
    shutil.copyfile(compressed / CHOICE, data / CHOICE)
    for name in (MANIFEST, SPEED):
        if (compressed / name).is_file():
            shutil.copyfile(compressed / name, data / name)
    code = _bundle(work)
    with _quiet():
        mlflow.pyfunc.save_model(
            str(out),
            loader_module=f"{code.name}.{loader.__name__.partition('.')[2]}",
            data_path=str(data),
            code_paths=[str(code)],
            mlflow_model=Model(),
            signature=_signature(compressed),
            input_example=list(example) or None,
            pip_requirements=[f"{name}=={version(name)}" for name in _REQUIREMENTS],
        )
    shutil.copytree(evaluation / PAYLOAD, out / EVALUATION)
    for page in ("report.html", "confusion.png"):
        if (evaluation / page).is_file():
            shutil.copyfile(evaluation / page, out / EVALUATION / page)
    (out / CARD).write_text(card, encoding="utf-8")


def _bundle(work: Path) -> Path:
    """Our modules that the loader imports, as a package named by their contents."""
    sources = {
        name: source_file(name).read_text(encoding="utf-8")
        for name in imported_modules(loader.__name__)
    }
    digest = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()[:12]
    root = work / f"{PACKAGE}_{digest}"
    for module, text in sources.items():
        below = source_file(module).relative_to(source_file(PACKAGE).parent)
        (root / below).parent.mkdir(parents=True, exist_ok=True)
        (root / below).write_text(_IMPORT.sub(rf"\g<1>{root.name}", text), encoding="utf-8")
    return root


def _signature(compressed: Path) -> ModelSignature:
    """Columns without names: then MLflow takes lists, series and frames alike."""
    package, choice = read_package(compressed), read_choice(compressed)
    taken = package.families[choice.family].input
    # MLflow refuses whole numbers where it was told of floats; the loader checks them itself.
    inputs = (
        [ColSpec(AnyType()) for _ in taken.features]
        if isinstance(taken, NumericInput)
        else [ColSpec(DataType.string)]
    )
    outputs = [ColSpec(DataType.string, loader.LABEL)]
    outputs += [ColSpec(DataType.float, f"p_{label}") for label in package.labels]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow talks about optional things while it saves."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
