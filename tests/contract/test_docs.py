"""What the documents say is what the code does, in both languages."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openautoglm.cli.main import app

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh.md")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def headings(readme):
    return [len(line.split(" ")[0]) for line in readme.splitlines() if re.match("#+ ", line)]


def links(readme):
    """Targets in order; each README links to the other one."""
    return [
        "README" if target in READMES else target for target in re.findall(r"\]\(([^)]+)\)", readme)
    ]


def commands(readme):
    """Lines of code, without comments; a diagram is in each language's own words."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    fenced = [code for language, code in fence.findall(readme) if language != "mermaid"]
    indented = re.findall(r"(?:^    .*\n)+", fence.sub("", readme), re.MULTILINE)
    return [
        [line.split("#")[0].strip() for line in code.splitlines()] for code in fenced + indented
    ]


PAGES = {
    "params": "docs/params.md",
    "serving": "docs/serving-settings.md",
    "service": "docs/service-settings.md",
    "pipelines": "docs/pipeline-settings.md",
    "schedules": "docs/schedule-settings.md",
}


@pytest.mark.parametrize(("page", "document"), PAGES.items())
def test_a_reference_page_is_what_the_models_say(page, document):
    shown = CliRunner().invoke(app, ["schema", page, "--markdown"])
    assert shown.exit_code == 0
    assert text(document) == shown.output, (
        f"mend it with: openautoglm schema {page} --markdown > {document}"
    )


@pytest.mark.parametrize("document", PAGES.values())
def test_every_key_has_a_meaning(document):
    rows = [line.split(" | ") for line in text(document).splitlines() if "| `" in line]
    assert len(rows) > 10
    assert [row[0] for row in rows if not row[-1].strip("| ")] == []


@pytest.mark.parametrize("part", [headings, commands, links])
def test_both_languages_say_the_same(part):
    english, chinese = (part(text(name)) for name in READMES)
    assert english == chinese
    assert english


@pytest.mark.parametrize("readme", READMES)
def test_what_a_readme_links_to_exists(readme):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text(readme)):
        assert (ROOT / target).is_file(), target
