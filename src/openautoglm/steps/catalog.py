"""The list of steps. DVC stages, commands and components are held against it by a contract test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from openautoglm.observability.collector import importing

if TYPE_CHECKING:
    from openautoglm.config.model import Settings


@dataclass(frozen=True)
class Step:
    """One step of the chain.

    Attributes:
        name: Also its module in `openautoglm.steps` and its function there.
        inputs: Argument name to the folder it has in a project.
        out: The folder it writes in a project.
        view: The class in `openautoglm.config.params` of what it sees of `params.yaml`.
        summary: One line for `--help`.
        effect: Whether it changes the registry or traffic (such a step is never cached).
    """

    name: str
    inputs: dict[str, str]
    out: str
    view: str
    summary: str
    effect: bool = False

    @property
    def module(self) -> str:
        """Its module's full name."""
        return f"openautoglm.steps.{self.name}"

    @property
    def params(self) -> type[Settings]:
        """The view itself; imported only now, because `--help` has no use for it."""
        found: type[Settings] = getattr(import_module("openautoglm.config.params"), self.view)
        return found

    @property
    def function(self) -> Callable[..., None]:
        """The step itself; its libraries are imported only now."""
        with importing():
            found: Callable[..., None] = getattr(import_module(self.module), self.name)
        return found


STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step("fetch", {}, "data/raw", "FetchParams", "copy the source's rows into data/raw"),
        Step(
            "prepare",
            {"raw": "data/raw"},
            "data/prepared",
            "PrepareParams",
            "check the rows, report what is rejected, split by hash of the text",
        ),
        Step(
            "tune",
            {"prepared": "data/prepared"},
            "models/tuned",
            "TuneParams",
            "search each family's settings, in rounds that no worker count or kill changes",
        ),
        Step(
            "train",
            {"prepared": "data/prepared", "tuned": "models/tuned"},
            "models/trained",
            "TrainParams",
            "train the best of each family; the better one is the candidate",
        ),
        Step(
            "compress",
            {"prepared": "data/prepared", "trained": "models/trained"},
            "models/compressed",
            "CompressParams",
            "quantise, prune, distil; keep the Pareto set, choose the variant that is served",
        ),
        Step(
            "evaluate",
            {"prepared": "data/prepared", "compressed": "models/compressed"},
            "reports/evaluation",
            "EvaluateParams",
            "measure on test beside the baseline; pass or fail the gate",
        ),
        Step(
            "drift",
            {"prepared": "data/prepared", "compressed": "models/compressed"},
            "reports/drift",
            "DriftParams",
            "compare test, and a window shifted on purpose, with the reference split",
        ),
        Step(
            "register",
            {"compressed": "models/compressed", "evaluation": "reports/evaluation"},
            "reports/registration",
            "RegisterParams",
            "register the model in MLflow, once a digest; champion when there is none",
            effect=True,
        ),
        Step(
            "canary",
            {
                "prepared": "data/prepared",
                "compressed": "models/compressed",
                "registration": "reports/registration",
            },
            "reports/canary",
            "CanaryParams",
            "serve champion and challenger side by side; the alias moves to one that is no worse",
            effect=True,
        ),
    )
}
