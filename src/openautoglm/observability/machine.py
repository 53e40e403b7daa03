"""What this process may use of the machine: a container's limits, not the host's size."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import NamedTuple

import psutil

_FLAGS = (
    *("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx_vnni"),
    *("avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16", "asimddp", "i8mm", "bf16", "sve"),
)
_CGROUP = Path("/sys/fs/cgroup")


class Machine(NamedTuple):
    """Cores, bytes of memory, and names for people."""

    cores: float
    memory: int
    cpu: str
    system: str


def machine() -> Machine:
    """This machine as this process may use it."""
    return Machine(_cores(), _memory(), _cpu(), f"{platform.system()} {platform.release()}")


def cpu_flags() -> list[str]:
    """Instructions of this CPU on which the speed and rounding of small integers depend."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return []
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(("flags", "Features")):
            return [flag for flag in _FLAGS if flag in line.split()]
    return []


def _cores() -> float:
    affinity = getattr(os, "sched_getaffinity", None)
    cores = float(len(affinity(0)) if affinity else os.cpu_count() or 1)
    limit = _read("cpu.max").split()
    if len(limit) == 2 and limit[0] != "max":
        cores = min(cores, int(limit[0]) / int(limit[1]))
    return cores


def _memory() -> int:
    total = int(psutil.virtual_memory().total)
    limit = _read("memory.max").strip()
    return min(total, int(limit)) if limit.isdigit() else total


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _read(name: str) -> str:
    try:
        return (_CGROUP / name).read_text(encoding="ascii")
    except OSError:
        return ""
