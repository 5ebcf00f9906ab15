"""Durations and sizes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.jobfile import values


@given(st.integers(min_value=0, max_value=365 * 24 * 3600 * 1000))
def test_durations_survive_a_round_trip(milliseconds):
    duration = timedelta(milliseconds=milliseconds)
    assert values.parse_duration(values.format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("2d", 172800),
        ("500ms", 0.5),
        ("1m5ms", 60.005),
        ("0s", 0),
        ("007s", 7),
    ],
)
def test_durations(text, seconds):
    assert values.parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "90", "1.5h", "1h 30m", "30m1h", "1h1h", "-5m", "10M", "1w", "٣s", "1h\n", "9999999999s"]
)
def test_no_durations(text):
    with pytest.raises(values.BadValue):
        values.parse_duration(text)


@pytest.mark.parametrize("text", ["366d", "999999999d999999999h", "365d1ms"])
def test_too_long(text):
    with pytest.raises(values.BadValue, match="at most `365d`"):
        values.parse_duration(text)


@given(st.text(max_size=20))
def test_a_suggestion_is_a_duration(text):
    suggestion = values.suggest_duration(text)
    assert suggestion is None or values.parse_duration(suggestion) > timedelta(0)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("90", "90s"), ("10 minutes", "10m"), ("1.5h", "1h30m"), ("1h 30m", "1h30m"), ("1 day, 2 hours", "1d2h"),
        ("PT1H", "1h"), ("30m1h", "1h30m"), ("soon", None), ("", None), ("1:30", None), ("1 fortnight", None),
        ("0", None),
    ],
)  # fmt: skip
def test_suggestions_of_durations(text, suggestion):
    assert values.suggest_duration(text) == suggestion


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [("512MB", 512), ("512MiB", 512), ("4GB", 4096), ("1GiB", 1024), ("0.5GB", 512), ("1.0MB", 1)],
)
def test_sizes(text, megabytes):
    assert values.parse_size(text) == megabytes * 2**20


@pytest.mark.parametrize("text", ["512", "512M", "1.2.3GB", "GB", "4 GB", "-1GB", "0GB", "0.7GB", "1e3MB", "4gb", ""])
def test_no_sizes(text):
    with pytest.raises(values.BadValue):
        values.parse_size(text)


@given(st.text(alphabet="0123456789.MGBib ", max_size=12))
def test_a_suggestion_is_a_size(text):
    suggestion = values.suggest_size(text)
    assert suggestion is None or values.parse_size(suggestion) > 0
