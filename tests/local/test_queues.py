"""The store of queues. Time is an argument here; what waits is woken by what happens, never by a sleep."""

import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wherry.errors import NotFound
from wherry.local.clock import to_ms
from wherry.local.database import Database
from wherry.local.held import Held
from wherry.local.queue_records import NewMessage, QueueError
from wherry.local.queues import Queues
from wherry.model import Queue

QUEUES = {
    "plain": Queue(name="plain", max_receives=3),
    "slow": Queue(name="slow", delay=timedelta(seconds=30), retention=timedelta(minutes=1)),
    "ordered.fifo": Queue(name="ordered.fifo", max_receives=2, content_deduplication=True),
    "named.fifo": Queue(name="named.fifo", delay=timedelta(seconds=5)),
}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Bench:
    """Queues with a clock that stands until it is moved."""

    def __init__(self, path, queues=QUEUES) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.arrivals: list[str] = []
        self.database = Database(str(path))
        self.queues = Queues(self.database, queues, lambda: self.now, self.arrivals.append)
        self.held = Held(self.queues)

    def send(self, queue, *bodies, **more):
        return self.queues.send(queue, [NewMessage(body=body, **more) for body in bodies])

    def bodies(self, queue, most=10, **more):
        return [message.body for message in self.queues.receive(queue, most, **more)]

    def later(self, span: float) -> None:
        self.now += seconds(span)

    def counts(self, queue):
        return tuple(self.queues.counts(queue)[:3])

    def write(self, work):
        return self.database.write(work)


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "wherry.db")
    yield bench
    bench.database.close()


# ------------------------------------------------------------------------------------------------- standard queues


def test_a_received_message_is_hidden_until_its_time_is_over(bench):
    bench.send("plain", "a")
    (first,) = bench.queues.receive("plain")
    assert bench.bodies("plain") == []
    assert bench.counts("plain") == (0, 1, 0)
    bench.later(30)
    (again,) = bench.queues.receive("plain")
    assert (again.id, again.receives, again.first_received_ms) == (first.id, 2, to_ms(bench.now) - 30_000)
    assert bench.queues.delete("plain", [again.receipt]) == [None]
    bench.later(3600)
    assert bench.bodies("plain") == []


def test_an_old_receipt_deletes_only_what_nobody_has_received_since(bench):
    bench.send("plain", "a")
    (first,) = bench.queues.receive("plain")
    bench.later(31)
    (second,) = bench.queues.receive("plain")
    assert bench.queues.delete("plain", [first.receipt]) == [None]
    assert bench.counts("plain") == (0, 1, 0)
    bench.later(31)
    assert bench.queues.delete("plain", [second.receipt]) == [None]
    assert bench.counts("plain") == (0, 0, 0)
    assert bench.queues.delete("plain", [second.receipt]) == [None]


def test_a_text_that_is_no_receipt_is_refused_and_others_of_the_call_are_not(bench):
    bench.send("plain", "a")
    (message,) = bench.queues.receive("plain")
    wrong, right = bench.queues.delete("plain", ["nonsense", message.receipt])
    assert (wrong.code, right) == ("ReceiptHandleIsInvalid", None)
    assert bench.counts("plain") == (0, 0, 0)


def test_visibility_counts_from_the_call_and_ends_twelve_hours_after_the_receive(bench):
    bench.send("plain", "a")
    (message,) = bench.queues.receive("plain")
    bench.later(20)
    assert bench.queues.change_visibility("plain", [(message.receipt, seconds(60))]) == [None]
    bench.later(59)
    assert bench.bodies("plain") == []
    assert bench.queues.change_visibility("plain", [(message.receipt, seconds(43_200 - 79))]) == [None]
    (error,) = bench.queues.change_visibility("plain", [(message.receipt, seconds(43_200 - 78))])
    assert "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]" in error.message
    bench.arrivals.clear()
    assert bench.queues.change_visibility("plain", [(message.receipt, seconds(0))]) == [None]
    assert bench.arrivals == ["plain"]
    assert bench.bodies("plain") == ["a"]


def test_a_deleted_message_cannot_be_hidden_again(bench):
    bench.send("plain", "a")
    (message,) = bench.queues.receive("plain")
    bench.queues.delete("plain", [message.receipt])
    (error,) = bench.queues.change_visibility("plain", [(message.receipt, seconds(5))])
    assert "Message does not exist or is not available for visibility timeout change" in error.message


