"""What pairs in the shadow have shown about answers holds for the weights that follow."""

import pytest

from tests.support.rollout import STEP, Rollout, settings, verdicts

LABELLED = {"metrics": {"errors": {}, "slow": {}, "accuracy": {"shadow_decides": True}}}
UNLABELLED = {"errors": "no_worse", "slow": "no_worse", "accuracy": "undecided"}


def beyond_the_shadow(accuracy="no_worse", **keys) -> Rollout:
    rollout = Rollout(**LABELLED, **keys)
    rollout.look()
    rollout.look(3600, evidence=verdicts(accuracy=accuracy))
    return rollout


def test_accuracy_that_the_shadow_has_settled_is_not_waited_for_again():
    rollout = beyond_the_shadow()
    assert list(rollout.progress.settled) == ["accuracy"]
    assert rollout.run(STEP, evidence=verdicts(**UNLABELLED))[-1] == "promoted"
    rests_on = rollout.last.rollout.evidence["accuracy"]
    assert (rests_on.verdict, rests_on.rule) == ("no_worse", ", in the shadow")


def test_unless_the_settings_say_so_labels_are_asked_for_at_each_weight():
    rollout = Rollout(metrics={"errors": {}, "slow": {}, "accuracy": {}})
    rollout.look()
    rollout.look(3600, evidence=verdicts(accuracy="no_worse"))
    assert rollout.where == "canary 1"
    assert rollout.look(STEP, evidence=verdicts(**UNLABELLED)) is None


def test_errors_and_times_are_compared_again():
    rollout = beyond_the_shadow()
    assert rollout.look(STEP, evidence=verdicts(errors="undecided", accuracy="no_worse")) is None
    assert rollout.look(STEP, evidence=verdicts(slow="undecided", accuracy="no_worse")) is None
    assert rollout.where == "canary 1"


def test_one_that_turns_out_to_be_worse_is_taken_back_all_the_same():
    rollout = beyond_the_shadow()
    rollout.look(1, evidence=verdicts(accuracy="worse"))
    assert rollout.is_back


def test_it_is_remembered_while_it_is_held_and_at_every_weight():
    rollout = beyond_the_shadow()
    rollout.look(60, evidence=verdicts(**UNLABELLED), missing={"no requests": 60})
    assert rollout.where == "held canary 1: missing"
    rollout.look(1, evidence=verdicts(**UNLABELLED))
    assert rollout.run(STEP, evidence=verdicts(**UNLABELLED))[-1] == "promoted"


def test_what_the_shadow_left_open_is_still_asked_for():
    rollout = beyond_the_shadow(accuracy="undecided", undecided="continue")
    assert rollout.where == "canary 1"
    assert not rollout.progress.settled
    assert rollout.run(86_400, evidence=verdicts(**UNLABELLED))[-1] == "held canary 3: undecided"


def test_without_a_shadow_it_cannot_decide():
    with pytest.raises(ValueError, match="shadow_decides"):
        settings(shadow={"percent": 0}, **LABELLED)
