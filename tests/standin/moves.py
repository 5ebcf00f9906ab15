"""SQS's message move tasks, which MiniStack lacks: StartMessageMoveTask and ListMessageMoveTasks, back to the sources.

Sources: SQS API Reference; a redriven message is a new one, with a new id and time (SQS Developer Guide, "Learn how to
configure a dead-letter queue redrive").
"""

import time
import uuid

from ministack.services import sqs

#: ARN of the dead letters -> their moves, the latest first.
_moves: dict[str, list[dict]] = {}


def install() -> None:
    sqs._HANDLERS |= {"StartMessageMoveTask": _start, "ListMessageMoveTasks": _list}


def _start(data: dict, _url: str) -> dict:
    arn = data["SourceArn"]
    letters = _queue(arn)
    targets = [queue for queue in sqs._queues.values() if arn in queue["attributes"].get("RedrivePolicy", "")]
    if not targets:
        raise sqs._Err("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    moved = letters["messages"]
    letters["messages"] = []
    now = time.time()
    for message in moved:
        source = message.get("sys", {}).get("DeadLetterQueueSourceArn")
        target = next((each for each in targets if each["attributes"]["QueueArn"] == source), targets[0])
        fresh = {"id": str(uuid.uuid4()), "receipt_handle": None, "visible_at": now, "receive_count": 0}
        sent = {**message.get("sys", {}), "SentTimestamp": str(int(now * 1000))}
        sent.pop("DeadLetterQueueSourceArn", None)
        target["messages"].append(
            {**message, **fresh, "first_receive_at": None, "enqueued_at": now, "sent_at": now, "sys": sent}
        )
    task = {
        "Status": "COMPLETED",
        "SourceArn": arn,
        "ApproximateNumberOfMessagesMoved": len(moved),
        "ApproximateNumberOfMessagesToMove": len(moved),
        "StartedTimestamp": int(now * 1000),
    }
    _moves.setdefault(arn, []).insert(0, task)
    return {"TaskHandle": str(uuid.uuid4())}


def _list(data: dict, _url: str) -> dict:
    _queue(data["SourceArn"])
    return {"Results": _moves.get(data["SourceArn"], [])[: int(data.get("MaxResults", 1))]}


def _queue(arn: str) -> dict:
    found = sqs._queue_by_arn(arn)
    if found is None:
        raise sqs._Err(
            "ResourceNotFoundException",
            "The resource that you specified for the SourceArn parameter doesn't exist.",
            404,
        )
    return found
