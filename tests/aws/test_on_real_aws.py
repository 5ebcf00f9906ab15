"""What real AWS is known to refuse and the stand-in takes: each test names the source."""

import fnmatch
import json
import re
import time
from datetime import UTC, datetime, timedelta

import botocore.session
import pytest

from tests.aws.expressions import evaluate
from tests.aws.test_templates import ACCEPTED, compiled
from wherry.aws.judgement import judgement
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
        if not any("DeadLetterConfig" in target or target["Id"] == "dead-letters" for target in rule["Targets"]):
            continue  # it hands events from one bus to the next
        bus = rule.get("EventBusName", "")
        bus = f"{resources[bus['Ref']]['Properties']['Name'] if isinstance(bus, dict) else bus}/" if bus else ""
        asked = f"arn:${{AWS::Partition}}:events:${{AWS::Region}}:${{AWS::AccountId}}:rule/{bus}{rule['Name']}"
        assert any(fnmatch.fnmatchcase(asked, each["Fn::Sub"]) for each in allowed)


def test_a_role_has_room_for_its_policies(tmp_path, monkeypatch):
    """Inline policies of a role: 10,240 characters in all without white space (IAM quotas); resources: 500."""
    monkeypatch.chdir(tmp_path)
    jobs = "".join(
        f"  {'long-name-' * 5}{number:03}: {{image: a, on: [{{schedule: rate(1 day)}}]}}\n" for number in range(58)
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


#: Every function of JSONata 2, and those that Step Functions adds.
FUNCTIONS = frozenset(
    """abs append assert average base64decode base64encode boolean ceil clone contains count decodeUrl
    decodeUrlComponent distinct each encodeUrl encodeUrlComponent error eval exists filter floor formatBase
    formatInteger formatNumber fromMillis hash join keys length lookup lowercase map match max merge millis min not
    now number pad parse parseInteger partition power random range reduce replace reverse round shuffle sift single
    sort split spread sqrt string substring substringAfter substringBefore sum toMillis trim type uppercase uuid zip
    states""".split()  # noqa: SIM905 - as a list it is a page long
)
#: The fields of a state with JSONata (Amazon States Language).
FIELDS = {
    "Pass": {"Type", "Comment", "Output", "Assign", "Next", "End"},
    "Task": {"Type", "Comment", "Resource", "Arguments", "Output", "Assign", "TimeoutSeconds", "HeartbeatSeconds",
             "Credentials", "Retry", "Catch", "Next", "End"},
    "Choice": {"Type", "Comment", "Choices", "Default", "Output", "Assign"},
    "Wait": {"Type", "Comment", "Seconds", "Timestamp", "Output", "Assign", "Next", "End"},
    "Succeed": {"Type", "Comment", "Output"},
    "Fail": {"Type", "Comment", "Error", "Cause"},
}  # fmt: skip


def machines(template):
    for each in template["Resources"].values():
        if each["Type"] == "AWS::StepFunctions::StateMachine":
            yield each["Properties"]["Definition"]


def test_states_have_the_fields_of_their_kind(templates):
    for machine in machines(templates[0]):
        for name, state in machine["States"].items():
            assert state.keys() <= FIELDS[state["Type"]], name
            for inner in (*state.get("Choices", ()), *state.get("Catch", ())):
                assert inner.keys() <= {"Condition", "ErrorEquals", "Assign", "Output", "Next", "Comment"}, name


def test_expressions_stand_alone_and_speak_of_what_is_there(templates):
    """`$states.result` only after a task, `$states.errorOutput` only in a Catch, no `$eval` (Developer Guide, JSONata)."""
    for machine in machines(templates[0]):
        for path, text in parts(machine):
            if not isinstance(text, str) or "{%" not in text:
                continue
            assert text.startswith("{%"), path
            assert text.endswith("%}"), path
            assert text.count("%}") == 1, path
            after = re.match("/States/([^/]+)/(Assign|Output)(/|$)", path)
            is_task = after is not None and machine["States"][after[1]]["Type"] == "Task"
            assert ("$states.result" not in text) or is_task, path
            assert ("$states.errorOutput" not in text) or "/Catch/" in path, path
            assert "$eval" not in text, path


def test_variables_are_no_functions(templates):
    for machine in machines(templates[0]):
        for state in machine["States"].values():
            assigned = [one.get("Assign", {}) for one in (state, *state.get("Choices", ()), *state.get("Catch", ()))]
            assert {name for each in assigned for name in each}.isdisjoint(FUNCTIONS)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, {}),
        ({"Cause": ""}, {}),
        ({"Cause": "not JSON"}, {}),
        ({"Cause": '{"Containers": [' + '{"Name": "x"},' * 3_000}, {}),
        ({"Cause": (cut := '{"Containers": [' + '{"Name": "123456789"},' * 2_000)[:32_767] + "}"}, {}),
        ({"Cause": '{"TaskArn": "arn", "StopCode": null}'}, {"TaskArn": "arn", "StopCode": None}),
    ],
)
def test_any_cause_is_caught(said, expected):
    """TaskFailed's cause has at most 32,768 characters; what is longer is cut off, and is no JSON any more."""
    states = run_machine(Job(name="job"), AROUND, plan_of(Job(name="job"), {}))["States"]
    caught = states["Run"]["Catch"][0]["Assign"]
    bound = {"errorOutput": {"Error": "States.TaskFailed", **said}}
    found = evaluate(caught["task"], states=bound)
    assert json.loads(json.dumps(found, default=lambda _: None)) == expected
    assert evaluate(caught["cause"], states=bound) is not None


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"Containers": []},
        {"Containers": [{"Name": "main"}]},
        {"Containers": [{"Name": "main", "ExitCode": None, "Reason": None}], "StopCode": None, "StoppedReason": None},
        {"Containers": [{"Name": f"side-{number}", "ExitCode": 1} for number in range(9)] + [{"Name": "main"}]},
        {"StopCode": "", "StoppedReason": ""},
    ],
)
@pytest.mark.parametrize("cause", ["", "Capacity is unavailable"])
def test_any_task_is_judged(task, cause):
    """A value that is missing fails an expression (States.QueryEvaluationError): everything said of an end is there."""
    judge = judgement(Job(name="job"), "main")["Judge"]["Output"]
    found = evaluate(judge, task=task, failed="X", cause=cause, failures=0, unstarted=0, asked=0)
    assert found["ending"] == "could_not_start"
    assert {type(found[name]) for name in ("again", "succeeded")} == {bool}
    assert isinstance(found["reason"], str)
    assert found["wait"] == int(found["wait"])
    assert "code" in found


