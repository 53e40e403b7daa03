"""Triton's own HTTP client, as it comes, against a replica."""

import numpy as np
import pytest
import tritonclient.http as triton
from sklearn.datasets import load_wine
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.xdist_group("replica")
pytest_plugins = ["tests.support.served"]

TEXTS = ["大学图书馆的数字化", "中国近代经济史", "a", "", "列车轨道", "b c", "诗经", "🚂"]


def connected(replica):
    return triton.InferenceServerClient(replica.url.removeprefix("http://"))


@pytest.fixture
def client(text):
    with connected(text) as found:
        yield found


def texts_input(texts, *, binary, shape=None):
    values = np.array([text.encode() for text in texts], np.object_).reshape(shape or len(texts))
    found = triton.InferInput("text", list(values.shape), "BYTES")
    found.set_data_from_numpy(values, binary_data=binary)
    return [found]


def outputs(*names, binary):
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def decoded(values):
    return [value.decode() if isinstance(value, bytes) else value for value in values.tolist()]


def test_it_reads_liveness_readiness_and_metadata(client, text_predictions):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("small")
    assert client.is_model_ready("small", "7")
    assert not client.is_model_ready("other")
    assert not client.is_model_ready("small", "8")
    server = client.get_server_metadata()
    assert (server["name"], server["extensions"]) == ("open-autoglm", ["binary_tensor_data"])
    model = client.get_model_metadata("small", "7")
    assert (model["name"], model["versions"]) == ("small", ["7"])
    assert model["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    labels = len(text_predictions.labels)
    assert model["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, labels]},
    ]


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("asked", [True, False, None])
@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS])
def test_texts_get_labels_and_probabilities(client, text_predictions, texts, sent, asked):
    wanted = None if asked is None else outputs("label", "probabilities", binary=asked)
    found = client.infer("small", texts_input(texts, binary=sent), outputs=wanted, request_id="r")
    expected = text_predictions.predict_proba(texts)
    assert found.as_numpy("probabilities") == pytest.approx(expected, abs=1e-6)
    labels = [text_predictions.labels[place] for place in expected.argmax(1)]
    assert decoded(found.as_numpy("label")) == labels
    assert found.get_response()["id"] == "r"
    assert found.get_response()["model_version"] == "7"


@pytest.mark.parametrize("binary", [True, False])
def test_texts_may_come_as_a_column(client, binary):
    found = client.infer("small", texts_input(TEXTS, binary=binary, shape=(8, 1)))
    assert found.as_numpy("probabilities").shape[0] == 8


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["label", "probabilities"])
def test_only_the_outputs_asked_for_are_sent(client, name, binary):
    wanted = outputs(name, binary=binary)
    found = client.infer("small", texts_input(TEXTS, binary=True), outputs=wanted)
    assert [output["name"] for output in found.get_response()["outputs"]] == [name]


@pytest.mark.parametrize("binary", [True, False])
def test_numbers_get_labels_and_probabilities(numeric, numeric_predictions, binary):
    rows = load_wine().data[:8].astype(np.float32)
    given = triton.InferInput("features", [8, 13], "FP32")
    given.set_data_from_numpy(rows, binary_data=binary)
    with connected(numeric) as client:
        assert client.get_model_metadata("small")["inputs"][0]["shape"] == [-1, 13]
        found = client.infer("small", [given], model_version="7").as_numpy("probabilities")
    assert found == pytest.approx(numeric_predictions.predict_proba(rows), abs=1e-6)


def test_many_requests_may_be_under_way(text, text_predictions):
    with triton.InferenceServerClient(text.url.removeprefix("http://"), concurrency=4) as client:
        begun = [client.async_infer("small", texts_input([text], binary=True)) for text in TEXTS]
        found = [one.get_result().as_numpy("probabilities")[0] for one in begun]
    assert found == [pytest.approx(row, abs=1e-6) for row in text_predictions.predict_proba(TEXTS)]


def test_a_refusal_says_why(client):
    with pytest.raises(InferenceServerException, match="allowed: BYTES"):
        client.infer(
            "small",
            [triton.InferInput("text", [1], "FP32").set_data_from_numpy(np.zeros(1, np.float32))],
        )
    with pytest.raises(InferenceServerException, match="allowed: model `small`, version `7`"):
        client.infer("other", texts_input(["a"], binary=True))
    with pytest.raises(InferenceServerException, match="is not UTF-8"):
        client.infer(
            "small",
            [
                triton.InferInput("text", [1], "BYTES").set_data_from_numpy(
                    np.array([b"\xff"], np.object_)
                )
            ],
        )
