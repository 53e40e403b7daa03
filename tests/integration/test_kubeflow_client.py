"""A client against a strict server: what it makes, what it makes once, and what it says."""

import ipaddress
import logging
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from openautoglm.errors import ConfigError
from openautoglm.kubeflow import errors
from openautoglm.kubeflow.client import Server
from openautoglm.kubeflow.connection import TOKEN, Connection, Token, connection
from openautoglm.kubeflow.following import follow
from openautoglm.kubeflow.patience import Patience
from openautoglm.kubeflow.submitting import submit
from tests.support.kubeflow_orders import Clock, connected, declared, order
from tests.support.kubeflow_server import LOGIN, kubeflow_server
from tests.support.ports import free_port

RUNS = "POST /apis/v2beta1/runs"
UPLOAD = "POST /apis/v2beta1/pipelines/upload_version"


@pytest.fixture
def kubeflow():
    with kubeflow_server() as server:
        yield server


def made(kubeflow):
    """How many rows of each kind there are."""
    return {kind: len(rows) for kind, rows in kubeflow.state.rows.items() if rows}


ONE_RUN = {"experiments": 1, "pipelines": 1, "versions": 1, "runs": 1}


def test_a_run_is_made_with_all_it_refers_to(kubeflow):
    begun = submit(
        Server(connected(kubeflow.url)),
        order(service_account="openautoglm-pipeline", pipeline_root="s3://bucket/pipelines"),
    )
    assert made(kubeflow) == ONE_RUN
    run = kubeflow.rows("runs")[0]
    assert run["runtime_config"] == {
        "parameters": {"rows": 3},
        "pipeline_root": "s3://bucket/pipelines",
    }
    assert run["service_account"] == "openautoglm-pipeline"
    assert kubeflow.rows("pipelines")[0]["name"] == "clc-training"
    assert re.fullmatch("sha256-[0-9a-f]{16}", kubeflow.rows("versions")[0]["name"])
    assert begun.url == f"{kubeflow.url}/#/runs/details/{begun.run}"


def test_submitting_twice_uploads_once_and_runs_twice(kubeflow):
    for _ in range(2):
        submit(Server(connected(kubeflow.url)), order())
    assert made(kubeflow) == ONE_RUN | {"runs": 2}
    assert kubeflow.count(UPLOAD) == 1


def test_another_text_is_another_version_of_the_same_pipeline(kubeflow):
    for text in ("one", "two"):
        submit(Server(connected(kubeflow.url)), order(text=text))
    assert made(kubeflow) == ONE_RUN | {"runs": 2, "versions": 2}


def test_what_stands_on_a_later_page_is_found(kubeflow):
    kubeflow.page_limit = 1
    server = Server(connected(kubeflow.url))
    for text in ("one", "two", "three"):
        submit(server, order(text=text))
    recurring = server.recurring_runs()
    assert (len(recurring), kubeflow.count(UPLOAD)) == (0, 3)
    names = {row["name"] for row in kubeflow.rows("versions")}
    pipeline = kubeflow.rows("pipelines")[0]["pipeline_id"]
    assert all(server.find_version(pipeline, name) for name in names)


def test_a_name_in_other_letters_is_not_taken_for_it(kubeflow):
    """The server compares names without regard to case."""
    server = Server(connected(kubeflow.url))
    server.experiment("OpenAutoGLM")
    assert server.experiment("openautoglm").new


def test_a_path_before_the_api_is_kept():
    with kubeflow_server(prefix="/pipeline") as kubeflow:
        assert submit(Server(connected(kubeflow.url)), order()).url.startswith(kubeflow.url)


@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize(
    "path", ["experiments", "pipelines", "pipelines/upload_version", "runs", "recurringruns"]
)
@pytest.mark.parametrize("status", [None, 502, 503, 504])
def test_a_lost_answer_makes_nothing_twice(kubeflow, path, status, acts):
    server = Server(connected(kubeflow.url))
    kubeflow.fault(f"POST /apis/v2beta1/{path}", status=status, acts=acts)
    begun = submit(server, order())
    experiment = server.find_experiment("openautoglm")
    server.recur(declared().body(experiment, begun.stored))
    assert made(kubeflow) == ONE_RUN | {"recurring_runs": 1}


def test_an_answer_that_never_comes_makes_nothing_twice(kubeflow):
    submit(Server(connected(kubeflow.url)), order())
    kubeflow.fault(RUNS, acts=True, until=threading.Event())
    submit(Server(connected(kubeflow.url, timeout=1)), order())
    assert made(kubeflow) == ONE_RUN | {"runs": 2}


