"""What a rollout sees of answers and labels: each counts once, and no look waits for them."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from threading import Event

import pytest

from openautoglm.config.feedback import Feedback
from openautoglm.config.project import Project
from openautoglm.config.service import Service
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import StoreError
from openautoglm.feedback.answers import Answer, Source
from openautoglm.feedback.store import FeedbackStore
from openautoglm.rollout import feedback_reader
from openautoglm.rollout.observing import Observer
from tests.support.wait import until
from tests.unit.test_rollout_gathering import release, standing

WAIT = 60
SOURCES = [
    Source(one.name, one.version, one.digest, one.family, one.variant, ("a", "b"))
    for one in (release("1"), release("2"))
]


def desired(url=None, **feedback):
    given = {"url": url, **feedback} if url else feedback
    service = Service(model="models:/small/1", feedback=Feedback.model_validate(given))
    return Desired(generation=1, name="small", service=service)


@pytest.fixture(autouse=True)
def ended():
    """No reading outlives its test."""
    yield
    for thread in threading.enumerate():
        if thread.name == "feedback":
            thread.join(WAIT)


@pytest.fixture
def folder(tmp_path):
    found = ServiceFolder(Project(tmp_path), "small")
    found.root.mkdir(parents=True)
    return found


@pytest.fixture
def store(folder):
    found = FeedbackStore(f"sqlite:///{folder.feedback}", durable=False)
    found.record(SOURCES[0], [])  # there is a file
    yield found
    found.close()


def answered(store, count, begin):
    """Answers of both arms, each with its label; the challenger's are wrong."""
    for number in range(begin, begin + count):
        for arm, source in enumerate(SOURCES):
            name = f"{number}-{arm}"
            store.record(source, [Answer(name, 0.0, ["ab"[arm]], [0.5])])
            store.label("small", name, ["a"])


def labelled(observer):
    """Labels that have been counted, and those of them that the challenger got wrong."""
    figures = observer.known.figures
    return figures.champion.labelled, figures.challenger.wrong


def look(observer, given=None, now=None):
    return observer.observe(now or standing(), given or desired(), None, (), "", 2000.0)


def begun(folder, given=None, now=None):
    """An observer that knows how far the store was when it began."""
    found = Observer(folder)
    until(lambda: look(found, given, now) and found.known.cursor, what="a beginning")
    return found


def test_every_label_counts_once_whoever_is_killed(folder, store):
    answered(store, 3, begin=0)
    observer, rng, number = begun(folder), random.Random(0), 3
    assert labelled(observer) == (0, 0)
    for _ in range(40):
        if rng.random() < 0.5:
            answered(store, 1, begin=number)
            number += 1
        look(observer)
        if rng.random() < 0.2:
            observer = Observer(folder)
    until(lambda: look(observer) and min(labelled(observer)) >= number - 3, what="all labels")
    for _ in range(3):
        look(observer)
    assert labelled(observer) == (number - 3, number - 3)
    observer.forget()


def test_what_was_there_before_a_rollout_is_not_counted_for_the_next_one(folder, store):
    observer = begun(folder)
    answered(store, 2, begin=0)
    until(lambda: look(observer) and labelled(observer)[0] == 2, what="two labels")
    other = replace(standing(), id=2)
    until(lambda: look(observer, now=other) and observer.known.cursor, what="a beginning")
    answered(store, 1, begin=2)
    until(lambda: look(observer, now=other) and labelled(observer)[0], what="a label")
    assert labelled(observer)[0] == 1
    observer.forget()


def test_another_store_begins_anew(folder, store, tmp_path):
    observer, elsewhere = begun(folder), desired(f"sqlite:///{tmp_path}/other.db")
    other = FeedbackStore(f"sqlite:///{tmp_path}/other.db", durable=False)
    answered(other, 2, begin=0)
    before = observer.known.cursor
    until(lambda: look(observer, elsewhere) and observer.known.cursor != before, what="another")
    assert labelled(observer)[0] == 0
    answered(other, 1, begin=2)
    until(lambda: look(observer, elsewhere) and labelled(observer)[0] == 1, what="a label")
    observer.forget()
    other.close()


class Hanging:
    """A store that answers nobody until it is let go."""

    def __init__(self, monkeypatch):
        self.asked, self.go = Event(), Event()
        self.real = feedback_reader.news
        monkeypatch.setattr(feedback_reader, "news", self._news)

    def _news(self, *given, **named):
        self.asked.set()
        assert self.go.wait(WAIT)
        return self.real(*given, **named)


def test_a_store_that_hangs_holds_nobody_up_and_counts_when_it_answers(folder, store, monkeypatch):
    observer = begun(folder)
    hanging = Hanging(monkeypatch)
    answered(store, 1, begin=0)
    until(lambda: look(observer) and hanging.asked.is_set(), what="a reading")
    for _ in range(5):
        assert look(observer).now == 2000.0
    assert labelled(observer)[0] == 0
    hanging.go.set()
    until(lambda: look(observer) and labelled(observer)[0] == 1, what="the label")
    observer.forget()


def test_one_that_hangs_can_be_exchanged_for_another(folder, store, monkeypatch, tmp_path):
    observer, elsewhere = begun(folder), desired(f"sqlite:///{tmp_path}/other.db")
    before, hanging = observer.known.cursor, Hanging(monkeypatch)
    answered(store, 3, begin=0)
    until(lambda: look(observer) and hanging.asked.is_set(), what="a reading")
    monkeypatch.setattr(feedback_reader, "news", hanging.real)
    other = FeedbackStore(f"sqlite:///{tmp_path}/other.db", durable=False)
    answered(other, 1, begin=0)
    until(lambda: look(observer, elsewhere) and observer.known.cursor != before, what="another")
    hanging.go.set()
    answered(other, 1, begin=1)
    until(lambda: look(observer, elsewhere) and labelled(observer)[0], what="a label")
    assert labelled(observer)[0] == 1
    observer.forget()
    other.close()


def test_one_that_fails_is_left_alone_for_a_while(folder, store, monkeypatch, caplog):
    observer, asked = begun(folder), []

    def fail(*_, **__):
        asked.append(1)
        raise StoreError("no route to it")

    monkeypatch.setattr(feedback_reader, "news", fail)
    monkeypatch.setattr(feedback_reader, "_AGAIN_SECONDS", 3600)
    until(lambda: look(observer) and caplog.records, what="a line in the log")
    for _ in range(5):
        look(observer)
    assert len(asked) == 1
    assert "the feedback store does not answer" in look(observer).missing
    assert "does not answer" in caplog.text
    observer.forget()


def test_a_service_that_keeps_no_answers_has_no_labels(folder, store):
    observer = Observer(folder)
    for _ in range(3):
        look(observer, desired(enabled=False))
    assert observer.known.cursor is None
    observer.forget()
