"""What is refused, in which words."""

from __future__ import annotations

import pytest

from wherry import schedule
from wherry.errors import ScheduleError

_FORMS = "write `cron(0 5 * * ? *)`, `rate(5 minutes)`, `at(2026-07-01T09:00:00)`, or five fields as in `30 2 * * 1-5`"
_MACROS = "known: `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`"

REFUSED = [
    (
        "rate(10 seconds)",
        "`seconds` in `rate(10 seconds)` is not one of `minutes`, `hours`, `days`",
        "no schedule is finer than one minute",
    ),
    ("rate(10 years)", "`years` in `rate(10 years)` is not one of `minutes`, `hours`, `days`", None),
    ("rate()", "`rate()` is not a whole number, one space and a unit", "write for example `rate(5 minutes)`"),
    ("rate(10)", "`rate(10)` is not a whole number, one space and a unit", "write for example `rate(5 minutes)`"),
    (
        "rate(10 minutess)",
        "`minutess` in `rate(10 minutess)` is not one of `minutes`, `hours`, `days`",
        "did you mean `minutes`?",
    ),
    (
        "rate(foo minutes)",
        "`foo` in `rate(foo minutes)` is not a positive whole number",
        "write for example `rate(5 minutes)`",
    ),
    (
        "rate(0 minutes)",
        "`0` in `rate(0 minutes)` is not a positive whole number",
        "write for example `rate(5 minutes)`",
    ),
    (
        "rate(-10 minutes)",
        "`-10` in `rate(-10 minutes)` is not a positive whole number",
        "write for example `rate(5 minutes)`",
    ),
    (
        "rate(10 MINUTES)",
        "`MINUTES` in `rate(10 MINUTES)` is not one of `minutes`, `hours`, `days`",
        "write `rate(10 minutes)`",
    ),
    (
        "rate( 10 minutes )",
        "`rate( 10 minutes )` is not a whole number, one space and a unit",
        "write `rate(10 minutes)`",
    ),
    (" rate(10 minutes)", "the schedule expression begins or ends with white space", "write `rate(10 minutes)`"),
    (
        "rate(1.5 hours)",
        "`1.5` in `rate(1.5 hours)` is not a positive whole number",
        "write for example `rate(5 minutes)`",
    ),
    ("rate(99999999999 days)", "`rate(99999999999 days)` is longer than the calendar", None),
    (
        "rate(1_0 minutes)",
        "`1_0` in `rate(1_0 minutes)` is not a positive whole number",
        "write for example `rate(5 minutes)`",
    ),
    (
        "rate(+5 minutes)",
        "`+5` in `rate(+5 minutes)` is not a positive whole number",
        "write for example `rate(5 minutes)`",
    ),
    ("rate(5\tminutes)", "`rate(5\tminutes)` is not a whole number, one space and a unit", "write `rate(5 minutes)`"),
    ("RATE(5 minutes)", "`RATE` must be in lower case", "write `rate(5 minutes)`"),
    (
        "cron(0 1 * * * *)",
        "neither day-of-month nor day-of-week is `?`, exactly one of them must be",
        "write `cron(0 1 * * ? *)`",
    ),
    (
        "cron(7 20 * * NOT *)",
        "day-of-week field: `NOT` is not one of 1-7 or SUN-SAT",
        "in EventBridge 1 is SUN and 7 is SAT, or write the names",
    ),
    (
        "cron(INVALID)",
        "`cron(INVALID)` has 1 field instead of 6",
        "they are minutes hours day-of-month month day-of-week year",
    ),
    ("cron(0 dummy ? * MON-FRI *)", "hours field: `dummy` is not one of 0-23", None),
    ("cron(71 8 1 * ? *)", "minutes field: `71` is not one of 0-59", None),
    ("cron()", "`cron()` has no fields instead of 6", "they are minutes hours day-of-month month day-of-week year"),
    ("cron( )", "`cron( )` has no fields instead of 6", "they are minutes hours day-of-month month day-of-week year"),
    (
        "cron(0 12 * ?)",
        "`cron(0 12 * ?)` has 4 fields instead of 6",
        "they are minutes hours day-of-month month day-of-week year",
    ),
    (
        "cron(0 0 12 * * ? *)",
        "`cron(0 0 12 * * ? *)` has 7 fields instead of 6",
        "EventBridge has no seconds field; they are minutes hours day-of-month month day-of-week year",
    ),
    (
        "cron(0 0 ? * ? *)",
        "day-of-month and day-of-week are both `?`, exactly one of them must be",
        "write `cron(0 0 * * ? *)` for every day",
    ),
    (
        "cron(0 0 1 * 2 *)",
        "neither day-of-month nor day-of-week is `?`, exactly one of them must be",
        "write two triggers, `cron(0 0 1 * ? *)` and `cron(0 0 ? * 2 *)`",
    ),
    (
        "cron(0 12 * * 1-5)",
        "neither day-of-month nor day-of-week is `?`, exactly one of them must be",
        "for unix cron write the five fields alone: `0 12 * * 1-5`",
    ),
    (
        "cron(0 0 ? * 0 *)",
        "day-of-week field: `0` is not one of 1-7 or SUN-SAT",
        "in EventBridge 1 is SUN and 7 is SAT, or write the names",
    ),
    (
        "cron(0 0 ? * 8 *)",
        "day-of-week field: `8` is not one of 1-7 or SUN-SAT",
        "in EventBridge 1 is SUN and 7 is SAT, or write the names",
    ),
    ("cron(0 0 ? * MOM *)", "day-of-week field: `MOM` is not one of 1-7 or SUN-SAT", "did you mean `MON`?"),
    ("cron(0 0 ? * MONDAY *)", "day-of-week field: `MONDAY` is not one of 1-7 or SUN-SAT", "did you mean `MON`?"),
    (
        "cron(0 0 ? * 2#6 *)",
        "day-of-week field: what follows `#` in `2#6` is not one of 1-5",
        "`3#2` is the second Tuesday",
    ),
    (
        "cron(0 0 ? * 2#0 *)",
        "day-of-week field: what follows `#` in `2#0` is not one of 1-5",
        "`3#2` is the second Tuesday",
    ),
    (
        "cron(0 0 ? * 2# *)",
        "day-of-week field: what follows `#` in `2#` is not one of 1-5",
        "`3#2` is the second Tuesday",
    ),
    (
        "cron(0 0 ? * #2 *)",
        "day-of-week field: a value is missing in `#2`, and must be one of 1-7 or SUN-SAT",
        "in EventBridge 1 is SUN and 7 is SAT, or write the names",
    ),
    ("cron(0 0 3#1 * ? *)", "day-of-month field: `3#1` is not allowed, `#` belongs to day-of-week", None),
    (
        "cron(0 0 ? * 3#1,6#3 *)",
        "day-of-week field: `3#1,6#3` is not allowed, an expression with `#` stands alone",
        "write a trigger for each, as in `3#1` and `6#3`",
    ),
    (
        "cron(0 0 ? * MON,3#1 *)",
        "day-of-week field: `MON,3#1` is not allowed, an expression with `#` stands alone",
        "write a trigger for each, as in `3#1` and `6#3`",
    ),
    ("cron(0 0 ? * MON *", "`cron(0 0 ? * MON *` has no closing parenthesis", "write `cron(0 0 ? * MON *)`"),
    ("cron(0 0 ? * MON *) x", "`cron(0 0 ? * MON *) x` goes on after the closing parenthesis", _FORMS),
    ("0 12 * * ? *", "`0 12 * * ? *` stands without its wrapper", "write `cron(0 12 * * ? *)`"),
    (
        "0 0 12 * * *",
        "`0 0 12 * * *` has 6 fields, five-field cron has minutes, hours, day-of-month, month and day-of-week",
        "it has no seconds, no year and no command",
    ),
    ("0 12 * *", "`0 12 * *` is not a schedule expression", _FORMS),
    ("rate 5 minutes", "`rate 5 minutes` is not a schedule expression", _FORMS),
    ("5 minutes", "`5 minutes` stands without its wrapper", "write `rate(5 minutes)`"),
    (
        "at(2021-12-31T23:59:59Z)",
        "`at(2021-12-31T23:59:59Z)` is not a local date and time",
        "write `at(2021-12-31T23:59:59)`, and its zone as `timezone`",
    ),
    ("at(2021-12-31)", "`at(2021-12-31)` is not a local date and time", "write `at(2021-12-31T00:00:00)`"),
    (
        "at(2030-01-01 00:00:00)",
        "`at(2030-01-01 00:00:00)` is not a local date and time",
        "write `at(2030-01-01T00:00:00)`",
    ),
    (
        "at(2030-01-01T00:00:00.000)",
        "`at(2030-01-01T00:00:00.000)` is not a local date and time",
        "write `at(2030-01-01T00:00:00)`",
    ),
    (
        "at(2030-01-01T00:00:00+01:00)",
        "`at(2030-01-01T00:00:00+01:00)` is not a local date and time",
        "write `at(2030-01-01T00:00:00)`, and its zone as `timezone`",
    ),
    ("at(2030-13-01T00:00:00)", "`2030-13-01T00:00:00` is not in the calendar", "write `at(yyyy-mm-ddThh:mm:ss)`"),
    ("at(2030-02-29T00:00)", "`2030-02-29T00:00` is not in the calendar", "write `at(yyyy-mm-ddThh:mm:ss)`"),
    ("at(2030-01-01T24:00)", "`2030-01-01T24:00` is not in the calendar", "write `at(yyyy-mm-ddThh:mm:ss)`"),
    ("at()", "`at()` is not a local date and time", "write `at(yyyy-mm-ddThh:mm:ss)`"),
    ("cron(0 20 * * ? 2500)", "year field: `2500` is not one of 1970-2199", None),
    ("cron(0 20 * * ? 2200)", "year field: `2200` is not one of 1970-2199", None),
    ("cron(0 20 * * ? 1969)", "year field: `1969` is not one of 1970-2199", None),
    ("cron(0 20 * * ? 2030-2028)", "year field: `2030-2028` ends before it begins", None),
    (
        "cron(0 0 L-3 * ? *)",
        "day-of-month field: `L-3` is not allowed, the forms with letters are `L`, `LW` and `15W`",
        "each stands alone, without lists, ranges or offsets",
    ),
    (
        "cron(0 0 L,15 * ? *)",
        "day-of-month field: `L,15` is not allowed, the forms with letters are `L`, `LW` and `15W`",
        "each stands alone, without lists, ranges or offsets",
    ),
    (
        "cron(0 0 1W,15W * ? *)",
        "day-of-month field: `1W,15W` is not allowed, the forms with letters are `L`, `LW` and `15W`",
        "each stands alone, without lists, ranges or offsets",
    ),
    ("cron(0 0 32W * ? *)", "day-of-month field: `32` in `32W` is not one of 1-31", None),
    (
        "cron(0 0 W * ? *)",
        "day-of-month field: `W` is not allowed, the forms with letters are `L`, `LW` and `15W`",
        "each stands alone, without lists, ranges or offsets",
    ),
    (
        "cron(0 0 ? * 6L,2 *)",
        "day-of-week field: `6L,2` is not allowed, the form with `L` is `6L`, the last Friday of the month",
        "it stands alone, without lists, ranges or offsets",
    ),
    (
        "cron(0 0 ? * 8L *)",
        "day-of-week field: `8` in `8L` is not one of 1-7 or SUN-SAT",
        "in EventBridge 1 is SUN and 7 is SAT, or write the names",
    ),
    (
        "cron(0 0 ? * L-1 *)",
        "day-of-week field: `L-1` is not allowed, the form with `L` is `6L`, the last Friday of the month",
        "it stands alone, without lists, ranges or offsets",
    ),
    (
        "cron(0 0 ? * 15W *)",
        "day-of-week field: `15W` is not one of 1-7 or SUN-SAT",
        "in EventBridge 1 is SUN and 7 is SAT, or write the names",
    ),
    ("cron(5/0 0 * * ? *)", "minutes field: the step in `5/0` is not one of 1-59", None),
    (
        "cron(0/60 0 * * ? *)",
        "minutes field: the step in `0/60` is not one of 1-59",
        "steps start anew each hour; for an even pace write `rate(60 minutes)`",
    ),
    ("cron(1- 0 * * ? *)", "minutes field: a value is missing in `1-`, and must be one of 0-59", None),
    ("cron(-1 0 * * ? *)", "minutes field: a value is missing in `-1`, and must be one of 0-59", None),
    ("cron(*-5 0 * * ? *)", "minutes field: `*` in `*-5` is not one of 0-59", None),
    (
        "cron(0 0 ?/2 * * *)",
        "day-of-month field: `?/2` is not allowed, `?` stands alone in day-of-month or day-of-week of `cron()`",
        "write `*`",
    ),
    (
        "cron(? 0 1 * ? *)",
        "minutes field: `?` is not allowed, `?` stands alone in day-of-month or day-of-week of `cron()`",
        "write `*`",
    ),
    ("cron(1,,2 0 * * ? *)", "minutes field: an item is missing in `1,,2`", None),
    ("cron(1, 0 * * ? *)", "minutes field: an item is missing in `1,`", None),
    ("cron(, 0 * * ? *)", "minutes field: an item is missing in `,`", None),
    ("cron(/5 0 * * ? *)", "minutes field: a value is missing in `/5`, and must be one of 0-59", None),
    ("cron(5/ 0 * * ? *)", "minutes field: the step in `5/` is not one of 1-59", None),
    ("cron(1-2-3 0 * * ? *)", "minutes field: `2-3` in `1-2-3` is not one of 0-59", None),
    ("cron(1/2/3 0 * * ? *)", "minutes field: the step in `1/2/3` is not one of 1-59", None),
    (
        "cron(99999999999999999999999999 0 * * ? *)",
        "minutes field: `99999999999999999999999999` is not one of 0-59",
        None,
    ),
    ("cron(1_0 0 * * ? *)", "minutes field: `1_0` is not one of 0-59", None),
    ("cron(+1 0 * * ? *)", "minutes field: `+1` is not one of 0-59", None),
    ("cron(0x1 0 * * ? *)", "minutes field: `0x1` is not one of 0-59", None),
    ("cron(1.5 0 * * ? *)", "minutes field: `1.5` is not one of 0-59", None),
    ("cron(\uff11 0 * * ? *)", "the character `\uff11` (U+FF11) cannot stand in a schedule expression", None),
    ("cron(\u0663 0 * * ? *)", "the character `\u0663` (U+0663) cannot stand in a schedule expression", None),
    ("cron(0 0\n* * ? *)", "the character U+000A cannot stand in a schedule expression", None),
    ("cron(0 0\u00a0* * ? *)", "the character U+00A0 cannot stand in a schedule expression", None),
    ("Cron(0 0 * * ? *)", "`Cron` must be in lower case", "write `cron(0 0 * * ? *)`"),
    ("every(5 minutes)", "`every(...)` is not a kind of schedule", _FORMS),
    ("hello", "`hello` is not a schedule expression", _FORMS),
    ("every day at 5 pm", "`every day at 5 pm` is not a schedule expression", _FORMS),
    ("@reboot", "`@reboot` is not a time: nothing boots here", "start the job by hand: `wherry run`"),
    ("@every 5m", "`@every` is not understood", "write `rate(90 minutes)`"),
    ("@dialy", "`@dialy` is not understood", _MACROS),
    ("@Daily", "`@Daily` is not understood", _MACROS),
    ("60 * * * *", "minutes field: `60` is not one of 0-59", None),
    ("* 24 * * *", "hours field: `24` is not one of 0-23", None),
    ("* * 0 * *", "day-of-month field: `0` is not one of 1-31", None),
    ("* * * 13 *", "month field: `13` is not one of 1-12 or JAN-DEC", None),
    (
        "* * * * 8",
        "day-of-week field: `8` is not one of 0-7 or SUN-SAT",
        "in five-field cron 0 and 7 are SUN, or write the names",
    ),
    ("* * ? * *", "day-of-month field: `?` is not allowed, `?` belongs to `cron()`", "write `*`"),
    ("* * L * *", "day-of-month field: `L` is not part of five-field cron", "`L`, `W` and `#` belong to `cron()`"),
    ("* * * * 5#2", "day-of-week field: `5#2` is not part of five-field cron", "`L`, `W` and `#` belong to `cron()`"),
    (
        "* * * * FRI-MON",
        "day-of-week field: `FRI-MON` ends before it begins",
        "ranges of five-field cron do not wrap; write `5-6,0-1`",
    ),
    (
        "* * * * 7-2",
        "day-of-week field: `7-2` ends before it begins",
        "ranges of five-field cron do not wrap; write `0-2`",
    ),
    (
        "22-2 * * * *",
        "minutes field: `22-2` ends before it begins",
        "ranges of five-field cron do not wrap; write `22-59,0-2`",
    ),
    (
        "*/90 * * * *",
        "minutes field: the step in `*/90` is not one of 1-60",
        "steps start anew each hour; for an even pace write `rate(90 minutes)`",
    ),
    (
        "* */25 * * *",
        "hours field: the step in `*/25` is not one of 1-24",
        "steps start anew each day; for an even pace write `rate(25 hours)`",
    ),
    ("*/0 * * * *", "minutes field: the step in `*/0` is not one of 1-60", None),
    (
        "0 5 * * * /bin/foo",
        "`0 5 * * * /bin/foo` has 6 fields, five-field cron has minutes, hours, day-of-month, month and day-of-week",
        "it has no seconds, no year and no command",
    ),
    ("0 0 * FOO *", "month field: `FOO` is not one of 1-12 or JAN-DEC", None),
    ("cron (0 0 * * ? *)", "`cron (0 0 * * ? *)` is not a schedule expression", _FORMS),
    ("", "the schedule expression is empty", _FORMS),
    (" ", "the schedule expression is empty", _FORMS),
    (
        "rate(01  minutes)",
        "`rate(01  minutes)` is not a whole number, one space and a unit",
        "write `rate(01 minutes)`",
    ),
    (
        "cron( 0 12 * * ? *)",
        "`cron( 0 12 * * ? *)` has white space inside its parentheses",
        "write `cron(0 12 * * ? *)`",
    ),
    (
        "cron(0 12 * * ? * )",
        "`cron(0 12 * * ? * )` has white space inside its parentheses",
        "write `cron(0 12 * * ? *)`",
    ),
    ("0 12 * * *\n", "the schedule expression begins or ends with white space", "write `0 12 * * *`"),
    ("cron(0 0 24 * ? *", "`cron(0 0 24 * ? *` has no closing parenthesis", "write `cron(0 0 24 * ? *)`"),
    ("cron(0 24 * * ? *)", "hours field: `24` is not one of 0-23", None),
    ("cron(0 0 0 * ? *)", "day-of-month field: `0` is not one of 1-31", None),
    ("cron(0 0 32 * ? *)", "day-of-month field: `32` is not one of 1-31", None),
    ("cron(0 0 1 13 ? *)", "month field: `13` is not one of 1-12 or JAN-DEC", None),
    ("cron(0 0 1 0 ? *)", "month field: `0` is not one of 1-12 or JAN-DEC", None),
    (
        "cron(0 0 ? 1 2 3 *)",
        "`cron(0 0 ? 1 2 3 *)` has 7 fields instead of 6",
        "EventBridge has no seconds field; they are minutes hours day-of-month month day-of-week year",
    ),
    ("cron(0 0 \u017fUN * ? *)", "the character `\u017f` (U+017F) cannot stand in a schedule expression", None),
    (
        "at(2030-01-01t00:00:00)",
        "`at(2030-01-01t00:00:00)` is not a local date and time",
        "write `at(2030-01-01T00:00:00)`",
    ),
    (
        "at(2030-1-1T00:00:00)",
        "`at(2030-1-1T00:00:00)` is not a local date and time",
        "write `at(yyyy-mm-ddThh:mm:ss)`",
    ),
    ("at(0000-01-01T00:00:00)", "`0000-01-01T00:00:00` is not in the calendar", "write `at(yyyy-mm-ddThh:mm:ss)`"),
    ("at(2030-01-01T00:00:60)", "`2030-01-01T00:00:60` is not in the calendar", "write `at(yyyy-mm-ddThh:mm:ss)`"),
    (
        "cron(0 0 1W-5 * ? *)",
        "day-of-month field: `1W-5` is not allowed, the forms with letters are `L`, `LW` and `15W`",
        "each stands alone, without lists, ranges or offsets",
    ),
    (
        "cron(0 0 LW-1 * ? *)",
        "day-of-month field: `LW-1` is not allowed, the forms with letters are `L`, `LW` and `15W`",
        "each stands alone, without lists, ranges or offsets",
    ),
    (
        "cron(0 0 ? * L,2 *)",
        "day-of-week field: `L,2` is not allowed, the form with `L` is `6L`, the last Friday of the month",
        "it stands alone, without lists, ranges or offsets",
    ),
    (
        "cron(0 0 ? * FRIDAYL *)",
        "day-of-week field: `FRIDAY` in `FRIDAYL` is not one of 1-7 or SUN-SAT",
        "did you mean `FRI`?",
    ),
    (
        "cron(0 0 ? * 3#1L *)",
        "day-of-week field: what follows `#` in `3#1L` is not one of 1-5",
        "`3#2` is the second Tuesday",
    ),
    ("cron(L 0 * * ? *)", "minutes field: `L` is not one of 0-59", None),
    (
        "cron(0 0 ? * * ?)",
        "year field: `?` is not allowed, `?` stands alone in day-of-month or day-of-week of `cron()`",
        "write `*`",
    ),
    (
        "cron(0 0 ? ? 2 *)",
        "month field: `?` is not allowed, `?` stands alone in day-of-month or day-of-week of `cron()`",
        "write `*`",
    ),
    (
        "cron(0 0 *,? * 2 *)",
        "day-of-month field: `*,?` is not allowed, `?` stands alone in day-of-month or day-of-week of `cron()`",
        "write `*`",
    ),
    ("cron(0 0 1 1/13 ? *)", "month field: the step in `1/13` is not one of 1-12", None),
    ("cron(0 0 ? * 2/8 *)", "day-of-week field: the step in `2/8` is not one of 1-7", None),
    ("cron(* * 5-1/0 * ? *)", "day-of-month field: the step in `5-1/0` is not one of 1-31", None),
    ("@", "`@` is not understood", _MACROS),
    ("@hourly extra", "`@hourly extra` is not understood", _MACROS),
    (
        "5 0 * * MON-",
        "day-of-week field: a value is missing in `MON-`, and must be one of 0-7 or SUN-SAT",
        "in five-field cron 0 and 7 are SUN, or write the names",
    ),
    ("0 0 1-0 * *", "day-of-month field: `0` in `1-0` is not one of 1-31", None),
    ("0 0 * * */8", "day-of-week field: the step in `*/8` is not one of 1-7", None),
    ("cron(0 0 1 JAN-FOO ? *)", "month field: `FOO` in `JAN-FOO` is not one of 1-12 or JAN-DEC", None),
    ("cron(0 0 1 JANUARY ? *)", "month field: `JANUARY` is not one of 1-12 or JAN-DEC", "did you mean `JAN`?"),
    ("x" * 300, "a schedule expression has at most 256 characters, this one has 300", None),
    (
        "0 0 * *  *  *",
        "`0 0 * *  *  *` has 6 fields, five-field cron has minutes, hours, day-of-month, month and day-of-week",
        "it has no seconds, no year and no command",
    ),
    ("cron(0 0 * * ? 2026-)", "year field: a value is missing in `2026-`, and must be one of 1970-2199", None),
]


@pytest.mark.parametrize(("expression", "message", "hint"), REFUSED, ids=[repr(row[0])[:50] for row in REFUSED])
def test_refused(expression, message, hint):
    with pytest.raises(ScheduleError) as caught:
        schedule.parse(expression)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize("message", sorted({row[1] for row in REFUSED}))
def test_messages_keep_to_the_house_style(message):
    assert not message[0].isupper()
    assert not message.endswith((".", "!"))
    assert "\n" not in message
