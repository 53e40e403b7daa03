"""`make bench`: what a user waits for, each beside what it can be compared with.

    python benchmarks/run.py [--only help|noop|chain]

Prints the figures; a whole run also writes them to `docs/benchmarks.md`. The exit code is 0
whatever they are: a figure beyond its bar is marked, and somebody has to look.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from document import ROOT, described, table, write_section
from processes import Cost, Watch, children_cpu, environment, side_by_side

RUNS = 5
MINUTE, GB = 60.0, 10**9
HELP_BAR, NOOP_BAR, CHAIN_BAR, MEMORY_BAR = 0.3, 3.0, 6 * MINUTE, 3.0
DRIFT_BAR = 10.0
_STARTED = re.compile(r"> openautoglm step (\w+)")
_DONE = re.compile(r"\[(\w+)\] done in ([\d.]+) s")
_IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")


class Step(NamedTuple):
    """One stage: all of its seconds, those inside the step, and the bytes at the highest."""

    name: str
    wall: float
    inside: float
    peak: int


def main() -> None:
    """Measure, print, and write down what a whole run found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("help", "noop", "chain"), help="print this one alone")
    only = parser.parse_args().only
    head = described()
    rows: list[tuple[str, ...]] = []
    steps: list[Step] = []
    if only in (None, "help"):
        rows.append(help_row())
    if only == "noop":
        rows += noop_rows(_up_to_date(ROOT))
    if only in (None, "chain"):
        with tempfile.TemporaryDirectory(prefix="openautoglm-bench-") as name:
            project = copy(Path(name) / "project")
            total, steps = chain(project)
            rows += chain_rows(total, steps)
            if only is None:
                rows += noop_rows(project)
    parts = [head, table(("what", "measured", "bar", "beside it", "ratio"), rows)]
    if steps:
        parts.append(step_table(steps))
    text = "\n\n".join(parts)
    print(f"\n{text}")
    if only is None:
        write_section("benchmarks/run.py", text)


def help_row() -> tuple[str, ...]:
    """CPU seconds of `openautoglm --help`."""
    ours, bare = side_by_side(
        (("openautoglm", "--help"), ROOT), (("python", "-c", "pass"), ROOT), runs=2 * RUNS + 1
    )
    return _row("`openautoglm --help`", ours.cpu, HELP_BAR, "s CPU", "`python -c pass`", bare.cpu)


def noop_rows(project: Path) -> list[tuple[str, ...]]:
    """Wall seconds of a `dvc repro` that has nothing to do, beside DVC's own start-up."""
    with tempfile.TemporaryDirectory(prefix="openautoglm-bench-") as name:
        one = _one_stage(Path(name))
        ours, stage, version = side_by_side(
            (("dvc", "repro"), project),
            (("dvc", "repro"), one),
            (("dvc", "--version"), one),
            runs=RUNS,
        )
    what = "`dvc repro`, nothing to do"
    return [
        _row(what, ours.wall, NOOP_BAR, "s", "the same with one stage", stage.wall),
        _row(what, ours.wall, NOOP_BAR, "s", "`dvc --version`", version.wall),
    ]


def chain(project: Path) -> tuple[Cost, list[Step]]:
    """`dvc repro` of the whole chain from nothing.

    Raises:
        SystemExit: It failed; its output has been shown.
    """
    # The copy's own code, whatever happens to the checkout meanwhile.
    env = environment(PYTHONUNBUFFERED="1", PYTHONPATH=str(project / "src"))
    before, start = children_cpu(), time.perf_counter()
    watch = Watch(("dvc", "repro"), project, env)
    begun: list[tuple[str, float]] = []
    peaks: list[int] = []
    inside: dict[str, float] = {}
    for line in watch.lines():
        print(line, end="", file=sys.stderr)
        if found := _STARTED.match(line):
            begun.append((found[1], time.perf_counter()))
            peaks.append(watch.peak())
        if found := _DONE.match(line):
            inside[found[1]] = float(found[2])
    end = time.perf_counter()
    peaks.append(watch.peak())
    if watch.code:
        raise SystemExit(f"dvc repro ended with {watch.code}")
    ends = [*(at for _, at in begun[1:]), end]
    # What DVC does before the first stage counts to the first.
    starts = [start, *(at for _, at in begun[1:])]
    steps = [
        Step(name, ends[i] - starts[i], inside[name], max(peaks[i + 1], peaks[0] if not i else 0))
        for i, (name, _) in enumerate(begun)
    ]
    return Cost(end - start, children_cpu() - before), steps


def chain_rows(total: Cost, steps: list[Step]) -> list[tuple[str, ...]]:
    """Time and memory of the chain against their bars."""
    what, train = "`dvc repro`, from nothing", next(s for s in steps if s.name == "train")
    drift = next(s for s in steps if s.name == "drift")
    start = drift.wall - drift.inside
    highest = max(step.peak for step in steps) / GB
    return [
        _row(what, total.wall, CHAIN_BAR, "s", "inside train", train.inside),
        _row(what, total.wall, CHAIN_BAR, "s", "CPU seconds of it", total.cpu),
        _row("drift: two reports by Evidently", drift.inside, DRIFT_BAR, "s", "its start", start),
        _row("its memory, all processes", highest, MEMORY_BAR, "GB", "train", train.peak / GB),
    ]


def step_table(steps: list[Step]) -> str:
    """Where the chain's time and memory go."""
    total = sum(step.wall for step in steps)
    return table(
        ("step", "seconds", "share", "inside the step", "start and DVC", "peak memory"),
        (
            (
                step.name,
                f"{step.wall:.1f}",
                f"{100 * step.wall / total:.0f} %",
                f"{step.inside:.1f}",
                f"{step.wall - step.inside:.1f}",
                f"{step.peak / GB:.2f} GB",
            )
            for step in steps
        ),
    )


def copy(project: Path) -> Path:
    """What git knows of this checkout, changes included, as a repository of its own."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, project / name)
    _commit(project)
    return project


def _one_stage(folder: Path) -> Path:
    (folder / "dvc.yaml").write_text("stages: {one: {cmd: echo 1 > one, outs: [one]}}\n")
    subprocess.run(("git", "init", "-q"), cwd=folder, check=True)
    for command in (("dvc", "init", "-q"), ("dvc", "repro", "-q")):
        subprocess.run(command, cwd=folder, env=environment(), check=True)
    _commit(folder)
    return folder


def _commit(folder: Path) -> None:
    for command in (("init", "-q"), ("add", "-A"), (*_IDENTITY, "commit", "-qm", "bench")):
        subprocess.run(("git", *command), cwd=folder, check=True)


def _up_to_date(project: Path) -> Path:
    status = ("dvc", "status", "--quiet")
    if subprocess.run(status, cwd=project, env=environment(), check=False).returncode:
        raise SystemExit("the chain is not up to date here: `make run` first, or without --only")
    return project


def _row(
    what: str, value: float, bar: float, unit: str, beside: str, other: float
) -> tuple[str, ...]:
    mark = " **beyond**" if value > bar else ""
    return (
        what,
        f"{_short(value)} {unit}{mark}",
        f"{bar:g} {unit}",
        f"{beside}: {_short(other)} {unit.replace(' CPU', '')}",
        f"{value / other:.2f}" if other else "",
    )


def _short(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


if __name__ == "__main__":
    main()
