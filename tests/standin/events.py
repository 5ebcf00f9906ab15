"""EventBridge and Scheduler deliver in the role, or by the policy, that they were given; what fails goes to the dead letters.

MiniStack delivers whatever the role says, knows no dead letters, ticks every 10 s, in UTC, and does not fill in
Scheduler's context attributes. Sources: schedules.md, sqs-s3-events.md, iam.md sections 5 and 7.
"""

import contextvars
import functools
import json
import re
import threading
import time
import types
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from botocore.exceptions import ClientError
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudwatch, ecs, eventbridge, scheduler, sqs

from tests.standin import roles

_target: contextvars.ContextVar[tuple] = contextvars.ContextVar("target")


class Undelivered(Exception):
    """The error code and message of a dead letter."""


def install() -> None:
    theirs = eventbridge._invoke_target
    to_queue, to_topic = eventbridge._dispatch_to_sqs, eventbridge._dispatch_to_sns

    def invoke(target, event, rule, view=None):
        """Off the server's loop, since delivering is a request to the server."""

        # one target a rule, as wherry has them: what matched is what is delivered (EventBridge User Guide, "Monitoring")
        for metric in ("TriggeredRules", "Invocations"):
            _count(rule, metric)

        def deliver():
            _target.set((target, rule, event, view))
            theirs(target, event, rule, view)

        threading.Thread(target=contextvars.copy_context().run, args=(deliver,), daemon=True).start()

    def machine(arn, payload):
        target, rule, event, view = _target.get()
        try:
            _start(arn, payload, target.get("RoleArn", ""), "events.amazonaws.com", rule["Arn"])
        except Undelivered as error:
            body = json.dumps((view or eventbridge._pattern_event_view(event)).event_with_detail())
            _bury_of_rule(target, rule, body, error)

    def queue(spec, payload, parameters=None):
        target, rule, *_ = _target.get()
        if _queue_lets("events.amazonaws.com", str(spec), rule["Arn"]):
            to_queue(spec, payload, parameters)
        else:
            _bury_of_rule(target, rule, payload, Undelivered("NO_PERMISSIONS", f"sqs:SendMessage on {spec}"))

    # events are UTF-8; MiniStack's escapes would make large ones larger than an execution's input may be
    eventbridge.json = types.SimpleNamespace(
        **{**vars(json), "dumps": functools.partial(json.dumps, ensure_ascii=False)}
    )
    eventbridge._invoke_target = invoke
    eventbridge._dispatch_to_stepfunctions, eventbridge._dispatch_to_sqs = machine, queue
    eventbridge._dispatch_to_sns = to_topic
    scheduler._SCHEDULE_TICK_INTERVAL = 0.5
    scheduler._tick_schedules = tick


def current() -> tuple:
    """What is being delivered just now: the target, the rule, the event, its view."""
    return _target.get()


def _start(arn: str, payload: str, role: str, service: str, source: str) -> None:
    """StartExecution in the target's role; the execution's name is the service's own choice."""
    try:
        keys = roles.credentials(role, service, uuid.uuid4().hex, source)
        roles.client("stepfunctions", get_region(), keys).start_execution(stateMachineArn=arn, input=payload)
    except (roles.NotAssumed, IndexError) as error:
        raise Undelivered("NO_PERMISSIONS", f"the role cannot be assumed: {error}") from error
    except ClientError as error:
        raise Undelivered(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error


def _queue_lets(service: str, arn: str, source: str) -> bool:
    queue = sqs._queue_by_arn(arn)
    policy = queue and queue["attributes"].get("Policy")
    return bool(policy) and roles.service_may(policy, service, "sqs:SendMessage", arn, get_account_id(), source)


def _count(rule, metric: str) -> None:
    """A rule on the default bus is known by its name alone, another one by its bus, too."""
    bus = {} if rule["EventBusName"] == "default" else {"EventBusName": rule["EventBusName"]}
    cloudwatch.record_metric("AWS/Events", metric, 1, "Count", {**bus, "RuleName": rule["Name"]})


def _bury_of_rule(target, rule, body: str, error: Undelivered) -> None:
    """A rule's dead letter: the event, and why in message attributes; the queue's policy must allow it (eb-rule-dlq)."""
    _count(rule, "FailedInvocations")
    arn = (target.get("DeadLetterConfig") or {}).get("Arn")
    print(f"undelivered to {target['Arn']}: {error}", flush=True)
    if arn and _queue_lets("events.amazonaws.com", arn, rule["Arn"]):
        about = {"RULE_ARN": rule["Arn"], "TARGET_ARN": target["Arn"]}
        _send(arn, body, {**about, "ERROR_CODE": error.args[0], "ERROR_MESSAGE": error.args[1]}, None)


def _send(arn: str, body: str, about: dict[str, str], keys) -> None:
    account, name = arn.split(":")[-2:]
    admin = {"AccessKeyId": account, "SecretAccessKey": "test", "Token": None}
    client = roles.client("sqs", arn.split(":")[3], keys or admin)
    attributes = {key: {"DataType": "String", "StringValue": value} for key, value in about.items()}
    url = client.get_queue_url(QueueName=name)["QueueUrl"] if keys is None else _url(arn)
    client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)


