"""What `openautoglm pipeline run` prints, and where `compile` writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from openautoglm.cli import pipelines
from openautoglm.config.project import Project
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.running import Ran


def page(tmp_path, capsys, verdict, reason):
    evaluation, registration = tmp_path / "evaluation", tmp_path / "registration"
    (evaluation / "payload").mkdir(parents=True)
    registration.mkdir()
    told = {"verdict": verdict, "reason": reason}
    (evaluation / "payload" / "verdict.json").write_text(json.dumps(told))
    (registration / "receipt.json").write_text(json.dumps(told))
    ran = Ran(tmp_path, {"evaluation": evaluation, "registration": registration})
    pipelines._print(Project(tmp_path), "training", ran)
    return capsys.readouterr().out


def test_a_failed_gate_comes_first_with_its_reason(tmp_path, capsys):
    said = page(tmp_path, capsys, "fail", "too low")
    assert said.index("nothing was registered") < said.index("too low") < said.index("output")


def test_a_decision_about_retraining_is_told_with_its_reason(tmp_path, capsys):
    (tmp_path / "decide").mkdir()
    (tmp_path / "decide" / "decision").write_text("# retrain: no\n\ntoo little data: 12 rows\n")
    pipelines._print(Project(tmp_path), "retrain", Ran(tmp_path, {}))
    assert "retrain: no: too little data: 12 rows" in capsys.readouterr().out


def test_after_a_failed_gate_nobody_is_sent_to_the_canary(tmp_path, capsys):
    assert "pipeline run canary" not in page(tmp_path, capsys, "fail", "too low")


def test_after_a_pass_the_canary_is_next(tmp_path, capsys):
    said = page(tmp_path, capsys, "pass", "high")
    assert "gate failed" not in said
    assert "pipeline run canary" in said


def test_brackets_of_a_reason_are_printed_as_they_are(tmp_path, capsys):
    assert "class [sport] is weak" in page(tmp_path, capsys, "pass", "class [sport] is weak")


@pytest.mark.parametrize(
    ("out", "told"), [("nowhere/x.yaml", "no such folder"), (".", "this is a folder")]
)
def test_a_file_that_cannot_be_written_is_refused_before_anything(tmp_path, out, told):
    with pytest.raises(ConfigError) as refused:
        pipelines.compile_(Project(tmp_path), "training", tmp_path / out, [], None)
    assert told in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_no_model_library_is_imported_to_compile_or_run_a_pipeline():
    heavy = ("torch", "transformers", "mlflow", "pandas", "numpy", "onnxruntime", "evidently")
    code = (
        "import sys, openautoglm.cli.pipelines\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path.home(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
