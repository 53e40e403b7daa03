"""Open Inference Protocol v2: what a request means, and what is refused."""

import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openautoglm.config.serving import Limits
from openautoglm.inference.package import NumericInput, TextInput
from openautoglm.serving.refusals import INVALID, NOT_FOUND, TOO_LARGE, Refusal
from openautoglm.serving.signature import check_model, model_metadata
from openautoglm.serving.tensors_json import read_request, write_answer

NOTHING = memoryview(b"")


def served(input_, **limits):
    return SimpleNamespace(
        identity=SimpleNamespace(name="clc", version="3", digest="sha256-0"),
        labels=("A", "B", "C"),
        input=input_,
        limits=Limits(**limits),
    )


TEXT = served(TextInput(kind="text", tokenizer="t", max_length=8, pad_id=0), rows=8)
NUMERIC = served(NumericInput(kind="numeric", features=("a", "b")), rows=8)
ANSWER = SimpleNamespace(labels=["B", "C"], scores=[[0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])


def text_request(data=("one", "two"), shape=(2,), **more):
    entry = {"name": "text", "datatype": "BYTES", "shape": list(shape), "data": list(data)}
    return {"inputs": [entry]} | more


def numeric_request(data, shape, datatype="FP32"):
    return {
        "inputs": [{"name": "features", "datatype": datatype, "shape": shape, "data": data}],
    }


def binary_request(raw, shape, name="text", datatype="BYTES", size=None):
    size = len(raw) if size is None else size
    parameters = {"binary_data_size": size}
    entry = {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}
    return {"inputs": [entry]}, memoryview(raw)


def elements(*texts):
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def rows(header, binary=NOTHING, model=TEXT):
    return read_request(header, binary, served=model).rows


def refusal(header, binary=NOTHING, model=TEXT):
    with pytest.raises(Refusal) as caught:
        read_request(header, binary, served=model)
    return caught.value


def test_texts_come_flat_or_one_a_row():
    assert rows(text_request()) == ["one", "two"]
    assert rows(text_request(shape=(2, 1))) == ["one", "two"]
    assert rows(text_request(data=[["one"], ["two"]], shape=(2, 1))) == ["one", "two"]


def test_texts_come_as_bytes_behind_the_json():
    assert rows(*binary_request(elements("图书".encode(), b""), [2])) == ["图书", ""]


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_numbers_come_flat_nested_or_as_bytes(datatype):
    expected = [[0.5, 1.0], [2.0, 3.0]]
    flat = [0.5, 1, 2, 3]
    raw = np.array(flat, "<f4" if datatype == "FP32" else "<f8").tobytes()
    assert rows(numeric_request(flat, [2, 2], datatype), model=NUMERIC) == expected
    assert rows(numeric_request(expected, [2, 2], datatype), model=NUMERIC) == expected
    header, binary = binary_request(raw, [2, 2], "features", datatype)
    assert rows(header, binary, NUMERIC) == expected


def test_id_and_time_out_are_read():
    found = read_request(
        text_request(id="x", parameters={"timeout": 250_000}), NOTHING, served=TEXT
    )
    assert (found.id, found.timeout) == ("x", 0.25)
    assert read_request(text_request(), NOTHING, served=TEXT).timeout is None


@pytest.mark.parametrize(
    ("raw", "shape"),
    [
        (b"\x01", [1]),
        (elements(b"one"), [2]),
        (elements(b"one", b"two"), [1]),
        (elements(b"one")[:-1], [1]),
        (elements(b"one") + b"x", [1]),
        (struct.pack("<i", -1) + b"one", [1]),
        (struct.pack("<I", 1 << 31), [1]),
    ],
)
def test_bytes_that_are_not_the_elements_declared_are_refused(raw, shape):
    assert "do not hold" in refusal(*binary_request(raw, shape)).what


def test_text_that_is_not_utf_8_is_refused_with_its_row():
    found = refusal(*binary_request(elements(b"one", b"\xff"), [2]))
    assert found.where == "inputs.text[1]"
    assert found.allowed == "UTF-8"


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([1.0, 2.0, 3.0], [2, 2]),
        ([[1.0, 2.0], [3.0]], [2, 2]),
        ([[1.0, 2.0]], [2, 2]),
        ([1.0, 2.0], [2]),
        ([1.0, 2.0, 3.0], [1, 3]),
        ([1.0, "2"], [1, 2]),
        ([1.0, None], [1, 2]),
        ([True, 1.0], [1, 2]),
        ([1e39, 1.0], [1, 2]),
        ([10**400, 1], [1, 2]),
        ([float("nan"), 1.0], [1, 2]),
        ([1.0, [2.0]], [1, 2]),
        ([], [0, 2]),
        ([1.0, 2.0], [True, 2]),
        ([1.0, 2.0], [-1, 2]),
        ([1.0, 2.0], "[1, 2]"),
        ("12", [1, 2]),
    ],
)
def test_numbers_that_are_not_what_is_declared_are_refused(data, shape):
    assert refusal(numeric_request(data, shape), model=NUMERIC).kind is INVALID


def test_numbers_that_are_no_numbers_are_refused_as_bytes_too():
    raw = np.array([np.nan, np.inf], "<f4").tobytes()
    header, binary = binary_request(raw, [1, 2], "features", "FP32")
    assert refusal(header, binary, NUMERIC).where == "inputs.features[0][0]"


def test_a_wrong_datatype_is_named_with_the_right_one():
    request = text_request()
    request["inputs"][0]["datatype"] = "FP32"
    found = refusal(request)
    assert (found.what, found.allowed) == ("found datatype `FP32`", "BYTES")


def test_a_wrong_input_is_named_with_the_right_one():
    found = refusal(numeric_request([1.0, 2.0], [1, 2]))
    assert (found.what, found.allowed) == ("no input `features`", "text")


@pytest.mark.parametrize("count", [9, 1 << 62])
def test_more_rows_than_the_bound_are_too_large_before_they_are_made(count):
    assert refusal(text_request(shape=(count,))).kind is TOO_LARGE
    assert refusal(*binary_request(b"", [count])).kind is TOO_LARGE
    header, binary = binary_request(b"", [count, 2], "features", "FP32")
    assert refusal(header, binary, NUMERIC).kind is TOO_LARGE


@pytest.mark.parametrize("size", [-1, 8, True, 1.0, "7", 1 << 70])
def test_a_binary_size_beyond_the_body_is_refused(size):
    assert refusal(*binary_request(elements(b"one"), [1], size=size)).kind is INVALID


def test_bytes_that_no_input_claims_are_refused():
    assert "more bytes" in refusal(text_request(), memoryview(b"x")).what
    assert "both" in refusal(*_both()).what


def _both():
    header, binary = binary_request(elements(b"one"), [1])
    header["inputs"][0]["data"] = ["one"]
    return header, binary


@pytest.mark.parametrize(
    "more",
    [
        {"outputs": [{"name": "logits"}]},
        {"outputs": [{"name": "label"}, {"name": "label"}]},
        {"outputs": [{"name": "label", "parameters": {"classification": 3}}]},
        {"outputs": [{"name": "label", "parameters": {"binary_data": 1}}]},
        {"outputs": {}},
        {"parameters": {"priority": 1}},
        {"parameters": {"timeout": -1}},
        {"parameters": {"timeout": "1"}},
        {"id": 1},
        {"input": []},
    ],
)
def test_what_would_be_ignored_is_refused(more):
    assert refusal(text_request(**more)).kind is INVALID


def test_an_answer_has_both_outputs_unless_some_are_named():
    request = read_request(text_request(id="x"), NOTHING, served=TEXT)
    header, parts = write_answer(ANSWER, request, served=TEXT)
    assert parts == []
    assert header == {
        "model_name": "clc",
        "model_version": "3",
        "id": "x",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": (2,), "data": ["B", "C"]},
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": (2, 3),
                "data": [0.1, 0.6, 0.3, 0.2, 0.3, 0.5],
            },
        ],
    }
    named = read_request(text_request(outputs=[{"name": "label"}]), NOTHING, served=TEXT)
    header, _ = write_answer(ANSWER, named, served=TEXT)
    assert [output["name"] for output in header["outputs"]] == ["label"]


