"""The function of a job with an `invoke` trigger: its code, its logs, its role, and its URL. Pure.

It starts the job's machine itself instead of the dispatcher, because its caller wants to be told of the run.
Sources: AWS::Lambda::Function and AWS::Lambda::Url in the CloudFormation Template Reference; Lambda Developer Guide,
"Defining Lambda function permissions with an execution role", "Control access to Lambda function URLs".
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from wherry.aws import policy
from wherry.aws.names import Names
from wherry.aws.policy import arn
from wherry.aws.storage import Resource, resource
from wherry.model import InvokeTrigger, Job

_RUNTIME = "python3.13"
#: What boto3 needs to be there within a second; a processor comes with it in proportion.
_MEGABYTES = 256
#: More than the function waits for a task, in seconds.
_SECONDS = 30


def function(job: Job, trigger: InvokeTrigger, names: Names, job_id: str, days: int) -> dict[str, Resource]:
    """The resources; `job_id` begins their logical ids, `days` is how long the function's own log is kept."""
    machine = names.machine(job.name)
    statements = [
        policy.allow(["states:StartExecution"], arn("states", f"stateMachine:{machine}")),
        policy.allow(["states:GetExecutionHistory"], arn("states", f"execution:{machine}:*")),
        policy.allow(
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            arn("logs", f"log-group:{names.function_log_group(job.name)}:*"),
        ),
        policy.allow(["sqs:SendMessage"], {"Fn::GetAtt": ["DeadLetters", "Arn"]}),
    ]
    found = {
        f"{job_id}FunctionLogs": resource(
            f"job {job.name}: its function's log",
            "AWS::Logs::LogGroup",
            {"LogGroupName": names.function_log_group(job.name), "RetentionInDays": days},
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        ),
        f"{job_id}FunctionRole": policy.role(
            f"job {job.name}: what its function may do", "lambda.amazonaws.com", None, statements
        ),
        f"{job_id}Function": resource(
            f"job {job.name}: its function, which starts a run and tells of it",
            "AWS::Lambda::Function",
            {
                "FunctionName": names.function(job.name),
                "Runtime": _RUNTIME,
                "Handler": "index.handler",
                "Role": {"Fn::GetAtt": [f"{job_id}FunctionRole", "Arn"]},
                "MemorySize": _MEGABYTES,
                "Timeout": _SECONDS,
                "Environment": {"Variables": {"JOB": job.name, "MACHINE": {"Ref": f"{job_id}Machine"}}},
                "LoggingConfig": {"LogGroup": {"Ref": f"{job_id}FunctionLogs"}},
                # calls that nobody waits for, when Lambda has tried them for the last time
                "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
                "Code": {"ZipFile": code()},
            },
        ),
    }
    if trigger.url:
        found[f"{job_id}FunctionUrl"] = resource(
            f"job {job.name}: its function's URL, for signed requests",
            "AWS::Lambda::Url",
            {"TargetFunctionArn": {"Fn::GetAtt": [f"{job_id}Function", "Arn"]}, "AuthType": "AWS_IAM"},
        )
    return found


def code() -> Any:
    """The function's code: the module `function`, as it stands."""
    return resources.files("wherry.aws").joinpath("function.py").read_text(encoding="utf-8")