def test_a_delay_is_the_messages_own_or_the_queues(bench):
    bench.send("slow", "of the queue")
    bench.send("slow", "own", delay=seconds(10))
    bench.send("slow", "none", delay=seconds(0))
    assert bench.arrivals == ["slow", "slow", "slow"]
    assert bench.counts("slow") == (1, 0, 2)
    assert bench.queues.next_due("slow") == bench.now + seconds(10)
    assert bench.bodies("slow") == ["none"]
    bench.later(10)
    assert bench.bodies("slow") == ["own"]
    bench.later(20)
    assert bench.bodies("slow") == ["of the queue", "none"]


def test_what_is_over_its_retention_is_never_delivered_nor_counted(bench):
    bench.send("slow", "old", delay=seconds(0))
    bench.later(59)
    bench.send("slow", "new", delay=seconds(0))
    bench.later(1)
    assert bench.counts("slow") == (1, 0, 0)
    assert [message.body for message in bench.queues.peek("slow")] == ["new"]
    assert bench.bodies("slow") == ["new"]
    bench.later(60)
    assert bench.queues.prune() == 1
    assert bench.queues.peek("slow") == []


def test_the_oldest_that_waits_is_told(bench):
    assert bench.queues.counts("plain").oldest is None
    bench.send("plain", "a")
    sent = bench.now
    bench.later(100)
    bench.send("plain", "b")
    assert bench.queues.counts("plain").oldest == sent


def test_a_message_received_too_often_goes_to_the_dead_letters_with_its_id_and_its_count(bench):
    bench.send("plain", "bad", attributes={"Try": {"DataType": "Number", "StringValue": "1"}})
    bench.send("plain", "good")
    for _ in range(3):
        assert sorted(bench.bodies("plain", receiver="run-1")) == ["bad", "good"]
        bench.later(30)
    assert bench.bodies("plain") == []
    assert bench.counts("plain") == (0, 0, 0)
    bad, _ = bench.queues.peek("plain-dead-letters")
    assert (bad.receives, bad.run_id, bad.state, bad.attributes) == (3, "run-1", "waiting", {"Try": "1"})
    received = bench.queues.receive("plain-dead-letters", 10)[0]
    assert (received.id, received.receives, received.source) == (bad.id, 4, "plain")
    assert "plain-dead-letters" in bench.arrivals


def test_dead_letters_go_back_as_new_messages_to_where_they_came_from(bench):
    bench.send("plain", "a")
    for _ in range(4):
        bench.bodies("plain")
        bench.later(30)
    bench.send("plain-dead-letters", "put there by hand")
    before = bench.queues.peek("plain-dead-letters")[0]
    (moved,) = bench.queues.move("plain-dead-letters")
    assert (moved.old_id, moved.queue) == (before.id, "plain")
    (again,) = bench.queues.receive("plain")
    assert (again.id, again.receives, again.sent_at, again.source) == (moved.new_id, 1, bench.now, "")
    assert [left.body for left in bench.queues.peek("plain-dead-letters")] == ["put there by hand"]
    (moved,) = bench.queues.move("plain-dead-letters", "slow")
    assert bench.bodies("slow") == ["put there by hand"]


def test_what_becomes_a_dead_letter_during_a_move_stays_one(bench):
    """A message that fails at once would be moved for ever."""
    bench.send("plain-dead-letters", "before")
    began_ms = to_ms(bench.now)
    bench.later(1)
    bench.send("plain-dead-letters", "since")
    assert len(bench.queues.move_some("plain-dead-letters", "plain", 10, began_ms)) == 1
    assert bench.queues.move_some("plain-dead-letters", "plain", 10, began_ms) == []
    assert [left.body for left in bench.queues.peek("plain-dead-letters")] == ["since"]


def test_a_clock_that_was_ahead_hides_nothing_once_it_is_right(bench):
    bench.send("plain", "before")
    bench.later(3600)
    bench.send("plain", "ahead")
    bench.send("plain", "delayed", delay=seconds(60))
    bench.later(-3600)
    assert bench.counts("plain") == (1, 0, 2)
    bench.queues.mend_clock()
    assert sorted(bench.bodies("plain")) == ["ahead", "before"]
    bench.later(60)
    assert "delayed" in bench.bodies("plain")


