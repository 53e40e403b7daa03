"""params.yaml: what is refused, and what the message tells."""

import textwrap

import pytest

from openautoglm.config.params import Params, TrainParams, dvc_keys, view
from openautoglm.config.project import find_project
from openautoglm.config.service import Service
from openautoglm.config.yaml import load
from openautoglm.errors import ConfigError

GOOD = """\
data:
  source:
    kind: file
    path: data/source/a.csv
model:
  name: news
train:
  lr: 0.001
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "params.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def message(path, model=Params):
    with pytest.raises(ConfigError) as caught:
        load(path, model)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_file_with_defaults_left_out_is_read(write):
    params = load(write(GOOD), Params)
    assert params.model.name == "news"
    assert params.evaluate.gate.metric == "macro_f1"


def test_an_unknown_key_names_line_and_nearest_key(write):
    text = message(write(GOOD.replace("  lr: 0.001", "  lrr: 0.001")))
    assert "params.yaml:8, key train.lrr" in text
    assert "did you mean `lr`?" in text


def test_an_unknown_key_inside_a_source_lists_that_kind_of_source(write):
    text = message(write(GOOD.replace("    path:", "    pth:")))
    assert "key data.source.pth" in text
    assert "did you mean `path`?" in text
    assert "revision" not in text


def test_a_wrong_type_says_what_was_found(write):
    text = message(write(GOOD.replace("0.001", "fast")))
    assert "params.yaml:8, key train.lr" in text
    assert 'found "fast"' in text


def test_a_number_in_quotes_is_not_a_number(write):
    assert 'found "0.001"' in message(write(GOOD.replace("0.001", '"0.001"')))


def test_a_missing_key_is_named(write):
    text = message(write(GOOD.replace("    path: data/source/a.csv\n", "")))
    assert "the key `path` is missing" in text
    assert "data.source.path" in text


def test_several_problems_are_told_at_once(write):
    text = message(write(GOOD.replace("lr: 0.001", "lrr: 1\n  epochs: 0")))
    assert "lrr" in text
    assert "train.epochs" in text


def test_each_problem_has_its_place_and_what_is_allowed(write):
    path = write("model: m\nreplicas: x\ngateway: {port: 0}\n")
    assert message(path, Service).splitlines() == [
        'found "x"',
        f"  where:   {path}:2, key replicas",
        "  allowed: a whole number",
        "also: found 0",
        f"  where:   {path}:3, key gateway.port",
        "  allowed: 1 or more",
    ]


@pytest.mark.parametrize(
    ("pipeline", "keys"),
    [
        ("[{task: foo}]", ["pipeline.0.task"]),
        ("[{labels: [1, 2]}]", ["pipeline.0.labels.0", "pipeline.0.labels.1"]),
        ("[{labels: [1, b], lables: []}]", ["pipeline.0.lables", "pipeline.0.labels.0"]),
        ("[]", ["pipeline"]),
    ],
)
def test_a_list_is_not_told_beside_what_is_wrong_in_it(write, pipeline, keys):
    lines = message(write(f"model: m\npipeline: {pipeline}\n"), Service).splitlines()
    assert [line.split("key ")[1] for line in lines if "where:" in line] == keys


def test_an_unknown_key_in_a_list_lists_those_of_the_list(write):
    text = message(write("model: m\npipeline: [{lables: [a, b]}]\n"), Service)
    assert "allowed: labels, task" in text
    assert "did you mean `labels`?" in text


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("pipeline: []", "a list of 1 or more"),
        ("pipeline: [{}, {}]", "a list of 1 or fewer"),
        ("pipeline: x", "a list"),
        ("gateway: 3", "keys and values"),
        ("name: Not_A", "up to 40 small letters, digits and dashes, no dash first or last"),
        ("quantization: ''", "a text of 1 or more characters"),
        ("replicas: 1.5", "a whole number"),
        ("replicas: true", "a whole number"),
        ("replicas: 101", "100 or less"),
        ("quantization: 3", "a text"),
        ("gateway: {balancing: x}", "least_request, round_robin or load_weighted"),
        ("gateway: {limits: {header_bytes: 1025}}", "a multiple of 1024"),
        ("gateway: {ejection: {seconds: x}}", "a number"),
    ],
)
def test_what_is_allowed_is_told_in_plain_words(write, text, allowed):
    lines = message(write(f"model: m\n{text}\n"), Service).splitlines()
    told = [line.removeprefix("  allowed: ") for line in lines if line.startswith("  allowed: ")]
    assert told == [allowed]


@pytest.mark.parametrize("key", ["gateway", "pipeline", "replicas"])
def test_nothing_is_called_so_and_may_be_left_out(write, key):
    text = message(write(f"model: m\n{key}:\n"), Service)
    assert "found nothing\n" in text
    assert f"leave `{key}` out" in text


@pytest.mark.parametrize("text", ["replicas: 2\n", "model:\n"])
def test_a_model_that_is_not_given_says_how_to_give_one(write, text):
    told = message(write(text), Service)
    for way in ("models:/NAME@ALIAS", "models:/NAME/VERSION", "a folder", "the base model"):
        assert way in told


def test_every_kind_of_a_section_is_offered(write):
    text = message(write(GOOD.replace("kind: file", "kind: disk")))
    assert "kind: package, file, huggingface, dvc" in text


def test_a_file_that_is_not_there_says_what_to_write(tmp_path):
    text = message(tmp_path / "config.yaml", Service)
    assert "there is no such file" in text
    assert "write it, with `model:` models:/NAME@ALIAS" in text
    assert "-c FILE" in text


def test_a_file_that_is_not_there_may_be_the_one_beside(tmp_path):
    (tmp_path / "config.yaml").touch()
    assert f"did you mean {tmp_path / 'config.yaml'}?" in message(tmp_path / "confg.yml", Service)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected keys and values, found nothing"),
        ("- a\n", "expected keys and values, found a list"),
        ("a: [1\n", "not valid YAML"),
        ("a: 1\na: 2\n", "not valid YAML"),
    ],
)
def test_what_is_no_mapping_is_refused(write, text, said):
    assert said in message(write(text))


@pytest.mark.parametrize("value", ["2001-99-99", "!!float x", "{? [1]: 2}", "&a [*a]", "9" * 5000])
def test_what_is_no_value_is_refused_with_its_line(write, value):
    text = GOOD.replace("0.001", value)
    assert "params.yaml:8" in message(write(text))


@pytest.mark.parametrize("given", ["1: 2", "null: 2", "!!omap [{a: 1}]"])
def test_a_key_whose_line_is_not_known_is_still_named(write, given):
    assert "unknown key" in message(write(given))


def test_lists_without_end_inside_one_another_are_refused(write):
    assert "too deep" in message(write("data: " + "[" * 2000))
    assert "more than 32 lists" in message(write(f"data: {'[' * 40}{']' * 40}"))


def test_a_folder_is_no_file(tmp_path):
    assert "found a folder" in message(tmp_path)


def test_values_of_a_section_that_contradict_each_other_name_the_line(write):
    text = GOOD.replace("model:\n", "  features: []\n  text: null\nmodel:\n")
    assert "params.yaml:5, key data.features" in message(write(text))


def test_binary_junk_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xff\xfe\x00junk")
    assert "not UTF-8" in message(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data: {features: [], text: null}", "`features` names no column"),
        ("data: {features: [a]}", "either `text`"),
        ("data: {splits: {train: 0.9}}", "sum to"),
        ("data: {label_pattern: '('}", "no regular expression"),
        ("model: {families: []}", "at least one family"),
        ("model: {families: [glm, glm]}", "each once"),
        ("model: {revision: v1}", "no meaning without `base`"),
        ("model: {name: Not A Name}", "found"),
        ("data: {features: [a], text: null}", "the transformer takes texts"),
        ("model: {base: b, families: [glm]}", "no meaning without the transformer family"),
    ],
)
def test_values_that_contradict_each_other_are_refused(write, change, said):
    section, rest = change.split(": {", 1)
    lines = ", ".join([rest.removesuffix("}")])
    base = {
        "data": "source: {kind: file, path: a.csv}, ",
        "model": "" if "name:" in rest else "name: news, ",
    }
    other = "model: {name: news}" if section == "data" else "data: {source: {kind: file, path: a}}"
    assert said in message(write(f"{section}: {{{base[section]}{lines}}}\n{other}\n"))


def test_a_step_sees_its_own_keys_only(write):
    seen = view(load(write(GOOD), Params), TrainParams)
    assert set(seen.model_dump()) == {"model", "train"}
    assert "name" not in seen.model.model_dump()


def test_dvc_watches_single_keys_where_a_section_is_shared():
    assert dvc_keys(TrainParams) == ["model.base", "model.families", "model.revision", "train"]


def test_a_project_is_found_from_below(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").touch()
    (tmp_path / "dvc.yaml").touch()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_project().root == tmp_path.resolve()


def test_no_project_says_where_it_looked(tmp_path):
    with pytest.raises(ConfigError, match=r"no params\.yaml beside a dvc\.yaml") as caught:
        find_project(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ("{transformer: {layers: 1}}", "params.yaml:3, key train.transformer"),
        ("{glm: {crosses: true}}", "params.yaml:3, key train.glm.crosses"),
        ("{transformer: {dim: 10, heads: 4}}", "does not divide"),
        ("{glm: {orders: [5]}}", "params.yaml:3, key train.glm.orders.0"),
    ],
)
def test_a_setting_that_could_not_matter_is_refused(write, train, said):
    text = "data: {source: {kind: file, path: a.csv}}\nmodel: {name: news, base: b}\n"
    without_a_student = "compress: {recipes: [fp32]}\n"
    assert said in message(write(f"{text}train: {train}\n{without_a_student}"))


def test_n_grams_mean_nothing_for_numbers(write):
    text = "data: {source: {kind: file, path: a.csv}, features: [a], text: null}\n"
    text += "model: {name: news, families: [glm]}\ntrain: {glm: {orders: [1]}}\n"
    assert "train.glm.orders has no meaning" in message(write(text))
