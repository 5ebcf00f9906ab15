"""Cases whose verdicts are event-ruler's own: random ones, the operators one by one, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from wherry.errors import PatternError
from wherry.pattern import loads, parse

HERE = Path(__file__).parent


def lines(name: Any) -> Any:
    return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def test_the_random_cases():
    wrong = []
    for number, case in enumerate(lines("vectors.jsonl"), start=1):
        pattern = parse(case["pattern"])
        verdicts = {pattern.matches(case["event"]), pattern.matches_rigorously(case["event"])}
        assert (pattern.explain(case["event"]) is None) in verdicts
        if verdicts != {case["match"]}:
            wrong.append(number)
    assert wrong == []


@pytest.mark.parametrize("case", lines("matches.jsonl"), ids=lambda case: f"{case['pattern']} {case['event']}")
def test_the_operators(case):
    pattern = parse(case["pattern"])
    assert pattern.matches(loads(case["event"])) is case["match"]
    assert pattern.matches_rigorously(loads(case["event"])) is case["match"]
    # what `json.loads` gives is as good, but for numbers beyond a double
    assert parse(json.loads(case["pattern"])).matches(json.loads(case["event"])) is case["match"]


@pytest.mark.parametrize("case", lines("invalid.jsonl"), ids=lambda case: case["pattern"])
def test_the_refusals(case):
    with pytest.raises(PatternError) as caught:
        parse(case["pattern"])
    assert caught.value.message == case["reason"]
    assert caught.value.hint
    with pytest.raises(PatternError) as caught:
        parse(json.loads(case["pattern"]))
    assert caught.value.message == case["reason"]