def test_what_a_clock_that_was_ahead_has_hidden_comes_back_in_its_time(bench):
    bench.send("plain", "buried")
    bench.later(3600)
    for _ in range(4):
        bench.queues.receive("plain", visibility=seconds(0))
    bench.send("plain", "in flight")
    bench.queues.receive("plain", visibility=seconds(20))
    bench.send("ordered.fifo", "sent", group="g", deduplication_id="1")
    bench.later(-3600)
    bench.queues.mend_clock()
    assert len(bench.queues.move("plain-dead-letters", "slow")) == 1
    assert bench.bodies("plain") == []
    bench.later(20)
    assert bench.bodies("plain") == ["in flight"]
    bench.later(280)
    bench.send("ordered.fifo", "five minutes later", group="g", deduplication_id="1")
    assert bench.counts("ordered.fifo")[0] == 2


def test_thousands_of_dead_letters_go_back(bench):
    bench.send("plain-dead-letters", *map(str, range(1001)))
    assert len(bench.queues.move("plain-dead-letters", "plain")) == 1001
    assert bench.counts("plain") == (1001, 0, 0)


def test_a_purge_takes_what_is_in_flight_as_well(bench):
    bench.send("plain", "a", "b")
    bench.queues.receive("plain")
    assert bench.queues.purge("plain") == 2
    bench.later(100)
    assert bench.bodies("plain") == []
    assert bench.queues.row("plain")["purged_ms"] == to_ms(bench.now) - 100_000


def test_what_was_finished_is_counted(bench):
    bench.send("plain", "a", "b", "c")
    bench.queues.delete("plain", [message.receipt for message in bench.queues.receive("plain", 2)])
    assert bench.queues.finished("plain", timedelta(minutes=5)) == 2
    bench.later(301)
    assert bench.queues.finished("plain", timedelta(minutes=5)) == 0


def test_a_queue_that_is_not_declared_is_not_there_and_keeps_its_messages(bench):
    bench.send("plain", "a")
    bench.queues.declare({})
    with pytest.raises(NotFound, match="there is no queue `plain`"):
        bench.queues.receive("plain")
    bench.queues.declare(QUEUES)
    assert bench.bodies("plain") == ["a"]


def test_a_changed_queue_tells_when_it_was_changed(bench):
    made = bench.queues.row("plain")["created_ms"]
    bench.later(60)
    bench.queues.declare({"plain": Queue(name="plain", visibility=seconds(99))})
    row = bench.queues.row("plain")
    assert (row["created_ms"], row["modified_ms"]) == (made, made + 60_000)


@pytest.mark.parametrize(
    ("queue", "message", "code", "said"),
    [
        ("plain", NewMessage(body=""), "MissingRequiredParameterException", "must contain the parameter MessageBody"),
        ("plain", NewMessage(body="a\0"), "InvalidMessageContents", "This body has #x0 at 1"),
        ("plain", NewMessage(body="\ud800"), "InvalidMessageContents", "#xD800"),
        ("plain", NewMessage(body="\uffff"), "InvalidMessageContents", "#xFFFF"),
        ("plain", NewMessage(body="é" * 524_289), "InvalidParameterValueException", "shorter than 1048576 bytes"),
        ("plain", NewMessage(body="a", delay=seconds(901)), "InvalidParameterValueException", "DelaySeconds"),
        ("plain", NewMessage(body="a", deduplication_id="x"), "InvalidParameterValueException", "queue type"),
        ("plain", NewMessage(body="a", group="a b"), "InvalidParameterValueException", "MessageGroupId"),
        (
            "named.fifo",
            NewMessage(body="a", deduplication_id="x"),
            "MissingRequiredParameterException",
            "MessageGroupId",
        ),
        ("named.fifo", NewMessage(body="a", group="g"), "InvalidParameterValueException", "ContentBasedDeduplication"),
        (
            "ordered.fifo",
            NewMessage(body="a", group="g", delay=seconds(2)),
            "InvalidParameterValueException",
            "Value 2 for",
        ),
    ],
)
def test_what_sqs_would_refuse_is_refused_in_its_words(bench, queue, message, code, said):
    with pytest.raises(QueueError) as caught:
        bench.queues.send(queue, [NewMessage(body="right", group="g", deduplication_id="r"), message])
    if queue != "plain":
        assert caught.value.code == code
        assert said in caught.value.message
    with pytest.raises(QueueError) as caught:
        bench.queues.send(queue, [message])
    assert (caught.value.code, said in caught.value.message) == (code, True)
    assert bench.counts(queue) == (0, 0, 0)


