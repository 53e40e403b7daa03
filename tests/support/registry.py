"""Tiny compressed models with their evaluations, and a project to register them in."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.manifest import Manifest, write_manifest
from openautoglm.config.params import CanaryParams, RegisterParams
from openautoglm.steps.canary import canary
from openautoglm.steps.register import register
from openautoglm.steps.runtime import Runtime

LABELS = ("铁路", "文学", "医学")
CHARACTERS = ("车", "诗", "药")


def params(name: str = "small") -> RegisterParams:
    return RegisterParams.model_validate({"model": {"name": name}, "register": {"resamples": 100}})


class Chain:
    """A project folder whose compressed model and evaluation are made by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        (root / "params.yaml").write_text(PARAMS, encoding="utf-8")
        (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
        self.compressed = root / "models" / "compressed"
        self.evaluation = root / "reports" / "evaluation"
        self.registration = root / "reports" / "registration"
        write_prepared(root / "data" / "prepared", 0)

    def make(
        self,
        seed: int = 0,
        *,
        right: float = 0.8,
        verdict: str = "pass",
        rows: int = 200,
        lr: float = 0.001,
        flaw: str = "",
    ):
        write_compressed(self.compressed, seed, flaw=flaw)
        write_evaluation(self.evaluation, self.compressed, seed, right, verdict, rows, lr)
        return self

    def register(self, name: str = "small") -> dict:
        register(
            compressed=self.compressed,
            evaluation=self.evaluation,
            params=params(name),
            runtime=Runtime(work=self.root / ".openautoglm" / "work", project=self.root),
            out=self.registration,
        )
        return self.receipt()

    def canary(self) -> dict:
        """Beside the champion, if there is another one; without rows nothing is started."""
        out = self.root / "reports" / "canary"
        canary(
            prepared=self.root / "data" / "prepared",
            compressed=self.compressed,
            registration=self.registration,
            params=CanaryParams.model_validate({"model": {"name": "small"}}),
            runtime=Runtime(work=self.root / ".openautoglm" / "work", project=self.root),
            out=out,
        )
        return json.loads((out / "receipt.json").read_text(encoding="utf-8"))

    def receipt(self) -> dict:
        return json.loads((self.registration / "receipt.json").read_text(encoding="utf-8"))

    @property
    def digest(self) -> str:
        return folder_digest(self.compressed / "payload")


def write_compressed(folder: Path, seed: int, kind: str = "text", flaw: str = "") -> None:
    """A graph that counts three characters, or weighs three numbers."""
    payload = folder / "payload"
    (payload / "glm").mkdir(parents=True, exist_ok=True)
    if kind == "numeric":
        graph_of_numbers(payload / "glm" / "fp32.onnx", seed)
    else:
        graph_of_text(payload / "glm" / "fp32.onnx", seed, flaw)
    if kind == "text":
        tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, **_vocabulary()}, "[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
        tokenizer.save(str(payload / "glm" / "tokenizer.json"))
        taken = {"kind": "text", "tokenizer": "glm/tokenizer.json", "max_length": 64, "pad_id": 0}
    else:
        taken = {"kind": "numeric", "features": ["length", "width", "height"]}
    variant = {
        "file": "glm/fp32.onnx",
        "bytes": (payload / "glm" / "fp32.onnx").stat().st_size,
        "max_difference": 1e-7,
        "odd_difference": 1e-7,
        "agreement": 1.0,
    }
    _json(
        payload / "model.json",
        {
            "labels": LABELS,
            "base": None,
            "candidate": "glm",
            "fallback": None,
            "families": {
                "glm": {
                    "kind": "trained",
                    "settings": {},
                    "operations": 90,
                    "input": taken,
                    "variants": {"fp32": variant},
                }
            },
        },
    )
    (payload / "variants.csv").write_text(
        "family,variant,bytes,pareto\nglm,fp32,700,1\nglm,fused,690,0\n", encoding="utf-8"
    )
    _json(payload / "left_out.json", [{"family": "glm", "variant": "int8", "reason": "no table"}])
    _json(folder / "choice.json", {"family": "glm", "variant": "fp32", "reason": "only one"})
    digest = folder_digest(payload)
    lineage = {"fetch": "sha256-f", "prepare": "sha256-p", "train": f"sha256-{seed}"}
    manifest(folder, "compress", {}, {"compress": {"threads": 1}}, lineage | {"compress": digest})


