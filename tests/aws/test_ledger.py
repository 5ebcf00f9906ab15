"""The ledger of expected firings: what was due, what has its run, why something has not."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.aws.scripted import JOBFILE, NOW, Scripted, site
from tests.aws.test_firing import EXPRESSIONS, ZONES
from wherry import lifecycle, schedule
from wherry.aws import counts, ledger
from wherry.aws.client import AwsError
from wherry.aws.rows import Row
from wherry.aws.runs import Runs
from wherry.messages import run_id_of
from wherry.model import ScheduleTrigger, iso_seconds
from wherry.target import TriggerCount

DAY = timedelta(days=1)
OLD = {"State": "ENABLED", "CreationDate": NOW - 9 * DAY, "LastModificationDate": NOW - 9 * DAY}
NIGHTLY, HOURLY = "sales-prod_JobNightlySchedule", "sales-prod_JobReportSchedule"
GONE = AwsError("Resource x does not exist for stack", code="ValidationError")
FIRING = {"job": "nightly", "trigger": "schedule", "label": "schedule:cron(0 5 * * ? *)@UTC"}
UNKNOWN = AwsError("no", code="ExecutionDoesNotExist")


def row(run_id, started_at, job="nightly", status="SUCCEEDED"):
    return Row(job=job, run_id=run_id, status=status, started_at=started_at, stopped_at=None, round_number=1)


@settings(deadline=None, max_examples=150)
@given(
    expression=st.sampled_from(EXPRESSIONS),
    zone=st.sampled_from(ZONES),
    now=st.datetimes(datetime(2026, 1, 2), datetime(2036, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive ones
    data=st.data(),
)
def test_what_was_due_and_has_no_run_was_missed(expression, zone, now, data):
    trigger = ScheduleTrigger(expression=expression, timezone=zone)
    changed = now - data.draw(st.timedeltas(timedelta(0), 2 * DAY))
    deployed = {"State": "ENABLED", "CreationDate": changed - DAY, "LastModificationDate": changed}
    due = ledger.expected("nightly", trigger, deployed, since=now - DAY, now=now)
    parsed = schedule.parse(expression)
    for firing in due:
        assert max(now - DAY, changed) < firing.at <= now - lifecycle.START_GRACE
        assert parsed.next_after(firing.at - timedelta(seconds=1), timezone=zone) == firing.at
    started = {firing.run_id for firing in due if data.draw(st.booleans())} if len(due) < 100 else set()
    alone = ledger.without_run(trigger, due, [row(run_id, now) for run_id in started])
    assert {firing.run_id for firing in alone} == {firing.run_id for firing in due} - started


def test_a_schedule_that_is_disabled_or_not_deployed_is_not_expected_to_fire():
    trigger = ScheduleTrigger(expression="cron(0/15 * * * ? *)")
    assert len(ledger.expected("nightly", trigger, OLD, since=NOW - DAY, now=NOW)) == 95
    assert ledger.expected("nightly", trigger, OLD | {"State": "DISABLED"}, since=NOW - DAY, now=NOW) == []
    assert ledger.expected("nightly", trigger, None, since=NOW - DAY, now=NOW) == []


def test_a_firing_is_not_missed_before_its_window_is_over():
    trigger = ScheduleTrigger(expression="cron(0/15 * * * ? *)", window=timedelta(minutes=30))
    due = ledger.expected("nightly", trigger, OLD, since=NOW - DAY, now=NOW)
    assert due[-1].at <= NOW - lifecycle.START_GRACE - timedelta(minutes=30)
    assert len(due) == 93


def test_a_rate_wants_a_run_in_each_interval():
    trigger = ScheduleTrigger(expression="rate(1 hour)")
    made = NOW - timedelta(hours=3, minutes=30)
    deployed = OLD | {"CreationDate": made, "LastModificationDate": made}
    due = ledger.expected("report", trigger, deployed, since=NOW - DAY, now=NOW)
    assert [firing.at for firing in due] == [made + timedelta(hours=hours) for hours in (1, 2, 3)]
    run = "a" * 26
    begun = [
        row(run, due[0].at - timedelta(seconds=40)),
        row("by-hand", due[1].at),
        row(run, due[2].at + timedelta(minutes=9)),
    ]
    assert ledger.without_run(trigger, due, begun) == [due[1]]


def look(answers, **more):
    """The ledger of the scripted job file: (ledger, door)."""
    aws = Scripted(describe_stack_resource=GONE, list_executions=[], get_queue_url={"QueueUrl": "q"}, **answers)
    asked = site(aws)
    return ledger.ledger(asked, Runs(asked), more.get("listed", []), since=NOW - DAY, now=NOW), aws


def schedules(aws_names=("nightly",)):
    """What Scheduler lists, under the names that the compiler gives."""
    from wherry.aws.compile import logical_ids
    from wherry.aws.triggers import logical_id

    asked, ids = site(Scripted()), logical_ids(JOBFILE)
    return [{**OLD, "Name": asked.names.rule(logical_id(ids[job], JOBFILE.jobs[job].triggers[0]))} for job in aws_names]


def test_what_is_next_is_what_is_deployed_and_enabled():
    """`report` is in the job file alone, and what Scheduler has under another name is not what the file says."""
    nightly, report = schedules(("nightly", "report"))
    changed = OLD | {"Name": f"{report['Name'][:-8]}00000000"}

    def upcoming(*listed):
        answers = {"describe_execution": UNKNOWN, "receive_message": {}, "change_message_visibility_batch": {}}
        found, _ = look({"list_schedules": list(listed), **answers})
        return [(each.job, each.at - NOW) for each in found.upcoming]

    assert upcoming(nightly, changed) == [("nightly", timedelta(hours=17))]
    assert upcoming(nightly, report) == [("report", timedelta(hours=1)), ("nightly", timedelta(hours=17))]
    assert upcoming(nightly | {"State": "DISABLED"}) == []


def test_it_says_why_a_firing_has_no_run():
    due = NOW.replace(hour=5)
    body = {**FIRING, "scheduled-time": iso_seconds(due)}
    said = {"ERROR_CODE": {"StringValue": "AccessDenied"}, "ERROR_MESSAGE": {"StringValue": "not allowed"}}
    other = {"MessageId": "1", "ReceiptHandle": "1", "Body": "{}"}
    letter = {"MessageId": "2", "ReceiptHandle": "2", "Body": json.dumps(body), "MessageAttributes": said}
    letters = [{"Messages": [other, letter]}, {}]
    found, aws = look(
        {
            "list_schedules": schedules(),
            "describe_execution": UNKNOWN,
            "receive_message": lambda **_: letters.pop(0),
            "change_message_visibility_batch": {},
        }
    )
    assert [(one.job, one.fires_at, one.reason) for one in found.missed] == [
        ("nightly", due, "could not be delivered: AccessDenied: not allowed")
    ]
    assert found.fired == {"nightly": 0, "report": 0}
    wanted = run_id_of("nightly", f"{body['label']} {iso_seconds(due)}")
    assert aws.asked("describe_execution")[0]["executionArn"].endswith(f":sales-prod_nightly:{wanted}")


def test_a_run_that_no_listing_shows_yet_is_asked_for():
    found, _ = look({"list_schedules": schedules(), "describe_execution": {"status": "RUNNING"}})
    assert (found.missed, found.fired["nightly"]) == ([], 1)


def test_a_dispatcher_that_failed_says_why():
    due = NOW.replace(hour=5)
    detail = {
        "stateMachineArn": site(Scripted()).names.dispatcher_arn,
        "input": json.dumps({**FIRING, "scheduled-time": iso_seconds(due)}),
        "error": "States.TaskFailed",
        "cause": "no such machine",
    }
    body = {"detail-type": "Step Functions Execution Status Change", "detail": detail}
    letters = [{"Messages": [{"MessageId": "1", "ReceiptHandle": "1", "Body": json.dumps(body)}]}, {}]
    found, _ = look(
        {
            "list_schedules": schedules(),
            "describe_execution": UNKNOWN,
            "receive_message": lambda **_: letters.pop(0),
            "change_message_visibility_batch": {},
        }
    )
    assert [one.reason for one in found.missed] == ["could not be delivered: States.TaskFailed: no such machine"]


def test_a_schedule_that_the_stack_has_made_and_that_is_gone_has_missed_its_firings():
    made = {"StackResourceDetail": {"LastUpdatedTimestamp": NOW - timedelta(hours=9)}}
    aws = Scripted(
        describe_stack_resource=lambda LogicalResourceId, **_: (
            made if "Nightly" in LogicalResourceId else (_ for _ in ()).throw(GONE)
        ),
        list_schedules=AwsError("no such group", code="ResourceNotFoundException"),
        list_executions=[],
        describe_execution=UNKNOWN,
        get_queue_url={"QueueUrl": "q"},
        receive_message={},
    )
    asked = site(aws)
    found = ledger.ledger(asked, Runs(asked), [], since=NOW - DAY, now=NOW)
    assert [(one.job, one.reason) for one in found.missed] == [("nightly", "its schedule is gone")]


def test_cloudwatch_is_asked_once_for_all_rules():
    def metrics(MetricDataQueries, **_):
        names = [query["MetricStat"]["Metric"]["MetricName"] for query in MetricDataQueries]
        assert names == ["TriggeredRules", "FailedInvocations"]
        return [{"Id": "m0", "Values": [3.0, 4.0]}, {"Id": "m1", "Values": []}, {"Id": "m0", "Values": [1.0]}]

    aws = Scripted(get_metric_data=metrics)
    known = ledger.Ledger()
    known.fired.update(nightly=1, report=24)
    assert counts.counts(site(aws), known, since=NOW - DAY, now=NOW) == (
        TriggerCount(job="nightly", trigger="schedule", fired=1, missed=0),
        TriggerCount(job="nightly", trigger="event", fired=8, missed=0),
        TriggerCount(job="report", trigger="schedule", fired=24, missed=0),
    )
    assert len(aws.calls) == 1