@pytest.mark.parametrize(
    "attributes",
    [
        {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(11)},
        {"AWS.x": {"DataType": "String", "StringValue": "x"}},
        {"a b": {"DataType": "String", "StringValue": "x"}},
        {".a": {"DataType": "String", "StringValue": "x"}},
        {"a": {"DataType": "Text", "StringValue": "x"}},
        {"a": {"StringValue": "x"}},
        {"a": {"DataType": "String", "StringValue": ""}},
        {"a": {"DataType": "String", "BinaryValue": "eA=="}},
        {"a": {"DataType": "Binary", "BinaryValue": "%"}},
        {"a": {"DataType": "Number", "StringValue": "one"}},
        {"a": {"DataType": "String", "StringValue": "\0"}},
    ],
)
def test_attributes_that_sqs_would_refuse_are_refused(bench, attributes):
    with pytest.raises(QueueError, match="attribute"):
        bench.send("plain", "a", attributes=attributes)


def test_characters_at_the_bounds_of_what_sqs_takes_come_back(bench):
    body = "\t\n\r \ud7ff\ue000\ufffd\U00010000\U0010ffff"
    bench.send("plain", body)
    assert bench.bodies("plain") == [body]


# ------------------------------------------------------------------------------------------------- FIFO queues


def test_a_group_waits_while_one_of_its_messages_is_in_flight(bench):
    for body, group in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("b2", "b")):
        bench.send("ordered.fifo", body, group=group)
    a1, b1 = bench.queues.receive("ordered.fifo", 2)
    assert (a1.body, b1.body) == ("a1", "b1")
    assert bench.bodies("ordered.fifo") == []
    bench.arrivals.clear()
    bench.queues.delete("ordered.fifo", [a1.receipt])
    assert bench.arrivals == ["ordered.fifo"]
    assert bench.bodies("ordered.fifo") == ["a2"]
    bench.later(30)
    assert bench.bodies("ordered.fifo") == ["b1", "a2", "b2"]


def test_several_of_a_group_may_come_in_one_receive_in_their_order(bench):
    bench.send("ordered.fifo", *map(str, range(5)), group="g")
    assert bench.bodies("ordered.fifo", 3) == ["0", "1", "2"]
    assert bench.bodies("ordered.fifo", 3) == []


def test_a_message_is_known_again_for_five_minutes_by_its_content_or_its_id(bench):
    first, second = bench.send("ordered.fifo", "same", "same", group="g")
    assert (second.id, second.sequence, second.is_duplicate) == (first.id, first.sequence, True)
    (other_group,) = bench.send("ordered.fifo", "same", group="h")
    assert other_group.is_duplicate
    assert bench.bodies("ordered.fifo") == ["same"]
    bench.later(299.999)
    assert bench.send("ordered.fifo", "same", group="g")[0].is_duplicate
    bench.later(0.001)
    (third,) = bench.send("ordered.fifo", "same", group="g")
    assert not third.is_duplicate
    assert int(third.sequence_number) > int(first.sequence_number)
    assert len(third.sequence_number) == 20
    sent = bench.send("named.fifo", "a", "b", group="g", deduplication_id="x")
    assert [one.is_duplicate for one in sent] == [False, True]


def test_also_a_deleted_message_is_known_again(bench):
    bench.send("ordered.fifo", "same", group="g")
    bench.queues.delete("ordered.fifo", [message.receipt for message in bench.queues.receive("ordered.fifo")])
    assert bench.send("ordered.fifo", "same", group="g")[0].is_duplicate


def test_an_expired_receipt_is_an_error_on_fifo_queues(bench):
    bench.send("ordered.fifo", "a", group="g")
    (message,) = bench.queues.receive("ordered.fifo")
    bench.later(30)
    (error,) = bench.queues.delete("ordered.fifo", [message.receipt])
    assert error.message.endswith("for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.")
    (error,) = bench.queues.change_visibility("ordered.fifo", [(message.receipt, seconds(9))])
    assert error.message.endswith("The receipt handle has expired.")
    assert bench.bodies("ordered.fifo") == ["a"]


