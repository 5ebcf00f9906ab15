"""The first worker of a queue: started when the first message comes, whatever the metrics say or do not say. Pure.

CloudWatch hears of a message after a minute or two, and of one in a queue that nobody has touched for six hours up to a
quarter of an hour later (SQS Developer Guide, "Available CloudWatch metrics"). So whatever feeds a queue by EventBridge
also starts the waker, which starts a worker where the service stands at zero. And it looks at each queue by itself
every minute: that finds what others have sent, and keeps the queue from falling asleep. It costs six cents a month.

The waker is an Express machine, for of a burst of thousands of uploads each one starts it: $1 a million. Of these only
a few ask ECS: the first ten, and where `n` wait each with a chance of ten in `n`, for all of a burst may be counted
before the first of it is heard; and none once a message is being worked on, for somebody has been woken. It writes
1 where it has just read 0; what scaling has written between the two calls is lowered by that, which scaling mends when
its cooldown ends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from wherry.aws import policy
from wherry.aws.asl import State, integration
from wherry.aws.jsonata import expression
from wherry.aws.names import Names
from wherry.aws.policy import arn
from wherry.aws.storage import Resource, resource
from wherry.model import JobFile, Queue

#: How often the waker looks at a queue by itself.
LOOK = "rate(1 minute)"
#: So many of those that wait ask ECS, by chance. One too many does no harm.
_ASKING = 10
#: A wake that comes later than this, in seconds, is of no use: the next look is as near (the least there is).
_LATE = 60
#: A role has 10,240 characters of policies (IAM quotas); a queue and a service take up to 400 of them.
_MOST_NAMED = 20
_WAITING, _WORKED_ON = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


def wakes(jobfile: JobFile, queue: Queue) -> bool:
    """Whether a queue has workers that may all be gone."""
    taker = jobfile.taker(queue.name)
    return taker is not None and taker[1].min_workers == 0


def look_id(queue_id: str) -> str:
    """The logical id of the rule that looks at a queue every minute."""
    return f"{queue_id}Look"


def targets(
    jobfile: JobFile, names: Names, queue: Queue, queue_id: str, asked: str = "message"
) -> list[dict[str, Any]]:
    """The waker as a rule's target; none where the queue wakes nobody. `asked` is `message` or `look`."""
    taker = jobfile.taker(queue.name)
    if taker is None or not wakes(jobfile, queue):
        return []
    given = {"queue": f"${{{queue_id}}}", "service": names.service(taker[0].name, queue.name), "asked": asked}
    return [
        {
            "Id": "waker",
            "Arn": {"Ref": "Waker"},
            "RoleArn": {"Fn::GetAtt": ["WakingRole", "Arn"]},
            "Input": policy.sub(json.dumps(given, separators=(",", ":"))),
            "RetryPolicy": {"MaximumEventAgeInSeconds": _LATE, "MaximumRetryAttempts": 2},
        }
    ]


def waking(jobfile: JobFile, names: Names, ids: dict[str, str]) -> dict[str, Resource]:
    """The waker, its roles and its looks; `ids` are the logical ids of queues. Nothing where nobody sleeps."""
    sleepy = [queue for queue in jobfile.queues.values() if wakes(jobfile, queue)]
    if not sleepy:
        return {}
    found = {
        "WakerRole": policy.role(
            "what the waker may do",
            "states.amazonaws.com",
            arn("states", f"stateMachine:{names.waker}"),
            _may(jobfile, names, sleepy),
        ),
        "Waker": resource(
            "the waker: starts the first worker of a queue",
            "AWS::StepFunctions::StateMachine",
            {
                "StateMachineName": names.waker,
                "StateMachineType": "EXPRESS",
                "RoleArn": {"Fn::GetAtt": ["WakerRole", "Arn"]},
                "Definition": waker(),
            },
        ),
        "WakingRole": policy.role(
            "what the rules that wake workers may do",
            "events.amazonaws.com",
            # those on a bus of its own have the bus before the name
            [arn("events", f"rule/{names.prefix}*"), arn("events", f"rule/*/{names.prefix}*")],
            [policy.allow(["states:StartExecution"], {"Ref": "Waker"})],
        ),
    }
    for queue in sleepy:
        look = look_id(ids[queue.name])
        found[look] = resource(
            f"queue {queue.name}: a look at it every minute",
            "AWS::Events::Rule",
            {
                "Name": names.rule(look),
                "ScheduleExpression": LOOK,
                "State": "ENABLED",
                "Targets": targets(jobfile, names, queue, ids[queue.name], "look"),
            },
        )
    return found


