"""The collector rests while modules are imported and when the interpreter ends."""

import gc
import subprocess
import sys

import pytest

from openautoglm.observability.collector import importing

END = """
import atexit
import gc
import threading

from openautoglm.observability.collector import leave_at_once


class Ring:
    def __init__(self):
        self.itself = self

    def __del__(self):
        print("collected")


leave_at_once()
gc.collect()
gc.disable()
ring = Ring()
del ring
atexit.register(print, "asked for")
threading.Timer(0.05, print, ["thread"]).start()
print("body", end=" ")
"""


def test_what_asked_for_an_end_has_it_and_nothing_is_collected():
    done = subprocess.run((sys.executable, "-c", END), capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["body thread", "asked for", ""]
    assert done.stderr == ""


def test_it_rests_while_modules_are_imported():
    with importing():
        assert not gc.isenabled()
        with importing():
            assert not gc.isenabled()
        assert not gc.isenabled(), "the outer import goes on"
    assert gc.isenabled()


def test_an_import_that_fails_leaves_it_on():
    with pytest.raises(ModuleNotFoundError), importing():
        import openautoglm.nowhere  # noqa: F401
    assert gc.isenabled()


def test_who_has_turned_it_off_keeps_it_off():
    gc.disable()
    try:
        with importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