def write_prepared(folder: Path, rows: int) -> None:
    """What prepare leaves, as far as canary reads it: texts whose label every graph can count."""
    payload = folder / "payload"
    payload.mkdir(parents=True, exist_ok=True)
    table = {
        "id": [f"{place:016x}" for place in range(rows)],
        "text": [CHARACTERS[place % 3] * (1 + place // 3) for place in range(rows)],
        "label": [LABELS[place % 3] for place in range(rows)],
    }
    types = {name: pa.string() for name in table}
    pq.write_table(pa.table(table, pa.schema(types.items())), payload / "replay.parquet")
    schema = {
        "labels": LABELS,
        "features": None,
        "rows": {"replay": rows},
        "classes": dict.fromkeys(LABELS, rows // 3),
        "found": rows,
        "rejected": {},
    }
    _json(payload / "schema.json", schema)
    manifest(folder, "prepare", {}, {}, {})


def write_evaluation(
    folder: Path,
    compressed: Path,
    seed: int,
    right: float,
    verdict: str,
    rows: int,
    lr: float = 0.001,
) -> None:
    """Predictions of which a share is right, and figures beside them."""
    payload = folder / "payload"
    payload.mkdir(parents=True, exist_ok=True)
    truth = random.Random(0).choices(LABELS, k=rows)
    rng = random.Random(seed)
    predicted = [
        label if rng.random() < right else rng.choice([o for o in LABELS if o != label])
        for label in truth
    ]
    table = {"id": [f"{n:016x}" for n in range(rows)], "label": truth, "predicted": predicted}
    table |= {f"p_{label}": pa.array([1 / 3] * rows, pa.float32()) for label in LABELS}
    pq.write_table(pa.table(table), payload / "predictions.parquet")
    spread = {
        f"{metric}{end}": right + change
        for metric in ("accuracy", "macro_f1")
        for end, change in {"": 0.0, "_low": -0.05, "_high": 0.05}.items()
    }
    part = {"calibration_error": 0.1, **spread}
    _json(
        payload / "metrics.json",
        {
            "rows": rows,
            "candidate": {"family": "glm", "variant": "fp32", **part},
            "baseline": {**part, "penalty": 1.0},
            "fallback": None,
            "difference": {"metric": "macro_f1", "value": 0.01, "low": -0.01, "high": 0.03},
        },
    )
    _json(payload / "verdict.json", {"verdict": verdict, "reason": "macro_f1 +0.0100 by hand"})
    with (payload / "per_class.csv").open("w", encoding="utf-8", newline="") as stream:
        lines = [[label, right, right, right, rows / 3] for label in LABELS]
        csv.writer(stream).writerows([["label", "precision", "recall", "f1", "support"], *lines])
    with (payload / "variants.csv").open("w", encoding="utf-8", newline="") as stream:
        names = ("family", "variant", "served", "bytes", "operations", "agreement")
        more = ("macro_f1", "accuracy", "change", "change_low", "change_high")
        row = ["glm", "fp32", 1, 700, 90, 1.0, right, right, 0.0, 0.0, 0.0]
        csv.writer(stream).writerows([[*names, *more], row])
    (folder / "report.html").write_text("<h1>report</h1>", encoding="utf-8")
    manifest(
        folder,
        "evaluate",
        {"compressed": folder_digest(compressed / "payload"), "prepared": "sha256-p"},
        {"evaluate": {"seed": seed}},
        {},
        {"train": {"train": {"lr": lr}}},
    )


def manifest(
    folder: Path,
    step: str,
    inputs: dict,
    values: dict,
    lineage: dict,
    history: dict | None = None,
) -> None:
    write_manifest(
        folder,
        Manifest(
            step=step,
            digest=folder_digest(folder / "payload"),
            inputs=inputs,
            params=values,
            code=f"sha256-code-{step}",
            lineage=lineage,
            history=(history or {}) | {step: values},
            environment={},
            seconds=0.1,
        ),
    )


def graph_of_text(out: Path, seed: int, flaw: str = "") -> None:
    """`int64[rows, length]` to `float32[rows, 3]`: mean of one-hot rows, scaled, softmax.

    Args:
        out: The file.
        seed: Another one is another model.
        flaw: `shuffled` gives every text another label, `errs` fails on each 药, and `slow` takes
            tens of milliseconds.
    """
    table = np.zeros((5, 3), np.float32)
    table[2:] = np.eye(3)[[1, 2, 0] if flaw == "shuffled" else [0, 1, 2]] * (9 + seed)
    nodes = [
        helper.make_node(
            "Gather", ["table", "input" if flaw != "errs" else "jumped"], ["embedded"]
        ),
        helper.make_node("ReduceSum", ["embedded", "axis"], ["sums"], keepdims=0),
        helper.make_node(
            "Softmax", ["sums" if flaw != "slow" else "late"], ["probabilities"], axis=-1
        ),
    ]
    constants = {"table": table, "axis": np.array([1], np.int64)}
    if flaw == "errs":
        constants |= {"last": np.int64(4), "hundred": np.int64(100)}
        nodes[:0] = [
            helper.make_node("Equal", ["input", "last"], ["is_last"]),
            helper.make_node("Cast", ["is_last"], ["ones"], to=TensorProto.INT64),
            helper.make_node("Mul", ["ones", "hundred"], ["far"]),
            helper.make_node("Add", ["input", "far"], ["jumped"]),
        ]
    if flaw == "slow":
        constants |= {"large": np.eye(1024, dtype=np.float32), "none": np.float32(0)}
        constants["all"] = np.array([0, 1], np.int64)
        work = [helper.make_node("ReduceMean", ["sums", "all"], ["mean"], keepdims=0)]
        work.append(helper.make_node("Mul", ["large", "mean"], ["large0"]))
        work += [
            helper.make_node("MatMul", [f"large{n}", "large"], [f"large{n + 1}"]) for n in range(2)
        ]
        work.append(helper.make_node("ReduceMean", ["large2", "all"], ["end"], keepdims=0))
        work.append(helper.make_node("Mul", ["end", "none"], ["nothing"]))
        nodes[2:2] = [*work, helper.make_node("Add", ["sums", "nothing"], ["late"])]
    _save(out, nodes, constants, TensorProto.INT64, ["rows", "length"])


def graph_of_numbers(out: Path, seed: int) -> None:
    """`float32[rows, 3]` to `float32[rows, 3]`: softmax of the scaled features."""
    nodes = [
        helper.make_node("Mul", ["input", "scale"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=-1),
    ]
    _save(out, nodes, {"scale": np.float32([1.0 + seed])}, TensorProto.FLOAT, ["rows", 3])


def _save(out: Path, nodes: list, constants: dict, kind: int, shape: list) -> None:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", kind, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString(deterministic=True))


def _vocabulary() -> dict[str, int]:
    return {character: number for number, character in enumerate(CHARACTERS, start=2)}


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


PARAMS = """\
data:
  source: {kind: file, path: data/source/rows.csv}
model: {name: small}
train: {lr: 0.001}
register: {resamples: 100}
"""
