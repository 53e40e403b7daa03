"""Laws of the precision recipes, over fuzzed rows and fuzzed weights."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from openautoglm.compression.agreement import odd_inputs
from openautoglm.compression.blockwise import codes, grid, pack
from openautoglm.compression.catalog import RECIPES
from openautoglm.inference.model import open_session
from openautoglm.inference.package import NumericInput, TextInput
from tests.support.networks import KINDS, all_networks

pytestmark = pytest.mark.xdist_group("recipes")
TEXT = TextInput(kind="text", tokenizer="tokenizer.json", max_length=32, pad_id=0)
FUZZ = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SIZES = st.tuples(st.integers(1, 6), st.integers(1, 80))


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Each network with the sessions of its variants."""
    return {
        kind: (net, {name: open_session(path, threads=1) for name, path in net.graphs.items()})
        for kind, net in all_networks(tmp_path_factory.getbasetemp()).items()
    }


def check(sessions, kind, seed):
    net, variants = sessions[kind]
    batch = net.odd(seed)
    expected = net.expected(batch)
    for name, session in variants.items():
        found = session.run(["probabilities"], {"input": batch})[0]
        assert np.abs(found - expected).max() <= RECIPES[name].bound, name


@pytest.mark.parametrize("kind", KINDS)
@settings(FUZZ, max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_every_variant_stays_within_its_bound_on_odd_rows(sessions, kind, seed):
    check(sessions, kind, seed)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", KINDS)
@settings(FUZZ, max_examples=1000)
@given(seed=st.integers(0, 2**32))
def test_every_variant_stays_within_its_bound_on_very_many_odd_rows(sessions, kind, seed):
    check(sessions, kind, seed)


@settings(FUZZ, max_examples=50)
@given(
    weight=SIZES.flatmap(
        lambda shape: arrays(np.float32, shape, elements=st.floats(-1e4, 1e4, width=32))
    )
)
def test_rounding_to_nearest_stays_within_a_step_of_its_group(weight):
    wide = grid(weight).wide(weight.shape[1])
    found = codes(weight, wide)
    assert found.max() <= 15
    back = (found - wide.zero) * wide.scale
    # A group too small for an fp16 scale becomes zero.
    assert (np.abs(back - weight) <= np.maximum(1.01 * wide.scale, 1e-6)).all()


@settings(FUZZ, max_examples=50)
@given(found=SIZES.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 15))))
def test_packed_codes_can_be_read_again(found):
    packed = pack(found)
    both = np.stack([packed & 15, packed >> 4], axis=-1).reshape(len(found), -1)
    assert (both[:, : found.shape[1]] == found).all()
    assert not both[:, found.shape[1] :].any()


@settings(FUZZ, max_examples=30)
@given(seed=st.integers(0, 2**32), count=st.integers(12, 60))
def test_odd_texts_are_of_every_kind_and_the_same_for_the_same_seed(seed, count):
    known = ["体育新闻", "股票"]
    texts = odd_inputs(TEXT, known, count=count, seed=seed)
    assert texts == odd_inputs(TEXT, known, count=count, seed=seed)
    lengths = {len(text) for text in texts}
    assert len(texts) == count
    assert {0, 1, 32} <= lengths
    assert max(lengths) > 32
    assert any(text and text.isspace() for text in texts)
    assert any(text and not set(text) & set("".join(known)) for text in texts)


@settings(FUZZ, max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_odd_features_are_finite_and_hold_zeros_large_and_tiny_ones(seed):
    taken = NumericInput(kind="numeric", features=("a", "b"))
    found = odd_inputs(taken, np.array([[1.0, -2.0], [30.0, 0.5]]), count=12, seed=seed)
    assert found.dtype == np.float32
    assert found.shape == (12, 2)
    assert np.isfinite(found).all()
    assert not found[0].any()
    size = np.abs(found[found != 0])
    assert size.min() < 1e-20 < 1e4 < size.max()
