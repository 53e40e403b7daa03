"""Search spaces in params.yaml: what they may hold, and what the message tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openautoglm.config.params import Params
from openautoglm.config.search import Range, changed, is_whole
from openautoglm.config.training import TrainSettings
from openautoglm.config.tuning import TuneSettings, space_for
from openautoglm.config.yaml import load
from openautoglm.errors import ConfigError
from openautoglm.tuning.settings import present, searched

GOOD = """\
data:
  source: {kind: file, path: a.csv}
model:
  name: news
"""


@pytest.fixture
def refused(tmp_path):
    def refused(text):
        path = tmp_path / "params.yaml"
        path.write_text(GOOD + text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load(path, Params)
        return str(caught.value)

    return refused


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("learning: {low: 1, high: 2}", "`learning` is no setting of train"),
        ("transformer: {depth: {choices: [1]}}", "`transformer.depth` is no setting of train"),
        ("lr: {low: 0.1, high: 0.01}", "must lie below `high`"),
        ("lr: {low: 0, high: 0.01, log: true}", "must lie above 0"),
        ("lr: {low: -1, high: 0.01}", "-1 is no value for train.lr"),
        ("lr: {choices: []}", "tune.space.lr"),
        ("lr: {low: 0.1}", "high"),
        ("class_weights: {choices: [none, some]}", "'some' is no value for train.class_weights"),
        ("epochs: {choices: [1, 2]}", "`epochs` is not searched; set train.epochs"),
        ("transformer: {heads: {choices: [3]}}", "does not divide"),
        ("lr: {choices: [0.001, 0.001]}", "twice"),
        ("glm: {crosses: {low: 0, high: 1}}", "is no number"),
    ],
)
def test_a_space_that_train_could_not_have_is_refused(refused, space, said):
    assert said in refused(f"tune:\n  space:\n    {space}\n")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{recipes: [int8]}", "fp32"),
        ("{recipes: [fp32, fp32]}", "twice"),
        ("{recipes: [fp32, int3]}", "int3"),
        ("{recipes: [fp32], prune: {heads: 0.5}}", "compress.prune has no meaning"),
        ("{recipes: [fp32], search: {distilled: {dim: {choices: [8]}}}}", "search.distilled"),
        ("{search: {pruned: {dim: {choices: [8]}}}}", "no setting of compress.prune"),
        ("{distill: {dim: 9, heads: 2}}", "does not divide"),
        ("{gate: {max_loss: 2}}", "compress.gate.max_loss"),
    ],
)
def test_a_compression_that_cannot_be_is_refused(refused, section, said):
    assert said in refused(f"compress: {section}\n")


def test_a_space_about_a_family_that_does_not_compete_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    text = GOOD + "  families: [glm]\ntune: {space: {lr: {low: 0.1, high: 0.2}}}\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"model\.families lacks"):
        load(path, Params)


def test_a_space_is_held_against_the_projects_own_settings(refused, tmp_path):
    space = "tune: {space: {transformer: {dim: {choices: [90, 96]}}}}\n"
    path = tmp_path / "good.yaml"
    path.write_text(f"{GOOD}train: {{transformer: {{dim: 96, heads: 6}}}}\n{space}", "utf-8")
    assert load(path, Params).tune.space
    assert "does not divide" in refused(space)  # 90 with 4 heads


def test_settings_of_a_family_that_does_not_compete_are_refused(tmp_path):
    path = tmp_path / "params.yaml"
    text = f"{GOOD}  families: [transformer]\ntrain: {{glm: {{penalty: 2.0}}}}\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"train\.glm has no meaning"):
        load(path, Params)


@pytest.mark.parametrize("numeric", [False, True])
@pytest.mark.parametrize("base", [False, True])
def test_our_own_spaces_are_ones_that_a_user_could_write(base, numeric):
    families = ["glm"] if numeric else ["transformer", "glm"]
    space = space_for(families, base=base, numeric=numeric)
    assert TuneSettings(space=space).space == space
    assert searched(TrainSettings(), space)


def test_whole_settings_are_searched_in_whole_numbers():
    (found,) = searched(TrainSettings(), {"batch_size": Range(low=16, high=64)})
    assert found.whole
    assert is_whole(TrainSettings(), "transformer.dim")
    assert not is_whole(TrainSettings(), "lr")


@given(st.floats(1e-6, 1.0), st.sampled_from([1, 2, 4]))
def test_changed_settings_have_the_values_and_nothing_else_is_touched(lr, heads):
    before = TrainSettings()
    after = changed(before, {"lr": lr, "transformer.heads": heads})
    assert present(after, ["lr", "transformer.heads"]) == {"lr": lr, "transformer.heads": heads}
    same = {"lr": before.lr, "transformer.heads": before.transformer.heads}
    assert changed(after, same) == before
