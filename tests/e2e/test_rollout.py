"""Rollouts of real versions behind the real gateway, under load, through the command line."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import pytest

from openautoglm.deploy.ledger import read
from openautoglm.rollout.telling import read_told
from openautoglm.serving.rpc import messages
from tests.support import rpc
from tests.support.registry import CHARACTERS, LABELS, Chain
from tests.support.site import site
from tests.support.traffic import Traffic
from tests.support.wait import PATIENCE, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rollout")]
TRUTH = dict(zip(CHARACTERS, LABELS, strict=True))
QUICK = {
    "shadow": {"percent": 50, "seconds": 1},
    "steps": [20, 50],
    "step_seconds": 1,
    "missing_seconds": 5,
    # On a busy machine a good one has a slow moment, too.
    "metrics": {"errors": {"margin": 5}, "slow": {"objective_ms": 5000, "margin": 10}},
}
STRICT = {
    **QUICK,
    "metrics": {"errors": {"margin": 5}, "slow": {"objective_ms": 100, "margin": 10}},
}
NO_SHADOW = {**QUICK, "shadow": {"percent": 0}}
BY_LABELS = {**NO_SHADOW, "metrics": {"errors": {"margin": 5}, "accuracy": {"margin": 10}}}
SHUFFLED, SLOW, ERRS, GOOD, BETTER = "2", "3", "4", "5", "6"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Version 1 serves; of the others, three are worse and two are not."""
    with site(tmp_path_factory.mktemp("rollout") / "project", 0) as found:
        for seed, flaw in enumerate(("shuffled", "slow", "errs", "", ""), start=1):
            Chain(found.root).make(seed, flaw=flaw).register()
        found.deploy(replicas=1, rollout=QUICK)
        yield found


def load(small, **values):
    return Traffic(small.port, clients=4, pause=0.01, texts=CHARACTERS, **values)


