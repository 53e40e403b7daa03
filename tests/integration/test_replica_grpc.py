"""The gRPC side of a replica, asked by Triton's own client and by plain channels."""

import contextlib
import socket
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from sklearn.datasets import load_wine
from tritonclient.utils import InferenceServerException

from openautoglm.serving.rpc import messages
from tests.support.rpc import (
    IDENTITY,
    INFER,
    ask,
    health,
    infer,
    infer_request,
    refused,
    serving,
)
from tests.support.wait import PATIENCE, until

DIGEST = IDENTITY.digest
TEXTS = ["大学图书馆的数字化", "中国近代经济史", "a", "", "量子力学导论", "b c", "诗经", "农业"]


pytest_plugins = ["tests.support.served"]


@pytest.fixture(scope="module")
def text_model(text_predictions):
    return text_predictions


@pytest.fixture(scope="module")
def numeric_model(numeric_predictions):
    return numeric_predictions


@pytest.fixture(scope="module")
def text(text_model):
    """In this process, and not the replica of its own that others ask."""
    with serving(text_model) as found:
        yield found


@pytest.fixture(scope="module")
def numeric(numeric_model):
    with serving(numeric_model) as found:
        yield found


@pytest.fixture
def client(text):
    with triton.InferenceServerClient(text[1]) as found:
        yield found


def texts_input(*texts, shape=None, datatype="BYTES"):
    values = np.array([text.encode() for text in texts], np.object_).reshape(shape or len(texts))
    found = triton.InferInput("text", list(values.shape), datatype)
    found.set_data_from_numpy(values)
    return [found]


def predict(address, *numbers, name="clc"):
    request = messages.PredictRequest(model_name=name, input_data=numbers)
    return ask(address, "/InferenceService/Predict", request, messages.PredictResponse)


def test_triton_s_client_reads_liveness_readiness_and_metadata(client, text_model):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("clc")
    assert client.is_model_ready("clc", "3")
    server = client.get_server_metadata(as_json=True)
    assert server["name"] == "open-autoglm"
    model = client.get_model_metadata("clc", as_json=True)
    assert model["versions"] == ["3"]
    assert model["platform"] == "onnxruntime_onnx"
    assert model["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": ["-1"]}]
    assert model["outputs"][1]["shape"] == ["-1", str(len(text_model.labels))]


@pytest.mark.parametrize("shape", [(8,), (8, 1)])
def test_triton_s_client_has_a_batch_of_8_scored(client, text_model, shape):
    found = client.infer("clc", texts_input(*TEXTS, shape=shape), request_id="x")
    expected = text_model.predict_proba(TEXTS)
    assert found.as_numpy("probabilities") == pytest.approx(expected, abs=1e-6)
    best = [text_model.labels[place].encode() for place in expected.argmax(1)]
    assert found.as_numpy("label").tolist() == best
    assert found.get_response().id == "x"


def test_triton_s_client_gets_only_the_outputs_it_names(client):
    wanted = [triton.InferRequestedOutput("label")]
    found = client.infer("clc", texts_input("a"), outputs=wanted)
    assert found.as_numpy("label").shape == (1,)
    assert found.as_numpy("probabilities") is None


def test_typed_contents_mean_the_same_as_raw_ones(text, text_model):
    answer, _ = infer(text[1], infer_request(*TEXTS))
    raw = answer.raw_output_contents[1]
    assert np.frombuffer(raw, "<f4") == pytest.approx(
        text_model.predict_proba(TEXTS).ravel(), abs=1e-6
    )


@pytest.mark.parametrize(("name", "version"), [("other", ""), ("clc", "4")])
def test_another_model_is_not_found(client, name, version):
    for call in (
        lambda: client.infer(name, texts_input("a"), version),
        lambda: client.get_model_metadata(name, version),
        lambda: client.is_model_ready(name, version),
    ):
        with pytest.raises(InferenceServerException) as caught:
            call()
        assert caught.value.status() == "StatusCode.NOT_FOUND"


def test_a_wrong_datatype_is_refused_with_the_right_one(client):
    wrong = triton.InferInput("text", [1], "FP32")
    wrong.set_data_from_numpy(np.zeros(1, np.float32))
    with pytest.raises(InferenceServerException, match="found datatype `FP32`; allowed: BYTES"):
        client.infer("clc", [wrong])


def test_a_message_that_is_none_is_refused(text):
    with grpc.insecure_channel(text[1]) as channel:
        call = channel.unary_unary(INFER)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff", timeout=PATIENCE)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "inference.ModelInferRequest" in caught.value.details()


def test_data_in_two_places_is_refused(text):
    request = infer_request("a")
    request.raw_input_contents.append(b"\x01\0\0\0a")
    assert "both" in refused(text[1], request).details()
    request = infer_request("a")
    request.raw_input_contents.extend([b"", b""])
    assert "2 contents for 1 inputs" in refused(text[1], request).details()


def test_what_would_be_ignored_is_refused(text):
    request = infer_request("a")
    request.parameters["priority"].int64_param = 1
    found = refused(text[1], request)
    assert found.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert found.details() == "parameters: no parameter `priority`; allowed: timeout"


