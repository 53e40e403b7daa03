"""A tiny BERT with random weights, as `bert-base-chinese` lies in a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from tests.support.project import TOPICS, rows


def tiny_bert(folder: Path, *, positions: int = 40) -> Path:
    folder.mkdir(parents=True)
    characters = sorted({char for text, _ in rows(300) for char in text} | set("".join(TOPICS)))
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder
