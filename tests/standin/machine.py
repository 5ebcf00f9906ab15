"""Step Functions' STANDARD workflows in JSONata: states, time-outs, stops, histories.

MiniStack's interpreter knows no TIMED_OUT, stops nothing, writes few history events and asks no IAM; this one walks
the states instead and keeps MiniStack's records, its JSONata engine, and its Parallel and Map. JSONPath machines stay
with MiniStack's. Sources: stepfunctions-ecs.md; LocalStack's recorded histories; the Amazon States Language.
"""

import contextvars
import copy
import json
import random
import re
import threading
import time
from datetime import UTC, datetime

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, now_iso
from ministack.services import stepfunctions as sfn

from tests.standin import expressions, roles
from tests.standin.integrations import Call, Failed

_MAXIMUM = 262_144
_POLL = 0.1
_NO_NAME = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")
_running: dict[str, "Execution"] = {}


class Ended(Exception):
    """Someone else ended the execution: a stop, or its own TimeoutSeconds."""


class Execution:
    """One walk through a state machine."""

    def __init__(self, record: dict) -> None:
        self.record = record
        self.stop = threading.Event()
        self.machine = sfn._state_machines[record["stateMachineArn"]]
        self.definition = json.loads(self.machine["definition"])
        self.variables: dict = {}
        self.region = get_region()
        self.context = {
            "Execution": {
                "Id": record["executionArn"],
                "Input": json.loads(record["input"]),
                "Name": record["name"],
                "RoleArn": self.machine["roleArn"],
                "StartTime": record["startDate"],
                "RedriveCount": record.get("redriveCount", 0),
            },
            "StateMachine": {"Id": self.machine["stateMachineArn"], "Name": self.machine["name"]},
            "State": {},
        }
        limit = self.definition.get("TimeoutSeconds")
        self.deadline = time.monotonic() + limit if limit else None
        self._keys: dict[str, str] = {}

    @property
    def keys(self) -> dict[str, str]:
        """The state machine's role (trust: states.amazonaws.com, SourceArn the machine's)."""
        if not self._keys:
            try:
                arn = self.machine["stateMachineArn"]
                self._keys = roles.credentials(
                    self.machine["roleArn"], "states.amazonaws.com", roles.session_name(), arn
                )
            except roles.NotAssumed as error:
                raise Failed("States.TaskFailed", str(error)) from error
        return self._keys

    # ends

    def walk(self) -> None:
        try:
            output = self._states()
            self.end("SUCCEEDED", {"output": output})
        except Failed as failure:
            self.end("FAILED", {"error": failure.error, "cause": failure.cause})
        except Ended:
            pass
        except Exception as error:
            self.end("FAILED", {"error": "StandIn.Bug", "cause": repr(error)})
            raise
        finally:
            _running.pop(self.record["executionArn"], None)

    def end(self, status: str, details: dict) -> bool:
        record = self.record
        if record["status"] != "RUNNING":
            return False
        if "output" in details:
            details = {"output": json.dumps(details["output"], ensure_ascii=False), "outputDetails": _whole()}
            record["output"] = details["output"]
        record |= {"error": details.get("error"), "cause": details.get("cause"), "stopDate": now_iso()}
        record["status"] = status
        word = {"TIMED_OUT": "TimedOut"}.get(status, status.capitalize())
        event = f"execution{word}EventDetails"
        self.note(f"Execution{word}", **{event: {k: v for k, v in details.items() if v is not None}})
        self.stop.set()
        sfn._emit_execution_status_event(record)
        return True

    def note(self, kind: str, **details) -> int:
        event = sfn._add_event(self.record, kind, details)
        event["previousEventId"] = event["id"] - 1
        return event["id"]

    def rest(self, seconds: float) -> None:
        """Sleep, unless the execution ends first."""
        until = time.monotonic() + seconds
        while True:
            self.check()
            left = until - time.monotonic()
            if left <= 0:
                return
            if self.deadline:
                left = min(left, self.deadline - time.monotonic())
            self.stop.wait(max(left, 0.001))

    def check(self) -> None:
        if self.deadline and time.monotonic() >= self.deadline:
            self.end("TIMED_OUT", {})
        if self.stop.is_set() or self.record["status"] != "RUNNING":
            raise Ended

    # states

    def _states(self):
        first = (self.definition["StartAt"], self.context["Execution"]["Input"], {})
        name, value, self.variables = self.record.get("_at", first)
        while name:
            self.check()
            self.record["_at"] = (name, value, self.variables)
            state = self.definition["States"][name]
            self.context["State"] = {"Name": name, "EnteredTime": now_iso(), "RetryCount": 0}
            kind = state["Type"]
            entered = {"name": name, "input": _text(value), "inputDetails": _whole()}
            self.entered = self.note(f"{kind}StateEntered", stateEnteredEventDetails=entered)
            if kind == "Fail":
                raise Failed(*(self._template(state, value, part, {}, kind=str) for part in ("Error", "Cause")))
            step = {"Pass": self._pass, "Succeed": self._pass, "Choice": self._choice, "Wait": self._wait}
            before = dict(self.variables)
            value, following = step.get(kind, self._work)(state, value)
            if len(_text(value).encode()) > _MAXIMUM:
                raise Failed(
                    "States.DataLimitExceeded",
                    f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service limit.",
                )
            left = {"name": name, "output": _text(value), "outputDetails": _whole()}
            changed = {k: _text(v) for k, v in self.variables.items() if k not in before or before[k] is not v}
            if changed:
                left |= {"assignedVariables": changed, "assignedVariablesDetails": _whole()}
            self.note(f"{kind}StateExited", stateExitedEventDetails=left)
            name = following
        return value

    def _pass(self, state, value):
        output = self._leave(state, value, {}, default=value)
        return output, None if state.get("End") or state["Type"] == "Succeed" else state["Next"]

    def _choice(self, state, value):
        """What the state assigns applies whichever rule matches (Developer Guide, "Choice workflow state")."""
        for number, rule in enumerate(state["Choices"]):
            if self._template(rule, value, "Condition", {}, kind=bool, where=f"Choices[{number}]/Condition"):
                both = {**state.get("Assign", {}), **rule.get("Assign", {})}
                return self._leave({**rule, "Assign": both}, value, {}, default=value), rule["Next"]
        if "Default" not in state:
            raise Failed(
                "States.NoChoiceMatched",
                f"Failed to transition out of the state '{self.context['State']['Name']}'. No choice rule matched.",
            )
        return self._leave(state, value, {}, default=value), state["Default"]

    def _wait(self, state, value):
        if "Seconds" in state:
            self.rest(max(0, self._template(state, value, "Seconds", {}, kind=int)))
        else:
            moment = datetime.fromisoformat(self._template(state, value, "Timestamp", {}, kind=str))
            self.rest((moment - datetime.now(UTC)).total_seconds())
        return self._leave(state, value, {}, default=value), state.get("Next")

    def _work(self, state, value):
        """A Task, or one of MiniStack's Parallel and Map, under Retry and Catch."""
        counts: dict[int, int] = {}
        while True:
            self.context["State"]["RetryCount"] = sum(counts.values())
            try:
                result = self._attempt(state, value)
                return self._leave(state, value, {"result": result}, default=result), state.get("Next")
            except Failed as failure:
                retrier = self._retrier(state, failure, counts)
                if retrier is not None:
                    self.rest(retrier)
                    continue
                for catcher in state.get("Catch", []):
                    if _matches(catcher["ErrorEquals"], failure.error):
                        seen = {"errorOutput": {"Error": failure.error, "Cause": failure.cause}}
                        output = self._leave(catcher, value, seen, default=seen["errorOutput"])
                        return output, catcher["Next"]
                raise

    def _retrier(self, state, failure, counts) -> float | None:
        for number, retrier in enumerate(state.get("Retry", [])):
            if not _matches(retrier["ErrorEquals"], failure.error):
                continue
            done = counts.get(number, 0)
            if done >= retrier.get("MaxAttempts", 3):
                return None
            counts[number] = done + 1
            pause = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** done
            pause = min(pause, retrier.get("MaxDelaySeconds", pause))
            return random.uniform(0, pause) if retrier.get("JitterStrategy") == "FULL" else pause
        return None

    def _attempt(self, state, value):
        if state["Type"] in ("Parallel", "Map"):
            return self._theirs(state, value)
        arguments = self._template(state, value, "Arguments", {}, default=value)
        seconds = self._template(state, value, "TimeoutSeconds", {}, kind=int, default=None)
        call = Call(state["Resource"])
        about = {"resourceType": call.resource_type, "resource": call.resource}
        shown = {"region": self.region, "parameters": _text(arguments)}
        if seconds is not None:
            shown["timeoutInSeconds"] = seconds
        self.note("TaskScheduled", taskScheduledEventDetails={**about, **shown})
        self.note("TaskStarted", taskStartedEventDetails=about)
        try:
            result = call.submit(arguments, self.region, self.keys)
            if call.pattern.startswith("sync"):
                submitted = {"output": _text(result), "outputDetails": _whole()}
                self.note("TaskSubmitted", taskSubmittedEventDetails={**about, **submitted})
                result = self._follow(call, result, seconds)
        except Failed as failure:
            kind = "TaskTimedOut" if failure.error == "States.Timeout" else "TaskFailed"
            details = {**about, "error": failure.error, "cause": failure.cause[:32_768]}
            self.note(kind, **{kind[0].lower() + kind[1:] + "EventDetails": details})
            raise
        succeeded = {**about, "output": _text(result), "outputDetails": _whole()}
        self.note("TaskSucceeded", taskSucceededEventDetails=succeeded)
        return result

    def _follow(self, call: Call, submitted, seconds):
        until = time.monotonic() + seconds if seconds is not None else float("inf")
        try:
            while True:
                result = call.poll(submitted, self.region, self.keys)
                if result is not None:
                    return result
                if time.monotonic() >= until:
                    call.stop(submitted, self.region, self.keys)
                    raise Failed("States.Timeout", "")
                self.rest(min(_POLL, max(until - time.monotonic(), 0.001)))
        except Ended:
            call.stop(submitted, self.region, self.keys)
            raise

    def _theirs(self, state, value):
        handler = {"Parallel": sfn._execute_parallel, "Map": sfn._execute_map}[state["Type"]]
        bare = {key: item for key, item in state.items() if key not in ("Output", "Assign", "Retry", "Catch")}
        context = {**self.context, "QueryLanguage": "JSONata", "variables": dict(self.variables)}
        try:
            return handler(bare, value, self.record, context)[0]
        except sfn._ExecutionError as error:
            raise Failed(error.error, error.cause) from error

    # fields

    def _leave(self, holder, value, seen, *, default):
        """A state's Output and Assign: both see the variables as they were on entering (ASL: Assign is parallel)."""
        output = self._template(holder, value, "Output", seen, default=default)
        assigned = self._template(holder, value, "Assign", seen, default={})
        if len(_text(assigned).encode()) > _MAXIMUM:  # Developer Guide, "Passing data between states with variables"
            name = self.context["State"]["Name"]
            raise Failed("States.DataLimitExceeded", f"The state '{name}' assigns more than 256 KiB.")
        self.variables = {**self.variables, **copy.deepcopy(assigned)}
        return output

    def _template(self, holder, value, field, seen, *, kind=None, default="", where=None):
        if field not in holder:
            return default
        known = {"input": value, "context": self.context, **seen}
        try:
            found = expressions.fill(holder[field], known, self.variables, where or field)
            if kind is not None and (not isinstance(found, kind) or (kind is int and isinstance(found, bool))):
                if kind is int and isinstance(found, float) and found.is_integer():
                    return int(found)
                raise expressions.NotEvaluated(
                    f"The JSONata expression '{holder[field]}' specified for the field '{field}' returned an "
                    f"unexpected result type. Expected '{expressions.word(kind)}', but was '{expressions.word(type(found))}'."
                )
        except expressions.NotEvaluated as error:
            name = self.context["State"]["Name"]
            cause = f"An error occurred while executing the state '{name}' (entered at the event id #{self.entered}). {error}"
            details = {
                "error": "States.QueryEvaluationError",
                "cause": cause,
                "location": where or field,
                "state": name,
            }
            self.note("EvaluationFailed", evaluationFailedEventDetails=details)
            raise Failed("States.QueryEvaluationError", cause) from error
        return found


