"""What is read as a cron, what the controller is given for it, and when that fires."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openautoglm.config.cron import parse
from openautoglm.errors import ConfigError
from openautoglm.kubeflow.crons import next_times, six_fields
from tests.support import robfig

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday


def field(low, high):
    """A field of a cron: star, steps, numbers, ranges, lists."""
    number = st.integers(low, high)
    pair = st.lists(number, min_size=2, max_size=2, unique=True).map(sorted)
    ranges = pair.map(lambda two: f"{two[0]}-{two[1]}")
    stepped = pair.flatmap(
        lambda two: st.integers(1, two[1] - two[0]).map(lambda step: f"{two[0]}-{two[1]}/{step}")
    )
    lists = st.lists(st.one_of(number.map(str), ranges, stepped), min_size=1, max_size=3)
    steps = st.integers(1, high - low - 1).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), steps, lists.map(",".join))


crons = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7).map(str)).map(
    " ".join
)


@given(crons)
def test_the_controller_reads_what_was_meant(text):
    try:
        cron = parse(text)
    except ConfigError:
        return
    second, *read = robfig.parse(six_fields(cron))
    assert second == ({0}, False)
    assert [values for values, _ in read] == [set(field.values) for field in cron.fields]


@given(crons, st.datetimes(datetime(2026, 1, 1), datetime(2032, 1, 1)))
def test_what_is_shown_is_when_the_controller_fires(text, begin):
    try:
        cron = parse(text)
    except ConfigError:
        return
    begin = begin.replace(tzinfo=UTC)
    shown = next_times(cron, begin, ZoneInfo("UTC"), count=1)
    fields = robfig.parse(six_fields(cron))
    minutes = (
        begin.replace(second=0, microsecond=0) + timedelta(minutes=n) for n in range(1, 4000)
    )
    fires = next((minute for minute in minutes if robfig.fires(fields, minute)), None)
    assert shown[:1] == [fires] if fires else shown[0] > begin + timedelta(minutes=3999 - 1)
    assert robfig.fires(fields, shown[0])


@pytest.mark.parametrize(
    ("text", "six"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("*/15 * * * 1-5", "0 */15 * * * 1-5"),
        ("0 0 * * 7", "0 0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 0 * * 0,5,6"),
        ("0 0 1 JAN sun", "0 0 0 1 JAN sun"),
        ("@daily", "0 0 0 * * *"),
        ("@weekly", "0 0 0 * * 0"),
    ],
)
def test_seconds_come_first_and_sunday_is_0(text, six):
    assert six_fields(parse(text)) == six


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 0 3 * * *", "six fields"),
        ("0 0 3 * * *", '"0 3 * * *"'),
        ("0 3 * *", "4 fields"),
        ("", "0 fields"),
        ("60 3 * * *", "the minute '60' is not 0 to 59"),
        ("0 24 * * *", "the hour '24'"),
        ("0 0 0 * *", "the day '0' is not 1 to 31"),
        ("0 0 * 13 *", "the month '13'"),
        ("0 0 * * 8", "the weekday '8'"),
        ("0 0 * * mond", "the weekday 'mond'"),
        ("0 0 L * *", "the day 'L'"),
        ("0 0 * * 1#2", "the weekday '1#2'"),
        ("0 0 ? * *", "the day '?'"),
        ("5-1 * * * *", "ends before it begins"),
        ("0 0 * jan-jan *", "two ways"),
        ("5/15 * * * *", "5-59/15"),
        ("*/0 * * * *", "step"),
        ("*/90 * * * *", "the step of */90 in the minute is 90"),
        ("*,5 * * * *", "the minute '*,5'"),
        ("0 0 */2 * 1", "two ways"),
        ("0 0 1 * */2", "two ways"),
        ("@every 1h", "@every 1h"),
        ("@reboot", "@reboot"),
        ("-1 * * * *", "the minute '-1'"),
        ("٣ * * * *", "the minute"),
    ],
)
def test_what_could_be_misread_is_refused(text, said):
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30-31 feb *"])
def test_a_cron_that_never_fires_is_refused(text):
    with pytest.raises(ConfigError, match="never fires"):
        parse(text)


@pytest.mark.parametrize("text", ["0 0 29 2 *", "0 0 30 2 1", "0 0 31 1,2 *", "0 0 */30 2 *"])
def test_a_cron_that_fires_seldom_is_taken(text):
    assert next_times(parse(text), NOON, ZoneInfo("UTC"))


def test_times_are_in_the_controllers_zone():
    times = next_times(parse("0 3 * * *"), NOON, ZoneInfo("Asia/Shanghai"), count=2)
    assert [time.isoformat() for time in times] == [
        "2026-06-02T03:00:00+08:00",
        "2026-06-03T03:00:00+08:00",
    ]


def test_nothing_fires_before_the_start_or_after_the_end():
    start, end = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 2, 12, tzinfo=UTC)
    times = next_times(parse("0 3 * * *"), NOON, ZoneInfo("UTC"), start=start, end=end)
    assert [time.day for time in times] == [1, 2]


def test_day_or_weekday_is_enough():
    times = next_times(parse("0 0 3 * mon"), NOON, ZoneInfo("UTC"))
    assert [time.day for time in times] == [3, 8, 15]
