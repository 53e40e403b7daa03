"""`pipelines/schedules.yaml`: which pipelines run by themselves, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, Field, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode

from openautoglm.config.cron import ALLOWED, Cron, parse
from openautoglm.config.model import Settings
from openautoglm.config.yaml import check, read
from openautoglm.errors import ConfigError

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


def _cron(found: str) -> str:
    try:
        parse(found)
    except ConfigError as error:
        more = "; ".join(part for part in (error.allowed, error.hint) if part)
        raise ValueError(f"{error.what}: {more}") from None
    return found


def _zone(found: str) -> str:
    try:
        ZoneInfo(found)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {found!r}: write one as Asia/Shanghai") from None
    return found


class Schedule(Settings):
    """One pipeline, again and again."""

    pipeline: Name = Field(description="file in pipelines/ without .py")
    cron: Annotated[str, AfterValidator(_cron)] = Field(description=ALLOWED)
    set: dict[str, Any] = Field(
        {}, description="keys of params.yaml to other values, as {train.lr: 3.0e-4}"
    )
    arguments: dict[str, Any] = Field({}, description="arguments of the pipeline itself")
    enabled: bool = Field(True, description="false keeps it on the server, and it does not fire")
    no_catchup: bool = Field(
        True, description="after a standstill only the last missed run is made up for, not each"
    )
    max_concurrency: int = Field(
        1, ge=1, le=10, description="its runs at once; a time to fire waits while there are as many"
    )
    experiment: str | None = Field(
        None, min_length=1, description="what its runs are grouped under; null: as in settings.yaml"
    )
    start: AwareDatetime | None = Field(
        None, description="it does not fire before, as 2027-01-01T00:00:00Z"
    )
    end: AwareDatetime | None = Field(None, description="it does not fire after")

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError(f"`end` ({self.end}) is not after `start` ({self.start})")
        return self

    @property
    def times(self) -> Cron:
        """When it fires."""
        return parse(self.cron)


class Schedules(Settings):
    """The whole of `pipelines/schedules.yaml`."""

    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        "UTC",
        description="the controller's CRON_SCHEDULE_TIMEZONE, for what --plan shows; times are "
        "the controller's whatever stands here",
    )
    schedules: dict[Name, Schedule] = Field({}, description="name to what runs when")


def load_schedules(path: Path) -> Schedules:
    """Read and check the file.

    Raises:
        ConfigError: It is missing, has one name twice, or a key or value that is not allowed.
    """
    _refuse_twins(path)
    return check(read(path), Schedules, path)


def line_of(path: Path, name: str, key: str) -> str:
    """Where a key of a schedule stands, for messages; the schedule's own line if it has none."""
    schedules = read(path)["schedules"]
    schedule = schedules[name]
    marks = schedule.lc.key(key) if key in schedule else schedules.lc.key(name)
    return f"{path}:{marks[0] + 1}, key schedules.{name}.{key}"


def _refuse_twins(path: Path) -> None:
    """A YAML reader tells of the second of two equal keys only."""
    try:
        root = YAML(typ="rt").compose(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError, RecursionError):
        return  # `read` says what is wrong
    lines: dict[str, list[int]] = {}
    for section in (value for key, value in _pairs(root) if key.value == "schedules"):
        for key, _ in _pairs(section):
            lines.setdefault(str(key.value), []).append(key.start_mark.line + 1)
    for name, found in lines.items():
        if len(found) > 1:
            others = ", ".join(map(str, found[:-1]))
            raise ConfigError(
                f"{len(found)} schedules are called `{name}`",
                where=f"{path}:{found[-1]}, key schedules.{name}; also in line {others}",
                allowed="each name once",
                hint="give one of them another name",
            )


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    return list(node.value) if isinstance(node, MappingNode) else []
