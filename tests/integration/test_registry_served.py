"""The registered model in a Python that has neither torch nor open-autoglm."""

import os
import subprocess
import sys

import pytest

from openautoglm.config.project import Project
from tests.support.registry import Chain

PREDICT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "onnx", "sklearn", "openautoglm"}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocker())
import mlflow

model = mlflow.pyfunc.load_model("models:/small@champion")
found = model.predict(["车车", "诗", "药"])
print(found["label"].tolist(), list(found.columns))
"""


@pytest.mark.slow
def test_it_predicts_from_the_project_root_with_no_setting(tmp_path, monkeypatch):
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    chain = Chain(tmp_path / "project").make()
    chain.register()
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-W", "default::FutureWarning", "-c", PREDICT],
        cwd=Project(chain.root).root,
        env=env | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("['铁路', '文学', '医学'] ['label', 'p_铁路', 'p_文学', 'p_医学']\n")
    assert "warn" not in done.stderr.lower(), done.stderr
