"""The real supervisord and keep, with tiny commands to keep alive."""

import ast
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from openautoglm.config.project import Project
from openautoglm.deploy.ledger import Record, append, last
from openautoglm.deploy.local.folder import ServiceFolder, interpreter
from openautoglm.deploy.local.keep import __file__ as KEEP  # noqa: N812
from openautoglm.deploy.local.keep import holder
from openautoglm.deploy.local.logs import last_lines, trim
from openautoglm.deploy.local.supervisor import Supervisor
from openautoglm.deploy.local.unit import read_units
from openautoglm.deploy.release import Release
from openautoglm.errors import ArtifactError, BusyError, DeployError, StoreError
from tests.support.service import SLEEP, kill, pid_of, processes, service, unit
from tests.support.wait import PATIENCE, until

STUBBORN = (
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True)); "
    "print('ready', flush=True); [signal.pause() for _ in iter(int, 1)]",
)
HOLDS = (
    "import fcntl, sys; lock = open(sys.argv[1], 'a'); fcntl.flock(lock, fcntl.LOCK_EX); "
    "print('has it', flush=True); sys.stdin.read()"
)


@pytest.fixture
def folder(tmp_path):
    with service(tmp_path) as made:
        yield made


@pytest.fixture
def supervisor(folder):
    return Supervisor(folder)


@pytest.fixture
def patient(monkeypatch):
    """Whoever waits for a turn waits longer than a busy machine may take for those before."""
    monkeypatch.setattr("openautoglm.deploy.local.supervisor._TURN_SECONDS", PATIENCE)


def state(supervisor, name):
    found = supervisor.states().get(name)
    return found and found.state


def reaches(supervisor, name, wanted):
    until(lambda: state(supervisor, name) == wanted, what=f"{name} is not {wanted}")


def test_units_run_and_are_told(supervisor, folder):
    supervisor.add(unit("one"), unit("two"))
    supervisor.ensure()
    reaches(supervisor, "one", "RUNNING")
    assert supervisor.states()["one"].pid == pid_of(folder, "one")
    assert set(supervisor.states()) == {"one", "two"}


def test_nothing_changes_the_second_time(supervisor, folder):
    supervisor.add(unit("one"))
    supervisor.ensure()
    pids = pid_of(folder, "supervisor"), pid_of(folder, "one")
    supervisor.ensure()
    assert (pid_of(folder, "supervisor"), pid_of(folder, "one")) == pids


def test_a_unit_can_be_added_to_those_that_run(supervisor, folder):
    supervisor.add(unit("one"))
    supervisor.ensure()
    first = pid_of(folder, "one")
    supervisor.add(unit("two"))
    pid_of(folder, "two")
    assert pid_of(folder, "one") == first


def test_a_unit_that_is_killed_is_started_again(supervisor, folder):
    supervisor.add(unit("one"))
    supervisor.ensure()
    reaches(supervisor, "one", "RUNNING")
    old = kill(folder, "one")
    until(lambda: pid_of(folder, "one") != old)


def test_a_unit_keeps_the_pipe_that_supervisord_gave_it_for_input(supervisor, folder):
    supervisor.add(unit("replica-0"))
    supervisor.ensure()
    pid = pid_of(folder, "replica-0")
    until(lambda: psutil.Process(pid).name() == "sleep")
    assert str(Path(f"/proc/{pid}/fd/0").readlink()).startswith("pipe:")


def test_a_unit_that_hangs_is_started_again(supervisor, folder):
    supervisor.add(unit("one"))
    supervisor.ensure()
    old = pid_of(folder, "one")
    os.kill(old, signal.SIGSTOP)
    supervisor.restart("one")
    until(lambda: holder(folder.lock_of("one")) not in (None, old))


def test_a_unit_that_is_stopped_stays_so_and_can_be_forgotten(supervisor, folder):
    supervisor.add(unit("one"), unit("two"))
    supervisor.ensure()
    pid_of(folder, "one")
    assert not supervisor.forget("one")
    supervisor.stop("one")
    until(lambda: supervisor.forget("one"))
    assert set(supervisor.states()) == {"two"}
    assert [each.name for each in supervisor.units()] == ["two"]
    assert not folder.lock_of("one").exists()


def test_stop_does_not_wait(supervisor, folder):
    supervisor.add(unit("one", *STUBBORN, stop_seconds=60))
    supervisor.ensure()
    until(lambda: last_lines(folder, "one", 1) == ["ready"])
    supervisor.stop("one")
    assert state(supervisor, "one") == "STOPPING"
    assert not supervisor.forget("one")
    kill(folder, "one")
    until(lambda: supervisor.forget("one"))


