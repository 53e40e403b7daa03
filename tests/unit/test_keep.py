"""One process a lock."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from openautoglm.deploy.local.keep import __file__ as KEEP  # noqa: N812
from openautoglm.deploy.local.keep import end, holder
from tests.support.wait import until

SLEEP = ("/bin/sleep", "infinity")
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("ready", flush=True)
while True: signal.pause()
"""


def with_commands():
    """Processes whose command line can be read."""
    return [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"]]


class Place:
    """A lock, a log, and what was started with them."""

    def __init__(self, folder: Path):
        self.lock, self.log = folder / "a.lock", folder / "a.log"
        self.started = []

    def command(self, *command, seconds=5, changes=(), options=()):
        return [
            *(sys.executable, "-I", "-S", KEEP, *options, str(self.lock), str(self.log)),
            *(str(seconds), *changes, "--", *command),
        ]

    def keep(self, *command, **how):
        """A process of keep that was started now."""
        process = subprocess.Popen(self.command(*command, **how))
        self.started.append(process)
        return process

    def held(self, *command, **how):
        """A process that holds the lock."""
        process = self.keep(*command, **how)
        until(lambda: holder(self.lock) == process.pid)
        return process

    def waiting(self, *command, **how):
        """A process of keep that waits for whoever holds the lock."""
        process = self.keep(*command, **how)
        until(lambda: _sleeps(process.pid))
        return process

    def says(self, text):
        until(lambda: self.log.exists() and text in self.log.read_text(encoding="utf-8"))


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()
    end(made.lock, seconds=0)


def _sleeps(pid):
    """Whether a keep has found the lock taken: it catches SIGTERM and is asleep."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    caught = int(status.partition("SigCgt:\t")[2].split()[0], 16)
    name = status.partition("State:\t")[2][0]
    return bool(caught >> (signal.SIGTERM - 1) & 1) and name == "S"


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_command_takes_the_place_of_keep_and_holds_the_lock(place):
    process = place.held(*SLEEP)
    assert Path(f"/proc/{process.pid}/comm").read_text(encoding="ascii").strip() == "sleep"


def test_the_lock_is_free_however_the_command_ends(place):
    process = place.held(*SLEEP)
    process.kill()
    process.wait()
    assert holder(place.lock) is None
    place.held(*SLEEP)


def test_what_the_command_writes_is_added_to_the_log(place):
    place.log.write_text("before\n", encoding="utf-8")
    place.keep("/bin/sh", "-c", "echo out; echo err >&2").wait()
    assert place.log.read_text(encoding="utf-8") == "before\nout\nerr\n"


def test_a_log_that_is_cut_goes_on_from_its_beginning(place):
    process = place.held(sys.executable, "-c", STUBBORN)
    place.says("ready")
    os.truncate(place.log, 0)
    process.terminate()
    place.says("asked")
    assert place.log.read_text(encoding="utf-8") == "asked\n"


def test_nothing_can_be_read_from_the_terminal(place):
    place.keep(sys.executable, "-c", "import sys; print(repr(sys.stdin.read()))").wait()
    assert place.log.read_text(encoding="utf-8") == "''\n"


def test_arguments_and_variables_arrive_as_they_are(place):
    odd = "科 技 'a' \"b\" %d #;"
    code = "import os, sys; sys.stdout.write(sys.argv[1] + os.environ['ODD'])"
    changes = [f"ODD={odd}=\n"]
    place.keep(sys.executable, "-X", "utf8", "-c", code, odd, changes=changes).wait()
    assert place.log.read_text(encoding="utf-8") == f"{odd}{odd}=\n"


def test_a_command_that_cannot_start_is_named_in_the_log(place):
    assert place.keep("/no/such/program").wait() == 127
    assert "cannot start /no/such/program: No such file" in place.log.read_text(encoding="utf-8")


def test_a_log_that_cannot_be_written_keeps_nobody_from_starting(place):
    place.log.mkdir()
    place.held(*SLEEP)


def test_a_second_one_starts_nothing(place):
    first = place.held(*SLEEP)
    second = place.waiting("/bin/sh", "-c", "echo started")
    assert holder(place.lock) == first.pid
    assert second.poll() is None
    assert not place.log.read_text(encoding="utf-8")


def test_a_second_one_takes_over_when_the_first_has_ended(place):
    first = place.held(*SLEEP)
    second = place.waiting(*SLEEP)
    first.kill()
    until(lambda: holder(place.lock) == second.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_asks_the_second_one_to_end_asks_the_first(place, number):
    first = place.held(*SLEEP)
    second = place.waiting(*SLEEP)
    second.send_signal(number)
    assert first.wait() == -number
    assert second.wait() == 0
    assert holder(place.lock) is None


def test_who_does_not_end_when_asked_is_killed(place):
    first = place.held(sys.executable, "-c", STUBBORN)
    place.says("ready")
    second = place.waiting(*SLEEP, seconds=1)
    second.terminate()
    assert first.wait() == -signal.SIGKILL
    assert second.wait() == 0
    place.says("asked")


def test_killing_the_second_one_leaves_the_first_alone(place):
    first = place.held(*SLEEP)
    second = place.waiting(*SLEEP)
    second.kill()
    second.wait()
    assert holder(place.lock) == first.pid


@pytest.fixture
def supervised(place, tmp_path):
    """A process of keep whose parent is to hold a lock, and that lock."""
    above = Place(tmp_path / "above")
    above.lock.parent.mkdir()
    code = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"

    def start(under):
        keep = place.command(*SLEEP, options=[f"--under={under}"])
        return above.keep(sys.executable, "-c", code, *keep)

    yield above, start
    for process in above.started:
        process.kill()
        process.wait()


def test_a_supervised_one_starts_its_command(place, supervised):
    above, start = supervised
    start(above.lock)
    until(lambda: holder(place.lock))


def test_who_waits_ends_with_its_supervisor(place, supervised):
    above, start = supervised
    first = place.held(*SLEEP)
    supervisor = start(above.lock)
    [waiting] = until(lambda: psutil.Process(supervisor.pid).children())
    until(lambda: _sleeps(waiting.pid))
    supervisor.kill()
    until(lambda: not alive(waiting.pid))
    assert holder(place.lock) == first.pid


def test_who_finds_another_supervisor_starts_nothing(place, supervised, tmp_path):
    _, start = supervised
    assert start(tmp_path / "successor.lock").wait() == 0
    assert holder(place.lock) is None
    assert not place.log.exists()


def test_children_that_a_dead_process_left_behind_do_not_keep_its_place(place):
    code = "import subprocess; subprocess.Popen(['sleep', 'infinity'], close_fds=False); input()"
    place.keep(sys.executable, "-c", code).wait()
    second = place.keep(*SLEEP)
    until(lambda: holder(place.lock) == second.pid)


def test_a_detached_one_has_left_its_caller(place):
    assert place.keep(*SLEEP, options=["--detach"]).wait() == 0
    pid = until(lambda: holder(place.lock))
    assert os.getsid(pid) == pid
    assert psutil.Process(pid).ppid() != os.getpid()


def test_a_detached_one_waits_for_nobody(place):
    first = place.held(*SLEEP)
    place.keep("/bin/sh", "-c", "echo started", options=["--detach"]).wait()
    # It has left its caller, and may still be about to look.
    until(lambda: not any("echo started" in p.info["cmdline"] for p in with_commands()))
    first.kill()
    first.wait()
    place.held(*SLEEP)
    assert not place.log.read_text(encoding="utf-8")


def test_end_asks_first(place):
    first = place.held(sys.executable, "-c", STUBBORN)
    place.says("ready")
    end(place.lock, seconds=1)
    place.says("asked")
    assert first.wait() == -signal.SIGKILL


def test_end_without_patience_does_not_ask(place):
    first = place.held(sys.executable, "-c", STUBBORN)
    place.says("ready")
    end(place.lock, seconds=0)
    assert first.wait() == -signal.SIGKILL
    assert "asked" not in place.log.read_text(encoding="utf-8")


def test_to_end_nobody_is_no_error(place):
    end(place.lock, seconds=1)
    assert not place.lock.exists()


def test_a_process_that_only_has_the_same_id_is_no_holder(place):
    place.lock.write_text(f"{os.getpid()} 0\n", encoding="ascii")
    assert holder(place.lock) is None


def test_the_lock_of_a_copied_folder_is_free(place, tmp_path):
    place.held(*SLEEP)
    copy = shutil.copy(place.lock, tmp_path / "copy.lock")
    assert holder(copy) is None


def test_the_lock_of_a_moved_folder_is_held(place, tmp_path):
    first = place.held(*SLEEP)
    place.lock = place.lock.rename(tmp_path / "moved.lock")
    assert holder(place.lock) == first.pid
    second = place.waiting(*SLEEP)
    assert holder(place.lock) == first.pid
    assert second.poll() is None
