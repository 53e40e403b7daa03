"""What the local runner prints, as a person reads it."""

import builtins
import logging
import sys
import threading

import pytest

from openautoglm.kubeflow.narrated import narrated


@pytest.fixture
def log(tmp_path):
    return tmp_path / "run.log"


def shown(capsys, log, *texts):
    with narrated(log):
        for text in texts:
            sys.stdout.write(text)
    return capsys.readouterr().err


CHATTER = [
    "[KFP Executor 2024-01-01 INFO]: Looking for component",
    "----------",
    "12:00:00.123 - INFO - Executing task 'train'",
    "    {",
    '    "parameterValues": {',
    "    },",
    "",
]


@pytest.mark.parametrize("line", CHATTER)
def test_the_runners_own_words_are_in_the_log_alone(capsys, log, line):
    assert shown(capsys, log, line + "\n") == ""
    assert log.read_text() == line + "\n"


def test_what_a_step_says_is_shown_without_the_runners_indent(capsys, log):
    assert shown(capsys, log, "    [train] epoch 1\n") == "[train] epoch 1\n"


def test_an_error_keeps_its_own_indent(capsys, log):
    text = "    error: no such key\n      where:   params.yaml:3\n"
    assert shown(capsys, log, text) == "error: no such key\n  where:   params.yaml:3\n"


def test_colours_are_left_out(capsys, log):
    shown(capsys, log, "\x1b[92mdone\x1b[0m\n")
    assert log.read_text() == "done\n"


def test_a_line_may_come_in_parts(capsys, log):
    assert shown(capsys, log, "[tr", "ain] ep", "och 1\n") == "[train] epoch 1\n"


def test_a_last_line_without_an_end_is_shown(capsys, log):
    assert shown(capsys, log, "Killed") == "Killed\n"
    assert log.read_text() == "Killed\n"


def test_a_last_line_is_shown_when_the_run_breaks(capsys, log):
    def run():
        with narrated(log):
            sys.stdout.write("Killed")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run()
    assert capsys.readouterr().err == "Killed\n"


def test_tasks_that_run_at_a_time_lose_no_line(capsys, log):
    with narrated(log):

        def work(name):
            for number in range(200):
                sys.stdout.write(f"[{name}] {number}\n")

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = capsys.readouterr().err.splitlines()
    assert sorted(lines) == sorted(f"[{name}] {n}" for name in "abcd" for n in range(200))


def test_print_and_logging_are_as_before(log):
    said, filters = builtins.print, list(logging.getLogger().filters)
    with narrated(log):
        builtins.print = lambda *args: None
    assert builtins.print is said
    assert logging.getLogger().filters == filters