def test_every_answer_names_version_digest_and_request(text):
    _, told = infer(text[1], infer_request("a"), metadata=[("x-request-id", "mine")])
    assert told["x-model-version"] == "3"
    assert told["x-model-digest"] == DIGEST
    assert told["x-request-id"] == "mine"
    failed = refused(text[1], infer_request(), metadata=[("x-request-id", "mine")])
    told = dict(failed.trailing_metadata())
    assert (told["x-model-digest"], told["x-request-id"]) == (DIGEST, "mine")


def test_predictions_report_load(text):
    with recorded(text[1]) as (address, sent):
        health(address)
        assert LOAD not in sent
        infer(address, infer_request("a"))
        at = sent.index(LOAD) + len(LOAD)
        # A length, and between two gRPC peers the bytes behind a 0 instead of base64.
        length, value = sent[at], bytes(sent[at + 1 :])
        report = messages.OrcaLoadReport.FromString(value[1:length])
    assert value[0] == 0
    assert 0 < report.application_utilization <= 2


LOAD = b"endpoint-load-metrics-bin"


@contextlib.contextmanager
def recorded(address):
    """An address that leads to another; yields it and the bytes that come back.

    gRPC's own client keeps load reports for its balancing and shows them to no caller.
    """
    host, port = address.split(":")
    sent = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pump(source, target, record):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    record.extend(data)
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    near = stack.enter_context(listener.accept()[0])
                    far = stack.enter_context(socket.create_connection((host, int(port))))
                    for way in ((near, far, bytearray()), (far, near, sent)):
                        threading.Thread(target=pump, args=way, daemon=True).start()

        with contextlib.ExitStack() as stack:
            accepting = threading.Thread(target=accept)
            accepting.start()
            yield f"127.0.0.1:{listener.getsockname()[1]}", sent
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(PATIENCE)


def test_calls_are_counted_by_code(text):
    predictor, address = text
    infer(address, infer_request("a"))
    refused(address, infer_request())

    def counted(code):
        return f'code="{code}"' in predictor.observer.metrics.render(None)[0].decode()

    # An answer is counted after it was sent.
    until(lambda: counted("OK") and counted("INVALID_ARGUMENT"))


def test_health_follows_readiness(text_model):
    with serving(text_model) as (predictor, address):
        assert health(address) == "SERVING"
        assert health(address, "inference.GRPCInferenceService") == "SERVING"
        with pytest.raises(grpc.RpcError) as caught:
            health(address, "other")
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        predictor.ready = False
        assert health(address) == "NOT_SERVING"
        infer(address, infer_request("a"))  # answered as long as it comes


def test_numeric_predict_gives_label_and_scores(numeric, numeric_model):
    rows = load_wine().data[::20]
    expected = numeric_model.predict_proba(rows)
    for row, scores in zip(rows, expected, strict=True):
        answer, told = predict(numeric[1], *row)
        assert answer.label == numeric_model.labels[scores.argmax()]
        found = [answer.scores[label] for label in numeric_model.labels]
        assert found == pytest.approx(scores, abs=1e-6)
        assert (answer.version, answer.digest) == ("3", DIGEST)
        assert told["x-model-digest"] == DIGEST


def test_numeric_rows_come_over_the_open_protocol_too(numeric, numeric_model):
    rows = load_wine().data[:8].astype(np.float32)
    given = triton.InferInput("features", [8, 13], "FP32")
    given.set_data_from_numpy(rows)
    with triton.InferenceServerClient(numeric[1]) as client:
        found = client.infer("clc", [given]).as_numpy("probabilities")
    assert found == pytest.approx(numeric_model.predict_proba(rows), abs=1e-6)


@pytest.mark.parametrize(
    ("numbers", "what"),
    [
        ([1.0] * 12, "found 12 numbers; allowed: exactly 13"),
        ([1.0] * 14, "found 14 numbers; allowed: exactly 13"),
        ([], "found 0 numbers; allowed: exactly 13"),
        ([1.0] * 12 + [float("nan")], "input_data[12]: found nan"),
        ([float("-inf")] + [1.0] * 12, "input_data[0]: found -inf"),
    ],
)
def test_numeric_rows_of_another_width_or_without_a_value_are_refused(numeric, numbers, what):
    with pytest.raises(grpc.RpcError) as caught:
        predict(numeric[1], *numbers)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert what in caught.value.details()


def test_predict_of_a_text_model_says_which_call_to_use(text):
    with pytest.raises(grpc.RpcError) as caught:
        predict(text[1], 1.0)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "ModelInfer" in caught.value.details()


def test_predict_of_another_model_is_not_found(numeric):
    with pytest.raises(grpc.RpcError) as caught:
        predict(numeric[1], *[1.0] * 13, name="other")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_questions_for_health_are_known_as_such(text_model, monkeypatch):
    seen = []
    with serving(text_model) as (predictor, address), triton.InferenceServerClient(address) as sent:
        monkeypatch.setattr(
            predictor.observer, "answered", lambda context, *_: seen.append(context.probe)
        )
        health(address)
        sent.is_server_live()
        sent.is_server_ready()
        sent.is_model_ready(IDENTITY.name)
        sent.get_server_metadata()
        infer(address, infer_request("a"))
    assert seen == [True] * 4 + [False] * 2
