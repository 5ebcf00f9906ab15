"""Starts a run of a job and tells of it: the whole code of its function on AWS, deployed as it is.

A run's id follows from the call's id, so Lambda's own retries, which keep it, start nothing twice.
"""

import base64
import contextlib
import hashlib
import json
import os
import time
from datetime import UTC, datetime
from typing import Any

import boto3

JOB = os.environ["JOB"]
MACHINE = os.environ["MACHINE"]
#: So many seconds a caller waits to be told of the task; a run that waits for its turn has none yet.
PATIENCE = 10
ENDS = {"ExecutionFailed": "failed", "ExecutionTimedOut": "timed_out", "ExecutionAborted": "stopped"}

machines = boto3.client("stepfunctions")


def handler(payload: Any, context: Any) -> dict[str, Any]:
    """A call by the API is given the run; a request to the function's URL an answer in HTTP's terms."""
    if not (isinstance(payload, dict) and "http" in (payload.get("requestContext") or {})):
        return start(payload, context)
    if payload["requestContext"]["http"]["method"] != "POST":
        return answer(405, {"message": "a run is started by POST"})
    try:
        body = payload.get("body") or "{}"
        return answer(200, start(json.loads(base64.b64decode(body) if payload["isBase64Encoded"] else body), context))
    except ValueError as error:
        return answer(400, {"message": str(error)})


def answer(status: int, value: dict[str, Any]) -> dict[str, Any]:
    """What Lambda makes an HTTP response of."""
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(value)}


def start(payload: Any, context: Any) -> dict[str, Any]:
    """Start the run, or find it where it is there already; gives its description."""
    event = event_of(payload, context)
    cause = f"invoke:{event['id']}"
    run = hashlib.sha256(f"{JOB} {cause}".encode()).hexdigest()[:26]
    given = json.dumps({"job": JOB, "trigger": "invoke", "cause": cause, "event": event}, ensure_ascii=False)
    with contextlib.suppress(machines.exceptions.ExecutionAlreadyExists):
        machines.start_execution(stateMachineArn=MACHINE, name=run, input=given)
    execution = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{run}"
    status, task = look(execution)
    until = time.monotonic() + PATIENCE
    while status == "queued" and time.monotonic() < until:
        time.sleep(1)
        status, task = look(execution)
    known = {"id": run, "job": JOB, "status": status, "trigger": "invoke", "cause": cause}
    return {**known, "execution": execution, "task": task}


def event_of(payload: Any, context: Any) -> dict[str, Any]:
    """The run's event: its detail is the payload, or the payload is (a part of) an event."""
    given = {} if payload is None else payload
    if not isinstance(given, dict):
        raise ValueError("the payload must be a JSON object")
    if not given.keys() & {"source", "detail-type", "detail"}:
        given = {"detail": given}
    arn = context.invoked_function_arn
    texts = {
        "version": "0",
        "id": context.aws_request_id,
        "detail-type": "Invocation",
        "source": "wherry",
        "account": arn.split(":")[4],
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": arn.split(":")[3],
    }
    event = {**texts, "resources": [arn], "detail": {}, **given}
    if not isinstance(event["detail"], dict):
        raise ValueError("`detail` of an event must be a JSON object")
    for field in texts:
        if not isinstance(event[field], str) or not event[field]:
            raise ValueError(f"`{field}` of an event must be text")
    return event


def look(execution: str) -> tuple[str, dict[str, Any] | None]:
    """How a run stands, and its newest task as ECS has described it when it took it."""
    told: list[dict[str, Any]] = []
    with contextlib.suppress(machines.exceptions.ExecutionDoesNotExist):  # a moment old, and not yet known everywhere
        told = machines.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=100)["events"]
    submitted = [event["taskSubmittedEventDetails"] for event in told if event["type"] == "TaskSubmitted"]
    tasks = json.loads(submitted[0]["output"])["Tasks"] if submitted else []
    task = as_of_ecs(tasks[0]) if tasks else None
    last: dict[str, Any] = told[0] if told else {"type": ""}
    if last["type"] == "ExecutionSucceeded":
        return json.loads(last["executionSucceededEventDetails"]["output"])["status"], task
    return ENDS.get(last["type"], "starting" if task else "queued"), task


def as_of_ecs(value: Any) -> Any:
    """Step Functions begins names with a capital, ECS itself does not."""
    if isinstance(value, dict):
        return {f"{name[:1].lower()}{name[1:]}": as_of_ecs(each) for name, each in value.items()}
    return [as_of_ecs(each) for each in value] if isinstance(value, list) else value
