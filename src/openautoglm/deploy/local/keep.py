"""One process a lock: take the lock and become the command, or wait for whoever has it.

The supervisor starts every process through this file:

    python -I -S keep.py [--detach | --under=LOCK] LOCK LOG SECONDS [NAME=VALUE ...] -- COMMAND ...

The command inherits the lock, so the kernel frees it however that process ends. When the lock is
taken already (an earlier supervisor was killed and its children live on), nothing is started:
keep waits, passes SIGTERM and SIGINT on, sends SIGKILL after SECONDS, and takes the process's place
when it has ended by itself. With `--under` it ends when its parent is not, or no longer, the
holder of that lock. With `--detach` it leaves its caller, and ends when the lock is taken.
"""

# Standard library only, and no pathlib: this is on the way of every restart.
# ruff: noqa: PTH110, PTH116, PTH123, PTH208, SIM105

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time

Lock = str | os.PathLike[str]

_PAUSE = 0.05
_GRACE = 2.0
_REFUSES_TO_DIE = 10.0


def holder(lock: Lock) -> int | None:
    """Id of the process that holds a lock, None when it is free.

    The file names a process and its descriptor; that is believed only when this descriptor is
    this very file, so an id that was given to somebody else, or a copied file, names nobody.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        pid, theirs = os.read(descriptor, 64).split()
        there = os.stat(f"/proc/{int(pid)}/fd/{int(theirs)}")
        return int(pid) if os.path.samestat(there, os.fstat(descriptor)) else None
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def tell(lock: Lock, number: int) -> None:
    """Send a signal to the holder of a lock, if there is one."""
    pid = holder(lock)
    if pid is not None:
        _send(pid, number)


def end(lock: Lock, *, seconds: float) -> None:
    """End the holder of a lock: SIGTERM, and SIGKILL after `seconds`; 0 kills at once.

    Raises:
        TimeoutError: The lock is not free 10 s after SIGKILL.
    """
    if seconds > 0:
        tell(lock, signal.SIGTERM)
    patience = time.monotonic() + seconds
    while not free(lock):
        now = time.monotonic()
        if now > patience:
            kill(lock)
        if now > patience + _REFUSES_TO_DIE:
            raise TimeoutError(f"{os.fspath(lock)} is still held by process {holder(lock)}")
        time.sleep(_PAUSE / 5)


def free(lock: Lock) -> bool:
    """Whether nobody has a lock."""
    if not os.path.exists(lock):
        return True
    descriptor = _try(lock)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def kill(lock: Lock) -> None:
    """SIGKILL for the holder or, when it is gone, for children of it that still have its lock."""
    pid = holder(lock)
    for each in [pid] if pid is not None else having(lock):
        _send(each, signal.SIGKILL)


def having(lock: Lock) -> list[int]:
    """Other processes whose open file is what the lock hangs on, as the kernel tells it."""
    inode, found = f":{os.stat(lock).st_ino} ", []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for name in os.listdir(f"/proc/{pid}/fdinfo"):
                with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as lines:
                    if any("FLOCK" in line and inode in line for line in lines):
                        found.append(int(pid))
        except OSError:  # it has ended, or is another user's
            continue
    return [pid for pid in found if pid != os.getpid()]


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _try(lock: Lock) -> int | None:
    """The descriptor of a lock that is held from now on, None when somebody else holds it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Of a file that was removed meanwhile, everybody could have one.
        if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _take(lock: str, under: str, seconds: float, signals: list[int]) -> int | None:
    """The lock, once its holder has ended; None when the command is not to be started."""
    named, killing = time.monotonic(), float("inf")
    while True:
        descriptor = _try(lock)
        # A supervisor that was killed has a successor, and that one a keep of its own.
        if under and holder(under) != os.getppid():
            return None
        if descriptor is not None:
            return descriptor if killing == float("inf") else None
        now = time.monotonic()
        while signals:
            tell(lock, signals.pop())
            killing = min(killing, now + seconds)
        if holder(lock) is not None:
            named = now
        if now > killing or now > named + _GRACE:
            kill(lock)
        time.sleep(_PAUSE)


def _become(descriptor: int, log: str, changes: list[str], command: list[str]) -> None:
    """Tell who holds the lock and prepare what the command inherits."""
    os.set_inheritable(descriptor, True)
    # Of one length, so that it takes no room on a full disk but the first time.
    os.pwrite(descriptor, b"%10d %5d\n" % (os.getpid(), descriptor), 0)
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    except OSError:  # a full disk; to serve without a log is better than not to serve
        out = os.open(os.devnull, os.O_WRONLY)
    os.dup2(out, 1)
    os.dup2(out, 2)
    for change in changes:
        name, _, value = change.partition("=")
        os.environ[name] = value


def main(arguments: list[str]) -> int:
    """Take the lock and become the command; returns only when there is nothing to become."""
    cut = arguments.index("--")
    own, command = arguments[:cut], arguments[cut + 1 :]
    option = own.pop(0) if own[0].startswith("--") else ""
    lock, log, seconds, *changes = own
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.append(number))
    if option == "--detach":
        if os.fork():
            return 0
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        descriptor = _try(lock)
    else:
        # Its standard input stays what supervisord gave it. Were that closed, supervisord 4.3 might
        # poll its end of the pipe for ever, under a number that it had once polled for output.
        under = option.removeprefix("--under=")
        descriptor = _take(lock, under, float(seconds), signals)
    if descriptor is None:
        return 0
    _become(descriptor, log, changes, command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if signals:  # from here on, a signal ends this process by itself
        return 0
    try:
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error.strerror}\n".encode(errors="replace"))
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
