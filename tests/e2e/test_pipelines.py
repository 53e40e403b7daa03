"""Pipelines on this machine as a person drives them: Kubeflow's local runner, the real steps.

Each run begins with what the one before has left, so the fixtures are a chain.
"""

import random
import shutil

import pytest

from tests.support.command import command
from tests.support.pipelines import IN_TRAIN, kill_in_train, recorded, registered, run_pipeline
from tests.support.project import FP32, PURE, Small, rows, write_csv

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pipelines")]
CANARY = {
    "alpha": 0.1,
    "metrics": {
        "errors": {"margin": 20},
        "slow": {"objective_ms": 2500, "margin": 30},
        "accuracy": {"margin": 30},
    },
}
"""Margins that a replay split of this size can decide on."""
STRICT = "evaluate.gate.margin=0"
"""A gate that asks for more than there is to gain."""


def write_window(path, count):
    """Texts that look like none of the project's."""
    rng = random.Random(count)
    texts = ["".join(rng.choices("abcdefghij", k=rng.randint(20, 30))) for _ in range(count)]
    write_csv(path, [(text, "铁路") for text in texts])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Small(tmp_path_factory.mktemp("pipelines") / "project", count=900)
    made.change(**FP32)
    made.change(drift={"rows": 100}, canary=CANARY)
    made.change(train={"epochs": 10})  # so that there is time to be killed in
    made.add_pipelines(retrain={"looks": 1})
    for count in (20, 150, 160):
        write_window(made.root / "data" / f"window-{count}.csv", count)
    return made


@pytest.fixture(scope="module")
def undisturbed(project, tmp_path_factory):
    """Digests of the same steps, called by themselves."""
    root = tmp_path_factory.mktemp("pipelines-undisturbed") / "project"
    alone = project.at(shutil.copytree(project.root, root))
    alone.change(evaluate={"gate": {"margin": 0}})
    for name in PURE:
        command(alone.root, "step", name)
    return alone.digests()


@pytest.fixture(scope="module")
def killed(project, undisturbed):
    """What training says from nothing, until everybody at work is killed while its model learns."""
    said = kill_in_train(project, "--set", STRICT, whole=True)
    assert kept(project) == {"prepare", "tune"}, "what was half made is kept as if it were whole"
    return said


@pytest.fixture(scope="module")
def killed_again(project, killed):
    """The same, but only the one who was called is killed.

    Whoever was at work for the one that is gone may still be: that must not matter.
    """
    return kill_in_train(project, "--set", STRICT, whole=False)


@pytest.fixture(scope="module")
def gated(project, killed_again):
    """To the end, and to a gate that fails."""
    return run_pipeline(project, "training", "--set", STRICT)


@pytest.fixture(scope="module")
def too_early(project, gated):
    return run_pipeline(project, "canary", code=2)


@pytest.fixture(scope="module")
def first(project, too_early):
    """The gate of the project itself, which lets the model pass."""
    return run_pipeline(project, "training")


@pytest.fixture(scope="module")
def other_rate(project, first):
    """What training says with another learning rate, until it is killed."""
    return kill_in_train(project, "--set", "train.lr=0.002", whole=True)


@pytest.fixture(scope="module")
def broken(project, other_rate):
    """A run on a file without the column that is asked for; it is mended afterwards."""
    file = project.root / "data" / "source" / "rows.csv"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"text,label", b"txt,label", 1))
    try:
        return run_pipeline(project, "training", code=2)
    finally:
        file.write_bytes(whole)


@pytest.fixture(scope="module")
def again(project, broken):
    return run_pipeline(project, "training")


@pytest.fixture(scope="module")
def equal_rows(project, again):
    """prepare is asked for something else, and comes to the same rows."""
    return run_pipeline(project, "training", "--set", "data.max_bad_share=0.3")


@pytest.fixture(scope="module")
def alone(project, equal_rows):
    return run_pipeline(project, "canary")


@pytest.fixture(scope="module")
def retrained(project, alone):
    """Newer rows to learn from, and a window that looks like none of them."""
    write_csv(project.root / "data" / "source" / "rows.csv", rows(1200))
    return run_pipeline(project, "retrain", "--argument", "window=data/window-150.csv")


def kept(project):
    """Steps that have an output which later runs may take."""
    return {path.parent.name for path in project.root.glob(".openautoglm/finished/*/sha256-*")}


def test_killed_twice_in_train_it_ends_as_if_nothing_had_happened(
    project, undisturbed, killed, killed_again, gated
):
    assert "[tune] done" in killed
    assert "made before" not in killed, "there was nothing before"
    assert "[tune] made before from the same" in killed_again
    assert gated.again() == ["prepare", "tune"]
    assert gated.digests() == undisturbed
    left = [
        *project.root.glob(".openautoglm/finished/**/.*.part-*"),
        *gated.folder.rglob(".*.part-*"),
    ]
    assert left == []


def test_every_step_of_training_shows_progress(gated):
    for step in ("plan", *PURE, "register", "remember", "record"):
        assert f"[{step}] " in gated.stderr


def test_a_person_reads_none_of_kubeflows_own_words_and_the_log_has_them(gated):
    read = gated.stdout + gated.stderr
    for chatter in ("[KFP Executor", "executor_input", "parameterValues", "{", "INFO", "\x1b"):
        assert chatter not in read
    assert "[KFP Executor" in gated.log
    for line in gated.stderr.splitlines():
        assert line in gated.log


