"""What a Task state calls: real requests in the state machine's role, named and answered as Step Functions does."""

import json

from botocore.exceptions import BotoCoreError, ClientError

from tests.standin import roles, shapes

# aws-sdk names of Step Functions -> botocore's, where they differ
_BOTO = {"sfn": "stepfunctions", "states": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs"}
# what the optimized integrations call themselves in error names
_OPTIMIZED = {
    "ecs": "ECS",
    "sqs": "SQS",
    "sns": "SNS",
    "events": "EventBridge",
    "states": "StepFunctions",
    "lambda": "Lambda",
}
_SDK_NAMES = {"sfn": "Sfn", "s3": "S3", "dynamodb": "DynamoDb", "cloudwatchlogs": "CloudWatchLogs", "ecs": "Ecs"}


class Failed(Exception):
    """A task's error and cause."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause


class Call:
    """One Task resource, e.g. `arn:aws:states:::ecs:runTask.sync` or `arn:aws:states:::aws-sdk:sfn:startExecution`."""

    def __init__(self, resource: str) -> None:
        parts = resource.split(":")
        self.sdk = parts[5] == "aws-sdk"
        self.service = parts[6 if self.sdk else 5]
        self.resource = ":".join(parts[7 if self.sdk else 6 :])
        self.action, _, self.pattern = self.resource.partition(".")
        # history: resourceType "ecs", resource "runTask.sync" (LocalStack's recording of test_ecs_task_service)
        self.resource_type = f"aws-sdk:{self.service}" if self.sdk else self.service

    @property
    def boto(self) -> str:
        return _BOTO.get(self.service, self.service)

    def submit(self, arguments: dict, region: str, keys: dict[str, str]) -> dict:
        """Make the call; its answer, or `Failed`."""
        client = roles.client(self.boto, region, keys)
        operation = client.meta.service_model.operation_model(self.action[0].upper() + self.action[1:])
        arguments = self._prepared(dict(arguments or {}))
        try:
            given = shapes.request(arguments, operation.input_shape)
            answer = client._make_api_call(operation.name, given)
        except (shapes.UnknownField, BotoCoreError) as error:
            raise Failed("States.Runtime", str(error)) from error
        except ClientError as error:
            raise self._failure(error) from error
        meta = answer.pop("ResponseMetadata", {})
        result = shapes.answer(answer, operation.output_shape, milliseconds=not self.sdk)
        self._judge(result)
        if not self.sdk:
            result["SdkHttpMetadata"] = {"HttpStatusCode": meta.get("HTTPStatusCode", 200)}
            result["SdkResponseMetadata"] = {"RequestId": meta.get("RequestId", "")}
        return result

    def _prepared(self, arguments: dict) -> dict:
        """Optimized integrations take JSON where the API wants text (Developer Guide, one page each)."""
        text = {"sqs": "MessageBody", "sns": "Message", "states": "Input"}.get(self.service)
        if self.sdk:
            if self.service == "s3" and not isinstance(arguments.get("Body", ""), str):
                arguments["Body"] = json.dumps(arguments["Body"])
            return arguments
        if text in arguments and not isinstance(arguments[text], str):
            arguments[text] = json.dumps(arguments[text], separators=(",", ":"))
        if self.service == "states":
            arguments.setdefault("Input", "{}")
        if self.service == "events":
            arguments["Entries"] = [
                {
                    **entry,
                    "Detail": entry["Detail"] if isinstance(entry["Detail"], str) else json.dumps(entry["Detail"]),
                }
                for entry in arguments.get("Entries", [])
            ]
        if self.service == "ecs" and self.pattern == "sync":
            arguments["StartedBy"] = "AWS Step Functions"
        return arguments

    def _failure(self, error: ClientError) -> Failed:
        """LocalStack's `_normalise_exception_name`: SDK errors end in Exception; unmodelled ones bear the service's name."""
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        meta = error.response["ResponseMetadata"]
        code = code.rsplit("#", 1)[-1].rsplit(".", 1)[-1]
        if self.sdk:
            service = _SDK_NAMES.get(self.service, self.service.capitalize())
            kind = type(error).__name__
            code = service if kind == "ClientError" else kind
            note = f"Service: {service}, Status Code: {meta['HTTPStatusCode']}, Request ID: {meta.get('RequestId', '')}"
        else:
            service = _OPTIMIZED.get(self.service, self.service.upper())
            note = f"Service: {service}; Status Code: {meta['HTTPStatusCode']}; Error Code: {code}"
        name = f"{service}.{code}" + ("" if code.endswith("Exception") else "Exception")
        return Failed(name, f"{message} ({note})")

    def _judge(self, result: dict) -> None:
        """Non-empty failures fail a `.sync` RunTask as AmazonECS.Unknown, and putEvents as EventBridge.FailedEntry."""
        if self.service == "ecs" and self.pattern == "sync" and result.get("Failures"):
            raise Failed("AmazonECS.Unknown", json.dumps(result["Failures"]))
        if self.service == "events" and not self.sdk and result.get("FailedEntryCount"):
            raise Failed("EventBridge.FailedEntry", json.dumps(result))

    # .sync: the thing that was started, watched until it has ended

    def poll(self, submitted: dict, region: str, keys: dict[str, str]):
        """The result when there is one; None while it goes on."""
        if self.service == "ecs":
            return self._poll_task(submitted, region, keys)
        return self._poll_execution(submitted, region, keys)

    def _poll_task(self, submitted, region, keys):
        client = roles.client("ecs", region, keys)
        task = submitted["Tasks"][0]
        try:
            found = client.describe_tasks(cluster=task["ClusterArn"], tasks=[task["TaskArn"]])["tasks"]
        except ClientError as error:
            raise self._failure(error) from error
        if not found or found[0]["lastStatus"] != "STOPPED":
            return None
        shape = client.meta.service_model.shape_for("Task")
        result = shapes.answer(found[0], shape, milliseconds=True)
        exits = [container.get("ExitCode") for container in result["Containers"]]
        if result["StopCode"] == "TaskFailedToStart" or any(code != 0 for code in exits):
            raise Failed("States.TaskFailed", json.dumps(result, separators=(",", ":")))
        return result

    def _poll_execution(self, submitted, region, keys):
        client = roles.client("stepfunctions", region, keys)
        found = client.describe_execution(executionArn=submitted["ExecutionArn"])
        if found["status"] == "RUNNING":
            return None
        found.pop("ResponseMetadata", None)
        shape = client.meta.service_model.shape_for("DescribeExecutionOutput")
        result = shapes.answer(found, shape, milliseconds=True)
        if self.pattern == "sync:2":
            for part in ("Input", "Output"):
                result[part] = json.loads(result.get(part) or "null")
        if found["status"] != "SUCCEEDED":
            raise Failed("States.TaskFailed", json.dumps(result))
        return result

    def stop(self, submitted: dict, region: str, keys: dict[str, str]) -> None:
        """Step Functions stops what it waits for when the state times out or the execution ends (best effort)."""
        try:
            if self.service == "ecs":
                task = submitted["Tasks"][0]
                roles.client("ecs", region, keys).stop_task(
                    cluster=task["ClusterArn"], task=task["TaskArn"], reason="Stopped by AWS Step Functions"
                )
            else:
                roles.client("stepfunctions", region, keys).stop_execution(executionArn=submitted["ExecutionArn"])
        except ClientError as error:
            print(f"not stopped: {error}", flush=True)
