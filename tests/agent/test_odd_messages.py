"""Messages that are odd, and legal: none of them may end a worker, or take other messages along."""

import json
import time
from datetime import timedelta

import pytest
from tests.agent.test_batch_work import known, letters, received
from tests.conftest import wait_for

#: Half a character.
HALF = r'{"a": "\ud800"}'
#: Among these are some that Python reads, and then does not write any more.
DEEP = ["[" * levels + "]" * levels for levels in range(975, 1000)]
#: Writes the event's body, and how often it was tried.
TELL = """echo "$WHERRY_ATTEMPT $B" >> $OUT; test -n "$WHERRY_EVENT" """
BODY = {"B": "${event.detail.body}"}


@pytest.mark.parametrize("bodies", [[HALF], DEEP], ids=["half", "deep"])
def test_json_that_no_event_can_hold_is_given_as_text(bench, bodies):
    worker = bench.start(TELL, env=BODY)
    sent = [*bodies, "good"]
    bench.send(*sent)
    found = bench.wait_for_status("succeeded", len(sent))
    wait_for(lambda: bench.counts() == (0, 0), "an empty queue")
    assert sorted(bench.lines()) == sorted(f"1 {body}" for body in sent)
    assert {each["event"]["detail"]["body"] for each in found} == set(sent)
    assert worker.poll() is None


def test_it_takes_no_batch_along(bench):
    bench.send("a", HALF, DEEP[0], "b")
    worker = bench.start('cat "$F" >> $OUT', env={"F": "${event.file}"}, batch=10)
    bench.wait_for_status("succeeded")
    assert [json.loads(line)["body"] for line in bench.lines()] == ["a", HALF, DEEP[0], "b"]
    assert worker.poll() is None


def test_a_mark_that_anybody_has_made_up_ends_no_worker(bench):
    for text in (f"f00d {'9' * 5000}", "../.. 1700000000000"):
        attribute = {"wherry-run": {"DataType": "String", "StringValue": text}}
        bench.sqs.send_message(QueueUrl=bench.url, MessageBody="odd", MessageAttributes=attribute)
    worker = bench.start(TELL, env=BODY)
    bench.wait_for_status("succeeded", 2)
    assert bench.lines() == ["1 odd", "1 odd"]
    assert worker.poll() is None


def test_what_nobody_has_foreseen_costs_one_message(bench):
    (odd,) = received(bench, "odd")
    key = known(bench, odd).key(bench.job, "open")
    bench.s3.put_object(Bucket="work", Key=key, Body=b'{"status": "queued", "earlier": "x"}')
    bench.send("good")
    worker = bench.start(TELL, env=BODY, backoff=timedelta(seconds=0.1))
    wait_for(lambda: letters(bench) == {odd["MessageId"]}, "the dead letter")
    bench.send("fine")
    bench.wait_for_status("succeeded", 2)
    assert bench.lines() == ["1 good", "1 fine"]
    assert f"message {odd['MessageId']} cannot be worked on, and comes back: this is a bug in wherry" in bench.log()
    assert worker.poll() is None


def test_what_was_dropped_and_could_not_be_deleted_is_dropped_once(bench, neighbour):
    def message(receives):
        system = {"ApproximateReceiveCount": str(receives), "SentTimestamp": "1700000000000"}
        system["ApproximateFirstReceiveTimestamp"] = system["SentTimestamp"]
        return {"MessageId": "m", "ReceiptHandle": str(receives), "Body": "1", "Attributes": system}

    given, deleted = iter([[message(1)], [message(2)]]), []

    def sqs(body):
        if "Entries" not in body:
            time.sleep(0.1)
            return {"Messages": next(given, [])}
        (entry,) = body["Entries"]
        if "VisibilityTimeout" not in entry:
            if entry["ReceiptHandle"] == "1":
                return {"Failed": [{"Id": entry["Id"], "Code": "Odd", "SenderFault": True}]}
            deleted.append(entry["ReceiptHandle"])
        return {"Successful": [{"Id": entry["Id"]}]}

    neighbour.answers = {"/": (200, sqs)}
    bench.start(f"{TELL}; exit 65", env=BODY, drop=frozenset({65}), environment={"AWS_ENDPOINT_URL_SQS": neighbour.url})
    wait_for(lambda: deleted == ["2"], "the delete")
    assert bench.lines() == ["1 1"]
    (record,) = bench.records()
    assert (record["status"], record["done"]) == ("failed", True)
