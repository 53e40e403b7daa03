"""The first task of a run: its parameters, checked, and each step's view of them."""

import json

import pytest

from openautoglm.config.params import Params, view
from openautoglm.errors import ConfigError
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.component import checked
from openautoglm.steps.plan import plan, planned

DVC = "{kind: dvc, repo: 'https://host/repo', path: data/rows.csv, rev: v1}"
PARAMS = "data: {{source: {source}}}\nmodel: {{name: small, families: [glm]}}\n"
OF_DVC = PARAMS.format(source=DVC)
OF_FILE = PARAMS.format(source="{kind: file, path: rows.csv}")


def test_each_step_gets_its_view_in_the_order_of_the_catalog():
    whole = planned(OF_FILE)
    for step, text in zip(STEPS.values(), plan(OF_FILE), strict=True):
        assert checked(step.params, text, step.name) == view(whole, step.params)


def test_a_revision_replaces_the_one_of_the_parameters():
    fetch, *_ = plan(OF_DVC, "v2")
    assert json.loads(fetch)["data"]["source"]["rev"] == "v2"


def test_without_a_revision_the_parameters_keep_theirs():
    assert planned(OF_DVC).data.source.rev == "v1"


def test_data_of_another_kind_has_no_revision():
    with pytest.raises(ConfigError) as refused:
        planned(OF_FILE, "v2")
    assert "data of kind `file` has no DVC revision" in str(refused.value)


def test_a_wrong_key_is_named_and_is_bad_input(capsys):
    with pytest.raises(SystemExit) as ended:
        plan(OF_FILE + "trian: {lr: 1.0e-3}\n")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "unknown key `trian`" in said
    assert "params of this run" in said


def test_json_is_read_as_well_as_yaml():
    given = planned(OF_DVC).model_dump_json(by_alias=True, exclude_unset=True)
    assert planned(given) == planned(OF_DVC)
    assert isinstance(planned(given), Params)
