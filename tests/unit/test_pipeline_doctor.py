"""What `openautoglm doctor` says of a project's pipelines."""

import shutil

import pytest

from openautoglm.cli.pipeline_checks import pipeline_checks
from openautoglm.config.project import Project
from tests.support.project import ROOT

IMAGE = "registry.example.org/runner@sha256:" + "0" * 64


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pipelines").mkdir()
    for name in ("settings.yaml", "schedules.yaml"):
        shutil.copyfile(ROOT / "pipelines" / name, tmp_path / "pipelines" / name)
    return Project(tmp_path)


def found(project):
    return [(one.name, one.level, one.found) for one in pipeline_checks(project)]


def test_the_projects_own_files_lack_an_image_only(project):
    assert found(project) == [
        ("pipeline settings", "note", "no image"),
        ("schedules", "ok", "2 declared, 0 enabled"),
    ]


def test_an_image_is_shown(project):
    project.pipeline_settings.write_text(f"image: {IMAGE}\n", encoding="utf-8")
    assert found(project)[0] == ("pipeline settings", "ok", f"image {IMAGE}")


@pytest.mark.parametrize(
    ("file", "text", "key"),
    [
        ("settings.yaml", "image: runner:latest\n", "image"),
        ("schedules.yaml", "schedules: {a: {pipeline: training, cron: '0 0 2 * * *'}}\n", "cron"),
    ],
)
def test_a_file_that_is_not_as_it_must_be_is_broken_and_says_where(project, file, text, key):
    (project.root / "pipelines" / file).write_text(text, encoding="utf-8")
    [(_, _, told)] = [one for one in found(project) if one[1] == "broken"]
    assert file in told
    assert key in told


def test_a_project_without_pipelines_is_none_the_worse_for_it(project):
    shutil.rmtree(project.root / "pipelines")
    assert [level for _, level, _ in found(project)] == ["note"]