@contextmanager
def calls(small, clients=4):
    """Requests over gRPC alone; yields what failed, which is whole after the block."""
    stop, failures = threading.Event(), []
    request = messages.ModelInferRequest(model_name="small")
    tensor = request.inputs.add(name="text", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(CHARACTERS[0].encode())

    def ask():
        own = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{small.port}", options=own) as channel:
            infer = channel.unary_unary(rpc.INFER, messages.ModelInferRequest.SerializeToString)
            while not stop.wait(0.01):
                try:
                    infer(request, timeout=PATIENCE)
                except grpc.RpcError as error:
                    failures.append(f"{error.code().name}: {error.details()}")

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def gatekeeper():
    """A server that answers with `status`, and keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status = self.server.status  # of before anybody knows that it was asked
            self.server.asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            """Nothing of it belongs into a test's output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        found.status, found.asked = 503, []
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()


def records(small):
    return [one for one in read(small.folder.ledger) if one.rollout]


def state(small):
    return records(small)[-1].rollout.state


def shown(small, words):
    """What `watch` shows of what is lacking, where it has these words."""
    told = read_told(small.folder.root)
    return next((why for why in told.lacking if words in why), None) if told else None


def ended(small):
    until(lambda: state(small) in ("promoted", "rolled_back"), what="an end")
    return records(small)[-1]


def aliases(small):
    with sqlite3.connect(small.root / "mlflow.db") as database:
        found = database.execute("select alias, version from registered_model_aliases").fetchall()
    return {alias: str(version) for alias, version in found}


def serving(small):
    """Version by role, as the gateway has it, once the ledger's last word is in force."""
    until(
        lambda: small.status().healthy and small.status().records == len(read(small.folder.ledger))
    )
    return {role: of.release.version for role, of in small.status().roles.items() if of.weight}


def check_weights(small):
    assert all(sum(one.weights.values()) == 100 for one in read(small.folder.ledger))


def test_one_with_shuffled_labels_is_rolled_back_on_feedback(small):
    small.deploy(rollout=BY_LABELS)
    with load(small, labels=TRUTH) as traffic:
        small.run("rollout", "start", "small", "--challenger", SHUFFLED)
        last = ended(small)
    assert last.rollout.state == "rolled_back"
    assert "accuracy" in last.rollout.reason
    assert last.rollout.evidence["accuracy"].value > 0.5
    assert last.rollout.data == "sha256-p"
    assert traffic.failures == []
    assert serving(small) == {"champion": "1"}
    assert aliases(small)["champion"] == "1"


def test_one_that_is_slow_is_rolled_back_before_anybody_waits_for_it(small):
    small.deploy(rollout=STRICT)
    with load(small) as traffic:
        small.run("rollout", "start", "small", "--challenger", SLOW)
        last = ended(small)
    assert (last.rollout.state, last.rollout.step) == ("rolled_back", 0)
    assert "slow" in last.rollout.reason
    assert set(traffic.versions()) == {"1"}
    assert traffic.failures == []


def test_one_that_errs_is_rolled_back_on_copies_alone(small):
    small.deploy(rollout=QUICK)
    with load(small) as traffic:
        small.run("rollout", "start", "small", "--challenger", ERRS)
        last = ended(small)
    assert (last.rollout.state, last.rollout.step) == ("rolled_back", 0)
    assert "errors" in last.rollout.reason
    assert traffic.failures == []
    assert serving(small) == {"champion": "1"}


def test_one_that_errs_is_rolled_back_from_traffic_too_and_only_its_own_requests_fail(small):
    small.deploy(rollout=NO_SHADOW)
    with load(small) as traffic:
        small.run("rollout", "start", "small", "--challenger", ERRS)
        last = ended(small)
        # What it was asked before has been answered.
        serving(small)
        seen, bad = traffic.good, sum(traffic.bad.values())
        until(lambda: traffic.good > seen + 50, what="traffic afterwards")
        assert sum(traffic.bad.values()) == bad
    assert last.rollout.state == "rolled_back"
    assert {version for _, version in traffic.bad} <= {ERRS}


def test_an_objective_that_nobody_counts_by_is_refused_before_anything_is_deployed(small):
    before, told = small.config, {"metrics": {"slow": {"objective_ms": 123}}}
    small.write(rollout=told)
    shown = small.run("deploy", code=2)
    small.write(**before)
    assert "rollout.metrics.slow.objective_ms" in shown
    assert "100, 150" in shown


def test_without_requests_it_is_held_and_says_so_and_goes_on_with_them(small):
    small.deploy(rollout=NO_SHADOW)
    small.run("rollout", "start", "small", "--challenger", GOOD)
    until(lambda: state(small) == "held", what="being held")
    assert records(small)[-1].rollout.reason == "no requests come in"
    told = small.run("weights", "small", "champion=50", "challenger=50", code=2)
    assert "owns the weights" in told
    with load(small):
        until(lambda: state(small) == "canary", what="going on")
    small.run("rollout", "abort", "small")
    assert ended(small).rollout.reason == "a person ended it"
    assert serving(small) == {"champion": "1"}


def test_a_person_holds_resumes_and_is_refused(small):
    small.deploy(rollout={**NO_SHADOW, "missing_seconds": 3600})
    assert "no rollout is open" in small.run("rollout", "promote", "small", code=2)
    small.run("rollout", "start", "small", "--challenger", GOOD)
    assert "is open" in small.run("rollout", "start", "small", "--challenger", BETTER, code=2)
    assert "held" in small.run("rollout", "hold", "small")
    assert "canary" in small.run("rollout", "resume", "small")
    assert "errors: undecided" in small.run("rollout", "promote", "small", code=2)
    small.run("rollout", "abort", "small")
    history = small.run("rollout", "history", "small")
    assert "asked to hold" in history
    assert "refused to promote" in history


def test_a_good_one_is_promoted_whoever_is_killed(small):
    """The controller dies after each decision, before or while it acts on it."""
    small.deploy(rollout=QUICK)
    with load(small) as traffic:
        small.run("rollout", "start", "small", "--challenger", GOOD)
        for place in ("canary", "promoting"):
            until(lambda place=place: state(small) in (place, "promoted"), what=place)
            os.kill(small.pids()["controller"], signal.SIGKILL)
        assert ended(small).rollout.state == "promoted"
        assert serving(small) == {"champion": GOOD}
    assert traffic.failures == []
    check_weights(small)
    until(lambda: aliases(small)["champion"] == GOOD, what="the alias")
    assert "nothing to change" in small.run("deploy")


def test_with_the_registry_down_it_is_rolled_back_all_the_same(small):
    """What is needed of MLflow is read when it starts; afterwards it may be gone."""
    small.deploy(rollout=STRICT)
    with load(small) as traffic:
        small.run("rollout", "start", "small", "--challenger", SLOW)
        (small.root / "mlflow.db").rename(small.root / "away.db")
        last = ended(small)
        assert serving(small) == {"champion": GOOD}
    (small.root / "away.db").rename(small.root / "mlflow.db")
    assert last.rollout.state == "rolled_back"
    assert traffic.failures == []


def test_a_promotion_is_undone_at_once(small):
    small.run("rollout", "start", "small", "--challenger", "1", "--immediate")
    assert ended(small).rollout.state == "promoted"
    assert serving(small) == {"champion": "1"}
    until(lambda: aliases(small)["champion"] == "1", what="the alias")


def test_mlflow_shows_both_side_by_side(small):
    """The promotion of version 5: one run, two below it, with equal metric names."""

    def runs():
        with sqlite3.connect(small.root / "mlflow.db") as database:
            rows = database.execute(
                "select child.name, group_concat(distinct metrics.key) from runs parent "
                "join tags on tags.key = 'mlflow.parentRunId' and tags.value = parent.run_uuid "
                "join runs child on child.run_uuid = tags.run_uuid "
                "join metrics on metrics.run_uuid = child.run_uuid "
                "where parent.name like 'rollout small 7' group by child.name"
            ).fetchall()
        found = {role: set(keys.split(",")) for role, keys in rows}
        # Written after each decision, one arm after the other.
        alike = found.get("champion") == found.get("challenger")
        return found if alike and wanted <= found.get("challenger", set()) else None

    wanted = {"error_percent", "p95_ms", "weight", "evidence/errors"}
    found = until(runs, what="the runs of both, with equal metric names")
    assert found.keys() == {"champion", "challenger"}
    with sqlite3.connect(small.root / "mlflow.db") as database:
        query = "select run_uuid from runs where name = 'rollout small 7'"
        ((run,),) = database.execute(query).fetchall()

    def pages():
        return list((small.root / "mlartifacts").glob(f"*/{run}/artifacts/report.html"))

    (page,) = until(pages, what="the report")
    text = page.read_text(encoding="utf-8")
    assert "rollout" in text.lower()
    assert "small" in text


def test_a_person_must_agree_and_does(small):
    small.deploy(rollout={**QUICK, "confirm": "person"})
    with load(small) as traffic:
        small.run("rollout", "start", "small", "--challenger", GOOD)
        until(lambda: records(small)[-1].rollout.cause == "confirm", what="asking for agreement")
        assert "waiting for person to agree" in records(small)[-1].rollout.reason
        assert "promoting" in small.run("rollout", "promote", "small")
        last = ended(small)
        assert serving(small) == {"champion": GOOD}
    assert last.rollout.state == "promoted"
    assert not last.rollout.forced
    assert traffic.failures == []


def test_a_url_must_agree_and_is_asked_until_it_does(small):
    with gatekeeper() as gate:
        url = f"http://127.0.0.1:{gate.server_port}/may"
        small.deploy(rollout={**QUICK, "confirm": url})
        with load(small) as traffic:
            small.run("rollout", "start", "small", "--challenger", "1")
            until(lambda: gate.asked, what="the question")
            held = records(small)[-1].rollout
            assert (held.state, held.cause) == ("held", "confirm")
            assert url in held.reason
            gate.status = 200
            last = ended(small)
            assert serving(small) == {"champion": "1"}
        assert len(gate.asked) >= 2
        assert gate.asked[0] == f"/may?rollout={held.id}"
    assert last.rollout.state == "promoted"
    assert traffic.failures == []


def test_requests_over_grpc_alone_decide_too(small):
    small.deploy(rollout=NO_SHADOW)
    with calls(small) as failures:
        small.run("rollout", "start", "small", "--challenger", GOOD)
        assert ended(small).rollout.state == "promoted"
        assert serving(small) == {"champion": GOOD}
    decided = next(one for one in records(small)[::-1] if one.rollout.state == "promoting")
    assert decided.rollout.evidence["errors"].n["challenger"] > 0
    assert failures == []


def test_copies_of_grpc_requests_say_nothing_and_that_is_told(small):
    """Requests over HTTP let it go on."""
    small.deploy(rollout=QUICK)
    with calls(small) as failures:
        small.run("rollout", "start", "small", "--challenger", "1")
        until(lambda: state(small) == "held", what="being held")
        why = until(lambda: shown(small, "over gRPC only"), what="the reason")
        assert "rollout.shadow.percent: 0" in why
        with load(small) as traffic:
            assert ended(small).rollout.state == "promoted"
            assert serving(small) == {"champion": "1"}
    assert failures == traffic.failures == []


def test_the_history_tells_all_of_it_and_json_a_line_each(small):
    lines = small.run("rollout", "history", "small", "--json").splitlines()
    assert len(lines) == len(read(small.folder.ledger))
    assert {json.loads(line)["kind"] for line in lines} == {"deploy", "rollout", "request"}


def test_a_rollout_that_ends_before_the_challenger_is_ready_is_told_and_settled(small):
    """There is no point of a curve then, and no folder for one."""
    late = {**QUICK, "deadline": {"pending": 0.01}}
    small.deploy(rollout=late)
    told = small.run("rollout", "start", "small", "--challenger", BETTER, code=1)
    assert "rolled back" in told
    assert "the challenger was not ready" in told
    small.run("rollout", "settle", "small")


def test_watching_ends_with_the_service(small):
    small.deploy(rollout={**NO_SHADOW, "missing_seconds": 3600})
    small.run("rollout", "start", "small", "--challenger", BETTER)
    watching = small.start("rollout", "watch", "small")
    assert "pending" in watching.stdout.readline()
    small.run("delete", "small")
    assert "was ended by something else" in watching.communicate(timeout=60)[0]
    assert watching.returncode == 2
    assert "delete" in small.run("rollout", "history", "small").splitlines()[-1]
    assert "nothing is deployed here" in small.run("rollout", "watch", "small", code=2)
    # What was decided before is over: it is neither published nor promoted again.
    small.deploy(rollout=QUICK)
    assert serving(small) == {"champion": "1"}
