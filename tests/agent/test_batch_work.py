"""Workers that take several messages at once: what becomes of each, when it meets others that fail."""

import json
import time
from datetime import timedelta

from tests.agent.test_worker import PLACE, upload
from tests.conftest import wait_for

from wherry.agent.records import Known, known_of
from wherry.aws.recorded import places_of, run_of

#: Writes the bodies of its messages into one line, and fails where one of them is `poison`.
ALL = 'echo "$(sed \'s/.*"body":"*\\([^,"]*\\).*/\\1/\' "$F" | paste -sd" ")" >> $OUT; ! grep -q poison "$F"'
FILE = {"F": "${event.file}"}
TEN = {"env": FILE, "batch": 10, "backoff": timedelta(0)}


def received(bench, *bodies):
    """Send messages, and receive them once, as a worker does that is lost then; gives them."""
    bench.send(*bodies)
    found = []
    while len(found) < len(bodies):
        answer = bench.sqs.receive_message(
            QueueUrl=bench.url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=600,
            MessageSystemAttributeNames=["All"],
        )
        found += answer.get("Messages", [])
    give_back(bench, found)
    return found


def give_back(bench, found):
    for each in found:
        bench.sqs.change_message_visibility(
            QueueUrl=bench.url, ReceiptHandle=each["ReceiptHandle"], VisibilityTimeout=0
        )


def known(bench, message):
    return known_of(bench.job, bench.name, message)


def by_message(bench):
    """Message id -> the record of its run, of those whose runs have one message."""
    return {each["messages"][0]["id"]: each for each in bench.records() if len(each["messages"]) == 1}


