"""Tune shared by processes, compress shared by parts: the result of the plain step, bit by bit."""

import json
import re
import signal
from dataclasses import dataclass, field, replace

import psycopg2
import pytest
from ruamel.yaml import YAML

from openautoglm.artifacts.manifest import read_manifest
from openautoglm.config.params import CompressParams, Params, view
from openautoglm.config.yaml import load
from openautoglm.steps.attempt import attempt_of
from openautoglm.steps.catalog import STEPS
from openautoglm.steps.compress import compress
from openautoglm.steps.compress_part import build_part
from openautoglm.steps.parts import compress_part
from openautoglm.steps.plan import planned
from openautoglm.steps.runtime import Runtime
from openautoglm.steps.tune import tune
from openautoglm.training import smaller
from tests.support.command import command
from tests.support.parts import (
    dying_worker_of_tune,
    opened_at_once,
    queue,
    worker_of_tune,
)
from tests.support.project import Small

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("postgres")]
TRIALS = 2 + 2  # of the starts, and of the one round


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project up to train, whose transformer is better than its glm, and can be pruned."""
    small = Small(tmp_path_factory.mktemp("parts") / "project", count=400)
    small.change(
        train={"epochs": 8, "lr": 0.003, "glm": {"penalty": 1e-6, "buckets": 4096}},
        tune={"min_gain": 1.0},  # so that it stays so
        compress={
            "recipes": ["fp32", "int8", "int4-gptq", "pruned", "distilled"],
            "search": {"rounds": 0, "distilled": ...},
        },
    )
    for name in ("fetch", "prepare", "tune", "train"):
        command(small.root, "step", name)
    return small.root


def params_of(project, name):
    return view(load(project / "params.yaml", Params), STEPS[name].params)


class Chain:
    """The two steps on one project, with a runtime of a test's own."""

    def __init__(self, project, folder):
        self.project, self.folder = project, folder
        self.runtime = Runtime(work=folder / "work", project=project)

    def tune(self, url):
        runtime = replace(self.runtime, study=url)
        params, out = params_of(self.project, "tune"), self.folder / "tuned"
        tune(prepared=self.project / "data/prepared", params=params, runtime=runtime, out=out)
        return read_manifest(out).digest

    def workers(self, url, count):
        """Run so many workers at once; how many trials each began."""
        told, runtime = queue(), replace(self.runtime, study=url)
        at_work = [worker_of_tune(self.project, runtime, n, told) for n in range(count)]
        begun = [told.get() for _ in at_work]
        for process in at_work:
            process.join()
        return begun

    def part(self, part, parts):
        out = self.folder / f"part-{part}"
        build_part(**self._given, part=part, parts=parts, runtime=self.runtime, out=out)
        return out

    def compress(self, *work):
        out = self.folder / "compressed"
        compress(**self._given, runtime=replace(self.runtime, finished_work=work), out=out)
        return read_manifest(out).digest

    @property
    def _given(self):
        return {
            "prepared": self.project / "data/prepared",
            "trained": self.project / "models/trained",
            "params": params_of(self.project, "compress"),
        }


@pytest.fixture
def chain(project, tmp_path):
    return Chain(project, tmp_path)


@pytest.fixture(scope="module")
def compressed(project, tmp_path_factory):
    """Digest of what compress makes alone."""
    return Chain(project, tmp_path_factory.mktemp("alone")).compress()


def sqlite(folder):
    return f"sqlite:///{folder}/shared.db"


def tuned(project):
    return read_manifest(project / "models/tuned").digest


def test_workers_leave_tune_nothing_to_search(chain, capsys):
    url = sqlite(chain.folder)
    assert sum(chain.workers(url, 3)) == TRIALS
    capsys.readouterr()
    assert chain.tune(url) == tuned(chain.project)
    assert "trial 0" not in capsys.readouterr().err
    assert [path.name for path in chain.runtime.work.iterdir() if path.is_dir()] == []


