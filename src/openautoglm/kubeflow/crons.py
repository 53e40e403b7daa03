"""From the five fields of a cron to the six of Kubeflow's controller, and when they fire.

The controller reads crons with `robfig/cron` 1.2: seconds come first, and five fields would be
read as seconds to months. Weekdays are 0 to 6 there. Times are in the controller's own zone,
`CRON_SCHEDULE_TIMEZONE`, UTC where it is not set.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from openautoglm.config.cron import Cron, Field


def six_fields(cron: Cron) -> str:
    """What the controller is given: at second 0, weekdays from Sunday 0 to Saturday 6."""
    fields = [field.text for field in cron.fields[:4]]
    return " ".join(["0", *fields, _weekday(cron.weekday)])


def _weekday(field: Field) -> str:
    if "7" not in field.text:
        return field.text
    return ",".join(str(value) for value in sorted(field.values))


def next_times(
    cron: Cron,
    after: datetime,
    zone: ZoneInfo,
    *,
    count: int = 3,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[datetime]:
    """When a schedule fires next.

    Args:
        cron: When.
        after: Not before this, aware of its zone.
        zone: Of the controller; the fields are its hours and days.
        count: How many times, at most.
        start: Not before this either.
        end: Not after this.

    Returns:
        Times in `zone`; fewer, or none, where `end` comes first.
    """
    begin = max(after, start) if start else after
    times = islice(_times(cron, begin.astimezone(zone)), count)
    return [time for time in times if end is None or time <= end]


def _times(cron: Cron, begin: datetime) -> Iterator[datetime]:
    found = croniter(" ".join(_plain(cron)), begin, ret_type=datetime)
    while True:
        try:
            yield found.get_next()
        except CroniterBadDateError:
            return


def _plain(cron: Cron) -> list[str]:
    """In numbers: croniter 7 takes the range 1-1 for all months."""
    return [
        "*" if field.text == "*" else ",".join(map(str, sorted(field.values)))
        for field in cron.fields
    ]
