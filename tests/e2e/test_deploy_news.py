"""`examples/news.yaml` as it stands, with a model that was fine-tuned from its base."""

from __future__ import annotations

import shutil

import httpx
import pytest
from ruamel.yaml import YAML

from openautoglm.config.project import Project
from openautoglm.deploy.local.folder import ServiceFolder
from tests.support.bert import tiny_bert
from tests.support.project import ROOT, TOPICS, Small, rows, write_csv
from tests.support.site import Site, listening, processes

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy-news")]
NEWS = dict(zip(TOPICS, ("科技", "体育", "娱乐"), strict=True))
STEPS = ("fetch", "prepare", "tune", "train", "compress", "evaluate", "register")


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory):
    """A project whose champion comes from a tiny BERT that lies where the hub's name points."""
    root = tmp_path_factory.mktemp("news") / "project"
    small = Small(root)
    tiny_bert(root / "bert-base-chinese")
    labelled = [(text, NEWS[topic]) for text, topic in rows(600)]
    write_csv(root / "data" / "source" / "rows.csv", labelled)
    small.change(
        model={"name": "news", "families": ["transformer"], "base": "bert-base-chinese"},
        tune={"rounds": 0},
        train={"transformer": ..., "glm": ..., "lr": 3e-3},
        compress={
            "recipes": ["fp32", "int8"],
            "distill": ...,
            "search": {"rounds": 0, "distilled": ...},
        },
        evaluate={"gate": {"margin": 1.0}},
    )
    site = Site(root)
    for step in STEPS:
        site.run("step", step)
    return site


def test_it_serves_the_model_that_was_fine_tuned_from_its_base(fine_tuned):
    if 8080 in listening():
        pytest.skip("somebody listens on 8080, the port of the example")
    root = fine_tuned.root
    shutil.copyfile(ROOT / "examples" / "news.yaml", root / "news.yaml")
    shown = fine_tuned.run("deploy", "-c", str(root / "news.yaml"))
    try:
        assert "news version 1 (transformer int8) answers at http://127.0.0.1:8080" in shown
        assert "warning" in shown, "three replicas, and at most ten, on this machine"
        answer = httpx.post(
            "http://127.0.0.1:8080/v1/predict", json={"text": "列车轨道"}, trust_env=False
        )
        assert answer.json()["label"] in NEWS.values()
        folder = ServiceFolder(Project(root.resolve()), "news")
        assert len(list(folder.running.glob("replica-*.lock"))) == 3
    finally:
        fine_tuned.run("delete", "news")
    assert processes(root) == []


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("model", "bert-base-uncased", "models:/news@champion (base bert-base-chinese)"),
        ("quantization", "int4-rtn", "int8"),
        ("pipeline", [{"task": "text-classification", "labels": ["科技", "体育"]}], "娱乐"),
        ("pipeline", [{"task": "tabular-classification"}], "text-classification"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(fine_tuned, key, value, told):
    root = fine_tuned.root
    config = YAML().load((ROOT / "examples" / "news.yaml").read_text(encoding="utf-8"))
    config[key] = value
    with (root / "news.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(config, stream)
    shown = fine_tuned.run("deploy", "--plan", "-c", str(root / "news.yaml"), code=2)
    assert "news.yaml:" in shown
    assert told in shown