def test_forget_does_not_wait_for_a_process_that_has_lost_its_supervisor(supervisor, folder):
    supervisor.add(unit("one", stop_seconds=1))
    supervisor.ensure()
    pid_of(folder, "one")
    supervisor.stop("one")
    reaches(supervisor, "one", "STOPPED")
    files = (str(folder.lock_of("one")), str(folder.log_of("one")))
    lost = subprocess.Popen([sys.executable, "-IS", KEEP, *files, "0", "--", *STUBBORN])
    until(lambda: last_lines(folder, "one", 1) == ["ready"])
    assert not supervisor.forget("one")
    assert lost.poll() is None
    until(lambda: supervisor.forget("one"))
    assert lost.wait() == -signal.SIGKILL
    assert last_lines(folder, "one", 1) == ["asked"]


def test_whoever_waits_too_long_is_told_for_whom(supervisor, folder, monkeypatch):
    monkeypatch.setattr("openautoglm.deploy.local.supervisor._TURN_SECONDS", 0.1)
    supervisor.add(unit("one"))
    command = [sys.executable, "-c", HOLDS, str(folder.turn)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(BusyError, match=rf"process {other.pid}\) is at work here"):
            supervisor.add(unit("two"))
        other.stdin.close()
    supervisor.add(unit("two"))


def test_drop_waits_and_kills_who_does_not_end(supervisor, folder):
    supervisor.add(unit("one", *STUBBORN, stop_seconds=1))
    supervisor.ensure()
    until(lambda: last_lines(folder, "one", 1) == ["ready"])
    supervisor.drop("one")
    assert last_lines(folder, "one", 1) == ["asked"]
    assert holder(folder.lock_of("one")) is None
    assert not supervisor.states()


def test_drop_works_without_a_supervisor(supervisor, folder):
    supervisor.add(unit("one"))
    supervisor.ensure()
    pid_of(folder, "one")
    kill(folder, "supervisor")
    supervisor.drop("one")
    assert holder(folder.lock_of("one")) is None
    assert not supervisor.units()


def test_a_unit_of_the_same_name_gets_its_new_command_when_it_is_started(supervisor, folder):
    supervisor.add(unit("one"))
    supervisor.ensure()
    old = pid_of(folder, "one")
    supervisor.add(unit("one", "/bin/sleep", "1000"))
    assert pid_of(folder, "one") == old
    supervisor.stop("one")
    reaches(supervisor, "one", "STOPPED")
    supervisor.start("one")
    new = pid_of(folder, "one")
    until(lambda: Path(f"/proc/{new}/cmdline").read_bytes() == b"/bin/sleep\x001000\x00")


def test_a_unit_that_only_fails_is_given_up_and_can_be_started_again(supervisor, folder, tmp_path):
    repaired = tmp_path / "repaired"
    script = f"test -e '{repaired}' && exec sleep infinity; echo no model; exit 3"
    supervisor.add(unit("one", "/bin/sh", "-c", script))
    supervisor.ensure()
    reaches(supervisor, "one", "BACKOFF")
    reaches(supervisor, "one", "FATAL")
    assert "exit status 3" in supervisor.states()["one"].error
    assert last_lines(folder, "one", 1) == ["no model"]
    repaired.touch()
    supervisor.start("one")
    reaches(supervisor, "one", "RUNNING")


def test_a_command_that_does_not_exist_is_told(supervisor, folder):
    supervisor.add(unit("one", "/no/such/program"))
    supervisor.ensure()
    until(lambda: "127" in supervisor.states()["one"].error)
    assert last_lines(folder, "one", 1) == [
        "cannot start /no/such/program: No such file or directory"
    ]


def test_a_killed_supervisor_is_started_again_and_adopts_what_runs(supervisor, folder):
    supervisor.add(unit("one"), unit("two"))
    supervisor.ensure()
    pids = [pid_of(folder, name) for name in ("one", "two")]
    old = kill(folder, "supervisor")
    assert not supervisor.alive()
    with pytest.raises(DeployError, match="does not answer"):
        supervisor.states()
    supervisor.ensure()
    assert pid_of(folder, "supervisor") != old
    reaches(supervisor, "one", "RUNNING")
    assert [supervisor.states()[name].pid for name in ("one", "two")] == pids


def test_what_was_adopted_is_stopped_and_started_as_any_other(supervisor, folder):
    supervisor.add(unit("one"), unit("two"))
    supervisor.ensure()
    pids = {name: pid_of(folder, name) for name in ("one", "two")}
    for _ in range(2):  # the second one finds keeps that wait
        kill(folder, "supervisor")
        supervisor.ensure()
    supervisor.stop("one")
    until(lambda: supervisor.forget("one"))
    os.kill(pids["two"], signal.SIGKILL)
    until(lambda: holder(folder.lock_of("two")) not in (None, pids["two"]))
    until(lambda: len(processes(folder)) == 1)  # supervisord; of the keeps, none is left


def test_a_unit_whose_keep_was_killed_is_stopped_as_any_other(supervisor, folder):
    supervisor.add(unit("one"))
    supervisor.ensure()
    pid = pid_of(folder, "one")
    kill(folder, "supervisor")
    supervisor.ensure()
    [waiting] = until(psutil.Process(pid_of(folder, "supervisor")).children)
    waiting.kill()
    supervisor.stop("one")
    until(lambda: supervisor.forget("one"))
    assert not Path(f"/proc/{pid}/exe").exists()


def test_a_supervisor_that_hangs_is_replaced(supervisor, folder, monkeypatch):
    supervisor.add(unit("one"))
    supervisor.ensure()
    pid, old = pid_of(folder, "one"), pid_of(folder, "supervisor")
    os.kill(old, signal.SIGSTOP)
    monkeypatch.setattr("openautoglm.deploy.local.daemon._ANSWERS_IN", 0.1)
    monkeypatch.setattr("openautoglm.deploy.local.rpc._SECONDS", 2)
    supervisor.ensure()
    assert pid_of(folder, "supervisor") != old
    assert pid_of(folder, "one") == pid


def test_a_supervisor_whose_socket_was_removed_is_replaced(supervisor, folder, monkeypatch):
    supervisor.add(unit("one"))
    supervisor.ensure()
    pid = pid_of(folder, "one")
    shutil.rmtree(folder.sockets)
    monkeypatch.setattr("openautoglm.deploy.local.daemon._ANSWERS_IN", 0.1)
    supervisor.ensure()
    assert supervisor.alive()
    assert pid_of(folder, "one") == pid


def test_two_at_once_start_one(folder, patient):
    Supervisor(folder).add(unit("one"))
    gate = threading.Barrier(4)

    def ensure(_):
        gate.wait()
        Supervisor(folder).ensure()
        return pid_of(folder, "supervisor"), pid_of(folder, "one")

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(ensure, range(4)))
    assert len(found) == 1
    assert len([line for line in processes(folder) if "supervisor.supervisord" in line]) == 1


