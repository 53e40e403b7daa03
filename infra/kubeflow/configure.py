"""Turn `overlays/NAME/settings.env` into the secrets and the image that an overlay is built with.

python infra/kubeflow/configure.py dev

Run again after a change of the settings, then: kubectl apply -k infra/kubeflow/overlays/dev
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

OVERLAYS = Path(__file__).parent / "overlays"
PINNED = re.compile(r"([\w.\-:/]+)@(sha256:[0-9a-f]{64})")
DATABASES = ("MLFLOW", "STUDY", "FEEDBACK")
OPTIONAL = {"MLFLOW_HOSTS", "NOTIFY_URL"}
POSTGRES = "openautoglm-postgres.openautoglm-stores.svc:5432"
MLFLOW = "openautoglm-mlflow.openautoglm-stores.svc"
ADMIN, ACCOUNT = "admin", "pipeline"
# Passwords are hashed slowly on purpose: without the cache every one of a run's hundred requests
# waits for it. For as long a password that was changed is good elsewhere.
AUTH = """[mlflow]
default_permission = READ
database_uri = {}
auth_cache_ttl_seconds = 60
"""
PROVIDERS = """s3:
  default:
    endpoint: {host}
    region: {region}
    disableSSL: {plain}
    credentials:
      fromEnv: false
      secretRef:
        secretName: openautoglm-s3
        accessKeyKey: access-key
        secretKeyKey: secret-key
"""
IMAGE = """apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
  - {{ name: openautoglm-runner, newName: "{}", digest: "{}" }}
"""


def read(file: Path) -> dict[str, str]:
    """The `KEY=VALUE` lines of a file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line.strip() and line[0] != "#")
    return {key.strip(): value.strip() for key, _, value in pairs}


def settle(file: Path) -> dict[str, str]:
    """The settings, after every `generate` has been replaced by a random word, for good."""
    text = re.sub(
        r"(?<==)generate$",
        lambda _: secrets.token_hex(24),
        file.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    beside = file.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)
    return read(file)


