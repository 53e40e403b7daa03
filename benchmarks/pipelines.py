"""Kubeflow's local runner beside the same steps by themselves; compiling; how tasks start.

    python benchmarks/pipelines.py [--small] [--rounds 1] [--write]

Each caller has a copy of this checkout with nothing made in it; `--small` takes some hundred of
its rows and small models, where what the runner adds is the largest part. A component starts as
the runner starts it: with the source in the compiled pipeline, and the input of a run before.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

from document import ROOT, described, table, write_section
from processes import Cost, cost, side_by_side
from run import copy
from starts import Starts, starts

from openautoglm.config.project import Project
from openautoglm.kubeflow.parity.projects import small
from openautoglm.steps.catalog import STEPS

RUNS = 3
OVERHEAD_BAR, COMPILE_BAR = 1.05, 3.0
TRAINING = ("openautoglm", "pipeline", "run", "training")
PIPELINES = ("training", "canary", "retrain")
IMAGE = f"registry.invalid/runner@sha256:{'0' * 64}"
HEADER = ("what", "s", "s CPU", "bar", "beside it", "s", "s CPU", "ratio")


class Chain(NamedTuple):
    """One chain from nothing by each caller, and the pipeline once more."""

    steps: Cost
    pipeline: Cost
    again: Cost


def main() -> None:
    """Measure, print, and with `--write` keep the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="some hundred rows, small models")
    parser.add_argument("--rounds", type=int, default=1, help="of the whole chain, by each caller")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    given = parser.parse_args()
    head = described()
    with tempfile.TemporaryDirectory(prefix="openautoglm-bench-") as name:
        folder = Path(name)
        rounds = [
            chain(folder / str(turn), is_small=given.small, steps_first=turn % 2 == 0)
            for turn in range(given.rounds)
        ]
        rows = [*chain_rows(rounds), *compile_rows(folder / "0" / "steps")]
        begun = starts(folder / "0" / "steps", folder / "0" / "pipeline", RUNS)
    data = "a small part of the data" if given.small else "the project's data"
    parts = [
        f"{head} {data[0].upper()}{data[1:]}, rounds: {given.rounds}.",
        table(HEADER, rows),
        start_table(begun),
    ]
    text = "\n\n".join(parts)
    print(f"\n{text}")
    if given.write:
        write_section("benchmarks/pipelines.py", text)


def chain(folder: Path, *, is_small: bool, steps_first: bool) -> Chain:
    """Both callers from nothing, one after the other; each in a project of its own."""
    places = {name: project(folder / name, is_small=is_small) for name in ("steps", "pipeline")}
    found: dict[str, Cost] = {}
    for name in sorted(places, reverse=steps_first):
        found[name] = by_steps(places[name]) if name == "steps" else told(TRAINING, places[name])
    return Chain(found["steps"], found["pipeline"], told(TRAINING, places["pipeline"]))


def project(folder: Path, *, is_small: bool) -> Path:
    """This checkout's project, or a small one on a part of its rows, with nothing made in it."""
    if not is_small:
        return copy(folder)
    small(Project(ROOT), folder)
    # The rows were fetched and prepared to pick some of them.
    for name in ("data/raw", "data/prepared", ".openautoglm"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return folder


def by_steps(place: Path) -> Cost:
    """The steps of training, one `openautoglm step` each."""
    costs = [told(("openautoglm", "step", name), place) for name in STEPS if name != "canary"]
    return Cost(sum(one.wall for one in costs), sum(one.cpu for one in costs))


def told(command: tuple[str, ...], place: Path) -> Cost:
    """What a command costs; it says so when it has ended, since minutes pass.

    Raises:
        SystemExit: It failed; what it said has been shown.
    """
    try:
        found = cost(command, place)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(command)} ended with {error.returncode}\n{error.stderr.decode()}")
    print(f"{' '.join(command)}: {found.wall:.1f} s", file=sys.stderr, flush=True)
    return found


def chain_rows(rounds: list[Chain]) -> list[tuple[str, ...]]:
    """The pipeline beside its steps; ratios are medians of those within a round."""
    cold, steps, again = (
        Cost(*(median(column) for column in zip(*costs, strict=True)))
        for costs in (
            [one.pipeline for one in rounds],
            [one.steps for one in rounds],
            [one.again for one in rounds],
        )
    )
    ratio = median(one.pipeline.wall / one.steps.wall for one in rounds)
    bar = f"{OVERHEAD_BAR:.2f} times"
    return [
        row("`pipeline run training`", cold, bar, "its steps, a process each", steps, ratio,
            beyond=ratio > OVERHEAD_BAR),
        row("the same again", again, "", "from nothing", cold, again.wall / cold.wall),
    ]  # fmt: skip


def compile_rows(place: Path) -> list[tuple[str, ...]]:
    """Each pipeline compiled by a command of its own, beside the import of Kubeflow's SDK."""
    source = "{kind: dvc, repo: 'https://git.invalid/data.git', path: a.csv, rev: v1}"
    given = ("--image", IMAGE, "--set", f"data.source={source}")
    commands = [("openautoglm", "pipeline", "compile", name, *given) for name in PIPELINES]
    bare, *found = side_by_side(
        (("python", "-c", "import kfp"), place), *((one, place) for one in commands), runs=RUNS
    )
    return [
        row(f"`pipeline compile {name}`", one, f"{COMPILE_BAR:g} s", "`import kfp`", bare,
            one.wall / bare.wall, beyond=one.wall > COMPILE_BAR)
        for name, one in zip(PIPELINES, found, strict=True)
    ]  # fmt: skip


def row(
    what: str, ours: Cost, bar: str, beside: str, other: Cost, ratio: float, *, beyond: bool = False
) -> tuple[str, ...]:
    """A line of the table."""
    mark = " **beyond**" if beyond else ""
    costs = [f"{one:.1f}" for one in (*ours, *other)]
    return (what, *costs[:2], bar, beside, *costs[2:], f"{ratio:.2f}{mark}")


def start_table(found: dict[str, Starts]) -> str:
    """Seconds until a step's first line, by each caller."""
    return table(
        ("seconds until the first line", "component", "`openautoglm step`", "ratio"),
        (
            (name, f"{one.component:.2f}", f"{one.step:.2f}", f"{one.component / one.step:.2f}")
            for name, one in found.items()
        ),
    )


if __name__ == "__main__":
    main()