def test_a_shortened_delay_does_not_let_a_message_overtake_its_group(bench):
    bench.send("named.fifo", "1", group="g", deduplication_id="1")
    bench.queues.declare({"named.fifo": Queue(name="named.fifo")})
    bench.send("named.fifo", "2", group="g", deduplication_id="2")
    assert bench.bodies("named.fifo") == []
    bench.later(5)
    assert bench.bodies("named.fifo") == ["1", "2"]


def test_what_is_over_its_retention_does_not_keep_its_group_waiting(tmp_path):
    queue = Queue(name="q.fifo", retention=seconds(60), visibility=seconds(600), content_deduplication=True)
    bench = Bench(tmp_path / "wherry.db", {"q.fifo": queue})
    bench.send("q.fifo", "old", group="g")
    assert bench.bodies("q.fifo") == ["old"]
    bench.later(60)
    bench.send("q.fifo", "new", group="g")
    assert bench.bodies("q.fifo") == ["new"]
    bench.database.close()


def test_a_dead_letter_frees_its_group_and_comes_back_into_it(bench):
    bench.send("ordered.fifo", "bad", "next", group="g")
    for _ in range(2):
        assert bench.bodies("ordered.fifo", 1) == ["bad"]
        bench.later(30)
    assert bench.bodies("ordered.fifo", 1) == ["next"]
    (letter,) = bench.queues.peek("ordered-dead-letters.fifo")
    assert (letter.body, letter.group) == ("bad", "g")
    bench.queues.move("ordered-dead-letters.fifo")
    bench.later(30)
    assert bench.bodies("ordered.fifo") == ["next", "bad"]


# ------------------------------------------------------------------------------------------------- runs of messages


def take(bench, queue, holder, most=1):
    return bench.write(lambda tx: bench.held.take(tx, queue, most, holder, bench.now))


def test_a_held_message_stays_hidden_however_long_the_run_takes(bench):
    bench.send("slow", "a", delay=seconds(0))
    (held,) = take(bench, "slow", "run-1")
    bench.later(100_000)
    assert bench.bodies("slow") == []
    assert bench.counts("slow") == (0, 1, 0)
    assert bench.queues.in_flight_of("run-1") == 1
    assert bench.queues.next_due("slow") is None
    assert bench.queues.prune() == 0
    bench.write(lambda tx: bench.held.finish(tx, [held.id]))
    assert bench.counts("slow") == (0, 0, 0)
    assert bench.queues.finished("slow", timedelta(minutes=5)) == 1


def test_each_attempt_is_a_receive_and_what_fails_for_the_last_time_is_a_dead_letter_of_its_run(bench):
    bench.send("plain", "a")
    (held,) = take(bench, "plain", "run-1")
    bench.write(lambda tx: bench.held.count(tx, [held.id]))
    assert bench.queues.peek("plain")[0].receives == 2
    bench.write(lambda tx: bench.held.bury(tx, [held.id], bench.now))
    (letter,) = bench.queues.peek("plain-dead-letters")
    assert (letter.id, letter.run_id, letter.receives, letter.state) == (held.id, "run-1", 2, "waiting")
    again = bench.write(lambda tx: bench.held.hold_again(tx, "plain", held.id, "run-1"))
    assert (again.id, again.receives, again.queue) == (held.id, 3, "plain")
    assert bench.counts("plain") == (0, 1, 0)
    assert bench.counts("plain-dead-letters") == (0, 0, 0)
    assert bench.write(lambda tx: bench.held.hold_again(tx, "plain", held.id, "run-2")) is None


def test_a_message_is_released_for_now_or_for_later_and_perhaps_not_counted(bench):
    bench.send("plain", "a")
    (held,) = take(bench, "plain", "run-1")
    bench.write(lambda tx: bench.held.release(tx, [held.id], bench.now, seconds(7)))
    assert bench.queues.next_due("plain") == bench.now + seconds(7)
    bench.later(7)
    (held,) = take(bench, "plain", "run-1")
    assert held.receives == 2
    bench.arrivals.clear()
    bench.write(lambda tx: bench.held.release(tx, [held.id], bench.now, uncount=True))
    assert bench.arrivals == ["plain"]
    assert take(bench, "plain", "run-2")[0].receives == 2


