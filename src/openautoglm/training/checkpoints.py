"""Checkpoints that count only when they were written to their end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from openautoglm.artifacts.folder import sync, sync_tree
from openautoglm.observability.progress import say
from openautoglm.training.launch import is_first

_WHOLE = "whole"


class MarkWhole(TrainerCallback):  # type: ignore[misc]
    """Flushes each checkpoint and marks it; the Trainer itself writes them file by file."""

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Flush and mark the checkpoint of this step."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            sync_tree(folder)
            (folder / _WHOLE).touch()
            sync(folder)


def last_whole(work: Path) -> str | None:
    """The newest checkpoint that was written to its end; the others are removed."""
    whole = []
    for folder in work.glob("checkpoint-*"):
        if (folder / _WHOLE).exists():
            whole.append(folder)
        elif is_first():
            shutil.rmtree(folder)
    if not whole:
        return None
    last = max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]))
    say(f"taking up a killed attempt after step {last.name.rpartition('-')[2]}")
    return str(last)
