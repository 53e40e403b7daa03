"""`pipelines/schedules.yaml`, what is known of a recurring run, and what must be done."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openautoglm.config.schedules import Schedule, load_schedules
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.converging import Found, Wanted, changes, settled
from openautoglm.kubeflow.marks import Mark, declaration, mark_of

ROOT = Path(__file__).parents[2]


def written(folder, text):
    file = folder / "schedules.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def refused(folder, text):
    with pytest.raises(ConfigError) as error:
        load_schedules(written(folder, text))
    return str(error.value)


def test_the_projects_own_file_is_good_and_fires_nothing():
    found = load_schedules(ROOT / "pipelines" / "schedules.yaml")
    assert found.schedules
    assert not any(one.enabled for one in found.schedules.values())
    assert {one.pipeline for one in found.schedules.values()} == {"training", "retrain"}


def test_what_is_left_out_is_careful(tmp_path):
    text = 'schedules:\n  nightly: {pipeline: training, cron: "0 3 * * *"}\n'
    one = load_schedules(written(tmp_path, text)).schedules["nightly"]
    assert (one.enabled, one.no_catchup, one.max_concurrency) == (True, True, 1)


def test_two_schedules_of_one_name_are_an_error_with_both_lines(tmp_path):
    said = refused(
        tmp_path,
        """\
schedules:
  nightly:
    pipeline: training
    cron: "0 3 * * *"
  weekly: {pipeline: training, cron: "0 3 * * 1"}
  nightly:
    pipeline: canary
    cron: "0 4 * * *"
""",
    )
    assert "2 schedules are called `nightly`" in said
    assert "schedules.yaml:6" in said
    assert "line 2" in said


GOOD = 'schedules:\n  nightly:\n    pipeline: training\n    cron: "0 3 * * *"\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("    cron: 0 0 3 * * *", "six fields"),
        ("    cron: 0 0 30 2 *", "never fires"),
        ("    cron: 0 0 30 2", "4 fields"),
        ("    crom: x", "unknown key `crom`"),
        ("    max_concurency: 2", "did you mean `max_concurrency`?"),
        ("    max_concurrency: 11", "10 or less"),
        ("    max_concurrency: 0", "1 or more"),
        ("    enabled: maybe", "true or false"),
        ("    set: [train.lr]", "keys and values"),
        ("    start: 2027-01-01T00:00:00", "timezone"),
        ("    end: 2027-01-01", "valid datetime"),
        ("    pipeline: Training", "small letters"),
    ],
)
def test_an_impossible_value_is_an_error_with_its_line(tmp_path, line, said):
    key = line.split(":")[0].strip()
    kept = [one for one in GOOD.splitlines() if not one.strip().startswith(f"{key}:")]
    found = refused(tmp_path, "\n".join([*kept, line]))
    assert said in found
    assert f"schedules.yaml:{len(kept) + 1}, key schedules.nightly.{key}" in found


def test_an_end_before_the_start_is_an_error(tmp_path):
    bounds = "    start: 2027-02-01T00:00:00Z\n    end: 2027-01-01T00:00:00Z\n"
    said = refused(tmp_path, GOOD + bounds)
    assert "is not after `start`" in said
    assert "schedules.yaml:6" in said


def test_a_time_zone_that_does_not_exist_is_an_error(tmp_path):
    said = refused(tmp_path, "timezone: Mars/Olympus\n" + GOOD)
    assert "Mars/Olympus" in said
    assert "schedules.yaml:1" in said


def test_a_mark_is_read_back():
    mark = Mark("clc", "nightly", "sha256-1")
    assert mark_of(mark.description) == mark


@pytest.mark.parametrize(
    "description",
    [
        None,
        "",
        "mine",
        "open-autoglm schedule: nonsense",
        'open-autoglm schedule: {"owner": "clc"}',
        "open-autoglm schedule: []",
        'open-autoglm schedule: {"owner": "clc", "name": "n", "declaration": 1}',
    ],
)
def test_a_description_without_a_whole_mark_is_foreign(description):
    assert mark_of(description) is None


def test_the_digest_of_a_declaration_does_not_depend_on_order():
    assert declaration({"a": 1, "b": [2]}) == declaration({"b": [2], "a": 1})
    assert declaration({"a": 1}) != declaration({"a": 2})


names = st.sampled_from(["nightly", "weekly", "old"])
digests = st.sampled_from(["sha256-1", "sha256-2"])
refers = st.tuples(st.sampled_from(["v1", "v2"]), st.just("e1"))
wanted_ones = st.dictionaries(names, st.builds(Wanted, digests, refers, st.booleans()))
found_ones = st.lists(
    st.builds(
        Found,
        id=st.uuids().map(str),
        name=names,
        digest=digests,
        refers=refers,
        enabled=st.booleans(),
        created=st.sampled_from(["1", "2"]),
    ),
    unique_by=lambda one: one.id,
    max_size=6,
)


ids = map("new-{}".format, count())


def done(todo, wanted, found, steps=None):
    """What a server has after the first steps of a plan."""
    kept = {one.id: one for one in found}
    for change in todo[:steps]:
        if change.kind in ("create", "update"):
            want = wanted[change.name]
            new = Found(next(ids), change.name, want.digest, want.refers, want.enabled, "9")
            kept[new.id] = new
        elif change.kind in ("enable", "disable"):
            kept[change.id] = replace(kept[change.id], enabled=change.kind == "enable")
        elif change.kind == "delete":
            del kept[change.id]
    return list(kept.values())


def right(wanted, found):
    """Whether there is one recurring run for each schedule, and it is as declared."""
    assert sorted(one.name for one in found) == sorted(wanted)
    return all(
        one.is_like(wanted[one.name]) and one.enabled == wanted[one.name].enabled for one in found
    )


@given(wanted_ones, found_ones)
def test_after_a_plan_there_is_what_is_declared_and_nothing_to_do(wanted, found):
    after = done(changes(wanted, found), wanted, found)
    assert right(wanted, after)
    assert settled(changes(wanted, after))


@given(wanted_ones, found_ones, st.data())
def test_a_plan_cut_off_anywhere_is_finished_by_the_next(wanted, found, data):
    todo = changes(wanted, found)
    cut = done(todo, wanted, found, data.draw(st.integers(0, len(todo))))
    assert right(wanted, done(changes(wanted, cut), wanted, cut))


@given(wanted_ones, found_ones, st.data())
def test_a_schedule_that_is_there_and_declared_is_there_at_every_moment(wanted, found, data):
    todo = changes(wanted, found)
    here = {one.name for one in found} & set(wanted)
    then = done(todo, wanted, found, data.draw(st.integers(0, len(todo))))
    assert here <= {one.name for one in then}


@given(wanted_ones, found_ones, st.randoms())
def test_everybody_who_looks_decides_alike(wanted, found, random):
    shuffled = random.sample(found, len(found))
    assert changes(wanted, shuffled) == changes(wanted, found)


def test_a_plan_says_why_something_goes():
    mine = Found("r1", "old", "sha256-1", ("v1", "e1"), True)
    assert [one.why for one in changes({}, [mine])] == ["no longer declared"]


def test_every_key_is_in_the_document():
    page = (ROOT / "docs" / "schedule-settings.md").read_text(encoding="utf-8")
    keys = {"timezone", *Schedule.model_fields}
    assert [key for key in keys if f"{key}`" not in page] == []
