"""What can be seen of a compiled pipeline before a server has it: everything that cannot work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from openautoglm.errors import ConfigError
from openautoglm.kubeflow.checking.components import components
from openautoglm.kubeflow.checking.containers import containers, platform
from openautoglm.kubeflow.checking.ir import Finding, Ir, line_of, parse, read
from openautoglm.kubeflow.checking.names import names, retries
from openautoglm.kubeflow.checking.wiring import wiring
from openautoglm.observability.progress import say

if TYPE_CHECKING:
    from openautoglm.kubeflow.compiling import Compiled

_CHECKS = (names, wiring, components, containers, platform, retries)


def check(compiled: Compiled) -> None:
    """See that a pipeline can run; what only weakens it is said.

    Args:
        compiled: The pipeline: its IR, and where its tasks were made.

    Raises:
        ConfigError: It cannot; every finding is listed, each with the file and line of its task,
            or with the IR's line.
    """
    found = _findings(compiled.text)
    for one in found:
        if not one.fatal:
            say(_told(compiled, one))
    fatal = [_told(compiled, one) for one in found if one.fatal]
    if fatal:
        listed = fatal[0] if len(fatal) == 1 else "".join(f"\n- {one}" for one in fatal)
        raise ConfigError(
            f"the pipeline `{compiled.name}` cannot run as it was compiled: {listed}",
            where=str(compiled.file),
            hint="mend it there; `IR line` is of the compiled text: openautoglm pipeline compile",
        )


def findings(documents: Sequence[Any]) -> list[Finding]:
    """Everything that is wrong in an IR.

    Args:
        documents: The pipeline, and the platform's part where there is one.
    """
    ir = read(documents)
    return [ir] if isinstance(ir, Finding) else list(dict.fromkeys(_all(ir)))


def _findings(text: str) -> list[Finding]:
    try:
        return findings(parse(text))
    except ValueError as error:
        return [Finding(f"the IR is no YAML: {error}")]


def _all(ir: Ir) -> Iterator[Finding]:
    yield from ir.findings
    for one in _CHECKS:
        yield from one(ir)


def _told(compiled: Compiled, one: Finding) -> str:
    task = f"task `{one.task}`: " if one.task else ""
    if where := compiled.places.get(one.task):
        return f"{where}: {task}{one.what}"
    line = line_of(compiled.text, one.path) if one.path else None
    return f"IR line {line}: {task}{one.what}" if line else f"{task}{one.what}"