def test_who_takes_for_a_run_finds_the_dead_letters_out_as_well(bench):
    bench.send("plain", "a")
    for _ in range(3):
        bench.bodies("plain")
        bench.later(30)
    assert take(bench, "plain", "run-1") == []
    assert bench.counts("plain-dead-letters") == (1, 0, 0)


def test_a_message_as_the_worker_on_ecs_sees_it(bench):
    bench.send(
        "ordered.fifo", "a", group="g", attributes={"n": {"DataType": "Number", "StringValue": "1"}}, sender="me"
    )
    document = bench.queues.receive("ordered.fifo")[0].document()
    assert document["Body"] == "a"
    assert document["MessageAttributes"] == {"n": {"DataType": "Number", "StringValue": "1"}}
    attributes = document["Attributes"]
    assert attributes.pop("MessageDeduplicationId").startswith("ca978112ca1bbdca")
    sent = str(to_ms(bench.now))
    assert attributes == {
        "SenderId": "me",
        "SentTimestamp": sent,
        "ApproximateReceiveCount": "1",
        "ApproximateFirstReceiveTimestamp": sent,
        "SequenceNumber": "10000000000000000001",
        "MessageGroupId": "g",
    }


# ------------------------------------------------------------------------------------------------- waiting


class Waiting:
    """A receive in a thread of its own."""

    def __init__(self, bench, queue, **more) -> None:
        self.result = None
        self._done = threading.Event()
        started = threading.Event()
        polls = bench.queues.polls
        begin = polls.begin

        def begun(*arguments):
            poll = begin(*arguments)
            started.set()
            return poll

        polls.begin = begun

        def work():
            self.result = bench.bodies(queue, wait=seconds(50), **more)
            self._done.set()

        threading.Thread(target=work, daemon=True).start()
        assert started.wait(10)
        polls.begin = begin

    def end(self):
        assert self._done.wait(10), "it waits still"
        return self.result


def test_a_long_poll_ends_with_an_arrival_and_each_message_goes_to_one(bench):
    polls = [Waiting(bench, "plain", most=1) for _ in range(3)]
    bench.send("plain", "a")
    bench.send("plain", "b", "c")
    assert sorted(body for poll in polls for body in poll.end()) == ["a", "b", "c"]


def test_a_long_poll_ends_when_something_hidden_becomes_visible(bench):
    bench.send("plain", "a", delay=seconds(0.3))
    waiting = Waiting(bench, "plain")
    bench.later(0.3)
    assert waiting.end() == ["a"]


def test_a_long_poll_sees_what_another_process_sends_without_being_told(tmp_path, bench):
    waiting = Waiting(bench, "plain")
    other = Bench(tmp_path / "wherry.db")
    other.send("plain", "from elsewhere")
    assert waiting.end() == ["from elsewhere"]
    other.database.close()


def test_no_transaction_is_open_while_a_receiver_waits(bench):
    waiting = Waiting(bench, "plain")
    began = time.monotonic()
    bench.send("slow", "a")
    assert time.monotonic() - began < 5
    bench.queues.polls.end()
    assert waiting.end() == []


def test_a_receiver_that_is_refused_gets_nothing_until_it_is_welcome_again(bench):
    waiting = Waiting(bench, "plain", receiver="run-1")
    bench.queues.refuse("run-1")
    assert waiting.end() == []
    bench.send("plain", "a")
    patient = Waiting(bench, "plain", receiver="run-1")
    assert bench.counts("plain") == (1, 0, 0)
    bench.queues.welcome("run-1")
    assert patient.end() == ["a"]
    assert bench.queues.in_flight_of("run-1") == 1


def test_a_client_that_has_gone_before_it_is_answered_takes_no_message_with_it(bench):
    bench.send("plain", "a")
    assert bench.queues.receive("plain", wanted=lambda: False) == []
    assert bench.counts("plain") == (1, 0, 0)


def test_a_client_that_has_gone_takes_no_message_with_it(bench):
    waiting = Waiting(bench, "plain", wanted=lambda: False)
    bench.send("plain", "a")
    assert waiting.end() == []
    assert bench.counts("plain") == (1, 0, 0)


