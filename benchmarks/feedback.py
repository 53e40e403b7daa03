"""What keeping answers costs a replica: the same requests with feedback on and off.

    python benchmarks/feedback.py [--rounds 5] [--seconds 3]

Two replicas of one model with random weights (`random_model.py`), each a process. They take turns
within each round, so that the machine's drift falls on both. Figures are medians over rounds.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psutil
from document import described
from load import closed, opened
from random_model import build, headlines
from wire import Address, post

CONNECTIONS, RATE = 32, 500
_READY = re.compile(r"at (http://\S+?)(?:, gRPC at \S+)?$")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    given = parser.parse_args()
    texts = headlines()
    requests = [post("/v1/predict", f'{{"text": "{text}"}}'.encode()) for text in texts[:5000]]
    print(described(), file=sys.stderr)
    found: dict[str, list[tuple[float, ...]]] = {"off": [], "on": []}
    with tempfile.TemporaryDirectory(prefix="openautoglm-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        digest = build(folder / "model", "2x128", texts)
        replicas = {
            how: stack.enter_context(replica(folder, digest, feedback=how == "on")) for how in found
        }
        for turn in range(given.rounds):
            for how in sorted(found, reverse=bool(turn % 2)):
                found[how].append(measured(*replicas[how], requests, given.seconds))
                print(turn + 1, how, found[how][-1], file=sys.stderr)
        kept = folder / "feedback.db"
        print(f"the store has {kept.stat().st_size / 1e6:.1f} MB")
    names = ("requests/s closed", "CPU us a request", f"p50 ms at {RATE}/s", f"p99 ms at {RATE}/s")
    for place, what in enumerate(names):
        off, on = ([one[place] for one in found[how]] for how in ("off", "on"))
        ratio = median(b / a for a, b in zip(off, on, strict=True))
        print(f"{what:20} off {median(off):9.2f}  on {median(on):9.2f}  on/off {ratio:.3f}")


@contextmanager
def replica(
    folder: Path, digest: str, *, feedback: bool
) -> Iterator[tuple[Address, psutil.Process]]:
    """A replica that listens."""
    command = [sys.executable, "-m", "openautoglm", "serve", "--model", str(folder / "model")]
    command += ["--digest", digest, "--port", "0", "--grpc-port", "-1", "--set", "access_log=none"]
    if feedback:
        kept = folder / "feedback.yaml"
        kept.write_text(f"url: sqlite:///{folder}/feedback.db\n", encoding="utf-8")
        command += ["--feedback", str(kept)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = _READY.search(process.stdout.readline().strip())
            assert ready is not None
            parts = urlsplit(ready[1])
            yield (str(parts.hostname), int(parts.port or 0)), psutil.Process(process.pid)
        finally:
            process.terminate()


def measured(
    address: Address, process: psutil.Process, requests: list[bytes], seconds: float
) -> tuple[float, ...]:
    """Requests a second and CPU of each in a closed loop, and latency in an open one."""
    before = sum(process.cpu_times()[:2])
    full = closed(address, requests, connections=CONNECTIONS, seconds=seconds, warmup=0.5)
    cpu = (sum(process.cpu_times()[:2]) - before) / full.total * 1e6
    calm = opened(address, requests, rate=RATE, seconds=seconds)
    return full.rate(), cpu, calm.percentile(50), calm.percentile(99)


if __name__ == "__main__":
    main()
