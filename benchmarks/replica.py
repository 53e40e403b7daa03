"""The replica beside a bare probe and other servers: requests a second, latency, CPU.

    python benchmarks/replica.py                              # probe, replica and FastAPI
    python benchmarks/replica.py --peers none --rounds 5      # the two alone
    python benchmarks/replica.py --peers all --write          # everybody, into docs/benchmarks.md

Each is two processes that serve one folder with random weights (`random_model.py`); this machine
makes the load too. They take turns within each point, so that the machine's drift falls on all,
and who waits is stopped. Figures are medians over rounds, ratios medians of those within a round.
Peers are installed on first use, each apart (`peers/`).
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import closing
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from document import described, table, write_section
from peers.bare import Bare
from peers.launch import PEERS, Served, collector, ready_environment
from peers.turns import Found, Point, one_round
from random_model import SIZES, build, read

CONNECTIONS = (1, 8, 32, 128)
OPEN = {"2x128": 1000, "6x384": 100}  # requests a second
BATCH = 32


Rounds = dict[tuple[Point, str], list[Found]]


def main() -> None:
    """Measure and print; with `--write` into `docs/benchmarks.md` too."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    head = described()
    texts = read(given.texts)
    names = ["probe", "replica", *usable(given.peers)]
    points = [Point(many, None) for many in CONNECTIONS]
    points.append(Point(None, given.rate or OPEN[given.size]))
    with tempfile.TemporaryDirectory(prefix="openautoglm-bench-") as name, collector() as traces:
        folder = Path(name)
        digest = build(folder / "model", given.size, texts)
        rows = bare(folder / "model", texts)
        served = Served(folder / "model", digest, traces)
        rounds: Rounds = {}
        for turn in range(given.rounds):
            work = folder / str(turn)
            turns = one_round(names, points, served, texts, given.seconds, work)
            with closing(turns):  # ends the servers, whatever happens here
                for (point, name), found in turns:
                    print(f"round {turn + 1}, {point}, {name}: {found}", file=sys.stderr)
                    rounds.setdefault((point, name), []).append(found)
    others = [one.others for found in rounds.values() for one in found]
    parts = [
        f"{head} {given.size}, {given.rounds} rounds of {given.seconds} s a point; other programs "
        f"used {median(others):.2f} cores meanwhile, {max(others):.2f} at most.",
        rows,
        *(point_table(point, names, rounds) for point in points),
        bar_table(points, names[2:], given.size, rounds),
    ]
    text = "\n\n".join(parts)
    print(text)
    if given.write:
        own = "" if given.size == "2x128" else f" --size {given.size}"
        write_section(f"benchmarks/replica.py{own}", text)


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, help="one a line; none takes made-up headlines")
    parser.add_argument("--size", choices=SIZES, default="2x128")
    parser.add_argument("--peers", default="fastapi", help="names with commas, `none` or `all`")
    parser.add_argument("--seconds", type=int, default=5, help="of each point in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, help="requests/s of the open loop")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too")
    given = parser.parse_args()
    named = {"none": [], "all": list(PEERS)}.get(given.peers, given.peers.split(","))
    if unknown := set(named) - set(PEERS):
        parser.error(f"--peers: found {', '.join(unknown)}; allowed: {', '.join(PEERS)}")
    given.peers = named
    return given


def usable(peers: Sequence[str]) -> Iterator[str]:
    """Those whose environment is there or can be made."""
    for peer in peers:
        try:
            ready_environment(peer)
            yield peer
        except subprocess.CalledProcessError as error:
            print(f"{peer} is left out: {error}", file=sys.stderr)


def bare(folder: Path, texts: Sequence[str]) -> str:
    """Rows a second of ONNX Runtime with tokenising, two processes, in a sentence."""
    orders = (list(texts), sorted(texts, key=len))
    found = [0.0, 0.0]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        wait([pool.submit(_rows, folder, texts, 0.1, 0.0) for _ in range(2)])  # for the imports
        for _ in range(3):
            for place, rows in enumerate(orders):
                calls = [pool.submit(_rows, folder, rows, 1, time.time() + 1) for _ in range(2)]
                found[place] = max(found[place], sum(call.result() for call in calls))
    return (
        f"ONNX Runtime with tokenising and nothing else, batches of {BATCH}, two processes, "
        f"best of three: {found[0]:,.0f} rows/s, {found[1]:,.0f} sorted by length."
    )


def _rows(folder: Path, texts: Sequence[str], seconds: float, begin: float) -> float:
    model = Bare(folder)
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    model.probabilities(batches[0])
    # Not in order: as many long as short ones, whatever the time is enough for.
    turns = cycle(batches[place * 7919 % len(batches)] for place in range(len(batches)))
    time.sleep(max(begin - time.time(), 0))
    done, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        batch = next(turns)
        model.probabilities(batch)
        done += len(batch)
    return done / (time.perf_counter() - start)


def point_table(point: Point, names: Sequence[str], rounds: Rounds) -> str:
    """One point: a line a server, beside the probe."""
    header = (str(point), "requests/s", "of probe", "p50 ms", "p99 ms", "of probe", "CPU s/1000")
    rows = []
    for name in names:
        mine = rounds[point, name]
        failed = sum(one.failed for one in mine)
        rows.append(
            (
                name + (f" ({failed} failed)" if failed else ""),
                f"{median(one.rate for one in mine):,.0f}",
                f"{ratio(rounds, point, name, 'probe', 'rate'):.2f}",
                f"{median(one.p50 for one in mine):.2f}",
                f"{median(one.p99 for one in mine):.2f}",
                f"{ratio(rounds, point, name, 'probe', 'p99'):.2f}",
                f"{median(one.cpu for one in mine):.3f}",
            )
        )
    return table(header, rows)


def ratio(rounds: Rounds, point: Point, name: str, other: str, figure: str) -> float:
    """Median over rounds of one server's figure divided by another's in the same round."""
    pairs = zip(rounds[point, name], rounds[point, other], strict=True)
    return median(getattr(mine, figure) / getattr(theirs, figure) for mine, theirs in pairs)


def bar_table(points: Sequence[Point], peers: Sequence[str], size: str, rounds: Rounds) -> str:
    """What is asked of the replica, beside what was found."""
    rows = []
    for point in points:
        asked = _large(point, peers) if size == "6x384" else _small(point, peers)
        for other, figure, least, bar in asked:
            found = ratio(rounds, point, "replica", other, figure)
            missed = found < bar if least else found > bar
            told = f"{found:.2f}" + (" (!)" if missed else "")
            what = "requests/s" if figure == "rate" else "p99"
            rows.append((f"{point}: {what} of {other}'s", told, f"{'>' if least else '<'}= {bar}"))
    return table(("the replica", "measured", "bar"), rows)


Asked = Iterator[tuple[str, str, bool, float]]
"""Beside whom, which figure, whether at least or at most, how much."""


def _small(point: Point, peers: Sequence[str]) -> Asked:
    if point.rate is not None:
        yield "probe", "p99", False, 1.5
        return
    yield "probe", "rate", True, 0.85
    if "fastapi" in peers:
        if point.connections == 1:
            yield "fastapi", "rate", True, 0.95
        if point.connections in (32, 128):
            yield "fastapi", "rate", True, 2.2
            yield "fastapi", "p99", False, 0.5


def _large(point: Point, peers: Sequence[str]) -> Asked:
    for peer in peers:
        if point.rate is not None:
            yield peer, "p99", False, 1.0
        else:
            yield peer, "rate", True, 1.0


if __name__ == "__main__":
    main()
