"""A small project in a folder of its own, driven through the command line."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from copy import copy
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TOPICS = {
    "铁路": "列车轨道车站桥梁信号机车",
    "文学": "诗词小说散文戏曲传记评论",
    "医学": "病理药物临床诊断护理免疫",
}
PURE = {
    "fetch": "data/raw",
    "prepare": "data/prepared",
    "tune": "models/tuned",
    "train": "models/trained",
    "compress": "models/compressed",
    "evaluate": "reports/evaluation",
    "drift": "reports/drift",
}
_SMALL = {
    "data": {
        "source": {"kind": "file", "path": "data/source/rows.csv"},
        "text": "text",
        "label": "label",
        "label_pattern": None,
        "min_class_rows": 2,
    },
    "model": {"name": "small"},
    "tune": {"rounds": 1, "trials": 2, "rows": 200, "epochs": 2},
    "train": {
        "threads": 1,
        "epochs": 2,
        "transformer": {"dim": 16, "hidden": 32, "heads": 2, "layers": 1, "buckets": 2048},
        "glm": {"buckets": 4096},
    },
    "compress": {
        "threads": 1,
        "distill": {"dim": 8, "hidden": 16, "buckets": 1024, "epochs": 1},
        "search": {
            "rounds": 1,
            "trials": 1,
            "distilled": {"dim": {"choices": [8, 16]}, "precision": {"choices": ["int8"]}},
        },
    },
    "drift": {"threads": 1},
    "evaluate": {"threads": 1, "resamples": 100, "gate": {"margin": 0.3}},
    "register": {"resamples": 100},
}


FP32 = {
    "tune": {"rounds": 0},
    "compress": {"recipes": ["fp32"], "prune": ..., "distill": ..., "search": {"distilled": ...}},
}
"""No search and one variant a family, for tests of something else; `...` removes a key."""


def rows(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Texts whose characters tell their topic, some of them ambiguous."""
    rng = random.Random(seed)
    common = "研究概论方法历史现代中国"
    found = {}
    while len(found) < count:
        topic = rng.choice(list(TOPICS))
        length = rng.randint(4, 14)
        text = "".join(
            rng.choice(TOPICS[topic] if rng.random() < 0.6 else common) for _ in range(length)
        )
        found.setdefault(text, topic)
    return list(found.items())


def write_csv(
    path: Path, data: list[tuple[str, str]], header: tuple[str, str] = ("text", "label")
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *data])


class Small:
    """The project; `run` calls a tool in it the way a person would."""

    def __init__(self, root: Path, count: int = 600) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        shutil.copytree(
            ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)
        params = YAML(typ="safe").load(ROOT / "params.yaml")
        self.write_params(_merged(params, _SMALL))
        write_csv(root / "data" / "source" / "rows.csv", rows(count))
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "add", "-A")
        self.commit("start")

    def at(self, root: Path) -> Small:
        """A copy of it that lies elsewhere."""
        found = copy(self)
        found.root = root
        return found

    def write_params(self, params: dict) -> None:
        with (self.root / "params.yaml").open("w", encoding="utf-8") as stream:
            YAML().dump(params, stream)

    def change(self, **sections: dict) -> None:
        params = YAML(typ="safe").load(self.root / "params.yaml")
        self.write_params(_merged(params, sections))

    def add_pipelines(self, **settings: object) -> None:
        """The checkout's components and pipelines, with other keys of `pipelines/settings.yaml`."""
        for name in ("components", "pipelines"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        file = self.root / "pipelines" / "settings.yaml"
        found = YAML(typ="safe").load(file)
        with file.open("w", encoding="utf-8") as stream:
            YAML().dump(_merged(found, settings), stream)

    def commit(self, message: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        self.run("git", *identity, "commit", "-qam", message)

    def environment(self, **extra: str) -> dict[str, str]:
        """What a shell has in which the virtual environment is activated."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
        own = {
            "PATH": f"{BIN}:{kept['PATH']}",
            "HF_HUB_OFFLINE": "1",
            "DVC_NO_ANALYTICS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "COLUMNS": "120",
            "PYTHONWARNINGS": "default",
        }
        return kept | own | extra

    def run(
        self, *command: str, code: int | None = 0, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run and demand an exit code (None: any)."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment(**extra), capture_output=True, text=True
        )
        if code is not None:
            assert done.returncode == code, (
                f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def digests(self) -> dict[str, str]:
        """Payload digest of each pure step, as the manifests have them."""
        return {
            name: json.loads((self.root / folder / "manifest.json").read_text())["digest"]
            for name, folder in PURE.items()
        }

    def receipt(self) -> dict:
        return json.loads(
            (self.root / "reports/registration/receipt.json").read_text(encoding="utf-8")
        )


def _merged(base: dict, change: dict) -> dict:
    out = dict(base)
    for key, value in change.items():
        if value is ...:
            out.pop(key, None)
            continue
        nested = isinstance(value, dict) and isinstance(out.get(key), dict) and "kind" not in value
        out[key] = _merged(out[key], value) if nested else value
    return out
