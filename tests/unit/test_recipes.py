"""The recipes: how small, how close, and the same bytes everywhere."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from openautoglm.compression.blockwise import GROUP, Grid, codes, grid, pack
from openautoglm.compression.catalog import RECIPES
from openautoglm.compression.export import OPSET
from openautoglm.compression.gptq import gptq
from openautoglm.compression.graph import products, read, tables, write
from openautoglm.compression.lookups import shrink_lookups
from openautoglm.compression.observe import moments
from openautoglm.compression.recipe import Source
from openautoglm.config.compression import Precision
from openautoglm.inference.model import open_session
from tests.support.networks import KINDS, all_networks

pytestmark = pytest.mark.xdist_group("recipes")


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return all_networks(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def graphs(networks):
    """Every variant that applies, by kind and recipe."""
    return {
        (kind, name): path for kind, net in networks.items() for name, path in net.graphs.items()
    }


def lookup_graph(path, table, matrix=None):
    """Rows of a table by ids `int64[rows, length]`, times a matrix if there is one."""
    arrays = [numpy_helper.from_array(table, "table")]
    nodes = [helper.make_node("Gather", ["table", "input"], ["rows"], name="look up")]
    last = "rows"
    if matrix is not None:
        arrays.append(numpy_helper.from_array(matrix, "matrix"))
        nodes.append(helper.make_node("MatMul", ["rows", "matrix"], ["product"], name="multiply"))
        last = "product"
    nodes.append(helper.make_node("Identity", [last], ["probabilities"]))
    ids = helper.make_tensor_value_info("input", TensorProto.INT64, ["rows", "length"])
    free = ["rows", "length", "columns"]
    out = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, free)
    graph = helper.make_graph(nodes, "lookup", [ids], [out], arrays)
    opset = [helper.make_opsetid("", OPSET)]
    write(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


def run(graph, batch):
    return open_session(graph, threads=1).run(["probabilities"], {"input": batch})[0]


def divergence(expected, found):
    p, q = expected.astype(np.float64), found.astype(np.float64)
    return float((p * np.log(p / q)).sum(1).mean())


def test_every_precision_of_the_configuration_has_a_recipe():
    assert set(RECIPES) == set(Precision.__args__)


def test_which_recipes_apply_to_which_model(graphs):
    found = {kind: {name for k, name in graphs if k == kind} for kind in KINDS}
    every = set(RECIPES)
    assert found["transformer"] == found["bert"] == every
    assert found["glm"] == every - {"int8-static", "int4-gptq"}
    assert found["numeric"] == {"fp32", "fused"}


def test_a_recipe_that_does_not_apply_says_why(networks):
    assert "no large matrix" in RECIPES["int8"].applies(networks["numeric"].source)
    assert "no matrix product" in RECIPES["int4-gptq"].applies(networks["glm"].source)


@pytest.mark.parametrize("kind", KINDS)
def test_variants_agree_on_valid_and_odd_rows_within_their_bounds(networks, graphs, kind):
    net = networks[kind]
    batches = [net.batch(net.valid), net.odd(seed=0)]
    expected = [net.expected(batch) for batch in batches]
    for (owner, name), graph in graphs.items():
        if owner == kind:
            for batch, wanted in zip(batches, expected, strict=True):
                assert np.abs(run(graph, batch) - wanted).max() <= RECIPES[name].bound, name


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_lossy_only_adds_in_another_order(networks, graphs, kind):
    net = networks[kind]
    batch = net.batch(net.valid)
    for (owner, name), graph in graphs.items():
        if owner == kind and not RECIPES[name].lossy:
            assert run(graph, batch) == pytest.approx(net.expected(batch), abs=1e-6), name


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (1, 32), (33, 7)])
def test_variants_take_any_rows_and_length(networks, graphs, rows, length):
    ids = np.random.default_rng(0).integers(0, 40, (rows, length))
    for (kind, name), graph in graphs.items():
        if kind != "numeric":
            found = run(graph, ids)
            assert found.dtype == np.float32
            assert found == pytest.approx(networks[kind].expected(ids), abs=RECIPES[name].bound), (
                kind,
                name,
            )


@pytest.mark.parametrize(("name", "share"), [("fp16", 0.51), ("int8", 0.27), ("int4-rtn", 0.17)])
def test_large_weights_shrink_as_promised(tmp_path, name, share):
    rng = np.random.default_rng(0)
    table, matrix = (rng.normal(size=s).astype(np.float32) for s in ((900, 128), (128, 512)))
    path = lookup_graph(tmp_path / "fp32.onnx", table, matrix)
    RECIPES[name].build(Source(torch.nn.Identity(), torch.ones(2, 2), path, ()), tmp_path / "out")
    assert (tmp_path / "out").stat().st_size <= share * path.stat().st_size


ELSEWHERE = """
import sys
from pathlib import Path
import numpy as np
from openautoglm.compression.catalog import RECIPES
from openautoglm.compression.recipe import Source

batches = list(np.load("batches.npz").values())
for name, recipe in RECIPES.items():
    if name != "fp32":
        recipe.build(Source(None, None, Path(sys.argv[1]), batches), Path(name))
