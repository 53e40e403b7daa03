"""`openautoglm doctor`: what it finds, and what it says to do about it."""

import pytest
from typer.testing import CliRunner

from openautoglm.cli import checks, live_checks
from openautoglm.cli.main import app
from tests.support.project import ROOT


def doctor(*given, **environment):
    shown = CliRunner().invoke(
        app, [*given[:-1], "doctor", *given[-1]], env={"COLUMNS": "200", **environment}
    )
    return shown.exit_code, shown.output


@pytest.fixture
def project(tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return str(tmp_path)


def test_everything_is_looked_at(project, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    _, text = doctor("--project", project, [])
    for part in (
        *("Python", "cores", "memory", "free disk", "git", "dvc"),
        *("accelerators", "INT8", "extra dashboard", "MLflow"),
    ):
        assert part in text
    assert "of 4" in text


def test_production_asks_for_more(project):
    _, text = doctor("--project", project, ["--profile", "production"])
    assert "of 16" in text
    assert "of 32 GB" in text
    assert "of 500 GB" in text


@pytest.mark.parametrize(("found", "level"), [("128", "note"), ("512", "ok")])
def test_too_few_inotify_instances_come_with_their_command(
    project, tmp_path, monkeypatch, found, level
):
    setting = tmp_path / "max_user_instances"
    setting.write_text(f"{found}\n", encoding="ascii")
    monkeypatch.setattr(live_checks, "_INOTIFY", setting)
    _, text = doctor("--project", project, [])
    [line] = [line for line in text.splitlines() if line.startswith("inotify")]
    assert line.split()[2:4] == [level, found]
    assert ("sysctl fs.inotify.max_user_instances=512" in line) == (level == "note")


def test_a_part_that_is_missing_comes_with_its_command(project, monkeypatch):
    def version(distribution):
        raise checks.PackageNotFoundError(distribution)

    monkeypatch.setattr(checks, "version", version)
    _, text = doctor("--project", project, [])
    assert "pip install -c constraints.txt -e '.[hub]'" in text


def test_a_store_that_does_not_answer_is_broken(project):
    code, text = doctor("--project", project, [], MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert code == 1
    assert "broken" in text
    assert "127.0.0.1:9" in text


def test_bad_parameters_are_told(project, tmp_path):
    (tmp_path / "params.yaml").write_text("data: {}\n", encoding="utf-8")
    code, text = doctor("--project", project, [])
    assert code == 1
    assert "source" in text


def test_an_unknown_profile_is_refused(project):
    shown = CliRunner().invoke(app, ["--project", project, "doctor", "--profile", "big"])
    assert shown.exit_code != 0
    assert "dev, production" in str(shown.exception)


def test_a_study_is_asked_and_its_password_not_told(project, tmp_path):
    _, text = doctor("--project", project, [], OPENAUTOGLM_STUDY=f"sqlite:///{tmp_path}/s.db")
    assert "sqlite:///" in text
    url = "postgresql://me:secret@127.0.0.1:9/studies"
    code, text = doctor("--project", project, [], OPENAUTOGLM_STUDY=url)
    assert code == 1
    assert "OPENAUTOGLM_STUDY" in text
    assert "secret" not in text
