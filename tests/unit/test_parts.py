"""What the parts of a fan-out share, put down and take up."""

import json

import pytest

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.manifest import Manifest, write_manifest
from openautoglm.config.params import TuneParams
from openautoglm.errors import ConfigError
from openautoglm.steps.attempt import origin
from openautoglm.steps.compress_part import share
from openautoglm.steps.elsewhere import put_down, take_up
from openautoglm.steps.runtime import Runtime
from openautoglm.steps.tune_part import take_part
from openautoglm.tuning.space import Point

STORED = [Point(family, {"precision": p}) for p in ("fp32", "int8") for family in ("a", "b")]
MADE = [Point("pruned", {"heads": 0.5}), Point("distilled", {"dim": 8})]


@pytest.mark.parametrize("parts", range(1, 9))
def test_each_point_is_in_one_part(parts):
    shares = [share([*STORED, *MADE], part, parts) for part in range(parts)]
    found = [point for mine in shares for point in mine]
    assert len(found) == len(set(found)) == len(STORED) + len(MADE)


def test_a_network_that_is_made_is_all_that_a_part_does_where_there_are_enough():
    assert [share([*STORED, *MADE], part, 3) for part in range(3)] == [[MADE[0]], [MADE[1]], STORED]


def test_two_parts_make_a_network_each():
    first, second = (share([*STORED, *MADE], part, 2) for part in range(2))
    assert (first[0], second[0]) == tuple(MADE)
    assert len(first) == len(second)


class Part:
    """A part's folder with one variant, and the work folder that it fits."""

    def __init__(self, tmp_path):
        self.folder, made = tmp_path / "part", tmp_path / "made"
        (made / "variants/glm-1").mkdir(parents=True)
        (made / "variants/glm-1/graph.onnx").write_text("graph")
        (made / "variants/.glm-2.part-1").mkdir()
        (made / "variants/glm-1.lock").touch()
        (self.folder / "payload").mkdir(parents=True)
        put_down(made, self.folder)
        manifest = self.describe()
        self.work = tmp_path / "work" / origin(manifest)
        self.graph = self.work / "variants/glm-1/graph.onnx"

    def describe(self, code="sha256-1"):
        payload = self.folder / "payload"
        found = Manifest(
            step="compress-1-of-2",
            digest=folder_digest(payload),
            inputs={"trained": "sha256-0"},
            params={"compress": {"seed": 1}},
            code=code,
            lineage={},
            history={},
            environment={},
            seconds=1.0,
        )
        write_manifest(self.folder, found)
        return found

    def taken_up(self):
        take_up([self.folder], self.work)
        return self.graph.exists()


@pytest.fixture
def part(tmp_path):
    return Part(tmp_path)


def test_what_fits_is_taken_up_whole(part, capsys):
    assert part.taken_up()
    assert part.graph.read_text() == "graph"
    assert "taken up: 1 finished networks and variants" in capsys.readouterr().err


def test_what_is_half_made_is_not_put_down(part):
    assert [path.name for path in (part.folder / "payload/variants").iterdir()] == ["glm-1"]


def test_what_is_there_already_stays(part):
    part.graph.parent.mkdir(parents=True)
    part.graph.write_text("own")
    assert part.taken_up()
    assert part.graph.read_text() == "own"


def test_work_that_was_changed_is_left_alone(part, capsys):
    (part.folder / "payload/variants/glm-1/graph.onnx").write_text("other")
    assert not part.taken_up()
    assert "left alone: the payload was changed" in capsys.readouterr().err


def test_work_that_was_cut_off_is_left_alone(part, capsys):
    (part.folder / "manifest.json").unlink()
    assert not part.taken_up()
    assert "is not the output of a step" in capsys.readouterr().err


def test_work_for_other_code_is_left_alone(part, capsys):
    part.describe(code="sha256-2")
    assert not part.taken_up()
    assert "other inputs, parameters or code" in capsys.readouterr().err


def test_work_of_another_kind_of_machine_is_left_alone(part, capsys):
    file = part.folder / "payload/machine.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"cpu": "Zuse Z3"}))
    part.describe()
    assert not part.taken_up()
    assert "another kind of machine, cpu Zuse Z3" in capsys.readouterr().err


def test_a_part_that_vanished_is_told(part, capsys, tmp_path):
    take_up([tmp_path / "nowhere"], part.work)
    assert "left alone" in capsys.readouterr().err


def test_a_worker_without_a_shared_store_is_refused(tmp_path):
    runtime = Runtime(work=tmp_path, project=tmp_path)
    with pytest.raises(ConfigError) as caught:
        take_part(prepared=tmp_path, params=TuneParams(), runtime=runtime, worker=0)
    assert "OPENAUTOGLM_STUDY" in str(caught.value)
    assert "fan_out.tune: 1" in str(caught.value)
