"""Exported graphs: the module's numbers, any shape, and nothing about this machine."""

import numpy as np
import onnx
import pytest
import torch

from openautoglm.compression.agreement import agreement
from openautoglm.compression.export import export
from openautoglm.inference.model import open_session


class TextModule(torch.nn.Module):
    """Mean of character embeddings, padding masked in the graph."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(50, 8)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, ids):
        mask = (ids != 0).unsqueeze(-1).float()
        mean = (self.table(ids) * mask).sum(1) / mask.sum(1).clamp(min=1)
        return torch.softmax(self.head(mean), -1)


class NumericModule(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = torch.nn.Linear(4, 2)

    def forward(self, features):
        return torch.softmax(self.head(features), -1)


EXAMPLE = torch.ones(2, 6, dtype=torch.int64)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    out = tmp_path_factory.mktemp("graph") / "text.onnx"
    export(TextModule(), EXAMPLE, out)
    return out


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (7, 2), (300, 5)])
def test_the_graph_takes_any_rows_and_length(graph, shape):
    ids = np.random.default_rng(0).integers(0, 50, shape)
    found = open_session(graph, threads=1).run(["probabilities"], {"input": ids})[0]
    with torch.no_grad():
        expected = TextModule()(torch.from_numpy(ids)).numpy()
    assert found == pytest.approx(expected, abs=1e-6)


def test_numbers_go_in_as_float32(tmp_path):
    out = tmp_path / "numeric.onnx"
    export(NumericModule(), torch.zeros(2, 4), out)
    features = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    found = open_session(out, threads=1).run(["probabilities"], {"input": features})[0]
    assert found.shape == (9, 2)
    assert found.dtype == np.float32


def test_two_exports_are_the_same_bytes(graph, tmp_path):
    again = tmp_path / "elsewhere" / "again.onnx"
    again.parent.mkdir()
    export(TextModule(), EXAMPLE, again)
    assert again.read_bytes() == graph.read_bytes()


def test_the_graph_tells_no_paths_or_traces(graph):
    model = onnx.load(graph)
    for weights in model.graph.initializer:
        weights.ClearField("raw_data")  # numbers hold any byte
    for word in ("test_export", ".py", "/home", "/root", "Traceback"):
        assert word not in str(model), word
    assert not model.metadata_props


def test_agreement_by_hand():
    a = np.array([[0.9, 0.1], [0.4, 0.6]], np.float32)
    b = np.array([[0.8, 0.2], [0.6, 0.4]], np.float32)
    found = agreement(a, b)
    assert found.max_difference == pytest.approx(0.2)
    assert found.agreement == 0.5
