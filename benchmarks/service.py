"""How long a service takes to be there, and to be whole again after each of its processes died.

    python benchmarks/service.py [--project FOLDER] [--rounds 3] [--write]

Deploys `config.yaml` of a project whose model is registered (after `make run`), as a person would:
the command in a process of its own. Then one process at a time is killed with SIGKILL while
requests come at a steady rate. It counts as whole when another process lives in its place, and the
controller tells, from then on, that all are healthy. At the end the service is deleted.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from document import ROOT, described, table, write_section
from load import Result, opened
from wire import post

from openautoglm.cli.services import services
from openautoglm.config.project import Project, find_project
from openautoglm.config.service import Service
from openautoglm.config.yaml import load
from openautoglm.deploy.ledger import now
from openautoglm.deploy.local import keep
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.deploy.local.status import read_status

KINDS = ("replica", "gateway", "controller", "supervisor")
READY, WHOLE = 10.0, 5.0
RATE, SECONDS, SETTLED = 100.0, 8.0, 7.0
"""Requests a second; seconds of a kill; age below which the supervisor makes a process pause."""
BODY = '{"text": "高速铁路轨道结构"}'.encode()


def main() -> None:
    """Measure, print, and with `--write` keep the tables."""
    arguments = _arguments()
    project = find_project(arguments.project)
    if services(project):
        sys.exit("a service is deployed here: openautoglm delete it first")
    text = [described()]
    ready = [_deploy(project, last=n + 1 == arguments.rounds) for n in range(arguments.rounds)]
    (folder,) = services(project)
    try:
        killed = {kind: _kills(folder, kind, arguments.rounds) for kind in KINDS}
    finally:
        _run(project, "delete")
    text.append(_tables(ready, killed))
    print("\n\n".join(text))
    if arguments.write:
        write_section("benchmarks/service.py", "\n\n".join(text))


def _deploy(project: Project, *, last: bool) -> float:
    """Seconds of one `deploy`; all but the last are taken down again, model store and all."""
    start = time.perf_counter()
    _run(project, "deploy")
    seconds = time.perf_counter() - start
    print(f"deploy: {seconds:.1f} s", flush=True)
    if not last:
        _run(project, "delete")
    return seconds


def _kills(folder: ServiceFolder, kind: str, rounds: int) -> list[tuple[float, int, int]]:
    """Seconds until it was whole, requests lost and refused, of each kill."""
    found = []
    for _ in range(rounds):
        before = _pids(folder)
        unit = next(name for name in before if name.startswith(kind))
        _until(lambda pid=before[unit]: _age(pid) > SETTLED)
        results: list[Result] = []
        asking = threading.Thread(target=lambda results=results: results.append(_asked(folder)))
        asking.start()
        time.sleep(1)  # so that requests are under way
        seconds = _kill(folder, unit, before)
        asking.join()
        refused = sum(count for status, count in results[0].statuses.items() if status != 200)
        lost = sum(results[0].errors.values()) + results[0].unanswered
        print(f"{kind}: whole after {seconds:.2f} s, {lost} lost, {refused} refused", flush=True)
        found.append((seconds, lost, refused))
    return found


def _asked(folder: ServiceFolder) -> Result:
    gateway = load(folder.project.config_file, Service).gateway
    requests = [post("/v1/predict", BODY)]
    return opened((gateway.host, gateway.port), requests, rate=RATE, seconds=SECONDS)


def _kill(folder: ServiceFolder, unit: str, before: dict[str, int]) -> float:
    start = time.perf_counter()
    os.kill(before[unit], signal.SIGKILL)
    _until(lambda: _pids(folder).keys() == before.keys() and _pids(folder)[unit] != before[unit])
    since = now()
    _until(lambda: _healthy(folder, since))
    return time.perf_counter() - start


def _healthy(folder: ServiceFolder, since: str) -> bool:
    status = read_status(folder.status)
    return status is not None and status.time > since and status.healthy


def _pids(folder: ServiceFolder) -> dict[str, int]:
    found = {lock.stem: keep.holder(lock) for lock in sorted(folder.running.glob("*.lock"))}
    return {unit: pid for unit, pid in found.items() if pid is not None}


def _age(pid: int) -> float:
    return time.time() - Path(f"/proc/{pid}").stat().st_ctime


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            sys.exit("it did not become whole within a minute")
        time.sleep(0.005)


def _run(project: Project, *words: str) -> None:
    command = [sys.executable, "-m", "openautoglm", "--project", str(project.root), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def _tables(ready: list[float], killed: dict[str, list[tuple[float, int, int]]]) -> str:
    first = table(
        ("deploy, until healthy", "s", "bar"),
        [(f"time {n}", f"{s:.1f}", f"<= {READY:g}") for n, s in enumerate(ready, start=1)],
    )
    rows = []
    for kind, found in killed.items():
        seconds, lost, refused = zip(*found, strict=True)
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        rows.append((kind, spread, f"<= {WHOLE:g}", str(max(lost)), str(max(refused))))
    second = table(("killed", "s until whole", "bar", "most lost", "most refused"), rows)
    asked = f"{RATE:g} requests/s while each was killed, {len(next(iter(killed.values())))} times."
    return "\n\n".join([first, second, asked])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--project", type=Path, default=ROOT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
