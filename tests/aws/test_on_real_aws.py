"""What real AWS is known to refuse and the stand-in takes: each test names the source."""

import fnmatch
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.aws.expressions import evaluate
from tests.aws.test_templates import ACCEPTED, compiled
from wherry.aws.machine import Surroundings, run_machine
from wherry.aws.names import Names
from wherry.aws.overrides import plan_of
from wherry.model import Job

AROUND = Surroundings(
    cluster="cluster",
    task_definition="task",
    network={},
    work_bucket="work",
    work_bucket_expression='"work"',
    capacity="fargate",
    main="main",
    containers=1,
)


@pytest.fixture(params=ACCEPTED, ids=lambda path: path.stem)
def templates(request, monkeypatch):
    monkeypatch.chdir(request.param.parent)
    return compiled(request.param)


def parts(node, path=""):
    """Everything in a template: (path, value)."""
    yield path, node
    if isinstance(node, dict | list | tuple):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from parts(value, f"{path}/{key}")


def test_no_nulls(templates):
    """CreateChangeSet: "'null' values are not allowed in templates", also inside a state machine's Definition."""
    assert [path for template in templates for path, value in parts(template) if value is None] == []


def rounds(waiting, limit, me):
    """Admit and Turn by hand: pages of executions, the newest first; gives the pages read and where it goes."""
    job = Job(name="job", concurrency=limit, overlap="wait")
    states = run_machine(job, AROUND, plan_of(job, {}))["States"]
    bound, read = {"ahead": 0, "page": "", "asked": me["asked"]}, 0
    while True:
        asked = evaluate(states["Admit"]["Arguments"], **bound, states=context(me))
        size, first = asked["MaxResults"], int(asked.get("NextToken", "0"))
        page = {"Executions": waiting[first : first + size]}
        page |= {"NextToken": str(first + size)} if first + size < len(waiting) else {}
        assert len(json.dumps(page)) < 262_144
        read += 1
        assigned = states["Admit"]["Assign"]
        bound |= {name: evaluate(text, **bound, states=context(me, result=page)) for name, text in assigned.items()}
        turn = next((rule for rule in states["Turn"]["Choices"] if evaluate(rule["Condition"], **bound)), None)
        where = turn["Next"] if turn else states["Turn"]["Default"]
        if where != "Admit":
            return read, where


def context(me, **more):
    execution = {"Name": me["name"], "Id": "arn:aws:states:eu-west-1:123456789012:execution:m:x"}
    return {"context": {"Execution": execution, "StateMachine": {"Id": "arn"}}, **more}


@pytest.mark.parametrize(("place", "expected"), [(0, "Run"), (1, "Run"), (2, "Queue"), (1_199, "Queue")])
def test_a_thousand_waiting_runs_keep_their_order(place, expected):
    """ListExecutions gives pages, the newest first; a result has at most 262,144 bytes (Developer Guide, "Quotas")."""
    began = [datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=number) for number in range(1_200)]
    found = [
        {
            "ExecutionArn": f"arn:aws-us-gov:states:ap-southeast-2:123456789012:execution:{'m' * 80}:{number:080}",
            "Name": f"{number:080}",
            "StartDate": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "StateMachineArn": f"arn:aws-us-gov:states:ap-southeast-2:123456789012:stateMachine:{'m' * 80}",
            "Status": "RUNNING",
        }
        for number, at in enumerate(began)
    ]
    me = {"name": f"{place:080}", "asked": began[place].timestamp() * 1000}
    read, where = rounds(found[::-1], 2, me)
    assert where == expected
    assert read == (5 if expected == "Run" else 5 if place == 2 else 1)


def test_a_year_of_waiting_fits_into_a_history():
    """25,000 events, of which each round of Admit, Turn and Queue takes nine (Developer Guide, "Quotas")."""
    job = Job(name="job", overlap="wait")
    states = run_machine(job, AROUND, plan_of(job, {}))["States"]
    waited, turns = 0, 0
    while waited < 366 * 86_400:
        pause = evaluate(states["Queue"]["Seconds"], asked=time.time() * 1000 - waited * 1000)
        assert pause == int(pause) >= 2
        waited, turns = waited + pause, turns + 1
    assert turns * 9 < 20_000


def test_what_is_matched_by_its_beginning_begins_so():
    """The queue's policy and the pattern of failures name rules and machines by a prefix; rules have 64 characters."""
    long, job = "a" * 40, "j" * 63
    for app, environment in (("shop", "prod"), (long, long)):
        names = Names(app=app, environment=environment)
        other = Names(app=app, environment=f"{environment[:-1]}x")
        for name, most in (
            (names.machine(job), 80),
            (names.machine("j"), 80),
            (names.dispatcher, 80),
            (names.rule("Failures"), 64),
            (names.rule(f"Job{job}Schedule01234567"), 64),
        ):
            assert name.startswith(names.prefix)
            assert not name.startswith(other.prefix)
            assert len(name) <= most


def test_rules_have_names_that_may_add_dead_letters(templates):
    resources = templates[0]["Resources"]
    policy = resources["DeadLettersPolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    allowed = policy["Condition"]["ArnLike"]["aws:SourceArn"]
    for rule in (each["Properties"] for each in resources.values() if each["Type"] == "AWS::Events::Rule"):
        bus = f"{rule['EventBusName']}/" if "EventBusName" in rule else ""
        asked = f"arn:${{AWS::Partition}}:events:${{AWS::Region}}:${{AWS::AccountId}}:rule/{bus}{rule['Name']}"
        assert any(fnmatch.fnmatchcase(asked, each["Fn::Sub"]) for each in allowed)


def test_a_role_has_room_for_its_policies(tmp_path, monkeypatch):
    """Inline policies of a role: 10,240 characters in all without white space (IAM quotas); resources: 500."""
    monkeypatch.chdir(tmp_path)
    jobs = "".join(
        f"  {'long-name-' * 5}{number:03}: {{image: a, on: [{{schedule: rate(1 day)}}]}}\n" for number in range(65)
    )
    app = "an-app-with-a-name-that-is-rather-long"
    (tmp_path / "wherry.yaml").write_text(f"app: {app}\njobs:\n{jobs}environments: {{prod: {{region: eu-west-1}}}}\n")
    template = compiled(tmp_path / "wherry.yaml")[0]
    assert len(template["Resources"]) <= 500
    for role in template["Resources"].values():
        text = json.dumps(role["Properties"].get("Policies", []), separators=(",", ":"))
        for name, filled in (("Region", "ap-southeast-2"), ("AccountId", "123456789012"), ("Partition", "aws-us-gov")):
            text = text.replace(f"${{AWS::{name}}}", filled)
        assert role["Type"] != "AWS::IAM::Role" or len(text.replace('{"Fn::Sub":', "")) < 10_240
