"""A project's pipelines, loaded from its own folder by path."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kfp.dsl import pipeline_task
from kfp.dsl.graph_component import GraphComponent

from openautoglm.config.project import Project
from openautoglm.errors import ConfigError, OpenAutoGLMError
from openautoglm.kubeflow.building import Building, compiled_with

_PACKAGES = ("components", "pipelines")


def names(project: Project) -> list[str]:
    """The project's pipelines: files that define a pipeline of their own name."""
    return sorted(
        file.stem for file in (project.root / "pipelines").glob("*.py") if _is_pipeline(file)
    )


def source(project: Project, name: str) -> Path:
    """The file of a pipeline.

    Raises:
        ConfigError: There is no such pipeline.
    """
    found = names(project)
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        raise ConfigError(
            f"there is no pipeline `{name}`",
            where=str(project.root / "pipelines"),
            allowed=", ".join(found) or "none: there is no file with a pipeline of its own name",
            hint=f"did you mean {near[0]}?" if near else None,
        )
    return project.root / "pipelines" / f"{name}.py"


def load_pipeline(project: Project, name: str, given: Building) -> GraphComponent:
    """Import a pipeline, which compiles it.

    Args:
        project: Whose.
        name: Which.
        given: What it is compiled with.

    Raises:
        ConfigError: There is no such pipeline, or it does not compile; the message says where.
    """
    file = source(project, name)
    with _importing_from(project.root), compiled_with(given), _stacks_without_sources():
        try:
            found: Any = getattr(importlib.import_module(f"pipelines.{name}"), name)
        except SyntaxError as error:
            raise _refused(f"{error.msg}", f"{error.filename}:{error.lineno}") from error
        except OpenAutoGLMError:
            raise
        except (Exception, SystemExit) as error:
            told = f"{type(error).__name__}: {error}"
            raise _refused(told, _place(error, project.root) or str(file)) from error
    if not isinstance(found, GraphComponent):
        raise _refused(f"`{name}` is a {type(found).__name__}, no @dsl.pipeline", str(file))
    return found


@contextmanager
def _importing_from(root: Path) -> Iterator[None]:
    """Import the project's packages, and forget them: another project has its own."""
    _forget()
    linecache.checkcache()
    importlib.invalidate_caches()
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
        _forget()


@contextmanager
def _stacks_without_sources() -> Iterator[None]:
    """Spare kfp, and nobody else, what it does not look at.

    For each setting of a task it asks for the whole stack, to learn a function's name. To find the
    source of every frame as well is most of a compile, and many seconds of it where many modules
    are loaded: for a frame without a file, all of them are asked for theirs.
    """
    whole = pipeline_task.inspect
    pipeline_task.inspect = SimpleNamespace(stack=_stack)
    try:
        yield
    finally:
        pipeline_task.inspect = whole


def _stack() -> list[inspect.FrameInfo]:
    """The caller's frames as `inspect.stack` tells them, without lines of their source."""
    found = []
    frame = inspect.currentframe()
    while frame is not None and (frame := frame.f_back) is not None:
        code = frame.f_code
        found.append(
            inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None)
        )
    return found


def _forget() -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in _PACKAGES:
            del sys.modules[name]


def _refused(what: str, where: str) -> ConfigError:
    return ConfigError(
        f"the pipeline does not compile: {what}",
        where=where,
        hint="mend it there; openautoglm --debug pipeline compile ... shows the traceback",
    )


def _place(error: BaseException, root: Path) -> str | None:
    """The innermost line of the project's own files that the error went through."""
    mine = [root / name for name in _PACKAGES]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).parent in mine:
            return f"{frame.filename}:{frame.lineno}"
    return None


def _is_pipeline(file: Path) -> bool:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return True  # it will say so when it is compiled
    return any(
        isinstance(node, ast.FunctionDef)
        and node.name == file.stem
        and any("pipeline" in ast.unparse(decorator) for decorator in node.decorator_list)
        for node in tree.body
    )
