"""What the benchmarks write: into their own section, and one entry a law."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = "by hand\n\n<!-- a: begin -->\nold\n<!-- a: end -->\n\nby hand too\n"
REPORT = """\
<testsuites><testsuite>
  <testcase file="tests/a.py" name="test_kills[train-0]" time="1.26"/>
  <testcase file="tests/a.py" name="test_kills[train-1]" time="2.0"><failure>no</failure></testcase>
  <testcase file="tests/a.py" name="test_other" time="0"><skipped/></testcase>
  <testcase file="tests/a.py" name="test_every_event" time="3.0">
    <properties><property name="cases" value="40"/></properties>
  </testcase>
</testsuite></testsuites>
"""


@pytest.fixture
def script(monkeypatch):
    """Import a script the way it imports its neighbours."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


def test_a_section_is_replaced_and_the_rest_is_kept(script):
    replaced = script("document").replaced
    page = replaced(PAGE, "a", "new | figures")
    assert page == PAGE.replace("old\n", "\nnew | figures\n\n")
    assert replaced(page, "a", "new | figures") == page


@pytest.mark.parametrize(
    "page",
    ["", PAGE.replace("begin", "start"), PAGE + PAGE, PAGE.replace("<!-- a: end -->", "")],
    ids=["empty", "no begin", "twice", "no end"],
)
def test_a_page_without_its_marks_is_refused(script, page):
    with pytest.raises(ValueError, match="once each"):
        script("document").replaced(page, "a", "new")


SECTIONS = [
    *(f"benchmarks/{name}.py" for name in ("run", "quality", "int8", "variants", "gpu", "replica")),
    "benchmarks/replica.py --size 6x384",
    *(f"benchmarks/gateway.py{size}" for size in ("", " --size 6x384")),
    "benchmarks/balancing.py",
    "benchmarks/pipelines.py",
    "benchmarks/service.py",
]


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_has_a_place_for_each_script(script, section):
    document = script("document")
    page = document.DOCUMENT.read_text(encoding="utf-8")
    assert "new" in document.replaced(page, section, "new")


def test_a_table_lines_up(script):
    assert script("document").table(("what", "s"), [("help", "0.1"), ("chain", "240")]) == (
        "| what  |   s |\n| ----- | --: |\n| help  | 0.1 |\n| chain | 240 |"
    )


def test_a_sweep_counts_the_cases_of_each_law(script, tmp_path):
    report = tmp_path / "junit.xml"
    report.write_text(REPORT, encoding="utf-8")
    assert script("sweep").laws(report) == [
        {"law": "tests/a.py::test_every_event", "cases": 40, "failures": 0, "seconds": 3.0},
        {"law": "tests/a.py::test_kills", "cases": 2, "failures": 1, "seconds": 3.3},
    ]


def test_a_part_of_a_sweep_replaces_its_own_laws_only(script):
    known = [{"law": "b", "cases": 1}, {"law": "c", "cases": 1}]
    assert script("sweep").merged(known, [{"law": "b", "cases": 9}, {"law": "a", "cases": 2}]) == [
        {"law": "a", "cases": 2},
        {"law": "b", "cases": 9},
        {"law": "c", "cases": 1},
    ]


def test_cpu_seconds_know_which_are_envoys(script):
    spent = script("gateway").Spent
    since = spent(5.0, 2.0) - spent(1.5, 0.5)
    assert (since, since.envoy) == (3.5, 1.5)


def test_the_gateway_is_told_beside_the_bare_replica_of_the_same_round(script):
    gateway, turns = script("gateway"), script("peers.turns")
    point = turns.Point(8, None)

    def found(rate, p99, envoy):
        cpu = gateway.Spent(0.1 + envoy, envoy)
        return turns.Found(rate, 1.0, p99, cpu, failed=0, others=0.0)

    rounds = {
        (point, gateway.BARE): [found(1000, 2.0, 0.0), found(2000, 4.0, 0.0)],
        (point, "1 Envoy"): [found(500, 3.0, 0.05), found(1000, 6.0, 0.07)],
    }
    rows = gateway.point_table(point, rounds).splitlines()
    told = [cell.strip() for cell in rows[3].strip("|").split("|")]
    assert told == ["1 Envoy", "750", "0.50", "1.00", "1.00", "4.50", "1.50", "60", "100"]