def test_a_run_that_was_begun_before_the_answer_got_lost_is_the_one_that_is_told(kubeflow):
    kubeflow.fault(RUNS, acts=True)
    begun = submit(Server(connected(kubeflow.url)), order())
    assert begun.run == kubeflow.rows("runs")[0]["run_id"]


def test_somebody_faster_is_no_error(kubeflow):
    """Both look, both find none, both make it: the name is taken when we come."""
    other = Server(connected(kubeflow.url))
    kubeflow.before["POST /apis/v2beta1/experiments"] = lambda: other.experiment("openautoglm")
    made_ = Server(connected(kubeflow.url)).experiment("openautoglm")
    assert made_.id == kubeflow.rows("experiments")[0]["experiment_id"]


@pytest.mark.parametrize("status", [None, 429, 502, 503, 504])
def test_a_question_is_asked_again_until_it_is_answered(kubeflow, status, capsys):
    clock = Clock()
    server = Server(connected(kubeflow.url, patience=clock.patience()))
    kubeflow.fault("GET /apis/v2beta1/recurringruns", status=status, times=3)
    assert server.recurring_runs() == []
    assert clock.pauses == [0.5, 1.0, 2.0]
    assert "again in 2.0 s" in capsys.readouterr().err


def test_pauses_are_as_long_as_the_server_asks(kubeflow):
    clock = Clock()
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    server = Server(connected(kubeflow.url, patience=clock.patience()))
    for after in ("7", later, "soon"):
        kubeflow.fault("GET", status=429, headers={"retry-after": after})
    server.recurring_runs()
    assert clock.pauses[0] == 7
    assert 30 < clock.pauses[1] <= 40
    assert clock.pauses[2] == 2


def test_patience_ends(kubeflow):
    clock = Clock()
    kubeflow.fault("GET", status=503, times=99)
    with pytest.raises(errors.OverloadedError, match="503"):
        Server(connected(kubeflow.url, patience=clock.patience()))
    assert len(kubeflow.asked) == 6
    assert sum(clock.pauses) < 90


def test_patience_does_not_outlast_its_seconds(kubeflow):
    clock = Clock()
    kubeflow.fault("GET", status=503, times=99, headers={"retry-after": "60"})
    with pytest.raises(errors.OverloadedError):
        Server(connected(kubeflow.url, patience=clock.patience()))
    assert clock.pauses == [60]


@given(st.integers(1, 9), st.floats(0, 200), st.floats(0, 1), st.none() | st.floats(0, 500))
def test_no_attempt_begins_after_the_seconds_or_beyond_the_number(attempts, seconds, chance, asked):
    clock = Clock()
    patience = replace(clock.patience(attempts=attempts, seconds=seconds), chance=lambda: chance)
    begun = []
    for turn in patience.turns():
        begun.append(clock.now)
        if not turn.rest("busy", asked):
            break
    assert 1 <= len(begun) <= attempts
    assert all(moment <= seconds for moment in begun)


def refused(kubeflow_url, kind, **given):
    with pytest.raises(kind) as error:
        Server(connected(kubeflow_url, **given))
    return error.value


def test_a_host_that_does_not_answer_is_named():
    url = f"http://127.0.0.1:{free_port()}"
    error = refused(url, errors.UnreachableError)
    assert "Connection refused" in error.what
    assert url in str(error)
    assert error.exit_code == 2


def test_a_name_that_does_not_exist_is_no_host():
    error = refused("http://nothing.invalid", errors.UnreachableError)
    assert error.what == "there is no host of this name"


def test_no_answer_in_time_says_how_long_it_was_waited_for(kubeflow):
    kubeflow.fault("GET", times=9, until=threading.Event())
    patience = Clock().patience(attempts=2)
    error = refused(kubeflow.url, errors.UnreachableError, timeout=0.2, patience=patience)
    assert error.what == "no answer within 0.2 s"


def test_no_token_and_a_wrong_one_are_refused_before_anything_is_made(kubeflow):
    kubeflow.tokens = {"right": ()}
    for token in (None, "wrong"):
        error = refused(kubeflow.url, errors.UnauthorisedError, bearer=token)
        assert TOKEN in error.hint
    assert made(kubeflow) == {}
    assert not [one for one in kubeflow.asked if one.startswith("POST")]
    Server(connected(kubeflow.url, bearer="right"))


def test_a_namespace_of_others_is_forbidden_and_named():
    with kubeflow_server(multi_user=True) as kubeflow:
        kubeflow.tokens = {"mine": ("team-a",)}
        error = refused(kubeflow.url, errors.ForbiddenError, bearer="mine", namespace="team-b")
        assert "namespace team-b" in error.what
        assert "not authorized" in error.what
        submit(Server(connected(kubeflow.url, bearer="mine", namespace="team-a")), order())
        assert kubeflow.rows("pipelines")[0]["namespace"] == "team-a"