"""


@pytest.mark.parametrize("name", ["fused", "int8", "int8-static", "int4-gptq"])
def test_the_encoder_s_attention_is_one_operator(graphs, name):
    kinds = [node.op_type for node in onnx.load(graphs["transformer", name]).graph.node]
    assert kinds.count("MultiHeadAttention") == 1
    assert "IsNaN" not in kinds


@pytest.mark.parametrize("name", ["int8", "int8-static"])
def test_every_matrix_of_the_encoder_is_8_bits(networks, graphs, name):
    for kind in ("transformer", "bert"):
        before = {weight.name for weight in products(read(networks[kind].source.fp32))}
        after = {weight.name for weight in products(read(graphs[kind, name]))}
        assert before
        assert not before & after


def test_a_row_of_padding_beside_others_changes_nothing(networks, graphs):
    ids = np.random.default_rng(0).integers(1, 40, (3, 9))
    ids[1] = 0
    found = run(graphs["transformer", "fused"], ids)
    assert found == pytest.approx(networks["transformer"].expected(ids), abs=1e-6)


def test_two_builds_elsewhere_are_the_same_bytes(networks, graphs, tmp_path):
    source = networks["transformer"].source
    np.savez(tmp_path / "batches.npz", *source.calibration)
    command = [sys.executable, "-c", ELSEWHERE, str(source.fp32)]
    subprocess.run(command, cwd=tmp_path, check=True)
    for name in set(RECIPES) - {"fp32"}:
        assert (tmp_path / name).read_bytes() == graphs["transformer", name].read_bytes(), name


def test_variants_tell_no_paths(graphs):
    for graph in graphs.values():
        model = onnx.load(graph)
        assert not model.metadata_props
        assert not model.doc_string
        for weights in model.graph.initializer:
            weights.ClearField("raw_data")  # numbers hold any byte
        assert "/tmp" not in str(model)  # noqa: S108 - a word to look for


def test_a_grid_is_off_by_half_a_step_at_most():
    weight = np.random.default_rng(0).normal(size=(5, 70)).astype(np.float32)
    found = grid(weight)
    assert found.scale.shape == (5, 3)
    wide_ = found.wide(70)
    back = (codes(weight, wide_) - wide_.zero) * wide_.scale
    # Half a step, and as much again where rounding zero and scale has moved the ends.
    assert np.abs(back - weight).max() <= wide_.scale.max() * 1.01


def test_zero_is_on_every_grid():
    weight = np.random.default_rng(0).uniform(3, 4, (4, GROUP)).astype(np.float32)
    weight[:, 7] = 0
    weight[2] = 0
    wide_ = grid(weight).wide(GROUP)
    assert not ((codes(weight, wide_) - wide_.zero)[weight == 0]).any()


def test_two_codes_share_a_byte():
    assert pack(np.array([[1, 2, 3]], np.uint8)).tolist() == [[0x21, 0x03]]


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("columns", [3, 14, 40])
def test_a_table_is_looked_up_row_by_row(tmp_path, bits, columns):
    table = np.random.default_rng(0).normal(size=(300, columns)).astype(np.float32)
    table[0] = 0
    graph = lookup_graph(tmp_path / "table.onnx", table)
    model = read(graph)
    shrink_lookups(model, bits=bits)
    assert not tables(model)
    write(model, graph)
    found = run(graph, np.arange(300).reshape(20, 15)).reshape(300, columns)
    assert np.abs(found - table).max() <= np.ptp(table) / (2**bits - 1)
    assert not found[0].any()


def test_gptq_with_inputs_that_do_not_hang_together_rounds_to_nearest():
    weight = np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32)
    wide_ = grid(weight).wide(40)
    assert (gptq(weight, np.eye(40) * 3.0, wide_) == codes(weight, wide_)).all()
    assert (gptq(weight, np.zeros((40, 40)), wide_) == codes(weight, wide_)).all()


def test_gptq_keeps_the_products_of_held_out_rows_closer_than_rounding_to_nearest():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(160, 160)) * np.linspace(0.05, 1, 160)
    seen, held_out = (rng.normal(size=(n, 160)) @ mixing for n in (600, 200))
    weight = rng.normal(size=(24, 160)).astype(np.float32)
    wide_ = grid(weight).wide(160)

    def error(found):
        back = (found - wide_.zero) * wide_.scale
        return np.square(held_out @ (back - weight).T).mean()

    assert error(gptq(weight, seen.T @ seen, wide_)) < 0.6 * error(codes(weight, wide_))


def test_gptq_keeps_a_trained_network_s_probabilities_closer(networks, graphs):
    """Both variants share their tables: what parts them is the rounding of matrices."""
    net = networks["transformer"]
    batch = net.batch(net.valid)
    model = read(net.source.fp32)
    seen = moments(model, products(model), [batch])
    for weight in products(model):
        wide_ = grid(np.ascontiguousarray(weight.value.T)).wide(len(weight.value))
        learned = moments(model, [weight], net.source.calibration)[weight.name]
        losses = [
            loss(weight.value.T, found, wide_, seen[weight.name])
            for found in (gptq(weight.value.T, learned, wide_), codes(weight.value.T, wide_))
        ]
        assert losses[0] < losses[1], weight.name
    expected = net.expected(batch)
    by = {name: divergence(expected, run(graphs["transformer", name], batch)) for name in
          ("int4-gptq", "int4-rtn")}  # fmt: skip
    assert by["int4-gptq"] < by["int4-rtn"]


def loss(weight, found, wide_: Grid, moment):
    """Squared error of the products with inputs of this second moment."""
    missed = (found - wide_.zero) * wide_.scale - weight
    return float(np.einsum("oi,ij,oj->", missed, moment, missed))
