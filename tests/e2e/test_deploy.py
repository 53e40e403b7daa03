"""`openautoglm deploy` as a person uses it: real replicas behind a real Envoy."""

from __future__ import annotations

import json

import httpx
import pytest

from openautoglm.deploy.ledger import read
from openautoglm.deploy.local.unit import read_units
from tests.support.ports import free_port
from tests.support.site import listening, parsed, processes, site
from tests.support.traffic import Traffic
from tests.support.wait import PATIENCE, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy")]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A service of two replicas; version 1 is its champion, version 2 registered beside it."""
    with site(tmp_path_factory.mktemp("deploy") / "project", 0, 1) as found:
        found.said = found.deploy()
        yield found


def grpc_ports(site):
    return {unit.grpc_port for unit in read_units(site.folder.units) if unit.kind == "replica"}


def predict(site, text="车"):
    return httpx.post(
        f"{site.url}/v1/predict", json={"text": text}, trust_env=False, timeout=PATIENCE
    )


def test_it_answers_when_the_command_returns(small):
    answer = predict(small)
    assert answer.status_code == 200
    assert answer.json()["label"] == "铁路"
    assert answer.headers["x-model-version"] == "1"
    assert answer.headers["x-model-digest"] == small.status().roles["champion"].release.digest


def test_it_says_what_it_did_and_what_to_type_next(small):
    assert "create" in small.said
    assert f"small version 1 (glm fp32) answers at {small.url}" in small.said
    assert "/v1/predict" in small.said


def test_a_second_deploy_changes_nothing_and_says_so(small):
    before = small.pids()
    assert "nothing to change" in small.run("deploy")
    assert "nothing to change" in small.run("deploy", "--plan").lower()
    assert small.pids() == before


def test_status_tells_people_and_programs(small):
    shown = small.run("status")
    assert "healthy" in shown
    assert "champion" in shown
    told = parsed(small.run("status", "small", "--json"))["small"]
    assert told["healthy"]
    assert [p["state"] for p in told["processes"]] == ["ready"] * 4
    assert {p["pid"] for p in told["processes"]} < set(small.pids().values())


def test_logs_name_the_process_that_wrote_each_line(small):
    shown = small.run("logs", "small", "--unit", "replica", "-n", "1")
    assert len(shown.splitlines()) == 2
    assert all(line.startswith("replica-") for line in shown.splitlines())


def test_a_plan_tells_what_would_change_and_changes_nothing(small):
    before = small.pids()
    small.write(gateway={"timeout_ms": 9000})
    assert "gateway.timeout_ms" in small.run("deploy", "--plan")
    small.write(gateway={"timeout_ms": 10_000})
    assert small.pids() == before


def test_changed_files_roll_over_without_a_failed_request(small):
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 50, what="traffic")
        for number, change in enumerate(
            (
                {"serving": {"batching": {"max_batch_size": 16}}},
                {"replicas": 3},
                {"gateway": {"balancing": "round_robin"}},
                {"serving": {"batching": {"max_batch_size": 8}}, "replicas": 1},
                {"replicas": 2, "gateway": {"limits": {"header_bytes": 8192}}},
            )
        ):
            small.deploy(**change)
            status = small.status()
            assert status.healthy
            seen = traffic.good
            until(lambda seen=seen: traffic.good > seen + 50, what=f"traffic after {number}")
    assert traffic.failures == []
    assert len(small.pids("replica")) == 2
    assert small.pids("replica").keys() == {
        p.unit for p in small.status().processes if p.kind == "replica"
    }


def test_the_gateway_moves_to_another_port_and_back(small):
    first = small.port
    small.port = free_port()
    small.deploy()
    assert predict(small).status_code == 200
    until(lambda: first not in listening(), what="the old port is closed")
    small.deploy(gateway={"host": "127.0.0.2"})
    assert small.status().url == f"http://127.0.0.2:{small.port}"
    small.port = first
    small.deploy(gateway={"host": "127.0.0.1"})
    assert predict(small).status_code == 200


def test_another_version_takes_over_without_a_failed_request(small):
    with Traffic(small.port) as traffic:
        until(lambda: traffic.versions()["1"] > 50, what="traffic of version 1")
        small.deploy(model="models:/small/2")
        traffic.clear()
        until(lambda: traffic.good > 50, what="traffic of version 2")
    assert traffic.failures == []
    assert set(traffic.versions()) == {"2"}
    small.deploy(model="models:/small@champion")
    assert predict(small).headers["x-model-version"] == "1"


def test_weights_by_hand_start_the_challenger_and_end_it(small):
    assert "in force" in small.run("weights", "small", "champion=50", "challenger=50")
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 400, what="traffic")
    assert traffic.failures == []
    assert 0.35 < traffic.versions()["2"] / traffic.good < 0.65
    assert "sum to 90" in small.run("weights", "small", "champion=50", "challenger=40", code=2)
    small.run("weights", "small", "champion=100")
    until(lambda: len(small.pids("replica")) == 2, what="the challenger's end")
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 50, what="traffic")
    assert set(traffic.versions()) == {"1"}


def test_a_shadow_answers_nobody(small):
    small.run("weights", "small", "champion=100", "--shadow", "100")
    assert small.status().roles["challenger"].shadow == 100
    with Traffic(small.port) as traffic:
        until(lambda: traffic.good > 50, what="traffic")
    assert set(traffic.versions()) == {"1"}
    port = next(
        p.port
        for p in small.status().processes
        if p.release == small.status().roles["challenger"].release.key
    )

    def asked():
        url = f"http://127.0.0.1:{port}/metrics"
        lines = httpx.get(url, trust_env=False, timeout=PATIENCE).text.splitlines()
        counts = [line for line in lines if line.startswith("openautoglm_replica_requests_total")]
        return sum(float(line.split()[-1]) for line in counts)

    until(lambda: asked() > 20, what="copies")
    small.run("weights", "small", "champion=100")


def test_weights_are_refused_while_a_rollout_owns_them(small):
    from openautoglm.deploy.ledger import append

    last = read(small.folder.ledger)[-1]
    append(small.folder.ledger, last.model_copy(update={"owner": "rollout 7"}))
    shown = small.run("weights", "small", "champion=100", code=2)
    assert "rollout 7 owns the weights" in shown
    append(small.folder.ledger, last)


def test_the_ledger_tells_who_decided_what(small):
    records = read(small.folder.ledger)
    assert records[0].kind == "deploy"
    assert records[0].by.endswith(" deploy")
    assert any(record.weights == {"champion": 50, "challenger": 50} for record in records)


def test_delete_leaves_no_process_no_port_and_no_temporary_file(small):
    processes_before = small.status().processes
    ports = {small.port, *(p.port for p in processes_before), *grpc_ports(small)}
    assert ports <= listening()
    assert "deleted" in small.run("delete")
    assert processes(small.root) == []
    assert not ports & listening()
    assert not small.folder.sockets.exists()
    assert [path.name for path in small.folder.root.iterdir()] == ["ledger.jsonl"]
    assert list((small.root / ".openautoglm" / "models").glob("sha256-*")) == []
    shown = small.run("status", code=2)
    assert "nothing is deployed here" in shown
    assert json.loads(small.folder.ledger.read_text("utf-8").splitlines()[-1])
