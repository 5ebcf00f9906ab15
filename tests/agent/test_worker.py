"""The worker at its work: what it deletes, what it gives back, and when."""

import json
import os
import random
import re
import socket
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.conftest import wait_for

WORK = 'echo "begin $N" >> $OUT; sleep $S; echo "end $N" >> $OUT'
FIELDS = {"N": "${event.detail.body.n}", "S": "${event.detail.body.seconds}"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def upload(key):
    """The message that an upload makes."""
    document = {
        "version": "0",
        "id": key,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2026-01-01T00:00:00Z",
    }
    return document | {"detail": {"bucket": {"name": "uploads"}, "object": {"key": key}}}


def test_an_upload_becomes_a_file_and_its_message_goes(bench):
    content = os.urandom(3_000_000)
    bench.s3.put_object(Bucket="uploads", Key="in/a b.bin", Body=content)
    (message,) = bench.send(upload("in/a b.bin"))
    bench.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"})
    command = (
        "sh",
        "-c",
        'cp "$1" copy; echo "$1" "$WHERRY_RUN_ID" $WHERRY_ATTEMPT $WHERRY_TRIGGER >> $OUT',
        "sh",
        "${event.file}",
    )
    bench.start(command, env={"TO": "s3://${bucket.results}/${event.detail.object.key}"})
    (record,) = bench.wait_for_status("succeeded")
    wait_for(lambda: bench.counts() == (0, 0), "an empty queue")
    assert (bench.folder / "copy").read_bytes() == content
    path, run_id, attempt, trigger = bench.lines()[0].rsplit(" ", 3)
    assert (path.rpartition("/")[2], attempt, trigger) == ("a_b.bin", "1", "queue")
    assert not os.path.exists(path)
    assert record["run"] == run_id
    assert record["messages"][0]["id"] == message
    assert record["event"] == upload("in/a b.bin")
    assert record["env"] == {"TO": "s3://results/in/a b.bin"}
    assert [each["code"] for each in record["attempts"]] == [0]
    marks = re.findall(r"wherry: run \S+ attempt 1 (begins|ends)", bench.log())
    assert marks == ["begins", "ends"]


def test_work_of_five_visibilities_is_done_once(bench):
    bench.send({"n": 1, "seconds": 10})
    workers = [bench.start(WORK, env=FIELDS, visibility=timedelta(seconds=2)) for _ in range(2)]
    wait_for(lambda: len(bench.lines()) == 1, "the beginning")
    while bench.lines() == ["begin 1"]:
        assert bench.counts() == (0, 1)
        time.sleep(0.05)
    wait_for(lambda: bench.counts() == (0, 0), "the end")
    assert bench.lines() == ["begin 1", "end 1"]
    assert all(worker.poll() is None for worker in workers)


def test_what_exit_codes_mean(bench):
    command = 'echo "$N $WHERRY_ATTEMPT" >> $OUT; exit $N'
    bench.start(
        command,
        env={"N": "${event.detail.body}"},
        drop=frozenset({65}),
        give_back=frozenset({75}),
        backoff=timedelta(seconds=0.2),
    )
    bench.send("1", "65", "75", "0")
    failed = {each["attempts"][-1]["code"]: each for each in bench.wait_for_status("failed", 3)}
    wait_for(lambda: bench.counts(bench.letters) == (2, 0), "the dead letters")
    assert Counter(bench.lines()) == Counter(["1 1", "1 2", "1 3", "65 1", "75 1", "75 2", "75 3", "0 1"])
    assert [each["code"] for each in failed[1]["attempts"]] == [1, 1, 1]
    assert {code: each["dead"] for code, each in failed.items()} == {1: True, 65: False, 75: True}
    assert failed[65]["reason"] == "exit code 65: its message is dropped (`exit_codes: drop`)"
    assert bench.counts() == (0, 0)


def test_whose_object_is_gone_is_a_dead_letter_at_once(bench):
    bench.start(("true", "${event.file}"))
    bench.send(upload("not/there"))
    (record,) = bench.wait_for_status("failed")
    assert record["reason"] == "could not start: its object is gone: there is nothing to fetch"
    wait_for(lambda: bench.counts(bench.letters) == (1, 0), "the dead letter")
    assert len(record["attempts"]) == 1


def test_one_mistake_does_not_use_up_all_messages(bench):
    """What cannot start says nothing about messages: the worker rests, longer each time, and takes one to try it."""
    bench.send(*range(40))
    worker = bench.start(("./nothing", "${event.file}"), max_receives=2)
    wait_for(lambda: "nothing is taken for 4 s" in bench.log(), "the third rest")
    reasons = {each["reason"] for each in bench.records()}
    assert all("`./nothing` cannot be executed: No such file or directory" in reason for reason in reasons)
    assert sum(bench.counts(bench.letters)) <= 1
    worker.terminate()
    assert worker.wait(10) == 0  # a worker that rests goes at once
    assert sum(bench.counts()) >= 39


def test_a_batch_is_one_run(bench):
    for number in range(2):
        bench.s3.put_object(Bucket="uploads", Key=f"{number}.txt", Body=str(number).encode())
    bench.send(upload("0.txt"), {"n": 1}, "text", upload("1.txt"))
    bench.start(
        'cat "$F" >> $OUT; cat $(sed -n \'s/.*"file":"\\([^"]*\\)".*/\\1/p\' "$F") > files',
        env={"F": "${event.file}"},
        batch=10,
    )
    (record,) = bench.wait_for_status("succeeded")
    assert bench.counts() == (0, 0)
    lines = [json.loads(line) for line in bench.lines()]
    assert [line["body"] for line in lines] == [upload("0.txt"), {"n": 1}, "text", upload("1.txt")]
    assert (bench.folder / "files").read_text() == "01"
    assert [each["id"] for each in record["messages"]] == [line["message-id"] for line in lines]


def test_a_timeout_ends_all_that_the_command_has_started(bench):
    bench.send("1")
    bench.start(
        "sh -c \"trap '' TERM; echo $$ >> $OUT; exec sleep 98765\" & setsid sleep 98764 & wait",
        timeout=timedelta(seconds=1),
        max_receives=1,
    )
    (record,) = bench.wait_for_status("timed_out")
    assert record["reason"] == "timeout: 1s"
    assert record["attempts"][0]["ending"] == "timed_out"
    assert not [each for each in processes() if each in (b"sleep\x0098765\x00", b"sleep\x0098764\x00")]


def processes():
    """The command lines of all processes."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                yield file.read()
        except OSError:
            continue


def test_a_dead_letter_that_is_sent_once_more_is_a_further_round_of_its_run(bench):
    command = 'echo "$WHERRY_RUN_ID $WHERRY_ATTEMPT" >> $OUT; test $WHERRY_ATTEMPT -gt 3'
    bench.start(command, backoff=timedelta(seconds=0.1), max_receives=2)
    bench.send("1")
    (failed,) = bench.wait_for_status("failed")
    wait_for(lambda: bench.counts(bench.letters) == (1, 0), "the dead letter")
    mark = f"{failed['run']} {failed['messages'][0]['sent']}"
    attribute = {"wherry-run": {"DataType": "String", "StringValue": mark}}
    bench.sqs.send_message(QueueUrl=bench.url, MessageBody="1", MessageAttributes=attribute)
    (record,) = bench.wait_for_status("succeeded")
    assert bench.lines() == [f"{failed['run']} {number}" for number in (1, 2, 3, 4)]
    assert [each["code"] for each in record["attempts"]] == [1, 1, 1, 0]
    wait_for(lambda: len(bench.keys()) == 1, "one record")


def test_a_further_round_fails_and_is_moved_back_as_the_same_run(bench):
    bench.start('echo "$WHERRY_RUN_ID $WHERRY_ATTEMPT" >> $OUT; exit 1', backoff=timedelta(0), max_receives=3)
    attribute = {"wherry-run": {"DataType": "String", "StringValue": "f00d 1700000000000"}}
    bench.sqs.send_message(QueueUrl=bench.url, MessageBody="1", MessageAttributes=attribute)
    bench.wait_for_status("failed")
    wait_for(lambda: bench.counts(bench.letters) == (1, 0), "the dead letter")
    arn = bench.sqs.get_queue_attributes(QueueUrl=bench.letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bench.sqs.start_message_move_task(SourceArn=arn)
    wait_for(lambda: len(bench.lines()) == 6, "the second round")
    assert bench.lines() == [f"f00d {number}" for number in range(1, 7)]
    wait_for(lambda: [len(each["attempts"]) for each in bench.records()] == [6], "the attempts of both")


# ------------------------------------------------------------------------------------------------ the end of a worker


def test_workers_that_are_told_to_go_at_any_moment_lose_nothing_and_cut_nothing_off(bench):
    chance = random.Random(7)
    wanted = 30
    bench.send(*({"n": number, "seconds": round(chance.uniform(0, 0.2), 3)} for number in range(wanted)))
    for number in range(12):
        worker = bench.start(WORK, env=FIELDS)
        wait_for(lambda: bench.log().count("takes messages") > number, "the worker")  # noqa: B023 - at once
        time.sleep(chance.uniform(0, 0.5))
        bench.drain(worker)
        begun = [line.split()[1] for line in bench.lines() if line.startswith("begin")]
        ended = [line.split()[1] for line in bench.lines() if line.startswith("end")]
        assert begun == ended
        waiting, in_flight = bench.counts()
        assert (waiting + len(ended), in_flight) == (wanted, 0)
        if waiting < 2:  # an empty queue is polled for 20 s
            break
    assert len(set(ended)) == len(ended) > 5


def test_who_is_busy_for_a_whole_shift_ends_between_two_messages(bench, neighbour):
    neighbour.answers = {PROTECTION: (200, as_wanted)}
    bench.send(*({"n": number, "seconds": 0.3} for number in range(20)))
    environment = {"ECS_AGENT_URI": neighbour.url}
    worker = bench.start(WORK, env=FIELDS, environment=environment, shift=timedelta(seconds=1.5))
    assert worker.wait(15) == 0
    begun, ended = ([line.split()[1] for line in bench.lines() if line.startswith(word)] for word in ("begin", "end"))
    assert begun == ended
    assert 2 <= len(ended) <= 5
    assert bench.counts() == (20 - len(ended), 0)
    assert "a fresh task comes" in bench.log()
    assert neighbour.asked[-1][2] == {"ProtectionEnabled": False}


def test_what_is_received_in_the_moment_of_the_end_is_given_back(bench):
    worker = bench.start(WORK, env=FIELDS)
    wait_for(lambda: "takes messages" in bench.log() if (bench.folder / "log").exists() else None, "the worker")
    time.sleep(0.5)
    worker.terminate()
    time.sleep(0.2)
    bench.send({"n": 1, "seconds": 0})
    assert worker.wait(25) == 0
    assert bench.counts() == (1, 0)
    assert bench.lines() == []
    assert "given back: the task has to go" in bench.log()


def test_what_does_not_end_in_time_is_given_back(bench):
    bench.send({"n": 1, "seconds": 600})
    worker = bench.start(WORK, env=FIELDS, stop_timeout=timedelta(seconds=6), visibility=timedelta(seconds=600))
    wait_for(bench.lines, "the beginning")
    began = time.monotonic()
    bench.drain(worker)
    assert 0.9 < time.monotonic() - began < 4
    assert bench.counts() == (1, 0)
    (record,) = bench.records()
    assert (record["status"], record["attempts"][0]["ending"]) == ("queued", "stopped")
    assert "its task had to go" in record["reason"]


def test_a_killed_worker_s_message_comes_back(bench):
    bench.send({"n": 1, "seconds": 2.5})
    first = bench.start(WORK, env=FIELDS)
    wait_for(lambda: [each for each in bench.records() if each["status"] == "running"], "the record")
    first.kill()
    bench.start('echo "again $WHERRY_ATTEMPT" >> $OUT')
    (record,) = bench.wait_for_status("succeeded")
    assert "again 2" in bench.lines()
    assert [each.get("ending") for each in record["attempts"]] == [None, "exited"]


def test_somebody_stops_a_run(bench):
    bench.send({"n": 1, "seconds": 600})
    bench.start(WORK, env=FIELDS)
    (record,) = bench.wait_for_status("running")
    bench.s3.put_object(Bucket="work", Key=f"queue-stops/{bench.job}/{record['run']}", Body=b"")
    (record,) = bench.wait_for_status("stopped")
    wait_for(lambda: bench.counts(bench.letters) == (1, 0), "the dead letter")
    assert [each["ending"] for each in bench.records()[0]["attempts"]] == ["stopped"]


# -------------------------------------------------------------------------------------------------- bad weather


class Line:
    """A connection to the engine that can be cut."""

    def __init__(self, url):
        self._there = url.rpartition("/")[2].split(":")
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.is_cut = False
        self._open, self._threads = [], []
        self._begin(self._serve)

    def cut(self):
        self.is_cut = True
        for each in self._open:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.cut()
        self._server.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in [self._server, *self._open]:
            each.close()

    def _serve(self):
        while True:
            try:
                here, _ = self._server.accept()
            except OSError:
                return
            if self.is_cut:
                here.close()
                continue
            there = socket.create_connection((self._there[0], int(self._there[1])))
            self._open += [here, there]
            for one, other in ((here, there), (there, here)):
                self._begin(self._copy, one, other)

    def _begin(self, act, *arguments):
        thread = threading.Thread(target=act, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _copy(self, one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_work_goes_on_while_sqs_does_not_answer(bench):
    line = Line(bench.engine.variables["AWS_ENDPOINT_URL"])
    bench.send({"n": 1, "seconds": 3})
    bench.start(WORK, env=FIELDS, environment={"AWS_ENDPOINT_URL": line.url}, visibility=timedelta(seconds=6))
    wait_for(bench.lines, "the beginning")
    line.cut()
    wait_for(lambda: len(bench.lines()) == 2, "the end")
    assert bench.counts() == (0, 1)
    line.is_cut = False
    bench.wait_for_status("succeeded")
    assert bench.counts() == (0, 0)
    assert bench.lines() == ["begin 1", "end 1"]
    line.close()


def test_a_slow_beat_does_not_undo_what_comes_after_it(bench, neighbour):
    system = {"ApproximateReceiveCount": "1", "SentTimestamp": "1", "ApproximateFirstReceiveTimestamp": "1"}
    message = {"MessageId": "m", "ReceiptHandle": "h", "Body": "1", "Attributes": system}
    left, hidden = [message], []

    def sqs(body):
        if "Entries" not in body:
            time.sleep(0.1)
            return {"Messages": [left.pop()] if left else []}
        (entry,) = body["Entries"]
        if entry["VisibilityTimeout"]:
            time.sleep(3)
        hidden.append(entry["VisibilityTimeout"])
        return {"Successful": [{"Id": entry["Id"]}]}

    neighbour.answers = {"/": (200, sqs)}
    environment = {"AWS_ENDPOINT_URL": neighbour.url}
    # a beat every 8 seconds, which gives up after 4
    bench.start("sleep 8.3; exit 1", environment=environment, visibility=timedelta(seconds=24), backoff=timedelta(0))
    wait_for(lambda: len(hidden) == 2, "both", 20)
    assert hidden == [24, 0]


def test_a_message_that_somebody_else_has_meanwhile_is_told_of(bench):
    bench.send({"n": 1, "seconds": 3})
    bench.start(WORK, env=FIELDS, visibility=timedelta(seconds=1))
    wait_for(bench.lines, "the beginning")
    bench.sqs.purge_queue(QueueUrl=bench.url)
    wait_for(lambda: len(bench.lines()) == 2, "the end")
    bench.wait_for_status("succeeded")
    assert bench.log().count("SQS does not hide the message any longer") == 1


# ---------------------------------------------------------------------------------------------- ECS beside it


PROTECTION = "/task-protection/v1/state"
PLACE = {
    "Labels": {"com.amazonaws.ecs.task-arn": "arn:aws:ecs:r:1:task/c/abc"},
    "LogOptions": {"awslogs-group": "/wherry/a/prod/j", "awslogs-stream": "run/main/abc"},
}


def as_wanted(body):
    """What ECS says of a protection that it takes."""
    return {"protection": {"ProtectionEnabled": body["ProtectionEnabled"]}}


def test_a_busy_task_is_protected_and_an_idle_one_is_not(bench, neighbour):
    neighbour.answers = {PROTECTION: (200, as_wanted), "/v4/x": (200, PLACE)}
    environment = {"ECS_AGENT_URI": neighbour.url, "ECS_CONTAINER_METADATA_URI_V4": f"{neighbour.url}/v4/x"}
    bench.send({"n": 1, "seconds": 0.1}, {"n": 2, "seconds": 0.1})
    worker = bench.start(WORK, env=FIELDS, environment=environment)
    on, off = {"ProtectionEnabled": True, "ExpiresInMinutes": 12}, {"ProtectionEnabled": False}
    wait_for(lambda: ("PUT", PROTECTION, off) in neighbour.asked, "the end of the protection")
    assert [each for each in neighbour.asked if each[0] == "PUT"] == [("PUT", PROTECTION, on), ("PUT", PROTECTION, off)]
    assert bench.lines() == ["begin 1", "end 1", "begin 2", "end 2"]
    attempt = bench.records()[0]["attempts"][0]
    assert (attempt["task"], attempt["group"], attempt["stream"]) == (
        "arn:aws:ecs:r:1:task/c/abc",
        "/wherry/a/prod/j",
        "run/main/abc",
    )
    worker.kill()


def test_protection_is_asked_for_until_ecs_says_that_it_is_so(bench, neighbour):
    neighbour.answers = {PROTECTION: ([429, 200, 500, 200], as_wanted)}
    bench.send({"n": 1, "seconds": 3.2}, {"n": 2, "seconds": 0})
    bench.start(WORK, env=FIELDS, environment={"ECS_AGENT_URI": neighbour.url}, visibility=timedelta(hours=12))
    wait_for(lambda: len(bench.lines()) == 4, "the work")
    bench.wait_for_status("succeeded", 2)

    def wanted():
        return [body["ProtectionEnabled"] for _, _, body in neighbour.asked]

    wait_for(lambda: len(wanted()) == 3, "the end of the protection, which is refused")
    bench.send({"n": 3, "seconds": 0})  # a receive that gives nothing would take 20 s
    wait_for(lambda: len(bench.lines()) == 6, "the work")
    wait_for(lambda: len(wanted()) == 5, "the end of the protection")
    assert wanted() == [True, True, False, True, False]
    assert {body["ExpiresInMinutes"] for _, _, body in neighbour.asked if body["ProtectionEnabled"]} == {12}


def test_the_task_s_place_is_asked_for_again_when_ecs_does_not_know_it_yet(bench, neighbour):
    answers = iter([{}])
    neighbour.answers = {"/v4/x": (200, lambda _: next(answers, PLACE))}
    bench.send({"n": 1, "seconds": 0})
    bench.start(WORK, env=FIELDS, environment={"ECS_CONTAINER_METADATA_URI_V4": f"{neighbour.url}/v4/x"})
    (record,) = bench.wait_for_status("succeeded")
    assert record["attempts"][0]["stream"] == "run/main/abc"


@pytest.mark.parametrize(
    "answer",
    [(400, {"error": {"Code": "AccessDeniedException"}}), (200, {"failure": {"Reason": "TASK_NOT_VALID"}}), (500, "x")],
)
def test_work_goes_on_without_protection(bench, neighbour, answer):
    neighbour.answers = {PROTECTION: answer}
    bench.send({"n": 1, "seconds": 0})
    bench.start(WORK, env=FIELDS, environment={"ECS_AGENT_URI": neighbour.url})
    bench.wait_for_status("succeeded")
    assert "ECS does not take the task's protection" in bench.log()


def test_the_task_role_s_credentials_are_asked_for_again_before_they_end(bench, neighbour):
    known = bench.engine.variables

    def keys(_):
        return {
            "AccessKeyId": known["AWS_ACCESS_KEY_ID"],
            "SecretAccessKey": known["AWS_SECRET_ACCESS_KEY"],
            "Expiration": (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    neighbour.answers = {"/keys": (200, keys)}
    bench.send({"n": 1, "seconds": 0})
    uri = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{neighbour.url}/keys"}
    # keys among a job's secrets are its command's, and nothing to the worker
    environment = {**uri, "AWS_ACCESS_KEY_ID": "partner", "AWS_SECRET_ACCESS_KEY": "secret"}
    bench.start('echo "$AWS_ACCESS_KEY_ID" >> $OUT', environment=environment)
    bench.wait_for_status("succeeded")
    assert len(neighbour.asked) > 2
    assert bench.lines() == ["partner"]


def test_without_credentials_it_says_so_and_goes_on_asking(bench):
    worker = bench.start(WORK, environment={"AWS_ACCESS_KEY_ID": ""})
    wait_for(lambda: bench.workers and "there are no credentials" in bench.log(), "its word")
    assert worker.poll() is None