# ------------------------------------------------------------------------------------------------- many processes, and death

WORKER = """
import sys
from datetime import timedelta
from tests.local.test_queues import QUEUES
from wherry.local.clock import system_clock
from wherry.local.database import Database
from wherry.local.queue_records import NewMessage
from wherry.local.queues import Queues

queues = Queues(Database(sys.argv[1]), QUEUES, system_clock, lambda name: None)
{work}
"""

TAKER = """
while received := queues.receive("plain", 3, visibility=timedelta(hours=1)):
    for message in received:
        print(message.body, flush=True)
    queues.delete("plain", [message.receipt for message in received])
"""

SENDER = """
for number in range(100_000):
    queues.send("plain", [NewMessage(body=f"{sys.argv[2]}-{number}")])
    print(f"{sys.argv[2]}-{number}", flush=True)
"""


def spawn(path, work, *arguments):
    script = WORKER.replace("{work}", work)
    return subprocess.Popen([sys.executable, "-c", script, str(path), *arguments], stdout=subprocess.PIPE, text=True)


def test_processes_that_receive_together_never_get_the_same_message(tmp_path, bench):
    bench.now = datetime.now(UTC) - seconds(1)
    bench.send("plain", *map(str, range(300)))
    takers = [spawn(tmp_path / "wherry.db", TAKER) for _ in range(3)]
    taken = Counter(line for taker in takers for line in taker.communicate()[0].split())
    assert taken == Counter(map(str, range(300)))


def test_what_was_acknowledged_is_there_when_its_sender_is_killed(tmp_path):
    sender = spawn(tmp_path / "wherry.db", SENDER, "x")
    told = [sender.stdout.readline().strip() for _ in range(50)]
    sender.kill()
    told += sender.communicate()[0].split()
    bench = Bench(tmp_path / "wherry.db")
    bench.now = datetime.now(UTC) + seconds(1)
    there = [message.body for message in bench.queues.peek("plain", 100_000)]
    assert there[: len(told)] == told
    assert len(there) <= len(told) + 1
    bench.database.close()


# ------------------------------------------------------------------------------------------------- against a small model


@dataclass
class Letter:
    """A message as SQS's rules have it."""

    id: str
    group: str
    sent: float
    visible: float
    dead: bool = False
    receives: int = 0
    in_flight_since: float | None = None
    receipts: list[str] = field(default_factory=list)


