"""SQS: which operation a request means, in AWS JSON 1.0 or in the older query protocol, and what went wrong in both.

Source: Amazon SQS Developer Guide, "Amazon SQS APIs: AWS JSON protocol"; Smithy 2.0, "AWS query compatible trait".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from wherry.errors import NotFound
from wherry.gateway import sqs_messages, sqs_moves, sqs_query, sqs_queues
from wherry.gateway.context import Call
from wherry.gateway.elsewhere import not_implemented
from wherry.gateway.errors import AwsError
from wherry.gateway.http import Response
from wherry.gateway.sqs_common import Parameters, legacy
from wherry.local.queue_records import QueueError

_JSON = "application/x-amz-json-1.0"
_PREFIX = "AmazonSQS."

OPERATIONS: dict[str, Callable[[Call, Parameters], Parameters]] = {
    "CancelMessageMoveTask": sqs_moves.cancel_move,
    "ChangeMessageVisibility": sqs_messages.change_visibility,
    "ChangeMessageVisibilityBatch": sqs_messages.change_visibility_batch,
    "CreateQueue": sqs_queues.create_queue,
    "DeleteMessage": sqs_messages.delete_message,
    "DeleteMessageBatch": sqs_messages.delete_message_batch,
    "DeleteQueue": sqs_queues.delete_queue,
    "GetQueueAttributes": sqs_queues.get_queue_attributes,
    "GetQueueUrl": sqs_queues.get_queue_url,
    "ListDeadLetterSourceQueues": sqs_queues.list_source_queues,
    "ListMessageMoveTasks": sqs_moves.list_moves,
    "ListQueueTags": sqs_queues.list_queue_tags,
    "ListQueues": sqs_queues.list_queues,
    "PurgeQueue": sqs_queues.purge_queue,
    "ReceiveMessage": sqs_messages.receive_message,
    "SendMessage": sqs_messages.send_message,
    "SendMessageBatch": sqs_messages.send_message_batch,
    "SetQueueAttributes": sqs_queues.set_queue_attributes,
    "StartMessageMoveTask": sqs_moves.start_move,
}


def handle(call: Call) -> Response:
    """Answer one request."""
    target = call.request.headers.get("x-amz-target")
    if target is None:
        return _handle_query(call)
    try:
        result = _operation(target.removeprefix(_PREFIX))(call, _document(call.body))
    except (AwsError, QueueError, NotFound) as caught:
        code, message, status = _told(caught)
        # `x-amzn-query-error`: clients that knew the older protocol go on knowing the errors by its names.
        said = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message})
        headers = [("x-amzn-query-error", f"{legacy(code)};{'Sender' if status < 500 else 'Receiver'}")]
        return _json(call, said, status, headers)
    return _json(call, json.dumps(result), 200, [])


def _handle_query(call: Call) -> Response:
    try:
        given = sqs_query.parameters(call.body.decode(errors="replace") or call.request.query)
        action = str(given.pop("Action", "")) or call.request.method
        return sqs_query.answer(action, _operation(action)(call, given), call.request_id)
    except (AwsError, QueueError, NotFound) as caught:
        code, message, status = _told(caught)
        if code == "QueueDoesNotExist":
            message = "The specified queue does not exist for this wsdl version."
        return sqs_query.error(legacy(code), message, status, call.request_id)


def _operation(name: str) -> Callable[[Call, Parameters], Parameters]:
    operation = OPERATIONS.get(name)
    if operation is None:
        raise not_implemented("sqs", name)
    return operation


def _document(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise AwsError("SerializationException", "the body is not a JSON object")
    return given


def _told(error: AwsError | QueueError | NotFound) -> tuple[str, str, int]:
    """An error's code in SQS's model, what is said, and the status."""
    match error:
        case AwsError():
            return error.code, error.message, error.status
        case QueueError():
            return error.code, error.message, 400
        case NotFound():  # the job file was changed in this very moment
            return "QueueDoesNotExist", "The specified queue does not exist.", 400


def _json(call: Call, said: str, status: int, headers: list[tuple[str, str]]) -> Response:
    headers += [("Content-Type", _JSON), ("x-amzn-RequestId", call.request_id)]
    return Response(status=status, headers=headers, body=said.encode())
