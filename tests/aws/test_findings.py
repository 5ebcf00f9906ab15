"""What the watch says, evaluated as Step Functions does; and the page of graphs, however many jobs there are."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.aws.expressions import evaluate
from wherry.aws import dashboard, findings, watch
from wherry.aws.compile import logical_ids
from wherry.aws.ledger import Firing
from wherry.aws.machine import Surroundings, run_machine
from wherry.aws.names import Names
from wherry.aws.overrides import plan_of
from wherry.aws.refusals import refuse_unsupported
from wherry.errors import Unsupported
from wherry.model import Environment, EventTrigger, Job, JobFile, ScheduleTrigger

NAMES = Names(app="sales", environment="prod")
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:sales-prod_nightly"
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:sales-prod__watch:x"


def said(text, **known):
    context = {"Execution": {"Id": EXECUTION, "Name": "x"}}
    return evaluate("{% " + text + " %}", states={"context": context, **known})


def ended(**more):
    detail = {
        "executionArn": "arn:aws:states:eu-central-1:123456789012:execution:sales-prod_nightly:abc",
        "stateMachineArn": MACHINE,
        "name": "abc",
        "status": "FAILED",
        "startDate": 1772366400000,
        "stopDate": 1772366460000,
        "input": json.dumps({"job": "nightly", "trigger": "event", "cause": "event:1", "event": {"id": "1"}}),
        "error": "Failed",
        "cause": json.dumps({"reason": "exit code 3", "attempts": 1, "exit-code": 3}),
    }
    event = {"id": "e", "account": "123456789012", "region": "eu-central-1", "time": "2026-03-01T12:01:00Z"}
    return {"ended": {**event, "detail": {**detail, **more}}}


def test_it_asks_for_the_run_that_the_dispatcher_names():
    trigger = ScheduleTrigger(expression="cron(0 5 * * ? *)", timezone="Europe/Berlin")
    firing = Firing(job="nightly", label=trigger.label, at=datetime(2026, 3, 1, 4, 0, tzinfo=UTC))
    given = {"job": "nightly", "machine": MACHINE, "label": trigger.label, "at": "2026-03-01T04:00:00Z"}
    assert said(findings.run_of_firing("$run"), input=given) == firing.run_id
    arn = f"{MACHINE.replace('stateMachine', 'execution')}:{firing.run_id}"
    assert said(findings.run_of_firing("$execution"), input=given) == arn


def test_it_knows_the_states_before_the_first_attempt():
    around = Surroundings(
        cluster="", task_definition="", network={}, work_bucket="", work_bucket_expression='""', capacity="fargate",
        main="main", containers=1,
    )  # fmt: skip
    job = Job(name="nightly", command=("true",), overlap="skip")
    states = set(run_machine(job, around, plan_of(job, {}))["States"])
    assert set(watch.BEFORE_RUN) < states
    after = {"Run", "Judge", "Decide", "Backoff", "Succeeded", "Failed", "TimedOut", "Stopped", "Skipped"}
    assert states - set(watch.BEFORE_RUN) == after


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "nightly failed: exit code 3"),
        ({"error": "TimedOut"}, "nightly timed_out: exit code 3"),
        ({"status": "TIMED_OUT", "cause": None, "error": None}, "nightly timed_out: it ran into its deadline"),
        ({"error": "States.Runtime", "cause": "no variable"}, "nightly failed: States.Runtime: no variable"),
        ({"input": None}, "nightly failed: exit code 3"),
        ({"cause": json.dumps({"reason": "x" * 3000})}, f"nightly failed: {'x' * 1000}"),
    ],
)
def test_a_run_that_ended_badly(more, text):
    found = said(findings.failed(NAMES), input=ended(**more))
    assert len(found) == 1
    assert found[0]["text"] == f"sales prod: {text} (run abc; `wherry explain abc --env prod`)"
    assert found[0]["subject"].startswith("sales prod: nightly ")
    assert found[0]["event"]["detail"]["job"] == "nightly"


def test_a_run_that_somebody_has_stopped_is_not_told():
    assert not said(findings.failed(NAMES), input=ended(error="Stopped"))


def test_the_same_end_has_the_same_lock_and_another_round_has_another_one():
    first, again, later = (said(findings.failed(NAMES), input=ended(stopDate=date))[0]["lock"] for date in (1, 1, 2))
    assert first == again != later
    assert len(first) <= 80


def test_a_large_event_does_not_keep_a_report_from_being_sent():
    asked = {"job": "nightly", "trigger": "event", "cause": "event:1", "event": {"id": "1", "detail": "x" * 100_000}}
    event = said(findings.failed(NAMES), input=ended(input=json.dumps(asked)))[0]["event"]
    assert "event" not in event["detail"]
    assert event["detail"]["exit-code"] == 3
    assert said(findings.failed(NAMES), input=ended())[0]["event"]["detail"]["event"] == {"id": "1"}


def test_a_firing_whose_dispatcher_failed_is_told_by_its_own_watch():
    for trigger, count in (("schedule", 0), ("upload", 1)):
        given = ended(input=json.dumps({"job": "sort", "trigger": trigger}), error="States.TaskFailed", cause="denied")
        found = said(findings.unstarted(NAMES), input=given) or []
        assert len(found) == count
    assert found[0]["text"].startswith(
        "sales prod: sort: its trigger (upload) could not start a run: States.TaskFailed"
    )


def task(number, status, minutes):
    made = datetime.now(UTC) - timedelta(minutes=minutes)
    environment = [{"Name": "WHERRY_RUN_ID", "Value": f"run-{number}"}]
    return {
        "TaskArn": f"arn:task/{number}",
        "TaskDefinitionArn": "arn:aws:ecs:eu-central-1:123456789012:task-definition/sales-prod_nightly:7",
        "LastStatus": status,
        "CreatedAt": made.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "Overrides": {"ContainerOverrides": [{"Name": "main", "Environment": environment}]},
    }


@pytest.mark.parametrize("count", [0, 1, 3])
def test_tasks_that_hang_while_they_start(count):
    tasks = [task(number, "PENDING", 16) for number in range(count)]
    tasks += [task(7, "RUNNING", 90), task(8, "PROVISIONING", 14), task(9, "DEPROVISIONING", 90)]
    found = said(findings.stuck(NAMES, watch.STUCK), result={"Tasks": tasks})
    expected = "sales prod: nightly has not started: its task is PENDING for more than 15m (run run-"
    assert [one["text"][: len(expected) + 1] for one in found] == [f"{expected}{number}" for number in range(count)]
    assert len({one["lock"] for one in found}) == count


@pytest.mark.parametrize(("queue", "named"), [("orders", "orders"), ("old_orders", "old_orders"), ("q.fifo", "q.fifo")])
def test_a_worker_that_hangs_while_it_starts_has_no_run(queue, named):
    of_service = task(1, "PENDING", 16) | {
        "TaskDefinitionArn": f"arn:aws:ecs:eu-central-1:123456789012:task-definition/"
        f"{NAMES.worker_family('nightly', queue)}:7",
        "Group": f"service:{NAMES.service('nightly', queue)}",
        "Overrides": {"ContainerOverrides": [{"Name": "main"}]},
    }
    of_run = task(2, "PENDING", 16) | {"Group": "family:sales-prod_nightly"}
    found, other = said(findings.stuck(NAMES, watch.STUCK), result={"Tasks": [of_service, of_run]})
    assert found["text"] == (
        f"sales prod: nightly: a worker of queue {named} has not started: its task is PENDING for more than 15m "
        "(`wherry queues --env prod`; task arn:task/1)"
    )
    assert found["subject"] == "sales prod: nightly: a worker has not started"
    assert found["event"]["detail-type"] == "Wherry Queue Worker"
    assert found["event"]["detail"]["queue"] == named
    assert "run run-2;" in other["text"]


def test_a_web_hook_gets_what_it_gets_here_and_a_mail_its_text():
    states = findings.telling(["arn:one", "arn:two"])
    assert [states[f"Tell{place}"]["Next"] for place in (0, 1)] == ["Tell1", "Told"]
    # a topic that cannot be reached does not keep a report from the others, and is not forgotten
    assert {states[f"Tell{place}"]["Catch"][0]["Next"] for place in (0, 1)} == {"Tell1", "Told"}
    found = said(findings.failed(NAMES), input=ended())[0]
    message = states["Tell0"]["Arguments"]["Message"]
    sent = json.loads(evaluate(message, states={"input": {"tell": found}}))
    assert sent["default"] == found["text"]
    assert json.loads(sent["https"]) == {"text": found["text"], "event": found["event"]}


def many(jobs):
    triggers = (EventTrigger(pattern={"source": ["shop"]}), ScheduleTrigger(expression="rate(1 hour)"))
    environment = Environment(name="prod", region="eu-central-1", dashboard=True)
    named = {f"job-{number}": Job(name=f"job-{number}", triggers=triggers, image="a") for number in range(jobs)}
    return JobFile(path="/x/wherry.yaml", app="sales", jobs=named, environments={"prod": environment})


@pytest.mark.parametrize("jobs", [1, 100])
def test_a_page_of_graphs_keeps_within_the_limits(jobs):
    jobfile = many(jobs)
    environment = jobfile.environments["prod"]
    made = dashboard.dashboard(jobfile, environment, NAMES, logical_ids(jobfile))["Properties"]
    assert made["DashboardName"] == "sales-prod"
    widgets = json.loads(made["DashboardBody"]["Fn::Sub"])["widgets"]
    graphs = [len(widget["properties"]["metrics"]) for widget in widgets]
    assert max(graphs) <= 500
    assert sum(graphs) == dashboard.size(jobfile) <= dashboard.MOST
    assert len({(widget["x"], widget["y"]) for widget in widgets}) == len(widgets)


def test_more_graphs_than_a_page_has_are_refused():
    jobfile = many(400)
    with pytest.raises(Unsupported, match=r"a dashboard of CloudWatch has 2,500 graphs at most"):
        refuse_unsupported(jobfile, jobfile.environments["prod"])
    refuse_unsupported(jobfile, replace(jobfile.environments["prod"], dashboard=False))


@pytest.mark.parametrize(
    ("window", "latest"), [({}, "2026-03-01T12:05:00.000Z"), ({"window": 900_000}, "2026-03-01T12:20:00.000Z")]
)
def test_a_firing_may_come_as_late_as_its_window_says(window, latest):
    given = {"at": "2026-03-01T12:00:00Z", **window}
    assert evaluate("{% $fromMillis(" + findings.LATEST + ") %}", states={"input": given}) == latest
