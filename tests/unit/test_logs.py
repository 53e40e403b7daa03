"""`openautoglm logs`: the ends of logs, and what is added to them."""

import pytest

from openautoglm.cli import logs as command
from openautoglm.config.project import Project
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    found = ServiceFolder(Project(tmp_path), "small")
    found.logs.mkdir(parents=True)
    return found


def write(folder, unit, *lines):
    with folder.log_of(unit).open("a", encoding="utf-8") as log:
        log.writelines(f"{line}\n" for line in lines)


def vanish(folder, unit):
    """Leave what is there while logs are listed, and gone when one is looked at."""
    folder.log_of(unit).unlink(missing_ok=True)
    folder.log_of(unit).symlink_to(folder.logs / "gone")


@pytest.fixture
def follow(folder, monkeypatch, capsys):
    """Follows the logs, with something done before each look; gives what was printed."""

    def follow(*steps, lines=20):
        left = list(steps)

        def turn(_):
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        monkeypatch.setattr(command.time, "sleep", turn)
        with pytest.raises(KeyboardInterrupt):
            command.logs(folder, unit=None, lines=lines, follow=True)
        return capsys.readouterr().out.splitlines()

    return follow


def test_the_last_lines_of_each_log_come_with_its_name(folder, capsys):
    write(folder, "gateway-0", "a", "b", "c")
    write(folder, "replica-1", "d")
    command.logs(folder, unit=None, lines=2, follow=False)
    assert capsys.readouterr().out.splitlines() == [
        *("gateway-0 | b", "gateway-0 | c", "replica-1 | d"),
    ]


def test_no_lines_are_none(folder, capsys):
    write(folder, "gateway-0", "a")
    command.logs(folder, unit=None, lines=0, follow=False)
    assert capsys.readouterr().out == ""


def test_what_is_added_follows(folder, follow):
    write(folder, "replica-1", "old")
    shown = follow(
        lambda: write(folder, "replica-1", "new"), lambda: write(folder, "replica-2", "another")
    )
    assert shown == ["replica-1 | old", "replica-1 | new", "replica-2 | another"]


def test_a_log_that_vanishes_ends_nothing(folder, follow):
    write(folder, "replica-1", "old")
    vanish(folder, "replica-0")
    shown = follow(
        lambda: vanish(folder, "replica-1"), lambda: write(folder, "replica-2", "another")
    )
    assert shown == ["replica-1 | old", "replica-2 | another"]


def test_a_name_that_no_process_has_lists_those_there_are(folder):
    write(folder, "replica-1", "a")
    with pytest.raises(ConfigError, match="begins with `gateway`") as caught:
        command.logs(folder, unit="gateway", lines=1, follow=False)
    assert caught.value.allowed == "replica-1"