MODELS = botocore.session.get_session()
#: A name -> the service's own rule for it (botocore's models).
RULES = {
    "cluster": lambda names, job: (names.cluster, r"[A-Za-z0-9_-]{1,255}"),
    "family": lambda names, job: (names.family(job), r"[A-Za-z0-9_-]{1,255}"),
    "machine": lambda names, job: (names.machine(job), r"[A-Za-z0-9_-]{1,80}"),
    "dispatcher": lambda names, job: (names.dispatcher, r"[A-Za-z0-9_-]{1,80}"),
    "queue": lambda names, job: (names.dead_letters, r"[A-Za-z0-9_-]{1,80}"),
    "topic": lambda names, job: (names.topic, r"[A-Za-z0-9_-]{1,256}"),
    "stack": lambda names, job: (names.base_stack, r"[a-zA-Z][-a-zA-Z0-9]{0,127}"),
    "work bucket": lambda names, job: (names.work_bucket, r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
    "log group": lambda names, job: (names.log_group(job), shape("logs", "LogGroupName")),
    "repository": lambda names, job: (names.repository(job), shape("ecr", "RepositoryName")),
    "rule": lambda names, job: (names.rule(f"Job{'x' * 63}Event12345678"), shape("events", "RuleName")),
    "schedules": lambda names, job: (names.schedules, shape("scheduler", "ScheduleGroupName")),
}


def shape(service, name):
    rule = MODELS.get_service_model(service).shape_for(name).metadata
    return rf"(?=.{{{rule['min']},{rule['max']}}}\Z){rule['pattern'].strip('^$')}"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("stem", ["a", "a" * 40, "a-", "a--b", "a1-" * 13 + "a"])
@pytest.mark.parametrize("job", ["j", "j" * 63, "0", "j-", "j--k", "a1-" * 20 + "a"])
def test_every_name_is_one_that_its_service_takes(rule, stem, job):
    names = Names(app=stem, environment=stem, account="123456789012", region="ap-southeast-2")
    name, pattern = RULES[rule](names, job)
    assert re.fullmatch(pattern, name), (name, pattern)
