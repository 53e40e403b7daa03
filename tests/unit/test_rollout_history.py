"""Which ledgers can be read: those of deleted services too."""

from __future__ import annotations

import pytest

from openautoglm.cli.rollouts import history
from openautoglm.cli.services import one_service
from openautoglm.config.project import Project
from openautoglm.deploy.ledger import Record, append
from openautoglm.deploy.local.folder import ServiceFolder
from openautoglm.errors import ConfigError
from tests.unit.test_rollout_settling import record


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def deployed(project, name):
    found = ServiceFolder(project, name)
    append(found.ledger, record("1"))
    found.desired.write_text("{}")
    return found


def deleted(project, name):
    found = deployed(project, name)
    append(found.ledger, Record(kind="delete", by="somebody"))
    found.desired.unlink()
    return found


def test_what_was_decided_about_a_deleted_service_can_be_read(project, capsys):
    gone = deleted(project, "gone")
    for name in ("gone", None):
        assert one_service(project, name, deleted=True) == gone
        with pytest.raises(ConfigError, match="nothing is deployed here"):
            one_service(project, name)
    history(gone, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "deploy" in lines[0]
    assert "delete" in lines[1]
    assert "somebody" in lines[1]


def test_without_a_name_a_service_that_is_there_comes_before_one_that_is_gone(project):
    gone, there = deleted(project, "gone"), deployed(project, "there")
    assert one_service(project, None, deleted=True) == there
    assert one_service(project, "gone", deleted=True) == gone
    with pytest.raises(ConfigError, match="no service is called `gone`"):
        one_service(project, "gone")


def test_of_several_that_are_gone_one_must_be_named(project):
    deleted(project, "one"), deleted(project, "other")
    with pytest.raises(ConfigError, match="several") as told:
        one_service(project, None, deleted=True)
    assert "one, other" in str(told.value)