def test_a_gate_that_failed_is_told_first_and_registers_nothing(project, gated):
    begin = gated.stdout.strip().splitlines()
    assert "gate failed" in begin[0]
    assert "its lower end must lie above -0" in " ".join(begin[:6])
    receipt = gated.receipt("registration")
    assert (receipt["verdict"], receipt["registered"]) == ("fail", False)
    assert registered(project) == ([], {})
    assert recorded(project, "training") == ["succeeded"]  # who was killed records nothing
    assert "gate fail" in (gated.folder / "register" / "summary").read_text("utf-8")


def test_kubeflows_ui_is_given_metrics_a_confusion_matrix_and_pages(gated):
    found = gated.artifact("evaluate", "confusion")["metadata"]["confusionMatrix"]
    matrix = [row["row"] for row in found["rows"]]
    metrics = gated.artifact("evaluate", "metrics")["metadata"]
    assert sum(map(sum, matrix)) == metrics["rows"] > 0
    assert len(found["annotationSpecs"]) == len(matrix) == 3
    assert 0 < metrics["candidate.macro_f1"] <= 1
    assert gated.artifact("train", "valid")["metadata"]["glm.macro_f1"] > 0.5
    for task in ("evaluate", "drift"):
        assert "<html" in (gated.folder / task / "report").read_text("utf-8").lower()
    for task, name in (("tune", "trials"), ("compress", "variants"), ("register", "summary")):
        assert (gated.folder / task / name).read_text("utf-8").strip()
    assert gated.artifact("compress", "compressed")["metadata"]["step"] == "compress"


def test_canary_of_what_was_not_registered_says_what_is_missing(project, too_early):
    assert "error: " in too_early.stderr
    assert "small" in too_early.stderr
    assert "Traceback" not in too_early.stderr
    assert recorded(project, "canary") == ["failed"]


def test_another_gate_measures_again_and_makes_nothing_else_again(gated, first):
    assert first.again() == [name for name in PURE if name not in ("fetch", "evaluate")]
    same = first.digests().keys() - {"evaluate"}
    assert {name: first.digests()[name] for name in same} == {
        name: gated.digests()[name] for name in same
    }


def test_the_page_has_the_verdict_and_every_digest(first):
    assert "registration: pass: gate passed" in first.stdout
    digests = first.digests()
    assert digests.keys() == PURE.keys()
    for digest in digests.values():
        assert digest[:19] in first.stdout
    assert first.folder.name in first.stdout


def test_what_passed_is_registered_and_the_run_is_recorded(project, first):
    assert registered(project) == ([1], {"champion": 1})
    assert first.receipt("registration")["registered"] is True
    assert recorded(project, "training") == ["succeeded", "succeeded"]


def test_another_setting_of_train_keeps_the_rows_and_makes_another_model(project, other_rate):
    assert "[prepare] made before from the same" in other_rate
    assert IN_TRAIN in other_rate
    kept = list((project.root / ".openautoglm" / "finished" / "train").iterdir())
    assert len(kept) == 1, "what was half made is kept as if it were whole"


def test_bad_input_ends_it_with_the_words_of_the_step_and_the_file(project, broken):
    assert "error: " in broken.stderr
    assert "rows.csv" in broken.stderr
    assert "txt" in broken.stderr
    assert "Traceback" not in broken.stderr
    assert "[tune]" not in broken.stderr
    assert broken.digests().keys() == {"fetch"}
    assert recorded(project, "training")[2:] == ["failed"]  # who was killed records nothing


def test_mended_it_is_what_it_was_and_nothing_is_made_or_registered_twice(project, first, again):
    assert again.digests() == first.digests()
    # fetch looks at its source each time: nobody else can say whether that has changed.
    assert again.again() == [name for name in PURE if name != "fetch"]
    assert registered(project) == ([1], {"champion": 1})
    assert again.receipt("registration") == first.receipt("registration")


def test_what_was_made_from_equal_rows_is_not_made_again(first, equal_rows):
    assert equal_rows.digests() == first.digests()
    assert equal_rows.again() == [name for name in PURE if name not in ("fetch", "prepare")]


def test_canary_of_a_champion_that_is_alone_says_so(first, alone):
    receipt = alone.receipt("canary")
    assert receipt["verdict"] == "champion"
    assert receipt["model_digest"] == first.digests()["compress"]
    assert "canary: champion: it is the champion" in alone.stdout


def test_a_window_that_is_not_there_is_named(project, alone):
    wrong = run_pipeline(project, "retrain", "--argument", "window=data/nowhere.csv", code=2)
    assert "nowhere.csv" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_too_little_data_never_retrains(project, alone):
    little = run_pipeline(project, "retrain", "--argument", "window=data/window-20.csv")
    assert "[decide] retrain: no: too little data" in little.stderr
    assert "[train]" not in little.stderr
    assert registered(project)[0] == [1]


def test_drift_and_newer_rows_make_and_try_a_new_model(project, first, retrained):
    assert "[decide] retrain: yes: drift" in retrained.stderr
    assert retrained.digests().keys() == PURE.keys()
    assert retrained.digests()["compress"] != first.digests()["compress"]
    receipt = retrained.receipt("canary")
    assert receipt["model_digest"] == retrained.digests()["compress"]
    assert (receipt["verdict"], registered(project)) == ("promoted", ([1, 2], {"champion": 2}))
    assert "canary: promoted" in retrained.stdout


def test_the_next_retraining_waits_for_its_turn(project, retrained):
    write_csv(project.root / "data" / "source" / "rows.csv", rows(1300))
    soon = run_pipeline(project, "retrain", "--argument", "window=data/window-160.csv")
    assert "[decide] retrain: no: the last retraining began 0.0 hours ago" in soon.stderr
    assert registered(project)[0] == [1, 2]