def test_a_server_of_several_users_wants_a_namespace():
    with kubeflow_server(multi_user=True) as kubeflow:
        error = refused(kubeflow.url, ConfigError)
    assert "--namespace" in error.hint


def test_a_page_to_log_in_is_not_kubeflow(kubeflow):
    kubeflow.fault("GET", status=200, times=9, headers={"content-type": "text/html"}, body=LOGIN)
    error = refused(kubeflow.url, errors.OtherServerError)
    assert "Log in to Kubeflow" in error.what
    assert TOKEN in error.hint


def test_a_server_that_sends_on_to_a_login_is_not_followed(kubeflow):
    login = {"location": "https://login.example.org/dex?state=secret"}
    kubeflow.fault("GET", status=302, times=9, headers=login, body="")
    error = refused(kubeflow.url, errors.OtherServerError)
    assert "https://login.example.org/dex" in error.what
    assert "secret" not in str(error)


@pytest.mark.parametrize("body", ["{}", '{"status": "ok"}', "[]", "null", "pong"])
def test_another_service_is_not_kubeflow(kubeflow, body):
    kubeflow.fault("GET", status=200, times=9, body=body)
    refused(kubeflow.url, errors.OtherServerError)


def test_an_address_without_its_path_is_not_kubeflow():
    with kubeflow_server(prefix="/pipeline") as kubeflow:
        error = refused(kubeflow.url.removesuffix("/pipeline"), errors.OtherServerError)
    assert "/apis/v2beta1" in error.hint


def test_a_server_of_version_1_is_another_version(kubeflow):
    kubeflow.health = {"v1beta1": {"tag_name": "1.8.22", "multi_user": False}}
    error = refused(kubeflow.url, errors.VersionError)
    assert "1.8.22" in error.what
    assert error.allowed == "versions 2.x"


def test_a_server_of_version_3_is_another_version(kubeflow):
    kubeflow.health["v1beta1"]["tag_name"] = "3.0.1"
    assert "3.0.1" in refused(kubeflow.url, errors.VersionError).what


@pytest.mark.parametrize("tag", ["2.0.5", "2.17.0", "dummy", "", None])
def test_versions_2_and_builds_without_a_number_are_spoken_to(kubeflow, tag):
    kubeflow.health["v1beta1"] = {"tag_name": tag, "multi_user": False} if tag else None
    Server(connected(kubeflow.url))


def test_a_web_server_without_the_api_behind_it_is_told(kubeflow):
    kubeflow.health["v2beta1"] = {"apiServerReady": False, "frontendTagName": "2.17.0"}
    assert "API server behind" in refused(kubeflow.url, errors.OverloadedError).what


def test_what_the_server_refuses_is_said_in_its_words(kubeflow):
    with pytest.raises(errors.RefusedError, match="is not optional") as error:
        submit(Server(connected(kubeflow.url)), order(arguments={}))
    assert "version sha256-" in error.value.hint
    assert kubeflow.rows("runs") == []


def test_what_an_upload_refuses_is_said_in_its_words(kubeflow):
    server = Server(connected(kubeflow.url))
    pipeline = server.pipeline("clc-training", "")
    with pytest.raises(errors.RefusedError, match="pipeline spec is invalid"):
        server.version(pipeline.id, "sha256-1", "root: {dag: {tusks: {}}}")
    assert made(kubeflow) == {"pipelines": 1}


