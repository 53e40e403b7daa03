"""What every feedback store must pass; a subclass gives the fixture `url`, of an empty store."""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context

import pytest

from openautoglm.feedback.answers import Answer, Source, UnknownAnswerError, WrongLabelError
from openautoglm.feedback.reading import Asked, Cursor, begin, news
from openautoglm.feedback.reading import asked as asked_of
from openautoglm.feedback.store import FeedbackStore
from tests.support.feedback import OldStore

CLASSES = ("历史", "文学")
OLD = Source("small", "1", f"sha256-{'1' * 64}", "glm", "int8", CLASSES)
NEW = Source("small", "2", f"sha256-{'2' * 64}", "glm", "int8", CLASSES)
OTHER = Source("other", "1", OLD.digest, "glm", "int8", CLASSES)
WRITERS = 10


def answer(request_id, *labels, time=1.0, confidence=0.75, inputs=None, crc=None):
    labels = labels or ("文学",)
    return Answer(request_id, time, list(labels), [confidence] * len(labels), inputs, crc)


def labelled(url, label):
    """In a process of its own: answer one's own request, and label the one all share."""
    with closing(FeedbackStore(url)) as store:
        store.record(OLD, [answer("shared"), answer(f"own-{label}")])
        store.label("small", f"own-{label}", ["历史"])
        return store.label("small", "shared", [CLASSES[label % 2]])