def test_outputs_come_as_bytes_where_they_are_asked_for():
    binary = {"binary_data_output": True}
    plain = [{"name": "probabilities"}, {"name": "label", "parameters": {"binary_data": False}}]
    request = read_request(text_request(parameters=binary, outputs=plain), NOTHING, served=TEXT)
    header, parts = write_answer(ANSWER, request, served=TEXT)
    assert header["outputs"][0]["parameters"] == {"binary_data_size": 24}
    assert header["outputs"][1]["data"] == ["B", "C"]
    assert np.frombuffer(parts[0], "<f4") == pytest.approx([0.1, 0.6, 0.3, 0.2, 0.3, 0.5])
    everything = read_request(text_request(parameters=binary), NOTHING, served=TEXT)
    assert write_answer(ANSWER, everything, served=TEXT)[1][0] == elements(b"B", b"C")


def test_metadata_tells_inputs_and_outputs():
    found = model_metadata(NUMERIC)
    assert found["inputs"] == [{"name": "features", "datatype": "FP32", "shape": (-1, 2)}]
    assert [output["name"] for output in found["outputs"]] == ["label", "probabilities"]
    assert model_metadata(TEXT)["inputs"][0]["shape"] == (-1,)


def test_another_name_or_version_is_not_found():
    check_model(TEXT, "clc", "")
    check_model(TEXT, "clc", "3")
    for name, version in (("other", ""), ("clc", "4")):
        with pytest.raises(Refusal) as caught:
            check_model(TEXT, name, version)
        assert caught.value.kind is NOT_FOUND


texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars | st.sampled_from(["text", "features", "label", "BYTES", "FP32", "FP64"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("id", "inputs", "outputs", "parameters", "name", "datatype", "shape"),
                    *("data", "binary_data_size", "binary_data", "timeout"),
                ]
            )
            | texts,
            inner,
            max_size=4,
        )
    ),
    max_leaves=24,
)
shapes = st.lists(st.integers(-1, 4) | st.just(1 << 40), max_size=3) | values
inputs = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["text", "features"]) | values,
        "datatype": st.sampled_from(["BYTES", "FP32", "FP64"]) | values,
        "shape": shapes,
        "data": st.lists(st.floats() | texts | st.lists(values, max_size=3), max_size=4) | values,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 40)}) | values,
    },
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(inputs, min_size=1, max_size=2)},
    optional={"id": values, "parameters": values, "outputs": values},
)


def read_or_refused(header, raw, model):
    """The number of rows, or the refusal; anything else is a fault."""
    try:
        return len(read_request(header, memoryview(raw), served=model).rows)
    except Refusal as refused:
        return refused


@settings(max_examples=400)
@given(header=requests | values, raw=st.binary(max_size=40))
def test_any_request_is_read_or_refused(header, raw):
    for model in (TEXT, NUMERIC):
        found = read_or_refused(header, raw, model)
        if isinstance(found, Refusal):
            assert found.kind in (INVALID, TOO_LARGE)
            assert len(found.message) < 600
        else:
            assert 1 <= found <= 8


@given(raw=st.binary(max_size=64), count=st.integers(0, 9))
def test_any_bytes_are_read_or_refused(raw, count):
    for model, name, shape in ((TEXT, "text", [count]), (NUMERIC, "features", [count, 2])):
        for datatype in ("BYTES", "FP32", "FP64"):
            header, binary = binary_request(raw, shape, name, datatype)
            found = read_or_refused(header, binary, model)
            assert found == count or found.kind in (INVALID, TOO_LARGE)


def test_deep_nesting_is_refused_wherever_it_stands():
    deep = json.loads("[" * 900 + "]" * 900)
    for key in ("name", "datatype", "shape", "data", "parameters"):
        request = text_request()
        request["inputs"][0][key] = deep
        assert refusal(request).kind is INVALID
    for key in ("id", "inputs", "outputs", "parameters"):
        assert refusal(text_request(**{key: deep})).kind is INVALID
    assert refusal(deep).kind is INVALID


@given(st.lists(texts, min_size=1, max_size=8))
def test_texts_mean_the_same_as_json_and_as_bytes(given_texts):
    as_json = rows(text_request(given_texts, [len(given_texts)]))
    raw = elements(*(text.encode() for text in given_texts))
    assert rows(*binary_request(raw, [len(given_texts)])) == as_json
