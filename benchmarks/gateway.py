"""What the gateway costs: the same replicas, asked directly and through one Envoy or two.

    python benchmarks/gateway.py [--size 6x384] [--seconds 5] [--rounds 3] [--write]

Model, texts, points and the two replicas behind one port are those of `replica.py`. The Envoys are
as a service with default settings has them; they run on the cores that the replicas and the load
use. Ways take turns of a second within each point, and who waits is stopped. Figures are medians
over rounds, ratios medians of those within a round; CPU is microseconds a request.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from balancing import HOST, free_port, gateway
from document import described, table, write_section
from load import closed
from peers.bare import Bare
from peers.launch import Served, Server, collector
from peers.turns import Burst, Found, Point, calm_burst, found_in
from random_model import SIZES, build, read
from replica import CONNECTIONS, OPEN, ratio
from wire import Address

from openautoglm.config.gateway import Gateway
from openautoglm.routing.routes import Endpoint, Routes

BARE = "replica"
HEADER = ("requests/s", "of bare", "p50 ms", "of bare", "p99 ms", "of bare")
Rounds = dict[tuple[Point, str], list[Found]]


class Spent(float):
    """CPU seconds of replicas and Envoys together, and which of them are Envoy's."""

    envoy: float

    def __new__(cls, total: float, envoy: float) -> Spent:
        """Both of them."""
        found = super().__new__(cls, total)
        found.envoy = envoy
        return found

    def __sub__(self, before: Spent) -> Spent:
        return Spent(float(self) - float(before), self.envoy - before.envoy)


@dataclass
class Way:
    """A way to the replicas, with what `calm_burst` wants of a server.

    `renew` is called before each burst.
    """

    name: str
    server: Server
    address: Address
    envoys: Sequence[psutil.Process] = ()
    renew: Callable[[], None] = lambda: None

    @property
    def tail(self) -> str:
        """The end of what the replicas wrote; Envoys write to our own standard error."""
        return self.server.tail

    def cpu(self) -> Spent:
        """CPU seconds so far."""
        used = [one.cpu_times() for one in self.envoys]
        envoy = sum(one.user + one.system for one in used)
        return Spent(self.server.cpu() + envoy, envoy)

    def pause(self, *, on: bool) -> None:
        """Stop what is on this way, or let it go on."""
        self.server.pause(on=on)
        for one in self.envoys:
            one.send_signal(signal.SIGSTOP if on else signal.SIGCONT)
        if not on:
            self.renew()


def main() -> None:
    """Measure and print; with `--write` into `docs/benchmarks.md` too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="2x128")
    parser.add_argument("--seconds", type=int, default=5, help="of each point in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    head, texts = described(), read(None)
    points = [*(Point(many, None) for many in CONNECTIONS), Point(None, OPEN[given.size])]
    rounds: Rounds = {}
    with tempfile.TemporaryDirectory(prefix="openautoglm-bench-") as name, collector() as traces:
        folder = Path(name)
        served = Served(folder / "model", build(folder / "model", given.size, texts), traces)
        for turn in range(given.rounds):
            for key, one in one_round(points, served, texts, given.seconds, folder / str(turn)):
                rounds.setdefault(key, []).append(one)
    others = [one.others for found in rounds.values() for one in found]
    told = (
        f"{head} {given.size}, {given.rounds} rounds of {given.seconds} s a point; other programs "
        f"used {median(others):.2f} cores meanwhile, {max(others):.2f} at most."
    )
    text = "\n\n".join([told, *(point_table(point, rounds) for point in points)])
    print(text)
    if given.write:
        own = "" if given.size == "2x128" else f" --size {given.size}"
        write_section(f"benchmarks/gateway.py{own}", text)


def one_round(
    points: Sequence[Point], served: Served, texts: Sequence[str], seconds: int, work: Path
) -> list[tuple[tuple[Point, str], Found]]:
    """Each point of each way, with processes that are started anew.

    Raises:
        RuntimeError: Something does not start, or answers are not the model's.
    """
    expected = Bare(served.model).answers(texts[:1])[0]["label"]
    found = []
    with ExitStack() as stack:
        server = stack.enter_context(Server("replica", served, work))
        if (label := server.ask(texts[0])) != expected:
            raise RuntimeError(f"the replica answers {label} where the model says {expected}")
        ways = [Way(BARE, server, server.address)]
        ways += [stack.enter_context(through(count, server)) for count in (1, 2)]
        requests = server.requests(texts)
        for way in ways:
            way.pause(on=False)
            closed(way.address, requests, connections=32, seconds=2)
            way.pause(on=True)
        for point in points:
            bursts: dict[str, list[Burst]] = {way.name: [] for way in ways}
            for seed in range(seconds):
                turned = requests[1000 * seed :] + requests[: 1000 * seed]
                for way in ways:
                    bursts[way.name].append(calm_burst(point, way, turned, seed))
            for name, mine in bursts.items():
                found.append(((point, name), together(mine)))
                print(f"{point}, {name}: {found[-1][1]}", file=sys.stderr)
    return found


@contextmanager
def through(count: int, server: Server) -> Iterator[Way]:
    """The way through so many Envoys.

    To them the port that the replicas share is one replica. Each burst is a variant of its own,
    with new connections: which replica gets one is the kernel's dice, as it is without Envoy.
    """
    settings, turns = Gateway(port=free_port(), processes=count), itertools.count()
    with gateway(settings) as (router, processes):

        def renew() -> None:
            if any(one.poll() is not None for one in processes):
                raise RuntimeError("an Envoy ended; it has told why")
            name = f"turn-{next(turns)}"
            router.apply(Routes({name: (Endpoint(*server.address),)}, {name: 100}))

        envoys = [psutil.Process(one.pid) for one in processes]
        yield Way(f"{count} Envoy{'s' * (count > 1)}", server, (HOST, settings.port), envoys, renew)


def together(bursts: Sequence[Burst]) -> Found:
    """Bursts as one measurement, whose CPU tells Envoy's part."""
    found = found_in(bursts)
    envoy = sum(one.cpu.envoy for one in bursts)
    requests = max(sum(one.result.total for one in bursts), 1)
    return found._replace(cpu=Spent(found.cpu, 1000 * envoy / requests))


def point_table(point: Point, rounds: Rounds) -> str:
    """One point: a line a way, beside the bare replicas."""
    rows = []
    for name in (name for where, name in rounds if where == point):
        mine = rounds[point, name]
        failed = sum(one.failed for one in mine)
        row = [name + (f" ({failed} failed)" if failed else "")]
        for figure, form in (("rate", ",.0f"), ("p50", ".2f"), ("p99", ".2f")):
            row.append(format(median(getattr(one, figure) for one in mine), form))
            row.append(f"{ratio(rounds, point, name, BARE, figure):.2f}")
        row.append(f"{1000 * median(one.cpu.envoy for one in mine):.0f}")
        row.append(f"{1000 * median(float(one.cpu) - one.cpu.envoy for one in mine):.0f}")
        rows.append(row)
    return table((str(point), *HEADER, "Envoy us", "replica us"), rows)


if __name__ == "__main__":
    main()