def _matches(names: list[str], error: str) -> bool:
    """States.ALL: everything but DataLimitExceeded and Runtime; TaskFailed: everything but a time-out (and those)."""
    if error in names:
        return True
    if error in ("States.DataLimitExceeded", "States.Runtime"):
        return False
    return "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout")


def _text(value) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _whole() -> dict:
    return {"truncated": False}


# MiniStack's doors

_theirs = {name: getattr(sfn, name) for name in ("_run_execution", "_start_execution", "handle_request")}


def install() -> None:
    sfn._run_execution, sfn._start_execution, sfn._stop_execution = _run, _start, _stop
    sfn.handle_request = _handle


async def _handle(method, path, headers, body, query_params):
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    if operation == "ListExecutions" and _is_express(json.loads(body).get("stateMachineArn")):
        refused = error_response_json("StateMachineTypeNotSupported", "not supported by EXPRESS state machines", 400)
        return sfn._finalize_response(refused)
    if operation == "RedriveExecution":
        return sfn._finalize_response(_redrive(json.loads(body)))
    return await _theirs["handle_request"](method, path, headers, body, query_params)


def _is_express(arn: str | None) -> bool:
    """Their executions are in no list (API_ListExecutions)."""
    return sfn._state_machines.get(arn, {}).get("type") == "EXPRESS"


