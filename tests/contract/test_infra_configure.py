"""How infra/kubeflow comes to its passwords, keys and image: by hand, once, and never into git."""

import re
import subprocess

import pytest

from tests.support.kustomize import GIVEN, committed, configure, copied, documents
from tests.support.project import ROOT

OVERLAYS = ("dev", "production")
PRIVATE = ("settings.env", "private/stores.env", "private/basic_auth.ini")


def test_git_holds_no_secret_and_would_not_take_one():
    kinds = [
        one["kind"]
        for file in committed("*.yaml")
        for one in documents(file.read_text(encoding="utf-8"))
    ]
    assert "Secret" not in kinds
    for file in committed("settings.example.env"):
        for line in file.read_text(encoding="utf-8").splitlines():
            if re.match(r"\w*(PASSWORD|KEY|URL)=", line):
                assert line.split("=", 1)[1] in ("", "generate"), line
    secret = [f"infra/kubeflow/overlays/{name}/{part}" for name in OVERLAYS for part in PRIVATE]
    done = subprocess.run(
        ["git", "check-ignore", *secret], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.split() == secret


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"RUNNER_IMAGE": ""}, "RUNNER_IMAGE: empty"),
        ({"RUNNER_IMAGE": "runner:latest"}, "pinned it is NAME@sha256:<64 hex digits>"),
        ({"MLFLOW_ADMIN_PASSWORD": "short"}, "MLFLOW_ADMIN_PASSWORD: 5 characters; at least 12"),
        ({"MLFLOW_DB_URL": "mysql://x"}, "MLFLOW_DB_URL: no URL of PostgreSQL"),
        ({"S3_ENDPOINT": "s3.example"}, "S3_ENDPOINT: found `s3.example`; https://HOST"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_written(tmp_path, settings, told):
    folder = copied(tmp_path / "infra", "production", **(GIVEN["production"] | settings))
    done = configure(folder)
    assert done.returncode == 1
    assert f"error: {folder / 'settings.env'}" in done.stderr
    assert told in done.stderr
    assert not (folder / "private").exists()


def test_a_setting_that_is_not_known_is_refused(tmp_path):
    folder = copied(tmp_path / "infra", "dev", **GIVEN["dev"])
    with (folder / "settings.env").open("a", encoding="utf-8") as file:
        file.write("S3_BUKET=x\n")
    assert "S3_BUKET: not known here" in configure(folder).stderr


def test_a_password_is_made_once_and_read_by_its_owner_only(tmp_path):
    folder = copied(tmp_path / "infra", "dev", **GIVEN["dev"])
    assert configure(folder).returncode == 0
    first = (folder / "settings.env").read_text(encoding="utf-8")
    assert "=generate" not in first
    words = re.findall(r"_(?:PASSWORD|KEY)=(\w{48})$", first, re.MULTILINE)
    assert len(words) == len(set(words)) == 9
    assert configure(folder).returncode == 0
    assert (folder / "settings.env").read_text(encoding="utf-8") == first
    modes = [(folder / name).stat().st_mode & 0o077 for name in ("settings.env", "private")]
    assert modes == [0, 0]


def test_an_overlay_without_settings_is_told_where_they_go(tmp_path):
    folder = copied(tmp_path / "infra", "dev")
    (folder / "settings.env").unlink()
    done = configure(folder)
    assert f"error: {folder / 'settings.env'}\n  RUNNER_IMAGE: empty" in done.stderr
