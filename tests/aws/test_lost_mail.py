"""Dead letters of workers' queues, with an SQS that answers as it does on its bad days."""

from dataclasses import replace

import pytest

from tests.aws.scripted import JOBFILE, NOW, Scripted, site
from wherry.agent import records
from wherry.aws.client import AwsError
from wherry.aws.lostmail import LostMail
from wherry.aws.mail import Mail
from wherry.errors import UserError, WherryError
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


def test_of_a_fifo_group_all_letters_are_deleted_though_sqs_shows_only_ten_of_them():
    left = {f"m{number}": letter(number) for number in range(25)}
    shown = set()

    def receive(**_):
        some = [] if shown else list(left.values())[:10]
        shown.update(each["MessageId"] for each in some)
        return {"Messages": some}

    def delete(Entries, **_):
        for entry in Entries:
            name = f"m{entry['ReceiptHandle'].partition('-')[2]}"
            shown.discard(name)
            del left[name]
        return {"Successful": []}

    queue = Queue(name="orders.fifo")
    runs = {records.known_of("count", queue.name, each).run_id for each in left.values()}
    aws = answers([], receive_message=receive, delete_message_batch=delete)
    lost_mail(aws, queue).bury(runs)
    assert left == {}
    assert {each["VisibilityTimeout"] for each in aws.asked("receive_message")} == {300}


def test_a_letter_that_sqs_does_not_delete_is_told_of():
    found = letter(1)
    run = records.known_of("count", "orders", found).run_id
    expired = {"Failed": [{"Id": "0", "Code": "InvalidParameterValue", "Message": "The receipt handle has expired"}]}
    aws = answers([found], delete_message_batch=expired)
    with pytest.raises(WherryError, match="not deleted a message, and it comes again: The receipt handle has expired"):
        lost_mail(aws).bury({run})
