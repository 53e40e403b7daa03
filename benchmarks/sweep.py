"""`make sweep`: the full counts of the expensive laws, written to `docs/sweep.json`.

Runs the tests marked `sweep`. A test that checks many cases by itself tells their number with
`record_property("cases", n)`; any other counts as one. A failure is written down and exits 1.
Arguments go to pytest (`-k`, a file): such a part of the sweep replaces its own laws and leaves the
others, each of which tells the code it was run on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from document import ROOT

from openautoglm.artifacts.digest import file_sha256, value_digest
from openautoglm.artifacts.folder import write_text
from openautoglm.observability.machine import machine

RESULT = ROOT / "docs" / "sweep.json"
_PYTEST = (sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", "-m", "sweep")
_DONE = (0, 1)  # pytest's exit codes for: all passed, some failed


def main() -> int:
    """Run, write, and say what failed; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        command = (*_PYTEST, "-o", "junit_family=xunit1", f"--junitxml={report}", *sys.argv[1:])
        ended = subprocess.run(command, cwd=ROOT, check=False).returncode
        if ended not in _DONE:
            print(f"pytest ended with {ended}: nothing was written", file=sys.stderr)
            return 1
        found = laws(report)
    for law in found:
        print(f"{law['failures']} of {law['cases']} failed, {law['seconds']} s: {law['law']}")
    here, code = machine()._asdict(), code_digest()
    told = [{**law, "machine": here, "code_digest": code} for law in found]
    known = json.loads(RESULT.read_text(encoding="utf-8")) if sys.argv[1:] else []
    write_text(RESULT, json.dumps(merged(known, told), indent=2, ensure_ascii=False) + "\n")
    print(f"written to {RESULT.relative_to(ROOT)}")
    return int(any(law["failures"] for law in found))


def merged(known: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Laws by name, those that were run just now in their new state."""
    found = {law["law"]: law for law in (*known, *new)}
    return [found[name] for name in sorted(found)]


def laws(report: Path) -> list[dict[str, Any]]:
    """Cases, failures and seconds of each test function of a junit report, skipped ones left out.

    `law` is the function's node id, so that it can be run again as it stands.
    """
    found: dict[str, dict[str, Any]] = {}
    for case in _cases(report):
        name = f"{case.get('file')}::{str(case.get('name')).partition('[')[0]}"
        law = found.setdefault(name, {"law": name, "cases": 0, "failures": 0, "seconds": 0.0})
        law["cases"] += int(_property(case, "cases", "1"))
        law["failures"] += case.find("failure") is not None or case.find("error") is not None
        law["seconds"] = round(law["seconds"] + float(case.get("time", 0)), 1)
    return [found[name] for name in sorted(found)]


def code_digest() -> str:
    """Digest over every source file of the package."""
    files = sorted((ROOT / "src").rglob("*.py"))
    return value_digest({path.relative_to(ROOT).as_posix(): file_sha256(path) for path in files})


def _cases(report: Path) -> Iterator[ElementTree.Element]:
    # The report is our own, of a moment ago.
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
        if case.find("skipped") is None:
            yield case


def _property(case: ElementTree.Element, name: str, default: str) -> str:
    for given in case.iter("property"):
        if given.get("name") == name:
            return str(given.get("value"))
    return default


if __name__ == "__main__":
    sys.exit(main())
