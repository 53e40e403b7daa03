"""The model card: what a person must know of a version, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openautoglm.inference.package import Choice, NumericInput, Package

_LONGEST = 4800  # MLflow keeps 5000 characters of a description


def card(
    model: str,
    *,
    digest: str,
    package: Package,
    choice: Choice,
    metrics: Mapping[str, Any],
    verdict: Mapping[str, str],
    lineage: Mapping[str, str],
) -> str:
    """Write the card.

    Args:
        model: Registered name.
        digest: Digest of the compressed model.
        package: What it holds.
        choice: The variant that is used.
        metrics: `metrics.json` of its evaluation.
        verdict: `verdict.json` of its evaluation.
        lineage: Step name to payload digest.
    """
    variant = package.families[choice.family].variants[choice.variant]
    taken = package.families[choice.family].input
    inputs = (
        f"rows of {len(taken.features)} numbers: {', '.join(taken.features)}"
        if isinstance(taken, NumericInput)
        else f"texts; what is longer than {taken.max_length} tokens is cut"
    )
    parts = {f"candidate ({choice.family} {choice.variant})": metrics["candidate"]}
    if metrics.get("fallback"):
        parts[f"fallback ({metrics['fallback']['family']})"] = metrics["fallback"]
    parts["baseline (TF-IDF + logistic regression)"] = metrics["baseline"]
    table = "\n".join(
        f"| {name} | {_spread(part, 'macro_f1')} | {_spread(part, 'accuracy')} |"
        for name, part in parts.items()
    )
    example = "[[0.0, ...]]" if isinstance(taken, NumericInput) else '["..."]'
    text = f"""\
# {model}

{choice.family}, {choice.variant}, {variant.bytes / 1e6:.1f} MB; \
{f"fine-tuned from {package.base}" if package.base else "trained from scratch"}. {choice.reason}.
Takes {inputs}. Tells one of {len(package.labels)} classes: {_some(package.labels)}.

On {metrics["rows"]} rows of test, intervals in brackets:

| | macro F1 | accuracy |
|---|---|---|
{table}

Gate: {verdict["verdict"]}; {verdict["reason"]}.

    import mlflow
    mlflow.pyfunc.load_model("models:/{model}@champion").predict({example})

Needs mlflow, onnxruntime and tokenizers; neither torch nor open-autoglm.

| | digest |
|---|---|
| model | `{digest}` |
""" + "\n".join(f"| {step} | `{found}` |" for step, found in lineage.items() if step != "compress")
    return text[:_LONGEST].rstrip() + "\n"


def _spread(part: Mapping[str, float], metric: str) -> str:
    return f"{part[metric]:.4f} [{part[f'{metric}_low']:.4f}, {part[f'{metric}_high']:.4f}]"


def _some(labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:30])
    return shown if len(labels) <= 30 else f"{shown} and {len(labels) - 30} more"
