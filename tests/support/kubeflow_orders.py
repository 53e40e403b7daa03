"""Small compiled pipelines, and connections that wait for nothing.

No annotations are postponed here: kfp reads those of the pipeline.
"""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from openautoglm.config.schedules import Schedule
from openautoglm.kubeflow.compiling import Compiled
from openautoglm.kubeflow.connection import Connection, Token
from openautoglm.kubeflow.declared import Declared
from openautoglm.kubeflow.patience import Patience
from openautoglm.kubeflow.submitting import Order


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def patience(self, **given: Any) -> Patience:
        return Patience(sleep=self.sleep, clock=lambda: self.now, chance=lambda: 1.0, **given)


def connected(url: str, **given: Any) -> Connection:
    """A connection whose pauses take no time."""
    token = Token(given.pop("bearer", None))
    return Connection(url, token=token, **{"patience": Clock().patience(), **given})


@cache
def compiled(name: str = "training", text: str = "one") -> Compiled:
    """A pipeline of one task; another text is another version."""

    @dsl.component(base_image="example.org/runner@sha256:" + "0" * 64, install_kfp_package=False)
    def tell(text: str, rows: int) -> None:
        print(text, rows)

    @dsl.pipeline(name=name)
    def pipeline(rows: int, text: str = text, share: float = 0.5):
        tell(text=text, rows=rows)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(file))
        return Compiled(name, file.read_text(encoding="utf-8"), Path(f"pipelines/{name}.py"))


def order(name: str = "training", text: str = "one", **given: Any) -> Order:
    """What is to be run."""
    return Order(
        compiled(name, text),
        given.pop("owner", "clc"),
        given.pop("arguments", {"rows": 3}),
        given.pop("experiment", "openautoglm"),
        **given,
    )


def declared(
    name: str = "nightly", *, text: str = "one", owner: str = "clc", **given: Any
) -> Declared:
    """A declared schedule: every night, unless something else is given."""
    schedule = Schedule(**{"pipeline": "training", "cron": "0 3 * * *", **given})
    experiment = schedule.experiment or "openautoglm"
    return Declared(name, schedule, order(text=text, owner=owner, experiment=experiment))