def _run(arn: str) -> None:
    """JSONata machines are walked here."""
    record = sfn._executions.get(arn)
    machine = record and sfn._state_machines.get(record["stateMachineArn"])
    if not machine or json.loads(machine["definition"]).get("QueryLanguage") != "JSONata":
        _theirs["_run_execution"](arn)
        return
    _running[arn] = Execution(record)
    _running[arn].walk()


def _start(data):
    """StartExecution: same name and input while it runs gives the first answer again; else it exists already (API)."""
    machine = data.get("stateMachineArn", "").split(":")[-1]
    arn = f"arn:aws:states:{get_region()}:{get_account_id()}:execution:{machine}:{data.get('name')}"
    given = data.get("input", "{}")
    try:
        json.loads(given)
    except ValueError as error:
        return error_response_json("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'", 400)
    if len(given.encode()) > _MAXIMUM:
        return error_response_json("InvalidExecutionInput", "Input exceeds the maximum of 262144 bytes", 400)
    if _NO_NAME.search(data.get("name", "")) or len(data.get("name", "")) > 80:
        return error_response_json("InvalidName", f"Invalid Name: '{data['name']}'", 400)
    before = sfn._executions.get(arn)
    if before and before["status"] == "RUNNING" and before["input"] == given:
        return json_response({"executionArn": arn, "startDate": before["startDate"]})
    if before:
        return error_response_json("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'", 400)
    return _theirs["_start_execution"](data)


