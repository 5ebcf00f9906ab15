"""Histories of executions in the shape in which AWS recorded them (LocalStack's `test_ecs_task_service` snapshots)."""

import json
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 5, 0, 0, tzinfo=UTC)
ARN = "arn:aws:ecs:eu-central-1:123456789012:task/sales-prod/0123456789abcdef0123456789abcde{}"
DEFINITION = "arn:aws:ecs:eu-central-1:123456789012:task-definition/sales-prod-nightly:3"
ABOUT = {"resourceType": "ecs", "resource": "runTask.sync"}


def ms(seconds: float) -> int:
    return int((START.timestamp() + seconds) * 1000)


def container(name="main", code=0, **more):
    known = {} if code is None else {"ExitCode": code}
    return {"Name": name, "LastStatus": "STOPPED", "Image": "nightly", "Cpu": "0", "GpuIds": [], **known, **more}


def task(number=1, *containers, started=10.0, stopped=20.0, stop_code="EssentialContainerExited", **more):
    times = {"CreatedAt": ms(1), "StartedAt": started and ms(started), "StoppedAt": ms(stopped)}
    return {
        "TaskArn": ARN.format(number),
        "TaskDefinitionArn": DEFINITION,
        "LastStatus": "STOPPED",
        "DesiredStatus": "STOPPED",
        "StopCode": stop_code,
        "StoppedReason": "Essential container in task exited",
        "StartedBy": "AWS Step Functions",
        "Containers": list(containers or [container()]),
        **{name: value for name, value in times.items() if value},
        **more,
    }


class Book:
    """Writes a history, an event after the other, a second apart unless told."""

    def __init__(self, document=None, **given):
        self.events = []
        self.now = 0.0
        event = {"version": "0", "id": "e1", "source": "shop", "detail-type": "order placed", "detail": {"order": 7}}
        known = {"job": "nightly", "trigger": "event", "cause": "event:e1", "event": event, **given}
        self.add("ExecutionStarted", input=json.dumps(known if document is None else document), roleArn="arn:...")

    def add(self, kind, *, at=None, **details):
        self.now = self.now if at is None else at
        named = "state" + ("Entered" if kind.endswith("Entered") else "Exited")
        key = named if "State" in kind else kind[0].lower() + kind[1:]
        self.events.append(
            {
                "id": len(self.events) + 1,
                "previousEventId": len(self.events),
                "timestamp": START + timedelta(seconds=self.now),
                "type": kind,
                f"{key}EventDetails": details,
            }
        )
        self.now += 1
        return self

    def enter(self, name, kind="Task"):
        return self.add(f"{kind}StateEntered", name=name, input="{}", inputDetails={"truncated": False})

    def leave(self, name, kind="Task"):
        return self.add(f"{kind}StateExited", name=name, output="{}", outputDetails={"truncated": False})

    def admitted(self):
        """Through a task of its own: `Admit` lists executions."""
        about = {"resourceType": "aws-sdk:sfn", "resource": "listExecutions"}
        self.enter("Admit").add("TaskScheduled", **about, region="eu-central-1", parameters="{}")
        self.add("TaskStarted", **about).add("TaskSucceeded", **about, output='{"Executions": []}')
        return self.leave("Admit")

    def scheduled(self, *overrides, timeout=None):
        default = {
            "Name": "main",
            "Command": ["./etl.sh", "--day", "1"],
            "Environment": [{"Name": "DAY", "Value": "1"}, {"Name": "WHERRY_RUN_ID", "Value": "abc"}],
        }
        parameters = {
            "Cluster": "sales-prod",
            "TaskDefinition": DEFINITION,
            "Overrides": {"ContainerOverrides": list(overrides or [default])},
        }
        bound = {} if timeout is None else {"timeoutInSeconds": timeout}
        self.enter("Run")
        return self.add("TaskScheduled", **ABOUT, region="eu-central-1", parameters=json.dumps(parameters), **bound)

    def submitted(self, number=1):
        made = {"TaskArn": ARN.format(number), "TaskDefinitionArn": DEFINITION, "LastStatus": "PROVISIONING"}
        output = {"Failures": [], "Tasks": [made], "SdkHttpMetadata": {}, "SdkResponseMetadata": {}}
        self.add("TaskStarted", **ABOUT)
        return self.add("TaskSubmitted", **ABOUT, output=json.dumps(output), outputDetails={"truncated": False})

    def succeeded(self, described):
        return self.add("TaskSucceeded", **ABOUT, output=json.dumps(described)).leave("Run")

    def failed(self, cause, error="States.TaskFailed", at=None):
        text = cause if isinstance(cause, str) else json.dumps(cause)
        return self.add("TaskFailed", at=at, **ABOUT, error=error, cause=text).leave("Run")

    def backoff(self, wait=None):
        self.enter("Decide", "Choice").leave("Decide", "Choice")
        if wait is not None:
            self.events[-1]["stateExitedEventDetails"]["assignedVariables"] = {"wait": str(wait)}
        return self.enter("Backoff", "Wait")

    def end(self, status="succeeded", reason="", attempts=1, code=0):
        output = {"status": status, "reason": reason, "attempts": attempts, "exit-code": code}
        return self.add("ExecutionSucceeded", output=json.dumps(output), outputDetails={"truncated": False})

    def fail(self, error="Failed", reason="", attempts=1, code=None):
        cause = json.dumps({"reason": reason, "attempts": attempts, "exit-code": code})
        return self.add("ExecutionFailed", error=error, cause=cause)
