"""A URL that must agree to a promotion: a real server that says no, yes, or nothing."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from openautoglm.rollout import confirmation
from openautoglm.rollout.confirmation import Confirmation
from tests.support.wait import until


@pytest.fixture
def server():
    """Answers with `status`, and keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *_):
            """Nothing of it belongs into a test's output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        found.status, found.asked = 200, []
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def asking(monkeypatch):
    monkeypatch.setattr(confirmation, "_AGAIN_SECONDS", 0.2)
    return Confirmation()


def url(server):
    return f"http://127.0.0.1:{server.server_port}/may"


def test_200_agrees_and_the_rollout_is_told(server, asking):
    assert until(lambda: asking.step(url(server), 7), what="a yes")
    assert server.asked[0] == "/may?rollout=7"


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_anything_else_does_not_and_is_asked_again(server, asking, status):
    server.status = status

    def asked_twice():
        assert not asking.step(url(server), 7)
        return len(server.asked) > 1

    until(asked_twice, what="a second question")
    server.status = 200
    assert until(lambda: asking.step(url(server), 7), what="a yes at last")


def test_nobody_there_is_no_yes(asking, caplog):
    def logged():
        assert not asking.step("http://127.0.0.1:9/", 7)
        return caplog.records

    until(logged, what="a line in the log")
    assert "nobody answers" in caplog.text


def test_a_person_is_asked_by_nobody(server, asking):
    assert not asking.step("person", 7)
    assert not asking.step(None, 7)
    assert server.asked == []


def test_an_old_yes_is_not_another_rollouts(server, asking):
    until(lambda: asking.step(url(server), 7), what="a yes")
    server.status = 500
    assert not asking.step(None, 7)  # it ended, or the evidence fell away
    until(lambda: not asking.step(url(server), 8) and len(server.asked) > 1, what="a new question")
    assert not asking.step(url(server), 8)