class Rules(RuleBasedStateMachine):
    """What a queue may do, by a model that knows nothing of tables."""

    queue = Queue(name="q", visibility=seconds(10), max_receives=2, retention=timedelta(minutes=2))

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.bench = Bench(f"{self.folder.name}/wherry.db", {self.queue.name: self.queue})
        self.clock = 0.0
        self.letters: dict[str, Letter] = {}
        self.known: dict[str, tuple[float, str]] = {}

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.database.close()
            self.folder.cleanup()

    @property
    def is_fifo(self) -> bool:
        return self.queue.is_fifo

    def alive(self, *, dead=False) -> list[Letter]:
        kept = timedelta(days=14).total_seconds() if dead else self.queue.retention.total_seconds()
        return [one for one in self.letters.values() if one.dead == dead and one.sent > self.clock - kept]

    def available(self) -> list[Letter]:
        """What could be received now, in the order of sending."""
        alive = self.alive()
        blocked = {one.group for one in alive if one.visible > self.clock and one.in_flight_since is not None}
        return [one for one in alive if one.visible <= self.clock and not (self.is_fifo and one.group in blocked)]

    @rule(group=st.sampled_from("abc"), delay=st.sampled_from([0, 0, 5, 20]), body=st.integers(0, 8))
    def send(self, group, delay, body) -> None:
        known = self.known.get(str(body))
        if self.is_fifo:
            message = NewMessage(body=str(body), group=group)
        else:
            message = NewMessage(body=str(body), delay=seconds(delay))
        (sent,) = self.bench.queues.send(self.queue.name, [message])
        if self.is_fifo and known and known[0] > self.clock - 300:
            assert (sent.id, sent.is_duplicate) == (known[1], True)
            return
        assert not sent.is_duplicate
        self.known[str(body)] = (self.clock, sent.id)
        visible = self.clock if self.is_fifo else self.clock + delay
        self.letters[sent.id] = Letter(sent.id, group if self.is_fifo else "", self.clock, visible)

    @rule(most=st.integers(1, 4), visibility=st.sampled_from([None, 0, 3, 30]))
    def receive(self, most, visibility) -> None:
        available = self.available()
        received = self.bench.queues.receive(
            self.queue.name, most, visibility=None if visibility is None else seconds(visibility)
        )
        dead = {message.id for message in self.bench.queues.peek(self.queue.dead_letters, 1000)}
        got = [message.id for message in received]
        fresh = [one.id for one in available if one.receives < self.queue.max_receives]
        worn = {one.id for one in available} - set(fresh)
        newly = {one for one in dead if not self.letters[one].dead}
        assert newly <= worn
        assert len(got) == min(most, len(fresh))
        assert len(set(got)) == len(got)
        assert set(got) <= set(fresh)
        if self.is_fifo:
            assert got == fresh[:most]
        if len(got) < most:
            assert newly == worn
        for one in newly:
            letter = self.letters[one]
            letter.dead, letter.in_flight_since = True, None
        for message in received:
            letter = self.letters[message.id]
            letter.receives += 1
            assert message.receives == letter.receives
            letter.visible = self.clock + (10 if visibility is None else visibility)
            letter.in_flight_since = self.clock
            letter.receipts.append(message.receipt)

    def expired(self, letter: Letter, receipt: str) -> bool:
        return letter.dead or receipt != letter.receipts[-1] or letter.visible <= self.clock

    @precondition(lambda self: any(one.receipts for one in self.letters.values()))
    @rule(data=st.data())
    def delete(self, data) -> None:
        letter = data.draw(st.sampled_from([one for one in self.letters.values() if one.receipts]))
        receipt = data.draw(st.sampled_from(letter.receipts))
        (error,) = self.bench.queues.delete(self.queue.name, [receipt])
        if self.is_fifo and self.expired(letter, receipt) and letter in self.alive(dead=letter.dead):
            assert error is not None
        elif not self.is_fifo:
            assert error is None
        if error is None and not letter.dead and receipt == letter.receipts[-1]:
            del self.letters[letter.id]

    @precondition(lambda self: any(one.receipts for one in self.letters.values()))
    @rule(data=st.data(), span=st.sampled_from([0, 4, 25, 43_200]))
    def change(self, data, span) -> None:
        letter = data.draw(st.sampled_from([one for one in self.letters.values() if one.receipts]))
        receipt = data.draw(st.sampled_from(letter.receipts))
        (error,) = self.bench.queues.change_visibility(self.queue.name, [(receipt, seconds(span))])
        is_last = not letter.dead and receipt == letter.receipts[-1]
        if is_last and span == 43_200 and self.clock > letter.in_flight_since:
            assert error is not None
        elif error is None and is_last:
            letter.visible = self.clock + span

    @rule()
    def move(self) -> None:
        moved = self.bench.queues.move(self.queue.dead_letters)
        assert {one.old_id for one in moved} == {one.id for one in self.alive(dead=True)}
        for one in moved:
            old = self.letters.pop(one.old_id)
            self.letters[one.new_id] = Letter(one.new_id, old.group, self.clock, self.clock)

    @rule(span=st.sampled_from([0.5, 1, 3, 10, 31, 119]))
    def pass_time(self, span) -> None:
        self.clock += span
        self.bench.later(span)

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "bench"):
            return
        alive = self.alive()
        waiting = sum(one.visible <= self.clock for one in alive)
        in_flight = sum(one.visible > self.clock and one.in_flight_since is not None for one in alive)
        assert self.bench.counts(self.queue.name) == (waiting, in_flight, len(alive) - waiting - in_flight)
        assert self.bench.counts(self.queue.dead_letters)[0] == len(self.alive(dead=True))


class FifoRules(Rules):
    queue = Queue(
        name="q.fifo",
        visibility=seconds(10),
        max_receives=2,
        retention=timedelta(minutes=2),
        content_deduplication=True,
    )


STEPS = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
TestStandardRules = Rules.TestCase
TestStandardRules.settings = STEPS
TestFifoRules = FifoRules.TestCase
TestFifoRules.settings = STEPS
