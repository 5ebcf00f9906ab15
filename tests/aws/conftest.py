import json
import os
import subprocess

import pytest

from tests.conftest import BIN
from tests.standin import fixture

standin = fixture.standin
account = fixture.account


class Cloud:
    """A project and an account on the stand-in: the command line, and what AWS has of it."""

    def __init__(self, project, account) -> None:
        self.project, self.account = project, account

    def wherry(self, *arguments, **more):
        return self.project.wherry(*arguments, env=self.account.environment, **more)

    def begin(self, *arguments):
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            [f"{BIN}/wherry", *arguments],
            cwd=self.project.folder,
            env={**os.environ, **self.account.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def aws(self, *arguments):
        """The AWS CLI, which nobody here has written."""
        return subprocess.run(
            [f"{BIN}/aws", *arguments, "--output", "json"],
            env={**os.environ, **self.account.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    def client(self, service):
        return self.account.client(service)

    def plan(self) -> dict:
        return json.loads(self.wherry("plan", "--json").stdout)

    def stacks(self) -> dict[str, str]:
        found = self.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack["StackStatus"] for stack in found}

    def secret(self, name: str) -> None:
        self.client("secretsmanager").create_secret(Name=name, SecretString="x")

    def leftovers(self) -> list[str]:
        return leftovers(self.account)


def leftovers(account) -> list[str]:
    """Everything in an account that a deployment could have made."""
    found = []
    for service, operation, key, name in (
        ("cloudformation", "describe_stacks", "Stacks", "StackName"),
        ("s3", "list_buckets", "Buckets", "Name"),
        ("sqs", "list_queues", "QueueUrls", None),
        ("logs", "describe_log_groups", "logGroups", "logGroupName"),
        ("iam", "list_roles", "Roles", "RoleName"),
        ("ecs", "list_clusters", "clusterArns", None),
        ("ecs", "list_task_definitions", "taskDefinitionArns", None),
        ("ecr", "describe_repositories", "repositories", "repositoryName"),
        ("stepfunctions", "list_state_machines", "stateMachines", "name"),
        ("events", "list_rules", "Rules", "Name"),
        ("scheduler", "list_schedules", "Schedules", "Name"),
        ("scheduler", "list_schedule_groups", "ScheduleGroups", "Name"),
        ("sns", "list_topics", "Topics", "TopicArn"),
        ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        ("secretsmanager", "list_secrets", "SecretList", "Name"),
        ("ec2", "describe_security_groups", "SecurityGroups", "GroupName"),
    ):
        items = getattr(account.client(service), operation)().get(key, [])
        found += [f"{service} {item[name] if name else item}" for item in items]
    always = {"scheduler default", "ec2 default", "iam AWSServiceRoleForECS"}
    return sorted(set(found) - always)


@pytest.fixture
def cloud(project, account):
    return Cloud(project, account)