def waker() -> State:
    """The definition. Its input is `{queue, service, asked}`: an URL, a name, and why it was started."""
    return {
        "Comment": "Starts the first worker of a queue",
        "QueryLanguage": "JSONata",
        "StartAt": "Depth",
        "States": {
            "Depth": {
                "Type": "Task",
                "Comment": "Also keeps the queue awake: it is asked by somebody",
                "Resource": integration("aws-sdk:sqs:getQueueAttributes"),
                "Arguments": {
                    "QueueUrl": expression("$states.input.queue"),
                    "AttributeNames": [_WAITING, _WORKED_ON],
                },
                "Assign": {
                    "service": expression("$states.input.service"),
                    "asked": expression("$states.input.asked"),
                    "waiting": expression(f"$number($states.result.Attributes.{_WAITING})"),
                    "working": expression(f"$number($states.result.Attributes.{_WORKED_ON})"),
                },
                "Retry": _AGAIN,
                "Next": "Sleeps",
            },
            "Sleeps": {
                "Type": "Choice",
                "Comment": "A message that has just come may not be counted yet; of a burst a few ask, by chance",
                "Choices": [
                    {
                        "Condition": expression(
                            f'$asked = "message" ? $working = 0 and $random() * $waiting < {_ASKING} : $waiting > 0'
                        ),
                        "Next": "Look",
                    }
                ],
                "Default": "Done",
            },
            "Look": {
                "Type": "Task",
                "Resource": integration("aws-sdk:ecs:describeServices"),
                "Arguments": {"Cluster": {"Ref": "Cluster"}, "Services": [expression("$service")]},
                "Assign": {
                    "gone": expression('$count($states.result.Services[Status = "ACTIVE" and DesiredCount = 0]) = 1')
                },
                "Retry": _AGAIN,
                "Next": "Gone",
            },
            "Gone": {
                "Type": "Choice",
                "Choices": [{"Condition": expression("$gone"), "Next": "Wake"}],
                "Default": "Done",
            },
            "Wake": {
                "Type": "Task",
                "Resource": integration("aws-sdk:ecs:updateService"),
                "Arguments": {"Cluster": {"Ref": "Cluster"}, "Service": expression("$service"), "DesiredCount": 1},
                "Retry": _AGAIN,
                "Next": "Done",
            },
            "Done": {"Type": "Succeed"},
        },
    }


#: For calls that may be refused for a moment. What is refused longer is left to the next look.
_AGAIN = [
    {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 1,
        "BackoffRate": 2,
        "MaxAttempts": 6,
        "JitterStrategy": "FULL",
    }
]


def _may(jobfile: JobFile, names: Names, sleepy: Sequence[Queue]) -> list[policy.Statement]:
    wanted = [names.queue(queue.name) for queue in sleepy]
    services = [
        names.service(taker[0].name, queue.name) for queue in sleepy if (taker := jobfile.taker(queue.name)) is not None
    ]
    if len(sleepy) > _MOST_NAMED:
        wanted, services = [f"{names.stem}-*"], ["*"]
    return [
        policy.allow(["sqs:GetQueueAttributes"], [arn("sqs", each) for each in wanted]),
        policy.allow(
            ["ecs:DescribeServices", "ecs:UpdateService"],
            [arn("ecs", f"service/{names.cluster}/{each}") for each in services],
        ),
    ]
