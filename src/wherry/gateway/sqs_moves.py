"""SQS: dead letters are sent again.

Source: Amazon SQS API Reference, StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask.
"""

from __future__ import annotations

from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.gateway.moves import MOST_TASKS, Task
from wherry.gateway.sqs_common import Parameters, arn_of, queue_of_arn, required, text, whole
from wherry.local.clock import to_ms
from wherry.local.queue_records import QueueError

_RATE = "Must be between 1 and 500, if provided."


def start_move(call: Call, given: Parameters) -> Parameters:
    """StartMessageMoveTask."""
    source = queue_of_arn(call, required(given, "SourceArn"))
    call.services.guard.is_owner(call.caller, f"move the messages of queue `{source.name}`")
    if not call.services.queues.sources(source.name):
        raise QueueError("InvalidParameterValueException", "Source queue must be configured as a Dead Letter Queue.")
    arn = text(given, "DestinationArn")
    destination = queue_of_arn(call, arn).name if arn else None
    if destination and destination.endswith(".fifo") != source.is_fifo:
        raise QueueError("InvalidParameterValueException", "Source and destination queue must be of the same type.")
    if destination == source.name:
        raise QueueError("InvalidParameterValueException", "Source and destination queue must be different.")
    rate = whole(given, "MaxNumberOfMessagesPerSecond", _RATE, (1, 500))
    queues = call.services.queues
    task = Task(
        source=source.name,
        destination=destination,
        rate=rate,
        started_ms=to_ms(call.services.clock()),
        to_move=queues.counts(source.name).waiting,
    )
    call.services.moves.start(task, queues)
    return {"TaskHandle": task.handle}


def list_moves(call: Call, given: Parameters) -> Parameters:
    """ListMessageMoveTasks: the newest first."""
    source = queue_of_arn(call, required(given, "SourceArn"))
    call.services.guard.is_owner(call.caller, f"see the moves of queue `{source.name}`")
    most = whole(given, "MaxResults", "Must be between 1 and 10, if provided.", (1, MOST_TASKS)) or 1
    tasks = call.services.moves.newest(source.name)[:most]
    return {"Results": [_told(call, task) for task in tasks]} if tasks else {}


def cancel_move(call: Call, given: Parameters) -> Parameters:
    """CancelMessageMoveTask: what has moved stays where it is."""
    handle = required(given, "TaskHandle")
    task = call.services.moves.running(handle)
    if task is None:
        raise AwsError("ResourceNotFoundException", "Task does not exist.", 404)
    call.services.guard.is_owner(call.caller, f"stop the move of queue `{task.source}`")
    task.cancelled.set()
    return {"ApproximateNumberOfMessagesMoved": task.moved}


def _told(call: Call, task: Task) -> Parameters:
    told: Parameters = {
        "Status": "CANCELLING" if task.status == "RUNNING" and task.cancelled.is_set() else task.status,
        "SourceArn": arn_of(call, task.source),
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started_ms,
    }
    if task.destination:
        told["DestinationArn"] = arn_of(call, task.destination)
    if task.rate:
        told["MaxNumberOfMessagesPerSecond"] = task.rate
    if task.status == "RUNNING":
        told["TaskHandle"] = task.handle
    if task.failure:
        told["FailureReason"] = task.failure
    return told
