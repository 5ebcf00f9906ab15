"""Dead letters of workers' queues, with an SQS that answers as it does on its bad days."""

from dataclasses import replace

import pytest

from tests.aws.scripted import JOBFILE, NOW, Scripted, site
from wherry.agent import records
from wherry.aws.client import AwsError
from wherry.aws.lostmail import LostMail
from wherry.aws.mail import Mail
from wherry.errors import WherryError
from wherry.model import Job, Queue, QueueTrigger

ORDERS = Queue(name="orders")


def letter(number, handle="handle"):
    sent = str(int(NOW.timestamp() * 1000) + number)
    system = {"SentTimestamp": sent, "ApproximateReceiveCount": "4", "ApproximateFirstReceiveTimestamp": sent}
    return {"MessageId": f"m{number}", "ReceiptHandle": f"{handle}-{number}", "Body": "{}", "Attributes": system}


def lost_mail(aws, *queues):
    queues = queues or (ORDERS,)
    # a queue has one job
    jobs = {
        f"count{n or ''}": Job(name=f"count{n or ''}", triggers=(QueueTrigger(queue=each.name),))
        for n, each in enumerate(queues)
    }
    here = replace(site(aws), jobfile=replace(JOBFILE, queues={each.name: each for each in queues}, jobs=jobs))
    return LostMail(here, None, Mail(here))  # what is written down of a run nobody asks


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
    ends = lost_mail(aws).retry([run])
    assert ends[run].message == "SQS refuses message 1: One or more parameters are invalid"
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


def test_many_runs_are_sent_once_more_in_one_look_at_the_queues_up_to_the_last_one():
    letters = [letter(number) for number in range(40)]
    runs = [records.known_of("count", "orders", each).run_id for each in letters]
    aws = answers(letters, send_message={}, delete_message_batch={"Successful": []})
    ends = lost_mail(aws, ORDERS, Queue(name="others")).retry(runs[:30])
    assert ends == dict.fromkeys(runs[:30])
    assert len(aws.asked("send_message")) == len(aws.asked("delete_message_batch")) == 30
    assert len(aws.asked("receive_message")) == 5  # ten at a time, and nothing more
    (given_back,) = aws.asked("change_message_visibility_batch")
    assert len(given_back["Entries"]) == 10
    assert not [asked for asked in aws.asked("get_queue_url") if "others" in asked["QueueName"]]


def test_one_that_sqs_refuses_does_not_keep_the_others():
    letters = [letter(number) for number in range(3)]
    runs = [records.known_of("count", "orders.fifo", each).run_id for each in letters]
    for each in letters:
        each["Attributes"]["MessageGroupId"] = "g"
    letters[1]["MessageAttributes"] = {f"a{n}": {"DataType": "String", "StringValue": "x"} for n in range(10)}
    aws = answers(letters, send_message={}, delete_message_batch={"Successful": []})
    ends = lost_mail(aws, Queue(name="orders.fifo")).retry([*runs, "another"])
    assert ends.keys() == set(runs)
    assert "ten attributes" in ends.pop(runs[1]).message
    assert set(ends.values()) == {None}
    assert len(aws.asked("send_message")) == 2


@pytest.mark.parametrize("queue", ["orders", "orders.fifo"])
def test_a_letter_that_may_have_been_sent_stays_and_sqs_knows_only_those_of_fifo_queues_again(queue, monkeypatch):
    found = letter(1)
    found["Attributes"]["MessageGroupId"] = "g"
    aws = answers([found])
    known_again = []

    def once(*_, is_known_again, **__):
        known_again.append(is_known_again)
        raise AwsError("sqs:SendMessage: Read timeout on endpoint URL", passes=True, is_unsure=True)

    monkeypatch.setattr(aws, "once", once)
    with pytest.raises(WherryError, match="message 1 may have been sent or not: sqs:SendMessage: Read timeout"):
        lost_mail(aws, Queue(name=queue)).retry([records.known_of("count", queue, found).run_id])
    assert known_again == [queue.endswith(".fifo")]
    assert not aws.asked("delete_message_batch")