def _stop(data):
    """StopExecution: ABORTED, and the task that was waited for is stopped (Developer Guide, .sync)."""
    record = sfn._executions.get(data.get("executionArn"))
    if record is None:
        return _unknown(data)
    walk = _running.get(record["executionArn"])
    if walk is None and record["status"] == "RUNNING":
        walk = Execution(record)
    if walk is not None:
        walk.end("ABORTED", {"error": data.get("error"), "cause": data.get("cause")})
    return json_response({"stopDate": record["stopDate"] or now_iso()})


def _redrive(data):
    """RedriveExecution: an unsuccessful execution goes on from the state that it ended in, with that state's input (API)."""
    record = sfn._executions.get(data.get("executionArn"))
    if record is None:
        return _unknown(data)
    if record["status"] not in ("FAILED", "TIMED_OUT", "ABORTED") or "_at" not in record:
        message = f"Execution {record['status']} and cannot be redriven"
        return error_response_json("ExecutionNotRedrivable", message, 400)
    record |= {"status": "RUNNING", "stopDate": None, "error": None, "cause": None, "output": None}
    record["redriveCount"] = record.get("redriveCount", 0) + 1
    walk = _running[record["executionArn"]] = Execution(record)
    walk.note("ExecutionRedriven", executionRedrivenEventDetails={"redriveCount": record["redriveCount"]})
    threading.Thread(target=contextvars.copy_context().run, args=(walk.walk,), daemon=True).start()
    return json_response({"redriveDate": now_iso()})


def _unknown(data):
    return error_response_json("ExecutionDoesNotExist", f"Execution Does Not Exist: '{data.get('executionArn')}'", 400)
