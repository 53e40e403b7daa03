"""When drift begins a retraining: one rule a test."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from openautoglm.config.retrain import RetrainSettings
from openautoglm.registry.retraining_records import BEGUN, CLAIMED, ENDED, Look, Retraining
from openautoglm.steps.retrain import decide, summary
from openautoglm.steps.retrain_rules import NO, YES, decision

HOUR = 3600.0
SETTINGS = RetrainSettings()
NEW = "sha256-new"


def look(at, verdict="drift", *, window=None, run=None):
    """A look at an hour, at a window of its own."""
    return Look(run or f"run-{at}", at * HOUR, "sha256-m", window or f"w{at}", verdict, "because")


def decided(looks, retrainings=(), *, data=NEW, known=None, settings=SETTINGS):
    """What comes of the last of some looks."""
    return decision(looks[-1], looks[:-1], retrainings, data, known or {}, settings)


def retraining(at, state=BEGUN, **more):
    return Retraining(f"earlier-{at}", at * HOUR, "sha256-old", state, **more)


def test_drift_in_two_looks_in_a_row_retrains():
    made = decided([look(1), look(2)])
    assert made.retrain == YES
    assert "drift in 2 looks in a row: because" in made.reason


def test_one_look_is_not_enough():
    made = decided([look(1)])
    assert made == (NO, "drift in 1 of 2 looks in a row: bring the next window")


def test_a_look_without_drift_begins_the_row_again():
    assert decided([look(1), look(2, "none"), look(3)]).retrain == NO
    assert decided([look(1), look(2, "none")]) == (NO, "none: because")


def test_too_little_data_does_not_retrain_and_does_not_reset():
    assert decided([look(1), look(2), look(3, "too little data")]).retrain == NO
    assert decided([look(1), look(2, "too little data"), look(3)]).retrain == YES


def test_one_window_seen_twice_is_one_look():
    assert decided([look(1, window="w"), look(2, window="w")]).retrain == NO


def test_a_window_that_was_seen_once_too_small_counts_when_it_can_be_judged():
    looks = [look(1), look(2, "too little data", window="w"), look(3, window="w")]
    assert decided(looks).retrain == YES


def test_how_many_looks_it_takes_is_a_setting():
    one = RetrainSettings(looks=1)
    assert decided([look(1)], settings=one).retrain == YES


def test_windows_that_have_begun_a_retraining_begin_no_other():
    looks = [look(1), look(2), look(60)]
    assert decided(looks, [retraining(2, ENDED)]).reason.startswith("drift in 1 of 2")
    assert decided([*looks, look(61)], [retraining(2, ENDED)]).retrain == YES


def test_a_repeated_window_that_has_begun_a_retraining_is_no_new_one():
    looks = [look(1), look(2, window="w"), look(60), look(61, window="w")]
    assert decided(looks, [retraining(2, ENDED)]).retrain == NO


def test_what_was_seen_while_a_retraining_kept_others_away_counts_afterwards():
    looks = [look(30), look(31), look(60, window="w31")]
    made = decided(looks, [retraining(29, ENDED)], settings=RetrainSettings(cooldown_hours=2))
    assert made.retrain == YES


def test_soon_after_a_retraining_there_is_none():
    looks = [look(3), look(4), look(25)]
    made = decided(looks, [retraining(2, ENDED)])
    assert made == (NO, "the last retraining began 23.0 hours ago; the next one may after 24")
    assert decided([look(3), look(4), look(26)], [retraining(2, ENDED)]).retrain == YES


def test_one_at_a_time():
    looks = [look(29), look(30)]
    made = decided(looks, [retraining(2)])
    assert made.retrain == NO
    assert "another retraining began 28.0 hours ago and has not ended: run earlier-2" in made.reason


def test_one_whose_end_nobody_noted_goes_stale():
    assert decided([look(49), look(50)], [retraining(2)]).retrain == YES
    assert decided([look(48), look(49)], [retraining(2)]).retrain == NO


def test_a_claim_that_never_began_neither_counts_nor_waits():
    assert decided([look(1), look(2)], [retraining(1.5, CLAIMED)]).retrain == YES


def test_rows_that_the_champion_has_learned_from_bring_nothing_new():
    made = decided([look(1), look(2)], known={NEW: "the champion, version 3"})
    assert made.retrain == NO
    assert "no other rows to learn from than those of the champion, version 3" in made.reason


def test_the_run_that_has_begun_comes_to_the_same_again():
    mine = replace(retraining(2), run="run-2")
    assert decided([look(1), look(2)], [mine]).retrain == YES
    assert decided([look(1), look(2)], [replace(mine, state=CLAIMED)]).retrain == YES


def test_a_run_whose_retraining_has_ended_has_no_other():
    mine = replace(retraining(2, ENDED), run="run-2")
    assert decided([look(1), look(2)], [mine]) == (NO, "this run had its retraining")


def test_the_summary_shows_the_decision_first():
    made = decided([look(1), look(2)])
    assert summary(made).startswith("# retrain: yes\n")
    assert made.reason in summary(made)


@pytest.mark.parametrize(
    "given",
    [
        {"looks": 0},
        {"looks": "2"},
        {"cooldown_hours": -1},
        {"cooldown_hours": float("inf")},
        {"stale_hours": 0},
        {"cooldown": 3},
    ],
)
def test_settings_that_could_not_be_kept_are_refused(given):
    with pytest.raises(ValidationError):
        RetrainSettings.model_validate(given)


def test_settings_that_do_not_fit_are_told_with_their_key(tmp_path, monkeypatch, capsys):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text("", encoding="utf-8")
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(tmp_path))
    nothing = SimpleNamespace(path=str(tmp_path), metadata={})
    with pytest.raises(SystemExit) as end:
        decide(nothing, nothing, "{}", json.dumps({"looks": 0}), "run-1")
    assert end.value.code == 2
    assert "settings, key looks" in capsys.readouterr().err
    assert not (tmp_path / "mlflow.db").exists()