def problems(given: Mapping[str, str], known: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the settings, a line each: what was found, and what is allowed."""
    yield from (f"{key}: not known here" for key in given.keys() - known.keys())
    for key in known:
        value = given.get(key, "")
        if not value and key not in OPTIONAL:
            yield f"{key}: empty"
        elif key == "RUNNER_IMAGE" and not PINNED.fullmatch(value):
            yield f"{key}: found `{value}`; pinned it is NAME@sha256:<64 hex digits>"
        elif key.endswith("_DB_URL") and not re.match(r"postgres(ql)?://[^/]+/\w+", value):
            yield f"{key}: no URL of PostgreSQL; postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE"
        elif key == "S3_ENDPOINT" and not re.match(r"https?://[^/]+$", value):
            yield f"{key}: found `{value}`; https://HOST without a path"
        elif key.endswith("PASSWORD") and len(value) < 12:
            yield f"{key}: {len(value)} characters; at least 12"


def database(given: Mapping[str, str], name: str) -> str:
    """URL of one of the databases; the driver is named, since SQLAlchemy 2.1 means another one."""
    url = given.get(f"{name}_DB_URL")
    if url:
        return "postgresql+psycopg2://" + url.partition("://")[2]
    role, password = name.lower(), quote(given[f"{name}_DB_PASSWORD"], safe="")
    return f"postgresql+psycopg2://{role}:{password}@{POSTGRES}/{role}"


def files(given: Mapping[str, str]) -> dict[str, str]:
    """Name to text of everything below `private`: each file is one secret."""
    mlflow, endpoint = database(given, "MLFLOW"), urlsplit(given["S3_ENDPOINT"])
    hosts = _hosts() + [host.strip() for host in given["MLFLOW_HOSTS"].split(",") if host.strip()]
    image = PINNED.fullmatch(given["RUNNER_IMAGE"])
    assert image, "`problems` has looked at it"
    return {
        "kustomization.yaml": IMAGE.format(*image.groups()),
        "postgres.env": _env(
            {"postgres": given.get("POSTGRES_PASSWORD", "")}
            | {name.lower(): given.get(f"{name}_DB_PASSWORD", "") for name in DATABASES}
        ),
        "mlflow.env": _env(
            {
                "backend": mlflow,
                "artifacts": f"s3://{given['S3_BUCKET']}/mlflow",
                "allowed-hosts": ",".join(hosts),
                "admin-username": ADMIN,
                "admin-password": given["MLFLOW_ADMIN_PASSWORD"],
                "pipeline-username": ACCOUNT,
                "pipeline-password": given["MLFLOW_PIPELINE_PASSWORD"],
                "session-key": given["MLFLOW_SESSION_KEY"],
            }
        ),
        # An ini file takes a % for the beginning of a name.
        "basic_auth.ini": AUTH.format(mlflow.replace("%", "%%")),
        "s3.env": _env(
            {
                "access-key": given["S3_ACCESS_KEY"],
                "secret-key": given["S3_SECRET_KEY"],
                "endpoint": given["S3_ENDPOINT"],
                "region": given["S3_REGION"],
                "bucket": given["S3_BUCKET"],
            }
        ),
        "s3.json": _identities(given["S3_ACCESS_KEY"], given["S3_SECRET_KEY"]),
        "stores.env": _env(
            {
                "tracking-uri": f"http://{MLFLOW}:5000",
                "tracking-username": ACCOUNT,
                "tracking-password": given["MLFLOW_PIPELINE_PASSWORD"],
                "study": database(given, "STUDY"),
                "feedback": database(given, "FEEDBACK"),
            }
        ),
        "notify.env": _env({"url": given["NOTIFY_URL"]} if given["NOTIFY_URL"] else {}),
        "launcher.env": _env({"defaultPipelineRoot": f"s3://{given['S3_BUCKET']}/pipelines"}),
        "providers.yaml": PROVIDERS.format(
            host=endpoint.netloc,
            region=given["S3_REGION"],
            plain=str(endpoint.scheme == "http").lower(),
        ),
    }


def _hosts() -> list[str]:
    """Host headers of pods, and of people who come through `kubectl port-forward`."""
    service, namespace, _ = MLFLOW.split(".")
    names = [service, f"{service}.{namespace}", MLFLOW, f"{MLFLOW}.cluster.local"]
    return [*(f"{name}:5000" for name in names), "localhost:*", "127.0.0.1:*"]


def _env(values: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _identities(access: str, secret: str) -> str:
    one = {
        "name": "openautoglm",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin"],
    }
    return json.dumps({"identities": [one]})


def configure(overlay: Path) -> None:
    """Write what the overlay's kustomization takes from `private`.

    Raises:
        SystemExit: With the text of what is wrong with the settings.
    """
    example, file = overlay / "settings.example.env", overlay / "settings.env"
    if not file.exists():
        shutil.copyfile(example, file)
    given, known = settle(file), read(example)
    if found := sorted(problems(given, known)):
        raise SystemExit("\n".join([f"error: {file}", *(f"  {line}" for line in found)]))
    private = overlay / "private"
    private.mkdir(mode=0o700, exist_ok=True)
    taken = (overlay / "kustomization.yaml").read_text(encoding="utf-8")
    for name, text in files(given).items():
        if f"private/{name}" in taken or name == "kustomization.yaml":
            (private / name).write_text(text, encoding="utf-8")
    print(f"wrote {private}; now: kubectl apply -k {overlay}")


def main() -> None:
    """Configure the overlay that the command line names."""
    known = sorted(folder.name for folder in OVERLAYS.iterdir())
    if sys.argv[1:] not in [[name] for name in known]:
        raise SystemExit(f"usage: python {sys.argv[0]} {{{','.join(known)}}}")
    configure(OVERLAYS / sys.argv[1])


if __name__ == "__main__":
    main()
