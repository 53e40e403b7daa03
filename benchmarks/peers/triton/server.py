"""Triton's Python backend: two instances, its dynamic batcher; the server from NVIDIA's wheel."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import bare
import pytriton

FOLDER = "PEER_MODEL"
CONFIG = """
backend: "python"
max_batch_size: 32
input [{name: "text", data_type: TYPE_STRING, dims: [1]}]
output [
  {name: "label", data_type: TYPE_STRING, dims: [1]},
  {name: "probabilities", data_type: TYPE_FP32, dims: [-1]}
]
instance_group [{kind: KIND_CPU, count: 2}]
dynamic_batching {}
"""


def repository(folder: Path) -> Path:
    """The folder of models that the server reads."""
    version = folder / "models" / "classifier" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(CONFIG, encoding="utf-8")
    for path in (Path(__file__).parent / "model.py", Path(bare.__file__)):
        shutil.copyfile(path, version / path.name)
    return folder / "models"


def backends(folder: Path, wheel: Path) -> Path:
    """The Python backend beside the stub of this interpreter's version."""
    shutil.copytree(wheel / "backends", folder / "backends")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = wheel / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, folder / "backends" / "python")
    return folder / "backends"


if __name__ == "__main__":
    given = bare.arguments()
    wheel = Path(pytriton.__file__).parent / "tritonserver"
    work = Path(tempfile.mkdtemp(prefix="triton-"))
    site = Path(pytriton.__file__).parents[1]
    os.environ[FOLDER] = str(given.model)
    os.environ["LD_LIBRARY_PATH"] = str(site / "nvidia_pytriton.libs")
    # The stub takes its libraries from beside the first `python` it finds.
    own = Path(sys.executable).parent
    os.environ["PATH"] = os.pathsep.join([str(own), os.environ["PATH"]])
    options = {
        "model-repository": repository(work),
        "backend-directory": backends(work, wheel),
        "http-address": "127.0.0.1",
        "http-port": given.port,
        "allow-grpc": "false",
        "allow-metrics": "false",
        "log-info": "false",
    }
    command = wheel / "bin" / "tritonserver"
    os.execv(command, [str(command), *(f"--{name}={value}" for name, value in options.items())])  # noqa: S606