def _url(arn: str) -> str:
    return sqs._queue_by_arn(arn)["url"]


# Scheduler


def tick() -> None:
    """Fire what is due: in the schedule's own time zone, once for each time, none from before the schedule was made."""
    now = time.time()
    for (account, region, key), schedule in list(scheduler._schedules._data.items()):
        if schedule.get("State") != "ENABLED" or not _within(schedule, now):
            continue
        last = scheduler._schedule_last_fired.setdefault((account, region, key), schedule["CreationDate"])
        due = next_after(schedule, last)
        if due is None or due > now:
            continue
        scheduler._schedule_last_fired[account, region, key] = due
        with request_scope(account, region):
            deliver(schedule, due)
        if schedule["ScheduleExpression"].startswith("at(") and schedule.get("ActionAfterCompletion") == "DELETE":
            scheduler._schedules._data.pop((account, region, key), None)


def _within(schedule, now: float) -> bool:
    start, end = scheduler._to_epoch(schedule.get("StartDate")), scheduler._to_epoch(schedule.get("EndDate"))
    return (start is None or now >= start) and (end is None or now <= end)


def next_after(schedule, last: float) -> float | None:
    expression, zone = schedule["ScheduleExpression"], ZoneInfo(schedule.get("ScheduleExpressionTimezone") or "UTC")
    if expression.startswith("at("):
        moment = datetime.fromisoformat(expression[3:-1]).replace(tzinfo=zone).timestamp()
        return moment if moment > last else None
    seconds = eventbridge._parse_rate_seconds(expression)
    if seconds is not None:
        return last + seconds
    # MiniStack's cron reckons in one zone without jumps: give it the wall clock
    wall = datetime.fromtimestamp(last, zone).replace(tzinfo=UTC)
    found = eventbridge._cron_next_fire(eventbridge._parse_cron_fields(expression), wall)
    return found and found.replace(tzinfo=zone).timestamp()


def deliver(schedule, due: float) -> None:
    """One invocation: context attributes filled in, the role asked, the dead-letter queue used in the same role."""
    target = schedule["Target"]
    known = {
        "scheduled-time": datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": str(uuid.uuid4()),
        "attempt-number": "1",
        "schedule-arn": schedule["Arn"],
    }
    given = re.sub(r"<aws\.scheduler\.([a-z-]+)>", lambda m: known.get(m[1], m[0]), target.get("Input", "{}"))
    group = scheduler._group_arn(schedule["GroupName"])
    try:
        if ":states:" in target["Arn"]:
            _start(target["Arn"], given, target["RoleArn"], "scheduler.amazonaws.com", group)
        elif ":sqs:" in target["Arn"]:
            keys = roles.credentials(target["RoleArn"], "scheduler.amazonaws.com", "scheduler", group)
            _send(target["Arn"], given, {}, keys)
        else:
            raise Undelivered(
                "UNSUPPORTED", f"the stand-in's schedules start machines and send messages, not {target['Arn']}"
            )
    except (Undelivered, roles.NotAssumed, ClientError) as error:
        print(f"undelivered to {target['Arn']}: {error}", flush=True)
        _bury_of_schedule(schedule, target, given, group, error)


def _bury_of_schedule(schedule, target, given: str, group: str, error: Exception) -> None:
    arn = (target.get("DeadLetterConfig") or {}).get("Arn")
    if not arn:
        return
    code, message = error.args if len(error.args) == 2 else (type(error).__name__, str(error))
    about = {"ERROR_CODE": str(code), "ERROR_MESSAGE": str(message), "SCHEDULE_ARN": schedule["Arn"]}
    try:
        keys = roles.credentials(target["RoleArn"], "scheduler.amazonaws.com", "scheduler", group)
        _send(arn, given, {**about, "TARGET_ARN": target["Arn"]}, keys)
    except (roles.NotAssumed, ClientError) as lost:
        print(f"the dead letter is lost: {lost}", flush=True)


def age(*, account: str, region: str, hours: float) -> bool:
    """For tests: all schedules and tasks were made so much earlier."""
    with request_scope(account, region):
        for key, schedule in scheduler._schedules.items():
            scheduler._schedule_last_fired[account, region, key] = time.time()  # what is older now has fired
            schedule["CreationDate"] -= hours * 3600
            schedule["LastModificationDate"] -= hours * 3600
        for task in ecs._tasks.values():
            made = datetime.fromisoformat(task["createdAt"]) if isinstance(task["createdAt"], str) else None
            task["createdAt"] = (
                task["createdAt"] - hours * 3600 if made is None else (made - timedelta(hours=hours)).isoformat()
            )
    return True


def fire(*, account: str, region: str, group: str, name: str, at: str | None) -> bool:
    """For tests: have a schedule's time come now, or as if it were `at`."""
    schedule = scheduler._schedules.get_scoped(account, region, f"{group}/{name}")
    if schedule is None:
        return False
    due = datetime.fromisoformat(at).timestamp() if at else time.time()
    with request_scope(account, region):
        deliver(schedule, due)
    return True
