"""One process, or one a GPU: started by torchrun, joined by Accelerate inside the Trainer."""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from openautoglm.errors import StepError
from openautoglm.training.job import Job

CURVE = "curve "
_JOB = "job.pickle"
_PR_SET_PDEATHSIG = 1


def processes() -> int:
    """How many processes train this model together (1 unless a launcher started us)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def devices_of(job: Job) -> int:
    """How many processes this job is worth: one a CUDA device; one on CPU or without `work`."""
    if job.device == "cpu" or job.work is None:
        return 1
    return max(1, torch.cuda.device_count())


def fit_in_processes(name: str, job: Job, out: Path, count: int) -> None:
    """Run `families.fit` in `count` processes at once, on CUDA devices or, without any, on CPU.

    The job has a work folder: the processes meet there.

    Progress lines pass through; points of curves come back over a pipe and are logged as they
    come. However this process ends, the others end with it.

    Raises:
        StepError: A process failed; its own message is above.
    """
    assert job.work is not None
    file = job.work / _JOB
    file.write_bytes(pickle.dumps(replace(job, curve=print)))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--log-dir", str(job.work), "--nproc-per-node", str(count)),
        *("-m", "openautoglm.training.worker"),
        *(name, str(file), str(out)),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": str(job.settings.threads)}
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(CURVE):
                metrics, step = json.loads(line.removeprefix(CURVE))
                job.curve(metrics, step)
    file.unlink()
    if process.returncode != 0:
        raise StepError(
            f"training in {count} processes failed with exit code {process.returncode}",
            where=name,
            hint="the first error above is the cause; CUDA_VISIBLE_DEVICES=0 trains on one device",
        )


def die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
