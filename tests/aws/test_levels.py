"""How queues stand whose workers do not: what ECS says of the last one, in words that say what to do."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.aws.scripted import JOBFILE, NOW, Scripted, site
from wherry.aws.client import AwsError
from wherry.aws.levels import states
from wherry.model import Job, Queue, QueueTrigger

GONE = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable "
    "to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
    "arn:aws:secretsmanager:eu-central-1:123456789012:secret:the-key from secrets manager: InvalidRequestException: You "
    "can't perform this operation on the secret because it was marked for deletion."
)
LOGS = {"awslogs-group": "/wherry/sales/prod/count", "awslogs-stream-prefix": "run"}
TAIL = "aws logs tail /wherry/sales/prod/count --log-stream-names run/main/t1 --since 2h --region eu-central-1"


def task(number, minutes, stop_code, *, said="Essential container in task exited", **container):
    main = {"name": "main", "lastStatus": "STOPPED", **container}
    return {
        "taskArn": f"arn:aws:ecs:eu-central-1:123456789012:task/sales-prod/t{number}",
        "taskDefinitionArn": "arn:aws:ecs:eu-central-1:123456789012:task-definition/sales-prod_count_orders:3",
        "lastStatus": "STOPPED",
        "stopCode": stop_code,
        "stoppedReason": said,
        "stoppedAt": NOW - timedelta(minutes=minutes),
        "containers": [main],
    }


def state(tasks, *, waiting=3, in_flight=0, running=0, events=(), triggers=None):
    """The one queue of an environment, whose workers' tasks have stopped so."""
    counts = {
        "ApproximateNumberOfMessages": str(waiting),
        "ApproximateNumberOfMessagesNotVisible": str(in_flight),
        "ApproximateNumberOfMessagesDelayed": "0",
    }
    service = {
        "serviceName": "count_orders",
        "status": "ACTIVE",
        "runningCount": running,
        "events": [{"message": f"(service count_orders) {text}", "createdAt": NOW} for text in events],
    }
    main = {"name": "main", "logConfiguration": {"logDriver": "awslogs", "options": LOGS}}
    aws = Scripted(
        get_queue_url={"QueueUrl": "u"},
        get_queue_attributes=lambda QueueUrl, AttributeNames: {"Attributes": counts},
        get_metric_data={"MetricDataResults": []},
        describe_services={"services": [service]},
        list_tasks={"taskArns": [each["taskArn"] for each in tasks]},
        describe_tasks={"tasks": tasks},
        describe_task_definition={"taskDefinition": {"containerDefinitions": [main]}},
    )
    job = Job(name="count", triggers=triggers or (QueueTrigger(queue="orders", max_workers=8),))
    jobfile = replace(JOBFILE, queues={"orders": Queue(name="orders")}, jobs={"count": job})
    (found,) = states(replace(site(aws), jobfile=jobfile))
    return found, aws


def test_a_worker_that_cannot_start_is_told_with_what_to_do():
    found, _ = state([task(1, 2, "TaskFailedToStart", said=GONE), task(2, 50, "ServiceSchedulerInitiated")])
    assert found.stumble.what == "could not start: the secret `the-key` was removed"
    assert found.stumble.remedy == "`wherry secrets set the-key` brings it back"
    assert found.stumble.at == NOW - timedelta(minutes=2)
    assert "marked for deletion" in found.stumble.reason
    assert found.stumble.log == ""  # it has written nothing


@pytest.mark.parametrize(
    ("container", "what", "remedy"),
    [
        ({"exitCode": 3}, "exit code 3", ""),
        ({"exitCode": 0}, "exit code 0", "a command that polls by itself goes on until it gets SIGTERM"),
        (
            {"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"},
            "out of memory: Container killed due to memory usage",
            "raise `memory` of job `count`",
        ),
    ],
)
def test_a_worker_that_exits_is_told_with_its_log(container, what, remedy):
    polls = (QueueTrigger(queue="orders", mode="self-polling"),)
    found, _ = state([task(1, 2, "EssentialContainerExited", **container)], in_flight=1, waiting=0, triggers=polls)
    assert (found.stumble.what, found.stumble.remedy, found.stumble.log) == (what, remedy, TAIL)


def test_what_keeps_ecs_from_making_a_task_is_told():
    said = "was unable to place a task because no container instance met all of its requirements."
    found, _ = state([], events=[said, "has reached a steady state."])
    assert found.stumble.what.startswith("could not start: ")
    assert found.stumble.reason.endswith(said)
    assert state([], events=["has reached a steady state.", said])[0].stumble is None


def test_who_was_told_to_go_has_not_stumbled():
    gone = task(1, 2, "ServiceSchedulerInitiated", exitCode=143, said="Scaling activity initiated by (deployment x)")
    assert state([gone])[0].stumble is None
    assert state([])[0].stumble is None


@pytest.mark.parametrize("more", [{"running": 1}, {"waiting": 0}])
def test_nobody_is_asked_where_somebody_works_or_nothing_waits(more):
    found, aws = state([task(1, 2, "TaskFailedToStart", said=GONE)], **more)
    assert found.stumble is None
    assert not aws.asked("list_tasks")


def test_of_what_is_not_deployed_nothing_is_known():
    missing = AwsError("no such queue", code="AWS.SimpleQueueService.NonExistentQueue")
    aws = Scripted(
        get_queue_url=missing,
        get_metric_data={"MetricDataResults": []},
        describe_services=AwsError("no such cluster", code="ClusterNotFoundException"),
    )
    job = Job(name="count", triggers=(QueueTrigger(queue="orders"),))
    jobfile = replace(JOBFILE, queues={"orders": Queue(name="orders")}, jobs={"count": job})
    (found,) = states(replace(site(aws), jobfile=jobfile))
    assert not found.is_there
