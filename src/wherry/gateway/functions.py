"""Lambda: calling the function of a job with an `invoke` trigger, by the API or by its URL.

Sources: AWS Lambda API Reference, Invoke; Lambda Developer Guide, "Invoking Lambda function URLs". What a call means is
in `aws/function.py`, which does the same on AWS.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from wherry import announcements, causes
from wherry.gateway.context import Call
from wherry.gateway.elsewhere import not_implemented
from wherry.gateway.errors import AwsError
from wherry.gateway.http import Response
from wherry.gateway.text import decoded
from wherry.model import LOCAL_ACCOUNT, InvokeTrigger, Job, Run

#: What an execution of Step Functions takes as its input, in bytes: no more reaches a run on AWS.
LARGEST_PAYLOAD = 262_144

_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations/?")
_URL = re.compile(r"/lambda-url/([^/]+)/?")
#: NAME, NAME:QUALIFIER, ACCOUNT:function:NAME or a whole ARN (Invoke, FunctionName).
_NAME = re.compile(r"(?:.*:?function:)?([A-Za-z0-9_-]+)(?::(\$LATEST))?")
#: X-Amz-Invocation-Type -> the status of an answer.
_STATUSES = {"RequestResponse": 200, "Event": 202, "DryRun": 204}


def handle(call: Call) -> Response:
    """Invoke, and requests to function URLs; anything else is not here."""
    request = call.request
    path = decoded(request.path)
    if request.method == "POST" and (named := _INVOKE.fullmatch(path)):
        return _invoke(call, named[1])
    if named := _URL.fullmatch(path):
        return _url(call, named[1])
    raise not_implemented("lambda", f"{request.method} {request.path}")


def _invoke(call: Call, name: str) -> Response:
    kind = call.request.headers.get("x-amz-invocation-type", "RequestResponse")
    if kind not in _STATUSES:
        raise AwsError("InvalidParameterValueException", f"there is no invocation type `{kind}`")
    job = _function(call, name)
    headers = [("X-Amz-Executed-Version", "$LATEST")]
    if kind == "DryRun":
        return _answer(call, _STATUSES[kind])
    payload = _payload(call)
    try:
        described = _start(call, job, payload)
    except ValueError as error:
        if kind == "Event":  # on AWS nobody would ever tell the caller
            raise AwsError("InvalidRequestContentException", str(error)) from None
        failed = {"errorMessage": str(error), "errorType": "ValueError", "requestId": call.request_id}
        return _answer(call, 200, failed, [*headers, ("X-Amz-Function-Error", "Unhandled")])
    if kind == "Event":
        return _answer(call, _STATUSES[kind])
    return _answer(call, _STATUSES[kind], described, headers)


def _url(call: Call, name: str) -> Response:
    job = _function(call, name)
    if not any(isinstance(trigger, InvokeTrigger) and trigger.url for trigger in job.triggers):
        raise AwsError("ResourceNotFoundException", f"`{job.name}` has no URL: write `- invoke: {{url: true}}`", 404)
    if call.request.method != "POST":
        return _answer(call, 405, {"message": "a run is started by POST"})
    try:
        return _answer(call, 200, _start(call, job, _payload(call)))
    except ValueError as error:
        return _answer(call, 400, {"message": str(error)})


def _function(call: Call, name: str) -> Job:
    """The job that a name means, when the caller may invoke it; raises AwsError."""
    found = _NAME.fullmatch(name)
    job = call.services.function(found[1]) if found else None
    if job is None:
        raise AwsError(
            "ResourceNotFoundException",
            f"there is no function `{name}`: a job that is invoked has `- invoke: {{}}` under its `on`",
            404,
        )
    instead = "let that job run `after` this one, or put an event on the bus"
    call.services.guard.is_owner(call.caller, f"invoke `{job.name}`", instead)
    return job


def _payload(call: Call) -> Any:
    if len(call.body) > LARGEST_PAYLOAD:
        said = f"the payload has {len(call.body):,} bytes, and a run on AWS takes {LARGEST_PAYLOAD:,} at most"
        raise AwsError("RequestTooLargeException", said, 413)
    try:
        payload = json.loads(call.body or b"{}", parse_constant=_refuse)
        json.dumps(payload, ensure_ascii=False).encode()  # a half of a surrogate pair is no text
    except (ValueError, RecursionError):
        raise AwsError("InvalidRequestContentException", "Could not parse request body into json.") from None
    return payload


def _refuse(constant: str) -> None:
    """Python's parser takes NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def _start(call: Call, job: Job, payload: Any) -> dict[str, Any]:
    """Start the run; raises ValueError for a payload that no event can be made of."""
    services = call.services
    event = announcements.invocation(
        payload,
        request_id=str(uuid.uuid4()),
        resource=f"arn:aws:lambda:{services.region}:{LOCAL_ACCOUNT}:function:{job.name}",
        region=services.region,
        now=services.clock(),
    )
    return _described(services.start_run(job.name, causes.cause_of_call(event), event))


def _described(run: Run) -> dict[str, Any]:
    """What the caller is told of a run. There is no task here, and no execution."""
    return {
        "id": run.id,
        "job": run.job,
        "status": run.status.value,
        "trigger": run.trigger,
        "cause": run.cause,
        "execution": None,
        "task": None,
    }


def _answer(
    call: Call, status: int, value: dict[str, Any] | None = None, headers: Sequence[tuple[str, str]] = ()
) -> Response:
    body = b"" if value is None else json.dumps(value, ensure_ascii=False).encode()
    told = [("Content-Type", "application/json"), ("x-amzn-RequestId", call.request_id), *headers]
    return Response(status=status, headers=told, body=body)
