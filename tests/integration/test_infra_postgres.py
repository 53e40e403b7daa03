"""The script of infra/kubeflow that makes three databases, run in a real PostgreSQL."""

import psycopg2
import pytest

from tests.support.databases import NAMES, as_role, databases, kept_passwords, run_script

pytestmark = pytest.mark.xdist_group("postgres")
PASSWORDS = {"mlflow": "it's 100%", "study": "study-secret", "feedback": "feedback-secret"}


@pytest.fixture(scope="module")
def urls(server):
    with databases(server, **PASSWORDS) as found:
        yield found


def ask(url, *statements):
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone()
    finally:
        connection.close()


def test_each_role_makes_tables_in_a_database_of_its_own(urls):
    for name in NAMES:
        made = ask(urls[name], "create table t (i int)", "select current_user, current_database()")
        assert made == (name, name)


@pytest.mark.parametrize("other", ["feedback", "mlflow", "postgres"])
def test_a_role_does_not_enter_another_database(server, urls, other):
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        ask(as_role(server, "study", other), "select 1")


def test_no_role_may_more_than_enter(server, urls):
    powers = "rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls"
    found = ask(server, f"select array_agg(rolname) from pg_roles where {powers}")  # noqa: S608
    assert not set(found[0]) & set(NAMES)


def test_run_again_it_keeps_the_data_and_sets_the_passwords(server, urls):
    ask(urls["study"], "create table kept (i int)", "select 1")
    before = kept_passwords(server)
    done = run_script(server, PASSWORDS | {"study": "another one"})
    assert done.returncode == 0, done.stderr
    assert ask(urls["study"], "select count(*) from kept") == (0,)
    after = kept_passwords(server)
    assert all(kept.startswith("SCRAM-SHA-256$") for kept in after.values())
    assert after["study"] != before["study"]


def test_without_a_password_it_fails(server, urls):
    done = run_script(server, {"mlflow": "a", "feedback": "b"})
    assert done.returncode == 3
