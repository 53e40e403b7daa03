"""A rollout's settings: what is taken, what is refused, and the words."""

import json

import pytest
from pydantic import ValidationError

from openautoglm.config.rollout import RolloutSettings
from openautoglm.errors import ConfigError
from openautoglm.rollout.plan import check_objective, least_seconds, most_seconds
from openautoglm.serving.observe.metrics import LATENCY_EDGES


def settings(**keys):
    return RolloutSettings.model_validate_json(json.dumps(keys))


def test_without_any_key_it_is_shadow_then_three_weights_and_waits_for_evidence():
    found = settings()
    assert found.shadow.percent == 10
    assert found.weights == (5, 25, 50)
    assert found.undecided == "hold"
    assert found.alpha == 0.01
    assert found.confirm is None
    assert found.metrics.used() == ("errors", "slow")
    assert found.metrics.errors.margin == 0.5
    assert found.metrics.slow.margin == 2


def test_accuracy_is_compared_when_it_is_asked_for():
    found = settings(metrics={"errors": None, "slow": None, "accuracy": {}})
    assert found.metrics.used() == ("accuracy",)
    assert found.metrics.accuracy.margin == 2.5
    assert found.metrics.accuracy.tolerance == 0


def test_the_last_100_percent_may_be_left_out():
    assert settings(steps=[10]).weights == settings(steps=[10, 100]).weights == (10,)


@pytest.mark.parametrize("confirm", [None, "person", "https://gate.example/ok", "http://[::1]:80/"])
def test_who_may_have_to_agree(confirm):
    assert settings(confirm=confirm).confirm == confirm


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [100]}, "below 100"),
        ({"steps": [5, 5, 50]}, "must rise, found [5, 5, 50]"),
        ({"steps": [50, 25]}, "must rise"),
        ({"steps": [0, 50]}, "steps.0"),
        ({"steps": [5, 101]}, "steps.1"),
        ({"steps": [5.0]}, "steps.0"),
        ({"step": [5]}, "step"),
        ({"step_seconds": 0}, "step_seconds"),
        ({"step_seconds": 100, "deadline": {"step": 99}}, "`deadline.step` (99)"),
        ({"deadline": {"shadow": 299}}, "`shadow.seconds` (300) is more than `deadline.shadow`"),
        ({"shadow": {"percent": 0, "seconds": 9}}, "`seconds` has no meaning with percent: 0"),
        ({"shadow": {"percent": 0}, "deadline": {"shadow": 9}}, "`shadow` has no meaning"),
        ({"undecided": "promote"}, "undecided"),
        ({"alpha": 0}, "alpha"),
        ({"metrics": {"errors": None, "slow": None}}, "every metric is null"),
        ({"metrics": {"speed": {}}}, "metrics.speed"),
        ({"metrics": {"errors": {"tolerance": 0.5}}}, "must be below `margin`"),
        ({"metrics": {"errors": {"margin": 100}}}, "metrics.errors.margin"),
        ({"metrics": {"slow": {"objective_ms": 0}}}, "objective_ms"),
        ({"confirm": "somebody"}, "null, person, or an http(s) URL"),
        ({"confirm": "ftp://host/"}, "null, person, or an http(s) URL"),
        ({"confirm": "https://ops:secret@host/"}, "leave"),
        ({"confirm": "http://host:y/"}, "null, person, or an http(s) URL"),
        ({"confirm": "http://[half/"}, "null, person, or an http(s) URL"),
    ],
)
def test_what_contradicts_itself_or_could_not_matter_is_refused(keys, said):
    with pytest.raises(ValidationError) as caught:
        settings(**keys)
    assert said in str(caught.value)


def test_they_are_the_same_after_the_ledger_had_them():
    found = settings(steps=[1, 99], metrics={"accuracy": {"tolerance": 1}}, confirm="person")
    assert RolloutSettings.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("edge", LATENCY_EDGES)
def test_slow_is_what_telemetry_can_count(edge):
    check_objective(
        settings(metrics={"slow": {"objective_ms": edge * 1000}}).metrics, LATENCY_EDGES
    )


def test_an_objective_between_two_edges_is_refused_with_all_of_them():
    with pytest.raises(ConfigError) as caught:
        check_objective(settings(metrics={"slow": {"objective_ms": 120}}).metrics, LATENCY_EDGES)
    assert "120" in str(caught.value)
    assert "100, 150, 200" in caught.value.allowed


def test_an_objective_that_is_not_compared_needs_no_edge():
    check_objective(settings(metrics={"slow": None}).metrics, LATENCY_EDGES)


def test_every_key_is_described():
    def described(node):
        for name, key in node.get("properties", {}).items():
            assert key.get("description"), name

    schema = RolloutSettings.model_json_schema()
    for node in (schema, *schema["$defs"].values()):
        described(node)


def test_how_long_a_rollout_takes():
    found = settings(
        shadow={"percent": 10, "seconds": 60},
        steps=[5, 50],
        step_seconds=120,
        deadline={"pending": 1, "shadow": 100, "step": 1000, "promoting": 2, "held": 10_000},
    )
    assert least_seconds(found) == 60 + 2 * 120
    assert most_seconds(found) == 1 + (100 + 10_000) + 2 * (1000 + 10_000) + 2
    without = settings(shadow={"percent": 0}, steps=[5], step_seconds=120)
    assert least_seconds(without) == 120
