"""What a text classifier over HTTP costs at the least: the replica's yardstick.

    python benchmarks/probe.py --model FOLDER --port P [--processes 2]

Processes share the port. Each is one event loop (uvloop, httptools, orjson) and one thread that
takes what waits, 32 texts at most, tokenises, runs the graph and answers. No timer, bounds,
deadlines, metrics, logs or errors: `POST /v1/predict` of one text, right or not at all.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import queue
import signal
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import httptools
import orjson
import uvloop
from peers.bare import Bare

BATCH = 32
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


def main() -> None:
    """Serve until SIGTERM or ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    others = [
        spawn.Process(target=serve, args=(given.model, given.port), daemon=True)
        for _ in range(given.processes - 1)
    ]
    for other in others:
        other.start()
    serve(given.model, given.port)
    for other in others:
        other.terminate()


def serve(folder: Path, port: int) -> None:
    """One process: a thread that runs the model beside the loop that listens."""
    waiting: queue.SimpleQueue[Exchange] = queue.SimpleQueue()
    model = Bare(folder)
    model.probabilities(["一"] * BATCH)
    uvloop.run(listen(port, waiting, model))


async def listen(port: int, waiting: queue.SimpleQueue[Exchange], model: Bare) -> None:
    """Accept connections until a signal comes."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    threading.Thread(target=work, args=(loop, waiting, model), daemon=True).start()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    await loop.create_server(lambda: Exchange(waiting), sock=listener, backlog=1024)
    await done.wait()


def work(
    loop: asyncio.AbstractEventLoop, waiting: queue.SimpleQueue[Exchange], model: Bare
) -> None:
    """Take what waits, run it, and hand the answers to the loop."""
    number = itertools.count()
    while True:
        batch = [waiting.get()]
        while len(batch) < BATCH and not waiting.empty():
            batch.append(waiting.get())
        bodies = [
            orjson.dumps({**answer, "request_id": str(next(number))})
            for answer in model.answers([one.text for one in batch])
        ]
        loop.call_soon_threadsafe(send, batch, bodies)


def send(batch: Sequence[Exchange], bodies: Sequence[bytes]) -> None:
    """Write each answer to its connection, if the client is still there."""
    for one, body in zip(batch, bodies, strict=True):
        if not one.transport.is_closing():
            one.transport.write(HEAD % (len(body), body))


class Exchange(asyncio.Protocol):
    """A connection with the text that was asked last."""

    def __init__(self, waiting: queue.SimpleQueue[Exchange]) -> None:
        self.text = ""
        self.transport: asyncio.Transport
        self._waiting = waiting
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._body += body

    def on_message_complete(self) -> None:
        """All of it is there."""
        self.text = orjson.loads(self._body)["text"]
        self._body = b""
        self._waiting.put(self)


if __name__ == "__main__":
    main()
