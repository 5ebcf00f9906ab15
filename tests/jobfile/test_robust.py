"""Nothing that a file can hold makes the reader fail in a way of its own."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry import jobfile
from wherry.errors import JobFileError, Problem
from wherry.jobfile import source

SAMPLE = (Path(__file__).parent / "valid" / "sales.yaml").read_text(encoding="utf-8")
EVERY = (Path(__file__).parent / "valid" / "every-key.yaml").read_text(encoding="utf-8")
PIECES = [
    "\t", "\n", " ", "  ", ":", ": ", "- ", "[", "]", "{", "}", "{}", "[]", ",", "'", '"', "|", ">", "&a", "*a", "!",
    "!!str", "---\n", "...\n", "%", "#", "?", "@", "`", "$", "${", "}", "${event.x}", "null", "~", "true", "-1",
    "1e999", ".inf", ".nan", "0x1", "\\", "\0", "\u2028", "\ufeff", "\x85", "数", "<<: ", "on",
    "99999999999999999999", "\r", "9999999999d", "\ud800",
]  # fmt: skip


def survives(text: str) -> None:
    """The text is read, or refused with places that exist."""
    problems = problems_of(text)
    lines = text.count("\n") + text.count("\r") + 1
    for problem in problems:
        assert problem.message
        assert 1 <= problem.place.line <= lines
        assert problem.place.column >= 1
        str(problem).encode("utf-8")


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        jobfile.parse(text, "wherry.yaml")
    except JobFileError as error:
        return error.problems
    return ()


@given(st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_text(text):
    survives(text)


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_yaml_like_text(text):
    survives(text)
    survives("app: a\njobs:\n  j: " + text)


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutations_of_a_right_file(data):
    text = data.draw(st.sampled_from([SAMPLE, EVERY]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from(["", *PIECES])) + text[end:]
    survives(text)


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_lines_moved_and_lost(data):
    lines = SAMPLE.split("\n")
    start, end = sorted([data.draw(st.integers(0, len(lines))), data.draw(st.integers(0, len(lines)))])
    moved = lines[:start] + lines[end:]
    at = data.draw(st.integers(0, len(moved)))
    survives("\n".join(moved[:at] + lines[start:end][:5] + moved[at:]))


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes(content):
    try:
        source.decode(content, "wherry.yaml")
    except JobFileError as error:
        str(error).encode("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 400_000,
        "{a: " * 200_000,
        "- " * 400_000,
        "? " * 400_000,
        "a: &a [x]\n" + "b: *a\n" * 100_000,
        "\n".join(f"k{n}: 1" for n in range(150_000)),
        "\n".join(f"k{n}: 1" for n in range(80_000)),
        "a: '" + "x" * 900_000,
        "app: a\njobs: {j: {command: x, timeout: " + "1" * 500_000 + "}}",
        "app: a\njobs: {j: {command: x, concurrency: " + "9" * 500_000 + ", retry: {jitter: " + "9" * 5000 + "}}}",
        "app: a\njobs: {j: {command: x, on: [{event: {a: [" + "9" * 5_000 + "]}}]}}",
        "app: a\njobs: {j: {command: x, reads: [" + ", ".join(f"b{n}" for n in range(2_000)) + "]}}",
        "app: a\njobs: {j: {image: " + "a" * 100_000 + "!, memory: " + "0" * 100_000 + "x}}",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_bombs_are_refused_soon(text):
    began = time.process_time()  # others may be at work, too
    with pytest.raises(JobFileError):
        jobfile.parse(text, "wherry.yaml")
    assert time.process_time() - began < 10
