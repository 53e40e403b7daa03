"""The feedback store in a real PostgreSQL, started for these tests."""

import psycopg2
import pytest

from openautoglm.feedback.store import FeedbackStore
from tests.conformance.feedback import FeedbackConformance
from tests.support.feedback import Labelling, label, predicted, settings
from tests.support.replica import client, stub
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]


@pytest.fixture
def url(server):
    connection = psycopg2.connect(server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("drop database if exists feedback with (force)")
        cursor.execute("create database feedback")
    connection.close()
    return server.replace("/postgres?", "/feedback?")


class TestPostgres(FeedbackConformance):
    """As in a SQLite file."""


def killed(postgres, url, folder, times):
    """Kill the server again and again while labels come; how many were acknowledged."""
    control = pytest.importorskip("pgserver._commands").pg_ctl
    kept = settings(folder, url)
    with stub(folder / "log", 0.0, feedback=kept) as replica, client(replica) as http:
        with Labelling(replica) as labels:
            for _ in range(times):
                before = len(labels.acknowledged)
                until(lambda before=before: len(labels.acknowledged) > before + 3)
                name = predicted(http)
                control(
                    ["-m", "immediate", "stop"], pgdata=postgres.pgdata, user=postgres.system_user
                )
                found = label(http, name, "long")
                assert found.status_code == 503
                assert found.headers["retry-after"] == "2"
                assert predicted(http)
                postgres.ensure_postgres_running()
        until(lambda: label(http, predicted(http), "long").status_code == 200)
    store = FeedbackStore(url)
    for name, given in labels.acknowledged.items():
        other = "short" if given == "long" else "long"
        assert store.label("stub", name, [other]).labels == (given,)
    store.close()
    return len(labels.acknowledged)


def test_while_the_server_is_gone_predictions_go_on_and_no_label_is_lost(postgres, url, tmp_path):
    assert killed(postgres, url, tmp_path, 2) > 6


@pytest.mark.sweep
def test_a_server_killed_a_hundred_times_loses_no_label(postgres, url, tmp_path, record_property):
    record_property("labels", killed(postgres, url, tmp_path, 100))
    record_property("cases", 100)
