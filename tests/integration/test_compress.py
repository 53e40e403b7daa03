"""The compress step on a trained network: what is built, left out, kept after a kill, chosen."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from openautoglm.artifacts.manifest import read_manifest
from openautoglm.compression import catalog
from openautoglm.config.params import CompressParams, Params, view
from openautoglm.config.yaml import load
from openautoglm.errors import StepError
from openautoglm.inference.model import load as load_model
from openautoglm.inference.package import read_choice, read_package
from openautoglm.steps.compress import compress
from openautoglm.steps.runtime import Runtime
from openautoglm.training import smaller
from tests.support.command import command
from tests.support.project import FP32, Small, rows

pytestmark = pytest.mark.xdist_group("compress")
RECIPES = ["fp32", "int8", "int4-gptq", "pruned", "distilled"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project up to train, whose transformer is better than its glm."""
    small = Small(tmp_path_factory.mktemp("compress") / "project", count=400)
    small.change(**FP32)
    small.change(train={"epochs": 8, "lr": 0.003, "glm": {"penalty": 1e-6, "buckets": 4096}})
    for name in ("fetch", "prepare", "tune", "train"):
        command(small.root, "step", name)
    return small


@pytest.fixture
def run(project, tmp_path):
    def run(out: Path = tmp_path / "out", work: Path = tmp_path / "work", **settings):
        whole = load(project.root / "params.yaml", Params)
        values = view(whole, CompressParams).model_dump(mode="json")
        small = {"dim": 8, "hidden": 16, "buckets": 1024, "epochs": 1}
        values["compress"] |= {"recipes": RECIPES, "search": {"rounds": 0}, "distill": small}
        values["compress"] |= settings
        compress(
            prepared=project.root / "data/prepared",
            trained=project.root / "models/trained",
            params=CompressParams.model_validate(values, strict=False),
            runtime=Runtime(work=work, project=project.root),
            out=out,
        )
        return out

    return run


def variants(out):
    with (out / "payload/variants.csv").open(encoding="utf-8", newline="") as stream:
        return {(row["family"], row["variant"]): row for row in csv.DictReader(stream)}


def left_out(out):
    found = json.loads((out / "payload/left_out.json").read_text(encoding="utf-8"))
    return {(one["family"], one["variant"]): one["reason"] for one in found}


def test_every_recipe_gives_a_variant_that_predicts(run):
    out = run()
    package = read_package(out)
    assert package.candidate == "transformer"
    found = {(name, v) for name, part in package.families.items() for v in part.variants}
    both = {(name, v) for name in ("transformer", "glm") for v in ("fp32", "int8")}
    made = {("transformer", "int4-gptq"), ("pruned", "int8"), ("distilled", "int8")}
    assert found == both | made == set(variants(out))
    assert ("glm", "int4-gptq") in left_out(out)
    texts = [text for text, _ in rows(5)]
    for family, variant in found:
        model = load_model(out, family=family, variant=variant)
        assert model.predict_proba(texts).sum(1) == pytest.approx(1, abs=1e-4)
    speed = json.loads((out / "speed.json").read_text(encoding="utf-8"))
    assert set(speed["variants"]) == {f"{family}/{variant}" for family, variant in found}
    assert {"cpu", "flags", "threads"} <= set(speed)
    assert package.families["pruned"].operations < package.families["transformer"].operations
    sizes = {name: int(row["bytes"]) for name, row in variants(out).items()}
    assert sizes["transformer", "int8"] < sizes["transformer", "fp32"] / 2


def test_a_search_keeps_of_its_own_variants_those_that_none_beats(run):
    out = run(
        recipes=["fp32", "distilled"],
        search={"rounds": 1, "trials": 2, "distilled": {"buckets": {"choices": [1024, 2048]}}},
    )
    found = [name for name, _ in variants(out) if name.startswith("distilled-")]
    assert len(found) <= 1  # a space of two values: the start, and one that is new
    assert all(variants(out)[name, "int8"]["pareto"] == "1" for name in found)


def test_a_variant_beyond_its_bound_is_left_out_and_told(run, monkeypatch):
    strict = replace(catalog.RECIPES["int8"], bound=0.0)
    monkeypatch.setitem(catalog.RECIPES, "int8", strict)
    out = run(recipes=["fp32", "int8"])
    assert "more than 0" in left_out(out)["transformer", "int8"]
    assert ("transformer", "int8") not in variants(out)
    assert read_choice(out).reason.startswith("do not compress")


def test_an_fp32_graph_beyond_its_bound_stops_the_step(run, tmp_path):
    with pytest.raises(StepError, match="max_difference") as caught:
        run(recipes=["fp32"], max_difference=1e-30)
    assert "the fp32 graph: it differs" in caught.value.what
    assert not (tmp_path / "out").exists()


def test_a_variant_whose_figures_are_no_numbers_is_left_out(run, monkeypatch):
    int8 = catalog.RECIPES["int8"]

    def build(source, out):
        int8.build(source, out)
        model = onnx.load(out)
        for array in model.graph.initializer:
            if array.data_type == onnx.TensorProto.FLOAT:
                value = np.full(array.dims, np.nan, np.float32)
                array.CopyFrom(onnx.numpy_helper.from_array(value, array.name))
        onnx.save(model, out)

    monkeypatch.setitem(catalog.RECIPES, "int8", replace(int8, build=build))
    out = run(recipes=["fp32", "int8"])
    assert "nan" in left_out(out)["transformer", "int8"]


def test_a_precision_that_does_nothing_for_a_student_is_told(run):
    out = run(
        recipes=["fp32", "distilled"],
        distill={"dim": 8, "hidden": 16, "layers": 0, "buckets": 1024, "epochs": 1}
        | {"precision": "int8-static"},
    )
    assert "no matrix product" in left_out(out)["distilled", "int8-static"]


def test_values_that_do_not_fit_together_are_a_failed_trial(run):
    space = {"dim": {"choices": [9, 16]}}
    out = run(recipes=["fp32", "distilled"], search={"rounds": 1, "trials": 2, "distilled": space})
    assert ("distilled", "int8") in variants(out)


def test_a_choice_does_not_change_the_digest(run, tmp_path):
    strict = {"gate": {"max_loss": 0.0}, "recipes": ["fp32", "int8"]}
    loose = {"gate": {"max_loss": 1.0}, "recipes": ["fp32", "int8"]}
    a, b = run(tmp_path / "a", **strict), run(tmp_path / "b", **loose)
    assert read_manifest(a).digest == read_manifest(b).digest
    assert read_choice(a).variant == "fp32"
    assert read_choice(b).variant == "int8"


def test_what_a_killed_attempt_has_trained_is_not_trained_again(run, tmp_path, monkeypatch):
    trained = []
    real = smaller.fit

    def fit(name, job, out):
        trained.append(job.name)
        real(name, job, out)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(smaller, "fit", fit)
    monkeypatch.setattr("openautoglm.steps.compress.pack", killed)
    with pytest.raises(KeyboardInterrupt):
        run(recipes=["fp32", "distilled"])
    monkeypatch.undo()
    monkeypatch.setattr(smaller, "fit", fit)
    out = run(recipes=["fp32", "distilled"])
    assert trained == ["distilled"]
    assert ("distilled", "int8") in variants(out)
    assert list(tmp_path.rglob(".*.part-*")) == []
