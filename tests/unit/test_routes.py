"""Routes that no router may be given."""

import pytest

from openautoglm.errors import RouteError
from openautoglm.routing.routes import Endpoint, Routes, Shadow, check_weights

HERE = (Endpoint("127.0.0.1", 1),)
TWO = {"one": HERE, "two": HERE}


@pytest.mark.parametrize(
    "name", ["a", "0", "v3-int8-1a2b3c4d", "a" * 63], ids=["letter", "digit", "key", "long"]
)
def test_names_that_can_be(name):
    Routes({name: HERE}, {name: 100}).check()


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a.b", "A", "a_b", "a/b", "a b", "模型", "a\n", "a" * 64, ".."]
)
def test_names_that_cannot_be(name):
    with pytest.raises(RouteError, match="cannot name a variant"):
        Routes({name: HERE}, {}).check()


@pytest.mark.parametrize(
    "weights",
    [{}, {"one": 100}, {"one": 0, "two": 100}, {"one": 1, "two": 99}],
    ids=["none", "all", "0 and 100", "1 and 99"],
)
def test_weights_that_can_be(weights):
    Routes(TWO, weights).check()


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"one": 50}, "sum to 50"),
        ({"one": 60, "two": 50}, "sum to 110"),
        ({"one": 0, "two": 0}, "sum to 0"),
        ({"one": 101, "two": -1}, "101 for `one`"),
        ({"one": -1, "two": 101}, "-1 for `one`"),
        ({"one": 99.5, "two": 0.5}, "99.5 for `one`"),
        ({"one": "100"}, "100 for `one`"),
        ({"one": True, "two": 99}, "True for `one`"),
    ],
)
def test_weights_that_cannot_be(weights, told):
    with pytest.raises(RouteError, match=told):
        check_weights(weights)
    with pytest.raises(RouteError, match=told):
        Routes(TWO, weights).check()


def test_a_weight_for_no_variant_names_those_there_are():
    with pytest.raises(RouteError, match="`other`, which is no variant") as caught:
        Routes(TWO, {"one": 100, "other": 0}).check()
    assert caught.value.allowed == "one, two"


def test_a_weight_needs_a_replica_unless_it_is_0():
    variants = {"one": HERE, "two": ()}
    Routes(variants, {"one": 100, "two": 0}).check()
    with pytest.raises(RouteError, match="`two`, which has no replica that is ready"):
        Routes(variants, {"one": 99, "two": 1}).check()


@pytest.mark.parametrize("percent", [0, 101, -1, 1.5, True, "10"])
def test_shadows_that_cannot_be(percent):
    with pytest.raises(RouteError, match="1 to 100"):
        Routes(TWO, {"one": 100}, Shadow("two", percent)).check()


def test_a_shadow_needs_a_replica():
    Routes(TWO, {"one": 100}, Shadow("two", 1)).check()
    with pytest.raises(RouteError, match="no replica that is ready"):
        Routes({"one": HERE, "two": ()}, {"one": 100}, Shadow("two", 1)).check()
    with pytest.raises(RouteError, match="no variant"):
        Routes({"one": HERE}, {"one": 100}, Shadow("two", 1)).check()
