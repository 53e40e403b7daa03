"""Start the probe, the replica or a peer; know when it answers, what it costs; end all of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil
from wire import Address, post

PEERS = ("fastapi", "kserve", "litserve", "triton", "bentoml", "ray")
OURS = ("probe", "replica")
HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".openautoglm" / "peers"
REPLICAS = 2
PATIENCE = 90.0  # seconds to start
LOOKS = 20  # answers on connections of their own until a server counts as ready
_PATHS = {"kserve": "/v1/models/classifier:predict", "triton": "/v2/models/classifier/infer"}


class Served(NamedTuple):
    """A model folder with its digest, and where the replica's traces go."""

    model: Path
    digest: str
    traces: str


def body(name: str, text: str) -> bytes:
    """One text as this server wants it."""
    value: dict[str, object] = {"text": text}
    if name == "bentoml":
        value = {"text": [text]}
    if name == "triton":
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": [text]}
        value = {"inputs": [tensor]}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def label(name: str, answer: bytes) -> str:
    """What this server says of one text."""
    found = json.loads(answer)
    if name == "triton":
        return str(found["outputs"][0]["data"][0])
    return str((found[0] if name == "bentoml" else found)["label"])


def ready_environment(name: str) -> None:
    """Make a peer's virtual environment if it is not there.

    Raises:
        CalledProcessError: It cannot be made; pip has told why.
    """
    folder = ENVIRONMENTS / name
    done = folder / "requirements.txt"
    wanted = (HERE / name / "requirements.txt").read_bytes()
    if done.is_file() and done.read_bytes() == wanted:
        return
    print(f"making {folder} ...", file=sys.stderr)
    subprocess.run((sys.executable, "-m", "venv", "--clear", str(folder)), check=True)
    install = (str(folder / "bin" / "pip"), "install", "-qq", "--disable-pip-version-check")
    subprocess.run((*install, "-r", str(HERE / name / "requirements.txt")), check=True)
    done.write_bytes(wanted)


class Server:
    """A server with all of its processes, while the block lasts.

    Args:
        name: `probe`, `replica` or a peer.
        served: What it serves.
        work: A folder of its own, for its output and its temporary files.
    """

    def __init__(self, name: str, served: Served, work: Path) -> None:
        self.name = name
        self.address: Address = ("127.0.0.1", _free_port())
        self.path = _PATHS.get(name, "/v1/predict")
        self._served = served
        self._work = work
        self._processes: list[subprocess.Popen[bytes]] = []
        self._seen: set[psutil.Process] = set()

    def requests(self, texts: Sequence[str]) -> list[bytes]:
        """Each text as `load` takes it."""
        return [post(self.path, body(self.name, text)) for text in texts]

    def __enter__(self) -> Self:
        self._work.mkdir(parents=True, exist_ok=True)
        try:
            for command in self._commands():
                self._processes.append(self._start(command))
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def ask(self, text: str) -> str:
        """The label of one text, over a connection of its own.

        Raises:
            OSError: It does not answer.
            HTTPException: It does not answer in HTTP, or not with 200.
        """
        connection = HTTPConnection(*self.address, timeout=10)
        try:
            head = {"Content-Type": "application/json"}
            connection.request("POST", self.path, body(self.name, text), head)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise HTTPException(f"{answer.status}: {data[:200]!r}")
        return label(self.name, data)

    @property
    def tail(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def cpu(self) -> float:
        """CPU seconds of all its processes so far."""
        total = 0.0
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system
        return total

    def pause(self, *, on: bool) -> None:
        """Stop its processes where they are, so that they cost nothing, or let them go on."""
        if self.name == "triton":  # takes a part that stands still for dead, and dies of it
            return
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def _commands(self) -> Iterator[tuple[str, ...]]:
        served, port = self._served, str(self.address[1])
        common = ("--model", str(served.model), "--port", port)
        if self.name == "probe":
            processes = ("--processes", str(REPLICAS))
            yield (sys.executable, str(HERE.parent / "probe.py"), *common, *processes)
        elif self.name == "replica":
            program = str(Path(sys.executable).parent / "openautoglm")
            named = ("--name", "classifier", "--version", "1", "--digest", served.digest)
            shared = ("--reuse-port", "--grpc-port", str(_free_port()))
            for _ in range(REPLICAS):
                yield (program, "serve", *common, *named, *shared, "--set", "traces.ratio=0.01")
        else:
            python = str(ENVIRONMENTS / self.name / "bin" / "python")
            yield (python, str(HERE / self.name / "server.py"), *common)

    def _start(self, command: tuple[str, ...]) -> subprocess.Popen[bytes]:
        own = {
            "PYTHONPATH": str(HERE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self._work),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self._served.traces,
            "DO_NOT_TRACK": "1",
        }
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # ctrl-C is for the benchmark, which ends it in order
            )

    @property
    def _log(self) -> Path:
        return self._work / "output.txt"

    def _wait(self) -> None:
        late, answered = time.monotonic() + PATIENCE, 0
        while answered < LOOKS:
            try:
                self.ask("列车")
                answered = answered + 1 if self._all_listen() else 0
            except (OSError, HTTPException) as error:
                answered = 0
                ended = any(process.poll() is not None for process in self._processes)
                if ended or time.monotonic() > late:
                    raise RuntimeError(f"{self.name} did not start: {error}\n{self.tail}") from None
                time.sleep(0.1)

    def _all_listen(self) -> bool:
        """Whether each process listens that shares the port with others."""
        if self.name not in OURS:
            return True
        found = [one for process in self._tree() for one in process.net_connections("tcp")]
        here = [one for one in found if one.status == psutil.CONN_LISTEN]
        return sum(one.laddr.port == self.address[1] for one in here) >= REPLICAS

    def _tree(self) -> list[psutil.Process]:
        found = []
        for process in self._processes:
            with suppress(psutil.NoSuchProcess):
                root = psutil.Process(process.pid)
                found += [root, *root.children(recursive=True)]
        self._seen.update(found)
        return found

    def _end(self) -> None:
        """A polite signal to those we started, and an end to what is there after it.

        That includes what was seen before and has lost its parent since.
        """
        self.pause(on=False)
        self._tree()
        for process in self._processes:
            process.terminate()
        _, left = psutil.wait_procs(list(self._seen), timeout=5)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for process in self._processes:
            process.wait()


@contextmanager
def collector() -> Iterator[str]:
    """A place that takes traces, as `OTEL_EXPORTER_OTLP_ENDPOINT` wants it."""
    command = (sys.executable, str(HERE / "sink.py"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