def test_on_postgresql_the_trial_of_a_killed_worker_is_run_by_another(chain, server):
    killed = dying_worker_of_tune(chain.project, replace(chain.runtime, study=server), 0)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert sum(chain.workers(server, 2)) == TRIALS - 1
    assert chain.tune(server) == tuned(chain.project)


@pytest.mark.parametrize("turn", range(3))
def test_workers_that_find_no_tables_make_them_together(turn, tmp_path):
    assert opened_at_once(sqlite(tmp_path), 4) == [None] * 4


def test_workers_that_find_no_tables_in_postgresql_make_them_together(postgres, server):
    connection = psycopg2.connect(server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("create database untouched")
    connection.close()
    assert opened_at_once(postgres.get_uri("untouched"), 4) == [None] * 4


@pytest.fixture
def fitted(monkeypatch):
    """Names of the networks that were trained meanwhile."""
    found, fit = [], smaller.fit
    monkeypatch.setattr(smaller, "fit", lambda *given: (found.append(given[1].name), fit(*given)))
    return found


def test_parts_change_nothing_and_make_no_network_twice(chain, compressed, fitted, capsys):
    work = [chain.part(part, 3) for part in range(3)]
    assert fitted == ["distilled"]
    capsys.readouterr()
    assert chain.compress(*work) == compressed
    assert fitted == ["distilled"]
    taken = re.findall(r"taken up: (\d+) finished", capsys.readouterr().err)
    # Network and variant; the same and what a teacher said; three precisions and two.
    assert taken == ["2", "3", "5"]


def test_what_parts_have_not_done_compress_does(chain, compressed, fitted):
    assert chain.compress(chain.part(2, 3)) == compressed
    assert fitted == ["distilled"]


def test_a_part_that_was_killed_goes_on(chain, fitted, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("openautoglm.steps.compress_part.put_down", killed)
        with pytest.raises(KeyboardInterrupt):
            chain.part(1, 3)
    assert not (chain.folder / "part-1").exists()
    read_manifest(chain.part(1, 3))
    assert fitted == ["distilled"]


@dataclass
class Given:
    """An artifact as Kubeflow gives it."""

    path: str
    metadata: dict = field(default_factory=dict)


@pytest.fixture
def shared(project, tmp_path, monkeypatch):
    """What the component of one part does; the whole of it is named by a digest."""
    places = {"prepared": "data/prepared", "trained": "models/trained"}
    given = {name: Given(str(project / place)) for name, place in places.items()}
    whole = YAML(typ="safe").load(project / "params.yaml")
    whole["compress"] = {"recipes": ["fp32"], "threads": 1}
    params = json.dumps(whole)
    monkeypatch.setenv("OPENAUTOGLM_PROJECT", str(project))

    def shared(name):
        out = Given(str(tmp_path / name))
        return compress_part(given, params, 0, 2, out), out.metadata

    manifests = {name: read_manifest(project / place) for name, place in places.items()}
    values = view(planned(params), CompressParams).model_dump(mode="json", by_alias=True)
    shared.attempt = attempt_of(STEPS["compress"].module, manifests, values)
    return shared


def test_a_part_that_was_made_before_is_not_made_again(shared, monkeypatch, capsys):
    folder, told = shared("first")
    assert told == {"digest": read_manifest(folder).digest}
    monkeypatch.setattr("openautoglm.steps.compress_part.build_part", None)
    assert shared("second")[1] == told
    assert "made before from the same" in capsys.readouterr().err


def test_where_compress_is_known_its_parts_have_nothing_to_do(shared, project, monkeypatch):
    known = project / ".openautoglm/finished/compress" / shared.attempt
    known.mkdir(parents=True)
    monkeypatch.setattr("openautoglm.steps.compress_part.build_part", None)
    folder, told = shared("part")
    assert [path.name for path in folder.iterdir()] == ["nothing.txt"]
    assert told == {}
    known.rmdir()
