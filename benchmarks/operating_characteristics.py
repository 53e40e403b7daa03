"""How often a rollout is rolled back, rightly and wrongly, and what a bad one costs: simulated.

    python benchmarks/operating_characteristics.py [--n 10000] [--seed 0] [--write]

Every scenario of `rollouts/scenarios.py`, for our rule and for those of others on the same traces.
With `--write` the result goes to `docs/operating_characteristics.json`, its plot beside it, and
its table into `docs/rollout-statistics.md`. Equal for equal `n` and seed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from document import ROOT, replaced, table
from rollouts import rules
from rollouts.plot import plot
from rollouts.scenarios import METRICS, SCENARIOS, Scenario
from rollouts.simulate import MINUTE, Traces, in_time, simulate

from openautoglm.artifacts.digest import file_sha256, value_digest
from openautoglm.artifacts.folder import write_text
from openautoglm.rollout.analysis.comparison import ALPHA
from openautoglm.rollout.analysis.evidence import threshold
from openautoglm.rollout.analysis.looks import Floats

RESULT = ROOT / "docs" / "operating_characteristics.json"
DOCUMENT = ROOT / "docs" / "rollout-statistics.md"
OURS, FLAGGER, T_TEST, KAYENTA = "sequential", "threshold", "t-test", "mann-whitney"

Row = dict[str, Any]


def main() -> int:
    """Simulate, print, and write if told to; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--n", type=int, default=10_000, help="rollouts a scenario")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes; changes no result")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    code = code_digest()
    rows = [
        {**row, "seed": args.seed, "code_digest": code}
        for row in characteristics(args.n, args.seed, jobs=args.jobs)
    ]
    print(markdown(rows))
    if args.write:
        write_text(RESULT, json.dumps(rows, indent=2) + "\n")
        text = DOCUMENT.read_text(encoding="utf-8")
        write_text(DOCUMENT, replaced(text, "characteristics", markdown(rows)))
        plot(rows, RESULT.with_suffix(".png"))
        print(f"written to {RESULT.relative_to(ROOT)}")
    return 0


def characteristics(
    n: int, seed: int, *, scenarios: Sequence[Scenario] = SCENARIOS, jobs: int = 1
) -> list[Row]:
    """One row a scenario and rule, for `n` rollouts each.

    In the first scenario nothing differs: the t-test is calibrated on it.

    Rates are shares of the rollouts. `false_rollback` is given where nothing differs, `detection`
    (rolled back within the exposure allowed) where something does. `bad_answers_mean` counts the
    challenger's events of the metric that differs, errors where none does, until the decision or
    the deadline; `time_to_decision` is the mean over those decided, in seconds.
    """
    rows: list[Row] = []
    critical = 0.0
    with ProcessPoolExecutor(jobs) as pool:
        for scenario in scenarios:
            traces = simulate(scenario, n, seed=seed, alpha=ALPHA, pool=pool)
            if scenario is scenarios[0]:
                critical = rules.calibrated(traces, ALPHA)
                rows += _never_promoted(traces)
            rows += _judged(scenario, traces, critical)
    return rows


def code_digest() -> str:
    """Digest over what decides the result: the analysis and the simulation."""
    folders = (ROOT / "src/openautoglm/rollout/analysis", ROOT / "benchmarks/rollouts")
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    found = {path.relative_to(ROOT).as_posix(): file_sha256(path) for path in files}
    return value_digest(found)


def markdown(rows: list[Row]) -> str:
    """The rows as a table."""
    header = (
        "scenario", "rule", "rolled back", "in time", "promoted", "undecided", "bad answers",
        "seconds",
    )  # fmt: skip
    return table(header, (_cells(row) for row in rows))


def _judged(scenario: Scenario, traces: Traces, critical: float) -> list[Row]:
    ours = _row(
        scenario,
        OURS,
        rolled=traces.rolled,
        promoted=traces.promoted,
        bad=traces.bad,
        timely=traces.timely,
    )
    others = {
        FLAGGER: rules.threshold_rule(scenario, traces),
        T_TEST: rules.t_test(scenario, traces, critical),
        KAYENTA: rules.mann_whitney(scenario, traces),
    }
    return [ours, *(_of_minutes(scenario, name, traces, *made) for name, made in others.items())]


def _of_minutes(
    scenario: Scenario, rule: str, traces: Traces, rolled: Floats, promoted: Floats
) -> Row:
    rolled = np.where(rolled <= promoted, rolled, np.inf)
    promoted = np.where(rolled <= promoted, np.inf, promoted)
    seen = traces.counts[:, scenario.differs or 0].cumsum(0)
    minute = np.minimum(np.minimum(rolled, promoted), len(seen)).astype(int) - 1
    then = seen[minute, :, np.arange(len(minute))].T
    timely = np.isfinite(rolled) & in_time(then, METRICS[scenario.differs or 0].unit)
    return _row(
        scenario,
        rule,
        rolled=rolled * MINUTE,
        promoted=promoted * MINUTE,
        bad=then[3],
        timely=timely,
    )


def _row(
    scenario: Scenario, rule: str, *, rolled: Floats, promoted: Floats, bad: Floats, timely: Any
) -> Row:
    back, on = np.isfinite(rolled), np.isfinite(promoted)
    times = np.minimum(rolled, promoted)[back | on]
    return {
        "scenario": scenario.name,
        "rule": rule,
        "n": len(rolled),
        "false_rollback": float(back.mean()) if scenario.differs is None else None,
        "detection": float(timely.mean()) if scenario.differs is not None else None,
        "promoted": float(on.mean()),
        "undecided": float((~back & ~on).mean()),
        "bad_answers_mean": round(float(bad.mean()), 2),
        "time_to_decision": round(float(times.mean()), 1) if len(times) else None,
    }


def _never_promoted(traces: Traces) -> list[Row]:
    """Our rule without a difference, looking on until the deadline: each metric alone, and all."""
    alone, split = threshold(ALPHA, 1), threshold(ALPHA, len(METRICS))
    found = {
        f"{OURS}, {metric.name} alone": traces.peak[of] >= alone
        for of, metric in enumerate(METRICS)
    }
    found[f"{OURS}, all"] = (traces.peak >= split).any(0)
    return [
        {
            "scenario": "no difference, never promoted",
            "rule": rule,
            "n": len(back),
            "false_rollback": float(back.mean()),
            "detection": None,
            "promoted": 0.0,
            "undecided": float(1 - back.mean()),
            "bad_answers_mean": None,
            "time_to_decision": None,
        }
        for rule, back in found.items()
    ]


def _cells(row: Row) -> tuple[str, ...]:
    back = row["false_rollback"]
    if back is None:
        back = 1 - row["promoted"] - row["undecided"]
    return (
        row["scenario"],
        row["rule"],
        f"{back:.2%}",
        "" if row["detection"] is None else f"{row['detection']:.2%}",
        f"{row['promoted']:.2%}",
        f"{row['undecided']:.2%}",
        "" if row["bad_answers_mean"] is None else f"{row['bad_answers_mean']:.0f}",
        "" if row["time_to_decision"] is None else f"{row['time_to_decision']:.0f}",
    )


if __name__ == "__main__":
    sys.exit(main())
