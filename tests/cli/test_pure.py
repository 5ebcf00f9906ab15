"""`schedule next` and `pattern test`: what people and programs see."""

import json
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent


def lines(name: str) -> list[dict]:
    return [json.loads(line) for line in (TESTS / name).read_text(encoding="utf-8").splitlines()]


def test_all_pattern_cases_by_lines(project):
    cases = lines("pattern/vectors.jsonl")
    given = "".join(json.dumps({"pattern": case["pattern"], "event": case["event"]}) + "\n" for case in cases)
    answers = project.wherry("pattern", "test", "--jsonl", stdin=given).stdout.splitlines()
    assert answers == [str(case["match"]).lower() for case in cases]


def test_all_schedule_cases_by_lines(project):
    cases = lines("schedule/vectors.jsonl")
    keys = ("expression", "after", "timezone")
    given = "".join(json.dumps({key: case[key] for key in keys if key in case}) + "\n" for case in cases)
    answers = project.wherry("schedule", "next", "--jsonl", stdin=given).stdout.splitlines()
    assert [json.loads(answer) for answer in answers] == [case["next"] for case in cases]


def test_a_wrong_line_harms_only_itself(project):
    given = '{"expression": "x", "after": "2026-03-01T10:00:00Z"}\nnonsense\n{"expression": "rate(1 hour)", "after": "2026-03-01T10:00:00Z", "n": 1}\n'
    answers = project.wherry("schedule", "next", "--jsonl", stdin=given).stdout.splitlines()
    assert json.loads(answers[0])["error"].startswith("`x` is not a schedule expression")
    assert json.loads(answers[1])["error"].startswith("not valid JSON")
    assert json.loads(answers[2]) == ["2026-03-01T11:00:00Z"]
    given = '{"pattern": {"a": []}, "event": {}}\n[1]\n{"pattern": {"a": ["x"]}, "event": {"a": "x"}}\n'
    answers = project.wherry("pattern", "test", "--jsonl", stdin=given).stdout.splitlines()
    assert answers == ["error: Empty arrays are not allowed", "error: a line is {pattern, event}", "true"]


def test_firings_for_people(project):
    shown = project.wherry(
        "schedule", "next", "30 2 * * *", "--timezone", "Europe/Berlin", "--after", "2026-03-28T00:00:00Z", "-n", "2"
    ).stdout
    assert shown == (
        "2026-03-28T01:30:00Z  Sat 2026-03-28 02:30 CET\n"
        "2026-03-30T00:30:00Z  Mon 2026-03-30 02:30 CEST  skipped 2026-03-29 02:30, which does not exist in Europe/Berlin\n"
    )
    plain = project.wherry("schedule", "next", "cron(0 10 * * ? *)", "--after", "2026-03-01T09:59:59Z", "--plain")
    assert plain.stdout == "2026-03-01T10:00:00Z\n2026-03-02T10:00:00Z\n2026-03-03T10:00:00Z\n"


@pytest.mark.parametrize(
    "arguments", [["cron(0 10 * * * *)"], ["rate(0 minutes)"], ["x"], [], ["rate(1 hour)", "-n", "0"]]
)
def test_what_is_no_schedule_exits_with_2(project, arguments):
    assert project.wherry("schedule", "next", *arguments, code=2).stderr.startswith("error: ")


SCHEDULED = """\
app: clock
jobs:
  daily: {command: [x], on: [{schedule: "0 5 * * *", timezone: Europe/Berlin}]}
  often: {command: [x], on: [{schedule: rate(8 hours)}]}
  by-hand: {command: [x]}
"""


def test_the_next_firings_of_the_job_file(project):
    project.jobfile(SCHEDULED)
    after = ("--after", "2026-03-01T00:00:00Z")
    assert project.wherry("schedule", "next", *after, "-n", "2").stdout == (
        "2026-03-01T04:00:00Z  Sun 2026-03-01 05:00 CET  daily\n"
        "2026-03-01T08:00:00Z  Sun 2026-03-01 08:00 UTC  often\n"
        "2026-03-01T16:00:00Z  Sun 2026-03-01 16:00 UTC  often\n"
        "2026-03-02T04:00:00Z  Mon 2026-03-02 05:00 CET  daily\n"
    )
    of_one = project.wherry("schedule", "next", "daily", *after, "-n", "1", "--plain")
    assert of_one.stdout == "2026-03-01T04:00:00Z\n"
    assert project.wherry("schedule", "next", "by-hand").stderr == "no schedule of job `by-hand` fires after that\n"
    assert "there is no job `nope`" in project.wherry("schedule", "next", "nope", code=2).stderr


def test_what_is_next_in_an_environment(project):
    project.jobfile(SCHEDULED)
    project.up()
    jobs = [line.split() for line in project.wherry("schedule", "next", "--env", "local").stdout.splitlines()]
    assert sorted(job for _, job in jobs) == ["daily", "often"]
    (only,) = project.wherry("schedule", "next", "daily", "--env", "local", "--plain").stdout.splitlines()
    assert [only, "daily"] in jobs
    refused = project.wherry("schedule", "next", "rate(1 day)", "--env", "local", code=2).stderr
    assert "`--env` shows what comes next there" in refused


def test_a_schedule_that_has_ended(project):
    done = project.wherry("schedule", "next", "at(2020-01-01T00:00:00)")
    assert (done.stdout, done.stderr) == ("", "it never fires after that\n")


def test_a_pattern_says_which_field_failed(project):
    project.file("event.json", '{"source": "shop", "detail": {"total": 5}}')
    pattern = '{"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}}'
    refused = project.wherry("pattern", "test", "--pattern", pattern, "--event", "event.json", code=1)
    assert refused.stdout.startswith("no match: `detail.total` is 5")
    assert (
        project.wherry("pattern", "test", "--pattern", '{"source": ["shop"]}', "--event", "event.json").stdout
        == "match\n"
    )
    invalid = project.wherry("pattern", "test", "--pattern", '{"a": {"b": []}}', "--event", "event.json", code=2)
    assert invalid.stderr == "error: Empty arrays are not allowed\n  look at `a.b`\n"


def test_mistakes_on_the_command_line(project):
    assert project.wherry("rnus", code=2).stderr == "error: there is no `rnus`\n  did you mean `runs`?\n"
    assert project.wherry("cp", "a", code=2).stderr.startswith("error: the following arguments are required: DST\n")
    assert project.wherry(code=2).stdout.startswith("usage: wherry ")
