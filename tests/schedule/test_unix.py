"""Five-field cron: Vixie's meaning, and what of it EventBridge can say."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from wherry import schedule
from wherry.errors import ScheduleError

START = datetime(2026, 3, 1, tzinfo=UTC)  # a Sunday


def days_of_march(expression: str) -> list[int]:
    firings = itertools.takewhile(lambda firing: firing.at.month == 3, schedule.parse(expression).firings(START))
    return [firing.at.day for firing in firings]


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("1 0 */2 * *", list(range(1, 32, 2))),
        ("1 0 * * */2", [1, 3, 5, 7, 8, 10, 12, 14, 15, 17, 19, 21, 22, 24, 26, 28, 29, 31]),
        ("1 0 * * 1-5/2", [2, 4, 6, 9, 11, 13, 16, 18, 20, 23, 25, 27, 30]),
        ("1 0 * * 0", [1, 8, 15, 22, 29]),
        ("1 0 * * 7", [1, 8, 15, 22, 29]),
        ("1 0 * * sun", [1, 8, 15, 22, 29]),
        ("1 0 * * 5-7", [1, 6, 7, 8, 13, 14, 15, 20, 21, 22, 27, 28, 29]),
        ("1 0 * * FRI-SUN", [1, 6, 7, 8, 13, 14, 15, 20, 21, 22, 27, 28, 29]),
        ("1 0 * * 0,6", [1, 7, 8, 14, 15, 21, 22, 28, 29]),
        ("1 0 13 * *", [13]),
        # both restricted: either
        ("1 0 13 * 1", [2, 9, 13, 16, 23, 30]),
        ("1 0 1-7 * 1", [1, 2, 3, 4, 5, 6, 7, 9, 16, 23, 30]),
        ("1 0 1-31/2 * 1", sorted({*range(1, 32, 2), 2, 9, 16, 23, 30})),
        # one begins with `*`: both
        ("1 0 */2 * 1", [9, 23]),
        ("1 0 13,15,16,17 * */2", [15, 17]),
        ("1 0 */2 * */3", [1, 7, 11, 15, 21, 25, 29]),
        ("1 0 *,13 * 1", [2, 9, 16, 23, 30]),
        # a complete field that does not begin with `*` still counts as restricted
        ("1 0 1-31 * 1", list(range(1, 32))),
        ("1 0 13 * 0-6", list(range(1, 32))),
        ("1 0 13 * 0-7", list(range(1, 32))),
        ("1 0 1,* * 1", list(range(1, 32))),
    ],
)
def test_days(expression, days):
    assert days_of_march(expression) == days


@pytest.mark.parametrize(
    ("macro", "same"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_macros(macro, same):
    assert schedule.parse(macro) == schedule.parse(same)
    assert schedule.parse(macro).to_eventbridge() == schedule.parse(same).to_eventbridge()


@pytest.mark.parametrize(
    ("expression", "rendered"),
    [
        ("@hourly", "cron(0 * * * ? *)"),
        ("@weekly", "cron(0 0 ? * SUN *)"),
        ("@yearly", "cron(0 0 1 1 ? *)"),
        ("* * * * *", "cron(* * * * ? *)"),
        ("0 12 * * 1-5", "cron(0 12 ? * MON-FRI *)"),
        ("0 0 */2 * *", "cron(0 0 */2 * ? *)"),
        ("0 0 * * */2", "cron(0 0 ? * SUN,TUE,THU,SAT *)"),
        ("0 0 * * 1-5/2", "cron(0 0 ? * MON,WED,FRI *)"),
        ("0 0 1-31/3 * *", "cron(0 0 */3 * ? *)"),
        ("*/15 * * * *", "cron(*/15 * * * ? *)"),
        ("5-59/15 9-17 * 1,2,3,7 5-7", "cron(5/15 9-17 ? 1-3,7 SUN,FRI,SAT *)"),
        ("3/10 8-18/2 1,15 jan-jun/2 *", "cron(3/10 8-18/2 1,15 1-5/2 ? *)"),
        ("*/60 */24 * * 0-6", "cron(0 0 * * ? *)"),
        ("0 0 1-31 * *", "cron(0 0 * * ? *)"),
        ("0 0 13 * 0-6", "cron(0 0 * * ? *)"),
        ("1,2,5 0 * * *", "cron(1,2,5 0 * * ? *)"),
    ],
)
def test_rendering(expression, rendered):
    parsed = schedule.parse(expression)
    assert parsed.to_eventbridge() == rendered
    assert schedule.parse(rendered) == parsed


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        (
            "0 0 13 * 5",
            "`0 0 13 * 5`: EventBridge cannot say day-of-month or day-of-week, whichever comes",
            "write two triggers, one with `*` in day-of-week and one with `*` in day-of-month",
        ),
        (
            "0 0 */2 * 1",
            "`0 0 */2 * 1`: EventBridge cannot say day-of-month and day-of-week at once",
            "keep one of the two day fields; two triggers, one for each, would fire on a day that either means",
        ),
    ],
)
def test_what_eventbridge_cannot_say_is_refused_by_name(expression, message, hint):
    with pytest.raises(ScheduleError) as caught:
        schedule.parse(expression).to_eventbridge()
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_the_longest_rendering_is_short_enough_for_eventbridge():
    rendered = schedule.parse("1/3,2/3 1/3,2/3 1/3,2/3 1/3,2/3 *").to_eventbridge()
    assert rendered.startswith("cron(1,2,4,5,7,8,10,11,13,14,")
    assert 200 < len(rendered) <= 256