class FeedbackConformance:
    """Answers, labels, and what is read of them."""

    @pytest.fixture
    def store(self, url):
        with closing(FeedbackStore(url)) as store:
            yield store

    def test_the_first_label_stands_and_later_ones_are_told_so(self, store):
        store.record(OLD, [answer("a")])
        found = [store.label("small", "a", [label]) for label in ("历史", "历史", "文学")]
        assert [one.labels for one in found] == [("历史",)] * 3
        assert [one.first for one in found] == [True, False, False]

    def test_an_answer_that_nobody_gave_takes_no_label(self, store):
        with pytest.raises(UnknownAnswerError):
            store.label("small", "a", ["历史"])
        store.record(OLD, [answer("b")])
        with pytest.raises(UnknownAnswerError):
            store.label("small", "a", ["历史"])

    def test_a_label_must_be_a_class_of_the_model_that_answered(self, store):
        store.record(OLD, [answer("a")])
        with pytest.raises(WrongLabelError) as error:
            store.label("small", "a", ["数学"])
        assert error.value.allowed == "历史, 文学"
        other = Source("small", "3", OLD.digest, "glm", "int8", ("数学", "文学"))
        store.record(other, [answer("a")])
        assert store.label("small", "a", ["数学"]).first

    def test_an_answer_of_several_rows_takes_a_label_for_each(self, store):
        store.record(OLD, [answer("a", "文学", "历史")])
        with pytest.raises(WrongLabelError, match="found 1 for an answer of 2 rows"):
            store.label("small", "a", ["文学"])
        assert store.label("small", "a", ["文学", "文学"]).labels == ("文学", "文学")

    def test_of_two_answers_with_one_id_the_first_counts(self, store):
        start = begin(store.database)
        store.record(OLD, [answer("a", "文学")])
        store.record(OLD, [answer("a", "历史"), answer("b")])
        store.label("small", "a", ["文学"])
        found = news(store.database, start, champion=OLD.key, challenger=NEW.key)
        assert found.champion.wrong == (False,)
        assert len(found.champion.confidence) == 2

    def test_a_copied_request_pairs_both_answers_with_its_label(self, store):
        start = begin(store.database)
        store.record(OLD, [answer("a", "文学"), answer("b", "文学")])
        store.record(NEW, [answer("b", "文学"), answer("a", "历史", confidence=0.5)])
        store.label("small", "a", ["历史"])
        found = news(store.database, start, champion=OLD.key, challenger=NEW.key)
        assert sorted(found.agree) == [False, True]
        assert found.wrong == ((True, False),)
        assert found.champion.wrong == (True,)
        assert found.challenger.wrong == (False,)
        assert sorted(found.challenger.confidence) == [0.5, 0.75]

    def test_what_was_there_before_does_not_count_whenever_its_label_comes(self, store):
        store.record(OLD, [answer("a")])
        start = begin(store.database)
        store.label("small", "a", ["历史"])
        found = news(store.database, start, champion=OLD.key, challenger=NEW.key)
        assert found.champion.wrong == ()

    @pytest.mark.parametrize("seed", range(3))
    def test_whoever_looks_now_and_then_hears_of_everything_once(self, store, seed):
        chance, start = random.Random(seed), begin(store.database)
        events = [(OLD, f"{n}", chance.choice(CLASSES)) for n in range(30)]
        events += [(NEW, f"{n}", chance.choice(CLASSES)) for n in range(0, 30, 2)]
        chance.shuffle(events)
        answered, given, told, cursor = [], {}, [], start
        while events or len(given) < len(answered):
            if events and chance.random() < 0.6:
                source, name, label = events.pop()
                store.record(source, [answer(name, label)])
                answered.append(name)
            elif answered:
                name = chance.choice(answered)
                given.setdefault(name, chance.choice(CLASSES))
                store.label("small", name, [given[name]])
            if chance.random() < 0.4:
                told.append(self._news(store, cursor, most=chance.choice([1, 3, 5000])))
                cursor = told[-1].cursor
            if not events and set(answered) == set(given):
                break
        told.append(self._news(store, cursor, most=7))
        while told[-1].more:
            told.append(self._news(store, told[-1].cursor, most=7))
        whole = self._news(store, start)
        for part in ("agree", "wrong"):
            found = [value for one in told for value in getattr(one, part)]
            assert sorted(found) == sorted(getattr(whole, part))
        for arm in ("champion", "challenger"):
            found = [value for one in told for value in getattr(one, arm).wrong]
            assert sorted(found) == sorted(getattr(whole, arm).wrong)
        assert len(whole.champion.wrong) == 30
        assert len(whole.wrong) == 15

    def test_ten_processes_that_begin_at_once_lose_nothing(self, store, url):
        with ProcessPoolExecutor(WRITERS, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(labelled, [url] * WRITERS, range(WRITERS)))
        assert sum(one.first for one in found) == 1
        assert len({one.labels for one in found}) == 1
        for place in range(WRITERS):
            assert not store.label("small", f"own-{place}", ["文学"]).first

    def test_sampled_rows_come_with_their_labels(self, store):
        store.record(OLD, [answer("a", "文学", "历史", inputs=["一\0", "二"]), answer("b")])
        store.record(OLD, [answer("c", inputs=[[1.5, 2.0]])])
        store.label("small", "a", ["历史", "历史"])
        assert list(asked_of(store.database, "small")) == [
            Asked("一\0", "历史"),
            Asked("二", "历史"),
            Asked([1.5, 2.0], None),
        ]

    def test_what_is_too_old_or_too_much_goes_and_its_number_is_not_given_again(self, store):
        store.record(OLD, [answer(f"{n}", time=n, inputs=["x"]) for n in range(2500)])
        cursor = self._news(store, begin(store.database)).cursor
        while store.retain("small", since=2400, given=1000, asked=30):
            pass
        assert len(list(asked_of(store.database, "small"))) == 30
        with pytest.raises(UnknownAnswerError):
            store.label("small", "2399", ["文学"])
        assert store.label("small", "2400", ["文学"]).first
        while store.retain("small", since=2400, given=10, asked=30):
            pass
        with pytest.raises(UnknownAnswerError):
            store.label("small", "2489", ["文学"])
        while store.retain("small", since=1e9, given=10, asked=30):
            pass
        store.record(OLD, [answer("again")])
        assert len(self._news(store, cursor).champion.confidence) == 1

    def _news(self, store, cursor, most=5000):
        return news(store.database, cursor, champion=OLD.key, challenger=NEW.key, most=most)

    def test_a_label_that_is_sent_again_and_again_pushes_no_other_one_out(self, store):
        """Each of them uses up no room of the bound, and the first one stands on."""
        store.record(OLD, [answer(name, time=9.0) for name in "abc"])
        for name in "ab":
            store.label("small", name, ["历史"])
        for _ in range(20):
            store.label("small", "b", ["文学"])
        store.label("small", "c", ["历史"])
        while store.retain("small", 0.0, given=10, asked=10):
            pass
        assert store.label("small", "a", ["文学"]).labels == ("历史",)

    def test_a_name_used_again_for_more_rows_has_the_label_of_the_first(self, store):
        store.record(OLD, [answer("a", inputs=["一"])])
        store.record(OLD, [answer("a", "文学", "文学", inputs=["二", "三"])])
        store.label("small", "a", ["历史"])
        assert {one.label for one in asked_of(store.database, "small")} <= {"历史", None}

    def test_answers_are_counted_by_class_once(self, store):
        start = begin(store.database)
        store.record(OLD, [answer("a", "文学", "历史"), answer("b", "文学")])
        store.record(NEW, [answer("a", "历史", "历史")])
        found = self._news(store, start)
        assert found.champion.classes == {"文学": 2, "历史": 1}
        assert found.challenger.classes == {"历史": 2}
        store.label("small", "b", ["历史"])
        again = self._news(store, found.cursor)
        assert again.champion.classes == again.challenger.classes == {}

    def test_answers_to_different_rows_of_one_name_are_no_pair(self, store):
        start = begin(store.database)
        store.record(OLD, [answer("again", crc=1), answer("copied", crc=2), answer("old")])
        store.record(NEW, [answer("again", crc=3), answer("copied", crc=2), answer("old", crc=4)])
        for name in ("again", "copied", "old"):
            store.label("small", name, ["历史"])
        found = self._news(store, start)
        assert len(found.agree) == len(found.wrong) == 2
        assert len(found.champion.wrong) == 3
        assert len(found.challenger.wrong) == 2

    def test_services_that_share_a_store_hear_nothing_of_each_other(self, store):
        start = begin(store.database)
        store.record(OLD, [answer("a", inputs=["一"])])
        store.record(OTHER, [answer("a", inputs=["二"]), answer("b", inputs=["三"])])
        assert store.label("small", "a", ["历史"]).first
        assert store.label("other", "a", ["文学"]).first
        assert store.label("small", "a", ["文学"]).labels == ("历史",)
        with pytest.raises(UnknownAnswerError):
            store.label("small", "b", ["历史"])
        assert list(asked_of(store.database, "small")) == [Asked("一", "历史")]
        assert list(asked_of(store.database, "other")) == [Asked("二", "文学"), Asked("三", None)]
        found = self._news(store, start)
        assert found.champion.wrong == (True,)
        assert found.cursor == replace(begin(store.database), begin=start.begin)

    def test_a_busy_service_keeps_another_ones_news_from_nobody(self, store):
        start = begin(store.database)
        store.record(OTHER, [answer(f"{n}") for n in range(20)])
        store.record(OLD, [answer("a"), answer("b")])
        found = self._news(store, start, most=2)
        assert found.champion.classes == {"文学": 2}

    def test_what_one_service_removes_is_its_own(self, store):
        for source in (OLD, OTHER):
            store.record(source, [answer(f"{n}", inputs=["x"]) for n in range(30)])
            for n in range(30):
                store.label(source.name, f"{n}", ["历史"])
        while store.retain("small", since=0.0, given=10, asked=0):
            pass
        assert list(asked_of(store.database, "small")) == []
        assert len(list(asked_of(store.database, "other"))) == 30
        assert not store.label("small", "29", ["文学"]).first
        with pytest.raises(UnknownAnswerError):
            store.label("small", "0", ["历史"])
        assert not store.label("other", "0", ["文学"]).first

    def test_an_older_releases_store_goes_on_with_all_that_is_in_it(self, url):
        with closing(OldStore(url)) as old:
            for source in (OLD, OTHER):
                for n in range(3):
                    old.answer(source, f"{source.name}-{n}", f"{source.name} {n}", "历史")
            old.answer(OLD, "gone", "gone", "历史")
            for table in ("answers", "labels"):
                old.forget(table, "gone")
            with closing(FeedbackStore(url)) as store:
                mine = list(asked_of(store.database, "small"))
                assert mine[:3] == [Asked(f"small {n}", "历史") for n in range(3)]
                # Whose a row without its answer is, nobody knows: it is everybody's.
                assert mine[3:] == [Asked("gone", None)]
                assert not store.label("small", "small-0", ["文学"]).first
                with pytest.raises(UnknownAnswerError):
                    store.label("small", "other-0", ["文学"])
                # Of a rollout that was open: seven of each were there, and numbers go on from them.
                before = Cursor(7, 7, 7)
                # A replica of the older release that has not ended yet.
                old.answer(OLD, "late", "late", "历史")
                found = self._news(store, before)
                assert (found.champion.wrong, found.champion.classes) == ((True,), {"文学": 1})
                assert not store.label("small", "late", ["文学"]).first
                store.record(OLD, [answer("new")])
                assert store.label("small", "new", ["历史"]).first
                assert self._news(store, found.cursor).champion.wrong == (True,)
                while store.retain("small", since=2.0, given=1000, asked=1000):
                    pass
                assert [one.input for one in asked_of(store.database, "small")] == []
                assert len(list(asked_of(store.database, "other"))) == 3