def certificate(folder):
    """A key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made_ = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made_.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_a_certificate_of_ones_own_is_trusted_when_it_is_given(tmp_path):
    file = certificate(tmp_path)
    with kubeflow_server(certificate=file) as kubeflow:
        error = refused(kubeflow.url, errors.CertificateError)
        assert "--ca" in error.hint
        submit(Server(connected(kubeflow.url, ca=file)), order())


def test_https_of_a_server_without_it_is_no_trusted_connection(kubeflow):
    refused(kubeflow.url.replace("http:", "https:"), errors.CertificateError)


def test_a_token_that_is_replaced_is_read_again(kubeflow, tmp_path):
    kubeflow.tokens = {"first": ()}
    file = tmp_path / "token"
    file.write_text("first\n")
    server = Server(Connection(kubeflow.url, Token(file=file)))
    kubeflow.tokens = {"second": ()}
    file.write_text("second\n")
    server.experiment("openautoglm")


def test_a_token_stands_in_no_message_log_or_picture(kubeflow, caplog):
    caplog.set_level(logging.DEBUG)
    told = connected(kubeflow.url, bearer="hush-hush")
    body = '{"message": "bad token hush-hush", "code": 16}'
    kubeflow.fault("GET", status=401, times=9, body=body)
    error = refused(kubeflow.url, errors.UnauthorisedError, bearer="hush-hush")
    assert "bad token ***" in error.what
    assert "hush" not in f"{error} {error!r} {told!r} {caplog.text}"


def waited(kubeflow, *states):
    """Follow a run that goes through states; what was said, and the error it ended with."""
    begun = submit(Server(connected(kubeflow.url)), order())
    todo, said = iter(states), []

    def sleep(_):
        kubeflow.set_run(begun.run, *(step := next(todo))[:-1], **step[-1])

    patience = Patience(sleep=sleep, clock=lambda: 0.0)
    server = Server(Connection(kubeflow.url, patience=patience))
    return begun, said, lambda: follow(server, begun, said.append)


def test_a_run_is_followed_to_its_end(kubeflow):
    _, said, follow_it = waited(
        kubeflow,
        ("RUNNING", {"root": ("RUNNING", ""), "tell": ("RUNNING", "")}),
        ("RUNNING", {"root": ("RUNNING", ""), "tell": ("RUNNING", "")}),
        ("SUCCEEDED", {"root": ("SUCCEEDED", ""), "tell": ("SUCCEEDED", "")}),
    )
    follow_it()
    assert said == [
        "run: pending",
        "tell: running",
        "run: running",
        "tell: succeeded",
        "run: succeeded",
    ]


def test_a_run_that_fails_names_the_task_and_its_error(kubeflow):
    begun, _, follow_it = waited(
        kubeflow,
        (
            "FAILED",
            "a step failed",
            {"root": ("FAILED", "child failed"), "tell": ("FAILED", "exit code 2: no rows")},
        ),
    )
    with pytest.raises(errors.RunFailedError) as error:
        follow_it()
    assert "task tell failed: exit code 2: no rows" in error.value.what
    assert error.value.where == begun.url
    assert error.value.exit_code == 1


@pytest.mark.parametrize("state", ["CANCELED", "SKIPPED", "FAILED"])
def test_a_run_that_does_not_succeed_is_no_success(kubeflow, state):
    _, _, follow_it = waited(kubeflow, (state, {}))
    with pytest.raises(errors.RunFailedError, match=state.lower()):
        follow_it()


def test_a_server_that_is_away_for_a_while_does_not_end_the_waiting(kubeflow):
    begun = submit(Server(connected(kubeflow.url)), order())
    clock = Clock()
    server = Server(connected(kubeflow.url, patience=clock.patience()))
    kubeflow.set_run(begun.run, "SUCCEEDED")
    kubeflow.fault(f"GET /apis/v2beta1/runs/{begun.run}", times=20)
    follow(server, begun, lambda line: None)
    assert clock.now > 30


def test_a_server_that_stays_away_ends_the_waiting_and_not_the_run(kubeflow):
    begun = submit(Server(connected(kubeflow.url)), order())
    clock = Clock()
    server = Server(connected(kubeflow.url, patience=clock.patience()))
    kubeflow.fault("GET", times=9999)
    with pytest.raises(errors.UnreachableError) as error:
        follow(server, begun, lambda line: None)
    assert "the run goes on" in error.value.hint
    assert clock.now > 900


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": None}, "no server is named"),
        ({"host": "kubeflow.example.org"}, "no address"),
        ({"host": "ftp://kubeflow"}, "no address"),
        ({"host": "http://me:secret@kubeflow"}, "user and password"),
        ({"host": "https://kubeflow/pipeline/#/runs"}, "--host https://kubeflow/pipeline"),
        ({"host": "http://kubeflow:99999"}, "no address"),
        ({"host": "http://kubeflow", "timeout": 0}, "--timeout"),
    ],
)
def test_a_connection_that_cannot_be_is_refused(given, said, monkeypatch):
    monkeypatch.delenv("OPENAUTOGLM_KUBEFLOW_HOST", raising=False)
    with pytest.raises(ConfigError) as error:
        connection(**given)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_files_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "empty").write_text("")
    for option in ("ca", "token_file"):
        for name in ("empty", "missing"):
            with pytest.raises(ConfigError) as error:
                connection("http://kubeflow", **{option: tmp_path / name})
            assert name in str(error.value)


def test_a_pod_finds_its_own_token(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("projected")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    assert connection("http://kubeflow").token.read() == "projected"
    monkeypatch.setenv(TOKEN, "given")
    assert connection("http://kubeflow").token.read() == "given"