def test_units_that_several_add_at_once_are_all_there(folder, patient):
    Supervisor(folder).ensure()
    names = [f"unit-{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Supervisor(folder).add(unit(name)), names))
    assert sorted(Supervisor(folder).states()) == names


def test_what_supervisord_should_not_have_is_stopped(supervisor, folder):
    supervisor.add(unit("one"), unit("two"))
    supervisor.ensure()
    pid_of(folder, "two")
    folder.units.write_text(f"[{unit('one').model_dump_json()}]", encoding="utf-8")
    until(lambda: supervisor.ensure() or set(supervisor.states()) == {"one"})
    assert holder(folder.lock_of("two")) is None


def test_shutdown_leaves_nothing(supervisor, folder):
    kinds = ("controller", "gateway", "replica", "replica")
    supervisor.add(*(unit(f"unit-{n}", kind=kind) for n, kind in enumerate(kinds)))
    supervisor.ensure()
    for number in range(4):
        pid_of(folder, f"unit-{number}")
    supervisor.shutdown()
    assert not processes(folder)
    assert not folder.sockets.exists()
    assert [lock for lock in folder.running.glob("*.lock") if holder(lock)] == []


def test_shutdown_ends_what_a_killed_supervisor_left(supervisor, folder):
    supervisor.add(unit("one"), unit("two", *STUBBORN, stop_seconds=1))
    supervisor.ensure()
    until(lambda: last_lines(folder, "two", 1) == ["ready"])
    pid_of(folder, "one")
    kill(folder, "supervisor")
    supervisor.shutdown()
    assert [lock for lock in folder.running.glob("*.lock") if holder(lock)] == []
    assert not folder.sockets.exists()


def test_shutdown_ends_the_controller_first_and_the_replicas_last(supervisor, folder, tmp_path):
    order = tmp_path / "order"
    script = "trap 'echo {0} >> \"{1}\"; exit' TERM; echo ready; while :; do sleep 0.05; done"
    for kind in ("replica", "gateway", "controller"):
        supervisor.add(unit(kind, "/bin/sh", "-c", script.format(kind, order), kind=kind))
    supervisor.ensure()
    for kind in ("replica", "gateway", "controller"):
        until(lambda kind=kind: last_lines(folder, kind, 1) == ["ready"])
    supervisor.shutdown()
    assert order.read_text(encoding="utf-8").split() == ["controller", "gateway", "replica"]


def test_a_service_that_never_ran_can_be_shut_down(supervisor, folder):
    supervisor.shutdown()
    assert not folder.sockets.exists()


def test_after_a_delete_nobody_starts_anything(supervisor, folder):
    supervisor.add(unit("one"))
    supervisor.ensure()
    pid_of(folder, "one")
    append(folder.ledger, Record(kind="delete", by="test"))
    for start in (supervisor.ensure, lambda: supervisor.add(unit("two"))):
        with pytest.raises(DeployError, match="small was deleted"):
            start()
    supervisor.shutdown()
    for path in (folder.running, folder.logs, folder.envoy, folder.settings):
        shutil.rmtree(path)
    with pytest.raises(DeployError, match="deleted"):
        supervisor.ensure()
    assert not folder.running.exists()
    assert not folder.sockets.exists()
    assert not processes(folder)


@pytest.fixture
def copy(supervisor, folder, tmp_path_factory):
    """A copy of a service that goes on meanwhile."""
    supervisor.add(unit("one"), unit("two", kind="gateway", admin=str(folder.sockets / "two.sock")))
    supervisor.ensure()
    (folder.sockets / "two.sock").touch()
    before = [pid_of(folder, name) for name in ("supervisor", "one", "two")]
    root = tmp_path_factory.mktemp("copies") / "copy"
    shutil.copytree(folder.project.root, root)
    with service(root) as made:
        yield made
    assert [pid_of(folder, name) for name in ("supervisor", "one", "two")] == before
    assert supervisor.alive()
    assert (folder.sockets / "two.sock").exists()


def test_a_copy_has_no_units_and_starts_none(copy, folder):
    supervisor = Supervisor(copy)
    assert supervisor.foreign()
    assert supervisor.units() == []
    for start in (supervisor.ensure, lambda: supervisor.add(unit("one"))):
        with pytest.raises(DeployError, match=f"copy of {folder.root}"):
            start()
    assert not processes(copy)


def test_a_copy_can_be_shut_down(copy):
    Supervisor(copy).shutdown()
    assert not copy.sockets.exists()


def decided():
    served = Release(name="a", version="1", digest="", family="linear", variant="fp32", origin="a")
    releases, weights = {"champion": served}, {"champion": 100}
    return Record(time="now", kind="deploy", by="test", releases=releases, weights=weights)


def test_a_copy_that_was_claimed_is_a_service_of_its_own(copy, folder):
    supervisor = Supervisor(copy)
    (copy.envoy / "routes.json").touch()
    append(copy.ledger, decided())
    supervisor.claim()
    assert not supervisor.foreign()
    assert not list(copy.envoy.iterdir())
    assert last(copy.ledger) == decided()
    supervisor.add(unit("one"))
    supervisor.ensure()
    assert pid_of(copy, "one") != pid_of(folder, "one")
    supervisor.claim()
    assert [each.name for each in supervisor.units()] == ["one"]


def test_a_moved_project_goes_on_under_its_new_path(tmp_path):
    old = ServiceFolder(Project(tmp_path / "old"), "small")
    (tmp_path / "old").mkdir()
    Supervisor(old).add(unit("one"))
    Supervisor(old).ensure()
    pid, first = pid_of(old, "one"), pid_of(old, "supervisor")
    (tmp_path / "old").rename(tmp_path / "new")
    with service(tmp_path / "new") as new:
        moved = Supervisor(new)
        assert not moved.foreign()
        moved.ensure()
        assert pid_of(new, "one") == pid
        assert pid_of(new, "supervisor") != first
        assert not processes(old)
        assert not old.sockets.exists()
        kill(new, "one")
        until(lambda: holder(new.lock_of("one")) not in (None, pid))
        assert not moved.foreign()


def test_what_has_its_place_where_a_project_was_moved_from_keeps_its_socket(tmp_path, folder):
    folder.make()
    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind(str(folder.sockets / "admin.sock"))
        other.listen()
        with service(tmp_path / "moved") as moved:
            supervisor = Supervisor(moved)
            supervisor.add(unit("one", kind="gateway", admin=str(folder.sockets / "admin.sock")))
            supervisor.drop("one")
        assert (folder.sockets / "admin.sock").exists()


def test_processes_get_little_of_the_shell_that_started_them(supervisor, folder, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "small")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    script = "import os; print(sorted(os.environ), flush=True); input()"
    supervisor.add(unit("one", sys.executable, "-c", script, environment={"OWN": "1"}))
    supervisor.ensure()
    [told] = until(lambda: last_lines(folder, "one", 1))
    assert {"PATH", "OTEL_SERVICE_NAME", "OMP_NUM_THREADS", "OWN"} <= set(ast.literal_eval(told))
    assert not {"SOME_TOKEN", "PYTHONPATH"} & set(ast.literal_eval(told))


def test_the_interpreter_is_the_same_however_it_was_called(tmp_path):
    (tmp_path / "link").symlink_to(sys.prefix)
    script = "from openautoglm.deploy.local.folder import interpreter as i; print(i())"
    for called in (Path(sys.prefix) / "bin" / "python3", tmp_path / "link" / "bin" / "python"):
        told = subprocess.run([called, "-c", script], check=True, capture_output=True, text=True)
        assert told.stdout.strip() == interpreter()
    assert Path(interpreter()).samefile(sys.executable)


def test_a_folder_for_sockets_that_somebody_else_made_is_told(folder, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(StoreError, match="sudo rm -r /tmp/openautoglm-12345"):
        folder.make()
    folder.sockets.parent.rmdir()
    monkeypatch.undo()


@pytest.mark.parametrize("name", ["a b", "科　;技 #1", "50%", "%(here)s", "it's", 'a "b"', "-c"])
def test_any_path_will_do(tmp_path, name):
    (tmp_path / name).mkdir()
    with service(tmp_path / name) as folder:
        script = (
            sys.executable,
            "-X",
            "utf8",
            "-c",
            "import os, sys; print(sys.argv[1:], os.environ['ODD'], flush=True)",
        )
        supervisor = Supervisor(folder)
        supervisor.add(unit("one", *script, str(folder.root), environment={"ODD": f'{name}="x,y"'}))
        supervisor.ensure()
        wanted = [str([str(folder.root)]) + f' {name}="x,y"']
        until(lambda: last_lines(folder, "one", 1) == wanted)


def test_a_path_with_a_line_break_is_refused(tmp_path):
    with service(tmp_path / "a\nb") as folder:
        with pytest.raises(StoreError, match="line break"):
            Supervisor(folder).add(unit("one"))
        assert Supervisor(folder).units() == []


def test_a_list_of_units_that_cannot_be_read_is_told(supervisor, folder):
    supervisor.add(unit("one"))
    folder.units.write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match="cannot be read"):
        supervisor.ensure()
    folder.units.unlink()


def test_a_forgotten_gateway_leaves_no_socket(supervisor, folder):
    folder.make()
    socket = folder.sockets / "admin.sock"
    socket.touch()
    supervisor.add(unit("one", kind="gateway", admin=str(socket)))
    supervisor.ensure()
    supervisor.drop("one")
    assert not socket.exists()
    assert supervisor.alive()


def test_a_long_log_is_cut_and_what_was_cut_is_kept(folder):
    folder.make()
    log = folder.log_of("one")
    log.write_text("1\n" * 600, encoding="utf-8")
    folder.log_of("two").write_text("short\n", encoding="utf-8")
    trim(folder, 1000)
    assert log.read_text(encoding="utf-8") == ""
    assert (folder.logs / "one.log.1").read_text(encoding="utf-8") == "1\n" * 600
    assert last_lines(folder, "two", 5) == ["short"]


def test_of_units_that_are_no_more_the_latest_logs_stay(supervisor, folder):
    supervisor.add(unit("kept"))
    for number, name in enumerate(["kept", *(f"gone-{n}" for n in range(30))]):
        folder.log_of(name).write_text("x", encoding="utf-8")
        os.utime(folder.log_of(name), (number, number))
    trim(folder, 1000)
    left = {log.stem for log in folder.logs.glob("*.log")}
    assert left == {"kept", *(f"gone-{n}" for n in range(10, 30))}


def test_the_end_of_a_log_that_is_not_there_is_empty(folder):
    assert last_lines(folder, "one", 3) == []


def test_units_are_read_back_as_they_were_written(supervisor, folder):
    units = [unit("one", environment={"A": "科"}), unit("two", *SLEEP, kind="gateway", admin="/x")]
    supervisor.add(*units)
    assert read_units(folder.units) == units