def letters(bench):
    wanted = {"QueueUrl": bench.letters, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
    return {each["MessageId"] for each in bench.sqs.receive_message(**wanted).get("Messages", [])}


def test_new_messages_are_not_deleted_with_one_that_was_done_before(bench):
    (done,) = received(bench, "done")
    record = {"run": known(bench, done).run_id, "status": "succeeded", "done": True}
    key = known(bench, done).key(bench.job, "succeeded")
    bench.s3.put_object(Bucket="work", Key=key, Body=json.dumps(record))
    bench.send("c", "d")
    bench.start(ALL, **TEN)
    wait_for(lambda: bench.counts() == (0, 0), "an empty queue")
    assert bench.lines() == ["c d"]


def test_a_new_message_does_not_die_with_one_whose_deadline_is_over(bench):
    (late,) = received(bench, "late")
    time.sleep(5)
    (new,) = bench.send("new")
    bench.start(ALL, **TEN, deadline=timedelta(seconds=5))
    wait_for(lambda: letters(bench) == {late["MessageId"]}, "the dead letter")
    bench.wait_for_status("succeeded")
    assert bench.lines() == ["new"]
    assert {name: each["status"] for name, each in by_message(bench).items()} == {
        late["MessageId"]: "timed_out",
        new: "succeeded",
    }


def test_a_new_message_does_not_end_with_a_run_that_somebody_stops(bench):
    (unwanted,) = received(bench, "unwanted")
    run = known(bench, unwanted).run_id
    bench.s3.put_object(Bucket="work", Key=f"queue-stops/{bench.job}/{run}", Body=b"")
    (new,) = bench.send("new")
    bench.start(ALL, **TEN)
    wait_for(lambda: letters(bench) == {unwanted["MessageId"]}, "the dead letter")
    bench.wait_for_status("succeeded")
    assert bench.lines() == ["new"]
    assert [each["number"] for each in by_message(bench)[new]["attempts"]] == [1]


def test_a_batch_that_fails_falls_apart_into_runs_of_its_messages(bench, neighbour):
    neighbour.answers = {"/v4/x": (200, PLACE)}
    good, poison, fine = bench.send("good", "poison", "fine")
    bench.start(ALL, **TEN, environment={"ECS_CONTAINER_METADATA_URI_V4": f"{neighbour.url}/v4/x"})
    bench.wait_for_status("failed")
    bench.wait_for_status("succeeded", 2)
    wait_for(lambda: letters(bench) == {poison}, "the dead letter")
    assert bench.lines()[0] == "good poison fine"
    assert sorted(bench.lines()[1:]) == ["fine", "good", "poison", "poison"]
    found = by_message(bench)
    assert {name: each["status"] for name, each in found.items()} == {
        good: "succeeded",
        poison: "failed",
        fine: "succeeded",
    }
    wait_for(lambda: len(bench.keys()) == 3, "a record for each, and none that goes on")
    for name, each in found.items():
        run = run_of(each)
        assert run.id == known_of(bench.job, bench.name, {"MessageId": name, "Attributes": {"SentTimestamp": "1"}})[0]
        assert [one["message-id"] for one in run.event.document["detail"]["messages"]] == [name]
        assert [attempt.number for attempt in run.attempts] == [1, 2, 3] if name == poison else [1, 2]
        assert "an attempt of a batch of 3" in run.attempts[0].outcome.reason
        # the lines of the batch are where its own run wrote them
        places = places_of(each)
        assert places[1].run_id == found[good]["run"]
        assert places[2].run_id == each["run"]
        assert all(place.begin in bench.log() and place.end in bench.log() for place in places.values())


def test_a_batch_that_somebody_stops_leaves_a_dead_letter_and_a_run_of_each_message(bench):
    sent = set(bench.send("a", "b"))
    bench.start("sleep 600", **TEN)
    (record,) = bench.wait_for_status("running")
    bench.s3.put_object(Bucket="work", Key=f"queue-stops/{bench.job}/{record['run']}", Body=b"")
    bench.wait_for_status("stopped", 2)
    wait_for(lambda: letters(bench) == sent, "the dead letters")
    assert set(by_message(bench)) == sent
    assert len(bench.keys()) == 2


def test_a_batch_whose_worker_is_killed_comes_back_as_runs_of_its_messages(bench):
    sent = set(bench.send("a", "b"))
    first = bench.start("sleep 600", **TEN)
    (lost,) = bench.wait_for_status("running")
    first.kill()
    bench.start(ALL, **TEN)
    bench.wait_for_status("succeeded", 2)
    assert sorted(bench.lines()) == ["a", "b"]
    found = by_message(bench)
    assert set(found) == sent
    numbers = {each["run"]: [attempt["number"] for attempt in each["attempts"]] for each in found.values()}
    assert sorted(numbers.values()) == [[1, 2], [2]]
    assert numbers[lost["run"]] == [1, 2]


def test_a_batch_that_its_deadline_ends_is_over(bench):
    sent = set(bench.send("a", "b"))
    bench.start("sleep 600", **TEN, deadline=timedelta(seconds=3))
    found = bench.wait_for_status("timed_out", 2)
    assert {each["reason"] for each in found} == {"deadline: 3s"}
    assert {len(each["attempts"]) for each in found} == {1}
    wait_for(lambda: letters(bench) == sent, "the dead letters")


def test_a_message_whose_object_is_gone_is_buried_alone(bench):
    for name in ("a", "b"):
        bench.s3.put_object(Bucket="uploads", Key=f"there/{name}", Body=b"")
    ids = bench.send(upload("there/a"), upload("gone"), upload("there/b"))
    bench.start('echo "$WHERRY_RUN_ID $WHERRY_ATTEMPT" >> $OUT; test -s "$F"', **TEN, max_receives=1)
    bench.wait_for_status("succeeded", 2)
    (record,) = bench.wait_for_status("failed")
    assert record["reason"] == "could not start: its object is gone: there is nothing to fetch"
    wait_for(lambda: letters(bench) == {ids[1]}, "the dead letter")
    assert {line.split()[1] for line in bench.lines()} == {"1"}
    assert len(bench.keys()) == len(bench.lines()) + 1 == 3
    assert set(by_message(bench)) == set(ids)


def test_work_that_was_done_and_could_not_be_deleted_is_done_for_each_message(bench, neighbour):
    def message(name, receives):
        system = {"ApproximateReceiveCount": str(receives), "SentTimestamp": "1700000000000"}
        system["ApproximateFirstReceiveTimestamp"] = system["SentTimestamp"]
        return {"MessageId": name, "ReceiptHandle": f"{name}{receives}", "Body": name, "Attributes": system}

    # as SQS gives them: the second time in the company of another one
    given = iter([[message("a", 1), message("b", 1)], [message("b", 2), message("c", 1)]])
    deleted = []

    def sqs(body):
        if "Entries" not in body:
            time.sleep(0.1)
            return {"Messages": next(given, [])}
        handles = [entry["ReceiptHandle"] for entry in body["Entries"]]
        if "VisibilityTimeout" not in body["Entries"][0]:
            if "a1" in handles:
                return {"Failed": [{"Id": each["Id"], "Code": "Odd", "SenderFault": True} for each in body["Entries"]]}
            deleted.extend(handles)
        return {"Successful": [{"Id": each["Id"]} for each in body["Entries"]]}

    neighbour.answers = {"/": (200, sqs)}
    bench.start(ALL, **TEN, environment={"AWS_ENDPOINT_URL_SQS": neighbour.url})
    wait_for(lambda: sorted(deleted) == ["b2", "c1"], "the deletes")
    bench.wait_for_status("succeeded", 3)
    assert bench.lines() == ["a b", "c"]
    for name in ("a", "b"):
        key = Known(known_of(bench.job, bench.name, message(name, 1)).run_id, 1700000000000).key(bench.job, "succeeded")
        assert key in bench.keys()


# --------------------------------------------------------------------------------------- those that wait for their turn


def test_who_waits_stays_hidden_from_others(bench):
    received(bench, "a", "b")
    bench.start(f"{ALL}; sleep 5", **TEN, visibility=timedelta(seconds=2))
    wait_for(bench.lines, "the first one")
    bench.start(ALL, **TEN)
    wait_for(lambda: bench.counts() == (0, 0), "an empty queue")
    assert sorted(bench.lines()) == ["a", "b"]
    assert {each["attempts"][-1]["number"] for each in bench.records()} == {2}


def test_who_waits_is_given_back_as_soon_as_the_task_has_to_go(bench):
    received(bench, "a", "b", "c")
    go = bench.folder / "go"
    worker = bench.start(f"{ALL}; while ! test -e {go}; do sleep 0.1; done", **TEN, visibility=timedelta(hours=1))
    wait_for(bench.lines, "the first one")
    assert bench.counts() == (0, 3)
    worker.terminate()
    wait_for(lambda: bench.counts() == (2, 1), "those that waited")
    go.touch()
    assert worker.wait(20) == 0
    assert bench.counts() == (2, 0)
    assert len(bench.lines()) == 1


def test_in_a_group_nothing_overtakes_what_fails(ordered):
    for group, body in (("g", "poison"), ("g", "second"), ("h", "other")):
        ordered.sqs.send_message(
            QueueUrl=ordered.url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body
        )
    ordered.start(ALL, **TEN)
    ordered.wait_for_status("succeeded", 2)
    lines = ordered.lines()
    assert lines[0] == "poison second other"
    assert [line for line in lines if line != "other"] == ["poison second other", "poison", "poison", "second"]
    ordered.wait_for_status("failed")
    wait_for(lambda: sum(ordered.counts(ordered.letters)) == 1, "the dead letter")


def test_one_mistake_does_not_use_up_a_batch(bench):
    bench.send(*range(40))
    bench.start(("./nothing",), **TEN, max_receives=2)
    wait_for(lambda: "nothing is taken for 4 s" in bench.log(), "the third rest")
    assert max(len(each["attempts"]) for each in bench.records()) <= 2
    assert sum(bench.counts(bench.letters)) <= 2
    assert len(bench.records()) <= 12
