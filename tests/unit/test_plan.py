"""What a deploy says it would do."""

import pytest

from openautoglm.config.service import Service
from openautoglm.deploy.desired import Desired
from openautoglm.deploy.ledger import Record
from openautoglm.deploy.plan import plan
from openautoglm.deploy.release import Release
from tests.support.keys import dotted, every_key, mutated, whole

KEYS = list(every_key())
PLAIN = Service(model="models:/clc@champion")


def service(**settings):
    return Service.model_validate({"model": "models:/clc@champion", **settings}, strict=False)


def release(version="1", variant="int8"):
    digest = f"sha256-{version * 64}"
    return Release(
        name="clc",
        version=version,
        digest=digest,
        family="glm",
        variant=variant,
        origin=f"models:/clc/{version}",
    )


def record(challenger=None, shadow=0, owner=""):
    releases = {"champion": release()}
    weights = {"champion": 100 - (challenger or 0)}
    if challenger is not None:
        releases["challenger"] = release("2")
        weights["challenger"] = challenger
    return Record(
        kind="weights", by="test", releases=releases, weights=weights, shadow=shadow, owner=owner
    )


def desired(wanted=PLAIN, name="clc"):
    return Desired(generation=1, name=name, service=wanted)


def change(new, *, old=PLAIN, before=None, champion=None, live=None, cores=64):
    """The plan from one deployed service to another."""
    return plan(
        desired(old),
        before or record(),
        desired(new),
        champion or release(),
        live_replicas=live,
        cores=cores,
    )


def create(new, **options):
    return plan(None, None, desired(new), release(), live_replicas=None, cores=64, **options)


def test_a_first_deploy_creates_gateway_and_replicas():
    found = create(PLAIN)
    assert not found.unchanged
    assert found.lines()[:2] == [
        "create  gateway   http://127.0.0.1:8080 (2 processes)",
        "create  replicas  2 of clc version 1 (glm int8, sha256-111111111111)",
    ]
    assert {one.kind for one in found.changes} == {"create"}


@pytest.mark.parametrize(("old", "before"), [(None, record()), (desired(), None)])
def test_what_was_written_down_halfway_is_created(old, before):
    found = plan(old, before, desired(), release(), live_replicas=None, cores=64)
    assert [one.what for one in found.changes][:2] == ["gateway", "replicas"]


def test_the_same_file_changes_nothing_and_says_so():
    found = change(PLAIN)
    assert found.unchanged
    assert str(found) == "nothing to change"


def test_a_key_is_told_from_what_to_what_and_how():
    found = change(service(gateway={"timeout_ms": 5000}))
    assert str(found) == "change  gateway.timeout_ms  10000 -> 5000, in place"


def test_settings_of_replicas_roll_without_a_failed_request():
    found = change(service(serving={"threads": 2}))
    assert str(found) == "change  serving.threads  1 -> 2, rolling, no request fails"


def test_another_version_rolls():
    found = change(PLAIN, champion=release("2"))
    assert [one.what for one in found.changes] == ["champion"]
    assert "clc version 1 (glm int8" in str(found)
    assert "-> clc version 2 (glm int8" in str(found)
    assert found.champion == release("2")


def test_a_model_that_lies_elsewhere_now_is_the_same_one():
    moved = release().model_copy(update={"origin": "models/compressed"})
    assert change(PLAIN, champion=moved).unchanged


SCALED = {"cpu_threshold": "70%", "min_replicas": 2, "max_replicas": 10}


def test_replicas_belong_to_the_autoscaler():
    found = change(service(replicas=3, autoscale=SCALED), live=5)
    assert "change  replicas   2 -> 3 at first; live 5, owned by autoscaler" in found.lines()
    assert any(
        line.startswith("create  autoscale  2 to 10 replicas at 70%") for line in found.lines()
    )


def test_replicas_that_nobody_changed_are_told_with_the_live_count():
    scaled = service(replicas=3, autoscale=SCALED)
    found = change(scaled, old=scaled, live=5)
    assert found.unchanged
    assert "keep    replicas  live 5, owned by autoscaler" in found.lines()


def test_autoscaling_that_ends_leaves_the_count_of_the_file():
    found = change(PLAIN, old=service(autoscale=SCALED), live=5)
    assert "remove  autoscale  live 5 -> 2 replicas, in place" in found.lines()


def test_a_deploy_leaves_the_challenger_its_requests():
    found = change(PLAIN, before=record(challenger=5, shadow=20))
    assert found.unchanged
    assert "the challenger, version 2, has 5 % of the requests and copies of 20 %" in str(found)
    assert "leaves weights as they are" in str(found)


def test_a_challenger_without_requests_is_not_worth_a_line():
    assert len(change(PLAIN, before=record(challenger=0)).lines()) == 1


def test_the_challenger_does_not_become_champion_by_a_deploy():
    found = change(PLAIN, before=record(challenger=5), champion=release("2"))
    assert found.unchanged
    assert found.champion == release("1")
    assert "the champion stays version 1 while version 2 is the challenger" in str(found)


def test_nor_does_any_version_while_a_rollout_is_open():
    found = change(PLAIN, before=record(owner="the rollout"), champion=release("3"))
    assert found.champion == release("1")
    assert "the champion stays version 1 while the rollout is open" in str(found)


@pytest.mark.parametrize(
    ("settings", "cores", "said"),
    [
        ({"replicas": 3}, 2, "replicas: 3 of 1 thread would use 3 cores, and there are 2: 2 fit"),
        (
            {"replicas": 2, "serving": {"threads": 2}},
            3.5,
            "2 of 2 threads would use 4 cores, and there are 3.5: 1 fit",
        ),
        ({"autoscale": SCALED}, 8, "autoscale.max_replicas: 10 of 1 thread would use 10 cores"),
        ({"replicas": 1, "serving": {"threads": 4}}, 2, "not even one fits; serving.threads: 2"),
    ],
)
def test_more_replicas_than_cores_are_warned_of(settings, cores, said):
    found = change(service(**settings), cores=cores)
    assert len(found.warnings) == 1
    assert said in str(found)


def test_as_many_replicas_as_cores_are_fine():
    assert change(PLAIN, cores=2).warnings == ()


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_every_key_that_changes_changes_the_plan(path):
    base = Service.model_validate(whole(), strict=False)
    other = mutated(path)
    assert change(base, old=base, live=5).unchanged
    found = change(other, old=base, live=5)
    assert not found.unchanged
    name = dotted(path).replace("pipeline.0", "pipeline")
    assert name in [one.what for one in found.changes]


@pytest.mark.parametrize("path", KEYS, ids=dotted)
def test_every_key_changes_the_plan_of_a_first_deploy(path):
    base = Service.model_validate(whole(), strict=False)
    assert create(mutated(path)).lines() != create(base).lines()
