"""The gate: the smallest variant that is shown to lose little, or none."""

import pytest

from openautoglm.compression.choice import Offer, choose
from openautoglm.config.compression import CompressGate
from openautoglm.statistics.bootstrap import Interval

GATE = CompressGate(max_loss=0.01, min_gain=0.2)
FP32 = Offer("transformer", "fp32", 1000, Interval(0.0, 0.0, 0.0))


def offer(variant, size, low, value=0.0):
    return Offer("transformer", variant, size, Interval(value, low, 0.01))


def test_the_smallest_of_those_that_pass_is_chosen():
    found = choose([FP32, offer("int8", 250, -0.004), offer("int4", 130, -0.009)], FP32, GATE)
    assert found.variant == "int4"
    assert "13 % of the bytes" in found.reason


def test_undecided_is_the_less_compressed_one():
    found = choose([FP32, offer("int8", 250, -0.004), offer("int4", 130, -0.011)], FP32, GATE)
    assert found.variant == "int8"


def test_a_loss_at_the_limit_does_not_pass():
    assert choose([FP32, offer("int8", 250, -0.01)], FP32, GATE).variant == "fp32"


def test_not_to_compress_is_a_result_with_the_nearest_variant():
    offers = [FP32, offer("int8", 250, -0.02), offer("int4", 130, -0.05)]
    found = choose(offers, FP32, GATE)
    assert (found.family, found.variant) == ("transformer", "fp32")
    assert found.reason.startswith("do not compress")
    assert "int8" in found.reason
    assert "int4" not in found.reason


def test_a_small_gain_is_not_worth_it():
    found = choose([FP32, offer("fused", 990, 0.0)], FP32, GATE)
    assert found.variant == "fp32"
    assert "20 %" in found.reason


@pytest.mark.parametrize("gain", [0.0, 0.75])
def test_the_least_gain_counts_bytes(gain):
    gate = CompressGate(max_loss=0.01, min_gain=gain)
    assert choose([FP32, offer("int8", 250, 0.0)], FP32, gate).variant == "int8"


def test_of_equally_small_ones_the_better_one_is_chosen():
    offers = [FP32, offer("int4-rtn", 130, -0.004), offer("int4-gptq", 130, -0.002)]
    assert choose(offers, FP32, GATE).variant == "int4-gptq"


def test_of_equal_ones_the_first_is_chosen():
    offers = [FP32, offer("int8", 250, 0.0), offer("int8-static", 250, 0.0)]
    assert choose(offers, FP32, GATE).variant == "int8"


def test_fp32_is_no_smaller_variant_of_itself():
    gate = CompressGate(max_loss=0.0, min_gain=0.0)
    found = choose([FP32, offer("int8", 250, -0.01)], FP32, gate)
    assert "none of 1 smaller variants" in found.reason
