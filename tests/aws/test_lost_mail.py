"""Dead letters of workers' queues, with an SQS that answers as it does on its bad days."""

from dataclasses import replace

import pytest

from tests.aws.scripted import JOBFILE, NOW, Scripted, site
from wherry.agent import records
from wherry.aws.client import AwsError
from wherry.aws.lostmail import LostMail
from wherry.aws.mail import Mail
from wherry.errors import UserError
from wherry.model import Job, Queue, QueueTrigger

ORDERS = Queue(name="orders")


def letter(number, handle="handle"):
    sent = str(int(NOW.timestamp() * 1000) + number)
    system = {"SentTimestamp": sent, "ApproximateReceiveCount": "4", "ApproximateFirstReceiveTimestamp": sent}
    return {"MessageId": f"m{number}", "ReceiptHandle": f"{handle}-{number}", "Body": "{}", "Attributes": system}


class NoRecords:
    """No run has been written down."""

    def of_message(self, *_):
        return None


def lost_mail(aws, queue=ORDERS):
    job = Job(name="count", triggers=(QueueTrigger(queue=queue.name),))
    here = replace(site(aws), jobfile=replace(JOBFILE, queues={queue.name: queue}, jobs={"count": job}))
    return LostMail(here, NoRecords(), Mail(here))


def answers(letters, **more):
    """SQS with these dead letters, which it shows once, so many a time; no operation that is not named."""
    shown = iter([letters[first : first + 10] for first in range(0, len(letters), 10)])
    usual = {
        "get_queue_url": {"QueueUrl": "u"},
        "receive_message": lambda **_: {"Messages": next(shown, [])},
        "delete_object": {},
        "change_message_visibility_batch": {"Successful": []},
    }
    return Scripted(**usual | more)


def test_a_letter_that_sqs_does_not_take_again_stays():
    found = letter(1)
    run = records.known_of("count", "orders", found).run_id
    refused = {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}
    too_long = AwsError("sqs SendMessage: One or more parameters are invalid", code="InvalidParameterValue")
    aws = answers([found], send_message=too_long, send_message_batch=refused, delete_message_batch={})
    with pytest.raises(UserError, match="SQS refuses message 1: One or more parameters are invalid"):
        lost_mail(aws).retry(run)
    assert not aws.asked("delete_message_batch")
    assert len(aws.asked("change_message_visibility_batch")) == 1
