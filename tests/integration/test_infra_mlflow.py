"""MLflow as the manifests of infra/kubeflow start it: accounts, PostgreSQL, artifacts in S3."""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import httpx
import mlflow
import pytest
from moto.server import ThreadedMotoServer

from openautoglm.config.project import Project
from openautoglm.registry.store import open_store
from tests.support.databases import databases
from tests.support.kustomize import GIVEN, KUBEFLOW, configure, copied, documents
from tests.support.ports import HOST, free_port
from tests.support.project import BIN
from tests.support.registry import Chain
from tests.support.wait import PATIENCE, until

pytest.importorskip("flask_wtf", reason="MLflow's accounts need the extra `server`")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """The secrets of the overlay `dev`: name to key to value."""
    folder = copied(tmp_path_factory.mktemp("infra") / "dev", "dev", **GIVEN["dev"])
    assert configure(folder).returncode == 0
    return folder / "private"


def pairs(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def s3(private):
    """The environment of a bucket that the overlay's own script has made."""
    server = ThreadedMotoServer(ip_address=HOST, port=0)
    server.start()
    host, port = server.get_host_and_port()
    keys = pairs(private / "s3.env")
    found = {
        "AWS_ACCESS_KEY_ID": keys["access-key"],
        "AWS_SECRET_ACCESS_KEY": keys["secret-key"],
        "AWS_DEFAULT_REGION": keys["region"],
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    script = KUBEFLOW / "overlays" / "dev" / "s3" / "bucket.py"
    for told in ("made the bucket openautoglm", "there is a bucket openautoglm"):
        assert told in python(script, BUCKET=keys["bucket"], **found)
    yield found
    server.stop()


def python(script, **environment):
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def url(private, server, s3, tmp_path_factory):
    """Where MLflow answers, with the arguments and variables of the manifest."""
    keys, passwords = pairs(private / "mlflow.env"), pairs(private / "postgres.env")
    passwords.pop("postgres")
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    with databases(server, **passwords) as urls:
        database = urls["mlflow"].replace("postgresql://", "postgresql+psycopg2://")
        text = (private / "basic_auth.ini").read_text(encoding="utf-8")
        assert keys["backend"] in text
        (folder / "basic_auth.ini").write_text(
            text.replace(keys["backend"], database.replace("%", "%%")), encoding="utf-8"
        )
        given = {
            **{**variables(keys), **s3},
            "MLFLOW_BACKEND_STORE_URI": database,
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "basic_auth.ini"),
            "HOME": str(folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        # The last of two options counts.
        here = [f"--host={HOST}", f"--port={port}"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [str(BIN / "mlflow"), "server", *arguments(given), *here],
                env={**os.environ, **given, "PATH": f"{BIN}:{os.environ['PATH']}"},
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        try:
            found = f"http://{HOST}:{port}"
            until(lambda: healthy(found) or ended(process, folder / "log"))
            yield found
        finally:
            process.terminate()
            process.wait(PATIENCE)


def container():
    file = KUBEFLOW / "base" / "mlflow" / "deployment.yaml"
    _, deployment = documents(file.read_text(encoding="utf-8"))
    return deployment["spec"]["template"]["spec"]["containers"][0]


def variables(keys):
    """Those of the container that are written there or are of MLflow's own secret."""
    found = {one["name"]: one["value"] for one in container()["env"] if "value" in one}
    for one in container()["env"]:
        source = one.get("valueFrom", {}).get("secretKeyRef", {})
        if source.get("name") == "openautoglm-mlflow":
            found[one["name"]] = keys[source["key"]]
    return found


def arguments(given):
    """Of the container, with `$(NAME)` replaced as Kubernetes does it."""
    for argument in container()["args"]:
        for name, value in given.items():
            argument = argument.replace(f"$({name})", value)
        yield argument


def ended(process, log):
    assert process.poll() is None, log.read_text(encoding="utf-8")


def healthy(url):
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def account(url, private):
    """The account of the runs, made by the manifests' own script, run twice."""
    keys = pairs(private / "mlflow.env")
    stores = pairs(private / "stores.env")
    environment = {
        "MLFLOW_URL": url,
        "ADMIN_USERNAME": keys["admin-username"],
        "ADMIN_PASSWORD": keys["admin-password"],
        "ACCOUNT_USERNAME": stores["tracking-username"],
        "ACCOUNT_PASSWORD": stores["tracking-password"],
    }
    for _ in range(2):
        assert python(KUBEFLOW / "base" / "mlflow" / "account.py", **environment) == (
            "pipeline may enter\n"
        )
    return stores["tracking-username"], stores["tracking-password"]


def experiments(url, **more):
    found = f"{url}/api/2.0/mlflow/experiments/get?experiment_id=0"
    return httpx.get(found, trust_env=False, timeout=PATIENCE, **more).status_code


def test_nobody_enters_without_an_account(url, account):
    assert experiments(url) == 401
    assert experiments(url, auth=(account[0], "wrong")) == 401
    assert experiments(url, auth=account) == 200


def test_only_known_hosts_are_answered_but_for_probes(url, account):
    service = {"Host": "openautoglm-mlflow.openautoglm-stores.svc:5000"}
    assert experiments(url, auth=account, headers=service) == 200
    assert experiments(url, auth=account, headers={"Host": "evil.example"}) == 403
    probe = httpx.get(f"{url}/health", headers={"Host": "10.1.2.3:5000"}, trust_env=False)
    assert probe.status_code == 200


def test_the_account_of_the_runs_is_no_administrator(url, account):
    found = httpx.post(
        f"{url}/api/2.0/mlflow/users/create",
        json={"username": "another", "password": "a long password"},
        auth=account,
        trust_env=False,
        timeout=PATIENCE,
    )
    assert found.status_code == 403


def test_a_run_registers_its_model_and_the_bucket_has_it(url, account, s3, tmp_path, monkeypatch):
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_DEFAULT_ARTIFACT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", account[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", account[1])
    monkeypatch.setenv("NO_PROXY", HOST)
    chain = Chain(tmp_path / "project").make()
    assert chain.register()["registered"] is True
    version = open_store(Project(chain.root)).client.get_model_version_by_alias("small", "champion")
    assert version.version == "1"
    folder = mlflow.artifacts.download_artifacts("models:/small@champion", dst_path=tmp_path / "m")
    assert any(Path(folder).rglob("*.onnx"))
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    found = boto3.client("s3").list_objects_v2(Bucket="openautoglm")["Contents"]
    assert {one["Key"].split("/")[0] for one in found} == {"mlflow"}
    assert any(one["Key"].endswith(".onnx") for one in found)
