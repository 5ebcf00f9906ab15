"""A message is a run: what the real engine makes of messages, as clients of SQS and the command line see it."""

import json
import signal
import time
import urllib.parse
from datetime import datetime

import boto3
import pytest

from tests.conftest import Project, wait_for

JOBFILE = """\
app: queues
buckets: {uploads: {}, results: {}}
queues:
  files: {from: {bucket: uploads, suffix: .txt}}
  raw: {from: {bucket: uploads, prefix: "raw/", format: s3}}
  notified: {from: {bucket: uploads, prefix: "s3/", format: s3}}
  orders: {from: {event: {source: [shop]}}}
  letters: {max_receives: 2}
  codes: {max_receives: 3}
  slow: {visibility: 1s}
  steps.fifo: {max_receives: 2}
  fed.fifo: {from: {event: {source: [lane]}}}
  many: {}
  crowd: {}
  gone: {}
  loops: {from: {event: {source: [wherry], detail: {job: [looper], status: [succeeded]}}}}
  doomed: {max_receives: 5}
  late: {}
  pairs: {max_receives: 1}
  unmade: {max_receives: 1}
  odd: {}
jobs:
  reciter:
    command: [echo, "${event.detail.body}"]
    on: [{queue: odd}]
  typist:
    command: [no-such-program]
    on: [{queue: unmade, workers: {max: 2}}]
  pair:
    command: "false"
    on: [{queue: pairs, batch: 2}]
  upper:
    command: [sh, -c, 'tr a-z A-Z < "$1" > "out-$(basename "$1")"; ls "$(dirname "$1")"', sh, "${event.file}"]
    on: [{queue: files, workers: {max: 2}}]
  notice:
    command: [sh, -c, 'echo "$KEY"; cat "$1"', sh, "${event.file}"]
    env: {KEY: $.detail.object.key}
    on: [{queue: notified}]
  clerk:
    command: [echo, $.detail.order]
    on: [{queue: orders}]
  fragile:
    command: [sh, -c, '[ -e mended ]']
    retry: {backoff: 300ms}
    on: [{queue: letters}]
  chooser:
    command: [sh, -c, '[ "$WHERRY_ATTEMPT" = 2 ] && exit 0; exit "$1"', sh, "${event.detail.body}"]
    retry: {backoff: 30s}
    on: [{queue: codes, exit_codes: {drop: [65], give_back: [75]}}]
  patient:
    command: [sleep, "5"]
    on: [{queue: slow, workers: {max: 2}}]
  stepper:
    command: [sh, -c, 'echo "$1 $WHERRY_ATTEMPT" >> steps; sleep 0.05; [ "$1" != a2 ]', sh, "${event.detail.body}"]
    retry: {backoff: 50ms}
    on: [{queue: steps.fifo, workers: {max: 4}}]
  laner:
    command: [sh, -c, 'echo "$1" >> lane', sh, "${event.detail.n}"]
    on: [{queue: fed.fifo, workers: {max: 4}}]
  packer:
    command: [sh, -c, 'until [ -e packed ]; do sleep 0.05; done; cat "$1"', sh, "${event.file}"]
    on: [{queue: many, batch: 5, workers: {max: 1}}]
    reads: [results]
  crowded:
    command: [sh, -c, 'until [ -e flow ]; do sleep 0.05; done']
    on: [{queue: crowd, workers: {max: 1}}]
  reader:
    command: [cat, "${event.file}"]
    on: [{queue: gone}]
    reads: [uploads]
  looper:
    command: "true"
    on: [{queue: loops}]
  hanger:
    command: [sleep, "1000"]
    on: [{queue: doomed}]
  lazy:
    command: "true"
    on: [{queue: late}]
"""


class Shop(Project):
    """A project with an engine, and clients of it."""

    def open(self) -> None:
        self.jobfile(JOBFILE)
        self.engine = self.up("--parallel", "16")
        said = json.loads(self.wherry("env", "--json").stdout)
        self.clients = {
            name: boto3.session.Session().client(
                name,
                endpoint_url=said["AWS_ENDPOINT_URL"],
                aws_access_key_id=said["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=said["AWS_SECRET_ACCESS_KEY"],
                region_name=said["AWS_REGION"],
            )
            for name in ("sqs", "s3", "events")
        }

    def url(self, queue):
        return self.clients["sqs"].get_queue_url(QueueName=queue)["QueueUrl"]

    def send(self, queue, body, **more):
        return self.clients["sqs"].send_message(QueueUrl=self.url(queue), MessageBody=body, **more)["MessageId"]

    def put(self, key, body, bucket="uploads"):
        self.clients["s3"].put_object(Bucket=bucket, Key=key, Body=body)

    def runs(self, job):
        """Oldest first."""
        return json.loads(self.wherry("runs", "--json", "--limit", "1000", "--job", job).stdout)[::-1]

    def ended(self, job, count=1):
        """The runs of a job, when so many of them have ended."""

        def found():
            runs = [run for run in self.runs(job) if run["ended_at"]]
            return runs if len(runs) >= count else None

        return wait_for(found, f"{count} runs of {job}", 20)

    def log(self, run):
        return self.wherry("logs", run["id"]).stdout

    def counts(self, queue):
        """(waiting, in flight, delayed)."""
        found = self.clients["sqs"].get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=["All"])["Attributes"]
        names = ("", "NotVisible", "Delayed")
        return tuple(int(found[f"ApproximateNumberOfMessages{name}"]) for name in names)

    def receive(self, queue, **more):
        asked = {"QueueUrl": self.url(queue), "MessageSystemAttributeNames": ["All"], "MaxNumberOfMessages": 10}
        return self.clients["sqs"].receive_message(**asked, **more).get("Messages", [])

    def letters(self, job):
        """The ids of a job's runs that are dead letters."""
        return [run["id"] for run in json.loads(self.wherry("dead-letters", "--json", "--job", job).stdout)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.open()
    # What takes its time goes on beside the other tests.
    shop.slow_since = time.monotonic()
    shop.send("slow", "work of five visibility timeouts")
    yield shop
    for client in shop.clients.values():
        client.close()
    shop.close()


def test_an_upload_becomes_a_message_and_a_run_with_its_file(shop):
    shop.put("in/Grüße & co.txt", b"hello")
    (run,) = shop.ended("upper")
    assert (run["status"], run["trigger"], run["cause"][:12]) == ("succeeded", "queue", "queue:files/")
    assert run["event"]["detail"]["object"]["key"] == "in/Grüße & co.txt"
    assert (shop.folder / "out-Grüße___co.txt").read_bytes() == b"HELLO"
    assert shop.log(run) == "Grüße___co.txt\n"
    assert shop.counts("files") == (0, 0, 0)
    assert not list((shop.folder / ".wherry/files").iterdir())


def test_a_replay_gets_its_file_again(shop):
    shop.put("again.txt", b"once more")
    run = wait_for(
        lambda: [run for run in shop.ended("upper") if "again" in run["cause"] or _key(run) == "again.txt"], "it"
    )[0]
    (shop.folder / "out-again.txt").unlink()
    replayed = shop.wherry("replay", run["id"])
    assert "again.txt" in replayed.stdout
    assert (shop.folder / "out-again.txt").read_bytes() == b"ONCE MORE"


def _key(run):
    return run["event"]["detail"]["object"]["key"]


def test_a_notification_has_the_form_of_s3(shop):
    """For workers that read what S3 sends: its test message first, then keys as forms encode them."""
    key = "raw/a b+c/é@x.csv"
    shop.put(key, b"12345")
    found = []
    wait_for(lambda: found.extend(shop.receive("raw")) or len(found) == 2, "the messages")
    test, told = [json.loads(message["Body"]) for message in found]
    assert {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}.items() <= test.items()
    assert "Records" not in test
    (record,) = told["Records"]
    assert record["eventVersion"] == "2.1"
    assert (record["eventSource"], record["eventName"]) == ("aws:s3", "ObjectCreated:Put")
    assert datetime.fromisoformat(record["eventTime"])
    assert record["s3"]["bucket"]["arn"] == "arn:aws:s3:::uploads"
    about = record["s3"]["object"]
    assert about["key"] == "raw/a+b%2Bc/%C3%A9%40x.csv"
    assert urllib.parse.unquote_plus(about["key"]) == key
    assert (about["size"], about["eTag"]) == (5, "827ccb0eea8a706c4c34a16891f84e7b")
    assert about["sequencer"] == about["sequencer"].upper()


def test_a_notification_is_the_same_run_as_an_event_and_the_test_message_is_none(shop):
    shop.put("s3/a b.json", b"{}")
    (run,) = shop.ended("notice")
    assert run["event"]["detail-type"] == "Object Created"
    assert shop.log(run) == "s3/a b.json\n{}"
    assert shop.counts("notified") == (0, 0, 0)


def test_an_event_that_is_delivered_twice_is_one_message(shop):
    event = {"id": "once", "source": "shop", "detail-type": "order", "detail": {"order": 7}}
    for _ in range(3):
        shop.wherry("emit", json.dumps(event))
    shop.wherry("emit", json.dumps({**event, "id": "twice", "detail": {"order": 8}}))
    runs = shop.ended("clerk", 2)
    assert [shop.log(run) for run in runs] == ["7\n", "8\n"]


def test_what_cannot_start_makes_no_dead_letters(shop):
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(10)]
    shop.clients["sqs"].send_message_batch(QueueUrl=shop.url("unmade"), Entries=entries)
    runs = wait_for(lambda: [run for run in shop.runs("typist") if len(run["attempts"]) > 1], "another attempt")
    assert {(run["status"], "no program `no-such-program`" in run["reason"]) for run in runs} == {("queued", True)}
    assert sum(shop.counts("unmade")) == 10
    assert shop.counts("unmade-dead-letters") == (0, 0, 0)
    assert len(shop.runs("typist")) < 6


def test_what_cannot_be_understood_fails_once(shop):
    """No attempt would find what the job asks for: the message is a dead letter at once."""
    shop.send("orders", "no order at all")
    run = shop.ended("clerk", 3)[-1]
    assert (run["status"], len(run["attempts"])) == ("failed", 1)
    assert "the event has no `detail.order`" in run["reason"]
    assert shop.counts("orders-dead-letters") == (1, 0, 0)


def test_json_that_no_event_can_hold_is_given_as_text(shop):
    """Half a character, and what Python reads and then does not write any more."""
    bodies = [r'{"a": "\ud800"}', *("[" * levels + "]" * levels for levels in range(985, 995))]
    shop.wherry("queue", "send", "odd", bodies[0])
    for body in [*bodies, "good"]:
        shop.send("odd", body)
    runs = shop.ended("reciter", 13)
    assert {run["status"] for run in runs} == {"succeeded"}
    assert sorted(shop.log(run) for run in runs) == sorted(f"{body}\n" for body in [bodies[0], *bodies, "good"])
    assert f'"body": {json.dumps(bodies[0])}' in shop.wherry("show", runs[0]["id"]).stdout


def test_what_fails_too_often_is_a_dead_letter_and_can_be_retried(shop):
    sent = shop.send("letters", "x", MessageAttributes={"who": {"DataType": "String", "StringValue": "me"}})
    (run,) = shop.ended("fragile")
    assert (run["status"], [attempt["exit_code"] for attempt in run["attempts"]]) == ("failed", [1, 1])
    first, second = run["attempts"]
    wait = datetime.fromisoformat(second["started_at"]) - datetime.fromisoformat(first["ended_at"])
    assert 0.3 <= wait.total_seconds() < 5
    assert run["event"]["detail"] == {"queue": "letters", "message-id": sent, "body": "x", "attributes": {"who": "me"}}
    assert shop.letters("fragile") == [run["id"]]
    (letter,) = shop.receive("letters-dead-letters", VisibilityTimeout=0)
    assert (letter["MessageId"], letter["Body"]) == (sent, "x")
    # Peeked at by a client it is still its run's.
    (shop.folder / "mended").touch()
    shop.wherry("dead-letters", "redrive", run["id"])
    (again,) = wait_for(lambda: [one for one in shop.runs("fragile") if one["status"] == "succeeded"], "the retry")
    assert (again["id"], len(again["attempts"])) == (run["id"], 3)
    assert shop.counts("letters-dead-letters") == shop.counts("letters") == (0, 0, 0)
    assert shop.letters("fragile") == []
    (shop.folder / "mended").unlink()


def test_whoever_deals_with_a_dead_letter_deals_with_its_run(shop):
    """Deleted or redriven by a client of SQS, or taken off the list by a person: the two never disagree."""
    before = len(shop.runs("fragile"))
    for body in ("deleted", "moved", "listed"):
        shop.send("letters", body)
    runs = {run["event"]["detail"]["body"]: run["id"] for run in shop.ended("fragile", before + 3)[before:]}
    assert sorted(shop.letters("fragile")) == sorted(runs.values())
    letters = shop.receive("letters-dead-letters", VisibilityTimeout=5)
    handle = next(letter["ReceiptHandle"] for letter in letters if letter["Body"] == "deleted")
    shop.clients["sqs"].delete_message(QueueUrl=shop.url("letters-dead-letters"), ReceiptHandle=handle)
    assert sorted(shop.letters("fragile")) == sorted([runs["moved"], runs["listed"]])
    shop.wherry("dead-letters", "purge", runs["listed"])
    assert shop.letters("fragile") == [runs["moved"]]
    for letter in letters:
        if letter["Body"] == "moved":
            handle = {"QueueUrl": shop.url("letters-dead-letters"), "ReceiptHandle": letter["ReceiptHandle"]}
            shop.clients["sqs"].change_message_visibility(**handle, VisibilityTimeout=0)
    assert shop.counts("letters-dead-letters") == (1, 0, 0)
    (shop.folder / "mended").touch()
    shop.wherry("queue", "redrive", "letters", "--yes")
    last = shop.ended("fragile", before + 4)[-1]
    assert (last["status"], last["event"]["detail"]["body"]) == ("succeeded", "moved")
    assert last["id"] != runs["moved"]
    assert shop.letters("fragile") == []


def test_a_redrive_leaves_what_somebody_looks_at(shop):
    """A run of two messages has two letters; one that a client has in its hands is not moved, and not lost."""
    entries = [{"Id": body, "MessageBody": body} for body in ("kept", "moved")]
    shop.clients["sqs"].send_message_batch(QueueUrl=shop.url("pairs"), Entries=entries)
    (run,) = shop.ended("pair")
    assert shop.counts("pairs-dead-letters") == (2, 0, 0)
    letters = shop.receive("pairs-dead-letters", VisibilityTimeout=60)
    for letter in letters:
        if letter["Body"] == "moved":
            handle = {"QueueUrl": shop.url("pairs-dead-letters"), "ReceiptHandle": letter["ReceiptHandle"]}
            shop.clients["sqs"].change_message_visibility(**handle, VisibilityTimeout=0)
    assert "1 message moved" in shop.wherry("queue", "redrive", "pairs", "--yes").stderr
    second = shop.ended("pair", 2)[-1]
    assert [each["body"] for each in second["event"]["detail"]["messages"]] == ["moved"]
    assert shop.counts("pairs-dead-letters") == (1, 1, 0)  # it has failed again; the other one is still looked at
    assert sorted(shop.letters("pair")) == sorted([run["id"], second["id"]])


def test_exit_codes_drop_a_message_or_give_it_back(shop):
    shop.send("codes", "65")
    shop.send("codes", "75")
    dropped, given = sorted(shop.ended("chooser", 2), key=lambda run: run["event"]["detail"]["body"])
    assert (dropped["status"], len(dropped["attempts"])) == ("failed", 1)
    assert dropped["reason"] == "exit code 65: its message is dropped (`exit_codes: drop`)"
    # At once: the usual wait is 30 seconds.
    assert (given["status"], [attempt["exit_code"] for attempt in given["attempts"]]) == ("succeeded", [75, 0])
    assert shop.letters("chooser") == []
    assert shop.counts("codes") == shop.counts("codes-dead-letters") == (0, 0, 0)


def test_fifo_keeps_the_order_of_each_group(shop):
    """A failed message holds its group up until it is a dead letter; the other groups go on."""
    for number in range(1, 5):
        for group in "abc":
            body = f"{group}{number}"
            shop.send("steps.fifo", body, MessageGroupId=group, MessageDeduplicationId=body)
    shop.ended("stepper", 12)
    steps = (shop.folder / "steps").read_text().splitlines()
    assert [line for line in steps if line[0] == "a"] == ["a1 1", "a2 1", "a2 2", "a3 1", "a4 1"]
    for group in "bc":
        assert [line for line in steps if line[0] == group] == [f"{group}{number} 1" for number in range(1, 5)]
    assert shop.counts("steps-dead-letters.fifo") == (1, 0, 0)


def test_events_feed_a_fifo_queue_in_their_order(shop):
    events = [{"source": "lane", "detail-type": "x", "detail": {"n": number}} for number in range(12)]
    shop.wherry("emit", json.dumps(events))
    shop.ended("laner", 12)
    assert (shop.folder / "lane").read_text().split() == [str(number) for number in range(12)]


def test_a_batch_is_a_file_of_lines(shop):
    shop.put("a/one", b"first", bucket="results")
    shop.put("b/one", b"second", bucket="results")

    def created(key):
        detail = {"bucket": {"name": "results"}, "object": {"key": key}}
        return {"id": "x", "time": "2026-03-01T00:00:00Z", "source": "aws.s3", "detail-type": "Object Created"} | {
            "detail": detail
        }

    bodies = ["first of all", "plain\ntext", {"n": 1}, created("a/one"), created("b/one"), "sixth"]
    for body in bodies:
        shop.send("many", body if isinstance(body, str) else json.dumps(body))
    (shop.folder / "packed").touch()
    wait_for(lambda: shop.counts("many") == (0, 0, 0), "the batches")
    runs = shop.ended("packer")
    lines = [json.loads(line) for run in runs for line in shop.log(run).splitlines()]
    assert [line["body"] for line in lines] == bodies
    assert len(runs) in (2, 3)
    assert max(len(run["event"]["detail"]["messages"]) for run in runs) <= 5
    names = [line["file"].split("/")[-1] for line in lines if "file" in line]
    assert names == ["one", "one"]
    assert len({line["file"] for line in lines if "file" in line}) == 2
    # One message alone is a batch, too: chance decides no event's shape.
    assert all(run["event"]["detail-type"] == "Queue Messages" for run in runs)


def test_messages_that_wait_are_no_runs(shop):
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(10)]
    for _ in range(20):
        shop.clients["sqs"].send_message_batch(QueueUrl=shop.url("crowd"), Entries=entries)
    wait_for(lambda: shop.counts("crowd") == (199, 1, 0), "the first one")
    time.sleep(0.3)
    assert len(shop.runs("crowded")) == 1
    shop.clients["sqs"].purge_queue(QueueUrl=shop.url("crowd"))
    (shop.folder / "flow").touch()
    assert [run["status"] for run in shop.ended("crowded")] == ["succeeded"]
    assert shop.counts("crowd") == (0, 0, 0)


def test_an_object_that_is_gone_is_named(shop):
    detail = {"bucket": {"name": "uploads"}, "object": {"key": "never/there.txt"}}
    event = {"id": "1", "time": "2026-03-01T00:00:00Z", "source": "aws.s3", "detail-type": "Object Created"}
    shop.send("gone", json.dumps({**event, "detail": detail}))
    (run,) = shop.ended("reader")
    assert (run["status"], len(run["attempts"])) == ("failed", 1)
    assert "there is no object `never/there.txt` in bucket `uploads`" in run["reason"]
    shop.send("gone", "just text")
    assert shop.log(shop.ended("reader", 2)[-1]) == "just text"


def test_a_message_may_name_only_objects_that_its_job_may_read(shop):
    """What feeds the queue, and what is in `reads`: anybody who may send could name any other."""
    detail = {"bucket": {"name": "results"}, "object": {"key": "private.txt"}}
    event = {"id": "1", "time": "2026-03-01T00:00:00Z", "source": "aws.s3", "detail-type": "Object Created"}
    shop.put("private.txt", b"private", bucket="results")
    before = len(shop.runs("reader"))
    shop.send("gone", json.dumps({**event, "detail": detail}))
    run = shop.ended("reader", before + 1)[-1]
    assert (run["status"], len(run["attempts"])) == ("failed", 1)
    assert "job `reader` may not read bucket `results`, and its message names `private.txt` there" in run["reason"]
    assert "add `results` to its `reads` (wherry.yaml:" in run["reason"]


def test_a_job_does_not_take_what_its_own_runs_led_to(shop):
    shop.send("loops", "once")
    shop.ended("looper")
    time.sleep(0.5)
    assert len(shop.runs("looper")) == 1
    assert shop.counts("loops") == (0, 0, 0)


def test_a_stopped_run_is_a_dead_letter_with_its_message(shop):
    shop.send("doomed", "x")
    (run,) = wait_for(lambda: [run for run in shop.runs("hanger") if run["status"] == "running"], "the run")
    shop.wherry("stop", run["id"])
    (run,) = shop.ended("hanger")
    assert run["status"] == "stopped"
    assert shop.letters("hanger") == [run["id"]]
    assert shop.counts("doomed-dead-letters") == (1, 0, 0)
    shop.clients["sqs"].purge_queue(QueueUrl=shop.url("doomed-dead-letters"))
    assert shop.letters("hanger") == []


def test_delayed_messages_come_when_they_are_due(shop):
    before = time.time()
    shop.send("late", "x", DelaySeconds=1)
    (run,) = shop.ended("lazy")
    assert 1 <= datetime.fromisoformat(run["attempts"][0]["started_at"]).timestamp() - before < 1.6


def test_work_of_five_visibility_timeouts_is_done_once(shop):
    """A message that a run works on is in flight for everybody until that has ended."""
    while time.monotonic() < shop.slow_since + 4.5:
        assert shop.receive("slow") == []
        assert shop.counts("slow") == (0, 1, 0)
        time.sleep(0.2)
    (run,) = shop.ended("patient")
    assert (run["status"], len(run["attempts"])) == ("succeeded", 1)
    assert shop.counts("slow") == (0, 0, 0)
    assert len(shop.runs("patient")) == 1


def test_messages_of_a_queue_without_a_job_file_stay(shop):
    """Undeclared, they are out of reach and kept, which is said; declared again they are worked on."""
    changed = JOBFILE.replace("  late: {}\n", "", 1).split("  lazy:\n")[0]
    (shop.folder / "flow").unlink(missing_ok=True)
    shop.send("late", "later", DelaySeconds=2)
    before = len(shop.runs("lazy"))
    shop.jobfile(changed)
    wait_for(
        lambda: "1 message waits in queue `late`, which the job file does not declare" in shop.engine_output(), "it"
    )
    time.sleep(2.2)
    shop.jobfile(JOBFILE)
    assert shop.ended("lazy", before + 1)[-1]["event"]["detail"]["body"] == "later"


def test_emit_says_which_queue_has_the_event(shop):
    done = shop.wherry("emit", json.dumps({"source": "lane", "detail-type": "x", "detail": {"n": 99}}))
    assert done.stderr == "queue `fed.fifo` has it as a message; `wherry queues` shows it\n"


ALONE = """\
app: alone
buckets: {inbox: {}}
queues: {fed: {from: {bucket: inbox}, max_receives: 1}}
jobs:
  reader:
    command: [sh, -c, 'cat "$1"; [ -e mended ]', sh, "${event.file}"]
    on: [{queue: fed}]
"""


def test_without_an_engine_messages_wait_and_dead_letters_are_retried(project):
    """An upload is a message at once; `retry` executes the run in its own process, with the message and its file."""
    project.jobfile(ALONE)
    project.file("a.txt", "content\n")
    project.wherry("cp", "a.txt", "s3://inbox/")
    assert json.loads(project.wherry("queues", "--json").stdout)[0]["waiting"] == 1
    engine = project.up()
    wait_for(lambda: json.loads(project.wherry("dead-letters", "--json").stdout), "the dead letter")
    engine.terminate()
    engine.wait(20)
    (run,) = json.loads(project.wherry("runs", "--json").stdout)
    assert "dead letters of queue `fed`" in project.wherry("explain", run["id"]).stdout
    project.file("mended", "")
    retried = project.wherry("retry", run["id"])
    assert retried.stdout.endswith("content\n")
    (queue,) = json.loads(project.wherry("queues", "--json").stdout)
    assert (queue["waiting"], queue["in_flight"], queue["dead"]) == (0, 0, 0)
    assert json.loads(project.wherry("dead-letters", "--json").stdout) == []


@pytest.mark.parametrize("missing", [["2.txt"], ["1.txt"], ["1.txt", "3.txt"], ["1.txt", "2.txt", "3.txt", "4.txt"]])
def test_of_a_batch_what_has_lost_its_object_is_buried_alone(project, missing):
    """One deleted object must not take nine others with it: these are run, and it is a dead letter that says why."""
    project.jobfile(
        "app: gaps\n"
        "buckets: {inbox: {}}\n"
        "queues: {fed: {from: {bucket: inbox}, max_receives: 1}}\n"
        "jobs:\n"
        '  packer: {command: [cat, "${event.file}"], on: [{queue: fed, batch: 10}]}\n'
    )
    names = [f"{number}.txt" for number in range(1, 5)]
    for name in names:
        project.file(name, name)
        project.wherry("cp", name, "s3://inbox/")
    for name in missing:
        (project.folder / ".wherry/buckets/inbox" / name).unlink()
    project.up()

    def is_over():
        (queue,) = json.loads(project.wherry("queues", "--json").stdout)
        return (queue["waiting"], queue["in_flight"], queue["dead"]) == (0, 0, len(missing))

    wait_for(is_over, "the batches")
    runs = json.loads(project.wherry("runs", "--json").stdout)
    done = [run for run in runs if run["status"] == "succeeded"]
    logs = [project.wherry("logs", run["id"]).stdout for run in done]
    keys = [json.loads(line)["body"]["detail"]["object"]["key"] for log in logs for line in log.splitlines()]
    assert sorted(keys) == [name for name in names if name not in missing]
    dead = json.loads(project.wherry("dead-letters", "--json").stdout)
    assert len(runs) == len(done) + len(dead)
    assert sorted(_keys_in(run) for run in [*done, *dead]) == sorted([keys, missing] if keys else [missing])
    (letter,) = dead
    assert f"there is no object `{missing[0]}` in bucket `inbox`" in letter["reason"]
    letters = json.loads(project.wherry("queue", "peek", "fed", "--dead", "--json").stdout)
    assert [one["run"] for one in letters] == [letter["id"]] * len(missing)
    # Whoever brings the objects back has them worked on by the same run.
    for name in missing:
        project.wherry("cp", name, "s3://inbox/")
    wait_for(lambda: json.loads(project.wherry("queues", "--json").stdout)[0]["waiting"] == 0, "the new uploads")
    assert project.wherry("retry", letter["id"]).returncode == 0
    assert json.loads(project.wherry("dead-letters", "--json").stdout) == []


def test_a_batch_whose_oldest_message_came_last_is_parted_as_any_other(project):
    """A run is known by the message that it received first, and keeps it: another run of it there will never be."""
    project.jobfile(
        "app: gaps\n"
        "buckets: {inbox: {}}\n"
        "queues: {fed: {max_receives: 1}}\n"
        "jobs:\n"
        '  packer: {command: [cat, "${event.file}"], on: [{queue: fed, batch: 10}], reads: [inbox]}\n'
    )
    project.file("there.txt", "there")
    project.wherry("cp", "there.txt", "s3://inbox/")
    for key, delay in (("gone.txt", "1s"), ("there.txt", "0s")):
        event = {"id": "1", "time": "2026-03-01T00:00:00Z", "source": "aws.s3", "detail-type": "Object Created"}
        event["detail"] = {"bucket": {"name": "inbox"}, "object": {"key": key}}
        project.wherry("queue", "send", "fed", json.dumps(event), "--delay", delay)
    wait_for(lambda: json.loads(project.wherry("queues", "--json").stdout)[0]["waiting"] == 2, "both to be visible")
    project.up()

    def ended():
        runs = json.loads(project.wherry("runs", "--json").stdout)
        return runs if len(runs) == 2 and all(run["ended_at"] for run in runs) else None

    runs = wait_for(ended, "both runs")
    assert {(run["status"], *_keys_in(run)) for run in runs} == {("succeeded", "there.txt"), ("failed", "gone.txt")}


def _keys_in(run):
    return [one["body"]["detail"]["object"]["key"] for one in run["event"]["detail"]["messages"]]


def test_the_run_of_a_dead_letter_is_kept_as_long_as_that(project):
    """It says why, and is the way back: history that is full loses others first."""
    project.jobfile(
        "app: kept\n"
        "queues: {bad: {max_receives: 1}}\n"
        "jobs:\n"
        '  fails: {command: "false", on: [{queue: bad}]}\n'
        "  hello: {command: [echo, hello]}\n"
        "environments: {local: {keep: {runs: 1}}}\n"
    )
    engine = project.up()
    project.wherry("queue", "send", "bad", "x")
    letter = wait_for(lambda: json.loads(project.wherry("dead-letters", "--json").stdout), "the dead letter")[0]["id"]
    engine.terminate()
    engine.wait()
    for _ in range(3):
        project.wherry("run", "hello")
    project.up()

    def left():
        found = {run["id"] for run in json.loads(project.wherry("runs", "--json").stdout)}
        return found if len(found) == 2 else None

    assert letter in wait_for(left, "the history to be pruned")
    assert json.loads(project.wherry("dead-letters", "--json").stdout)[0]["id"] == letter


def test_an_engine_that_is_ended_at_once_makes_no_dead_letters(project):
    """The second Ctrl-C says nothing about the message: it waits for the next engine, as if it had not been begun."""
    project.jobfile(
        "app: hasty\n"
        "queues: {work: {max_receives: 1}}\n"
        "jobs:\n"
        "  slow: {command: [sh, -c, '[ -e quick ] || { touch begun; sleep 1000; }'], on: [{queue: work}]}\n"
    )
    engine = project.up()
    project.wherry("queue", "send", "work", "x")
    wait_for((project.folder / "begun").exists, "the attempt")
    engine.send_signal(signal.SIGINT)
    wait_for(lambda: "again" in project.engine_output(), "it to be heard")
    engine.send_signal(signal.SIGINT)
    engine.wait(20)
    (run,) = json.loads(project.wherry("runs", "--json").stdout)
    assert (run["status"], run["attempts"][0]["ending"]) == ("queued", "lost")
    assert json.loads(project.wherry("dead-letters", "--json").stdout) == []
    project.file("quick", "")
    project.up()
    wait_for(lambda: json.loads(project.wherry("runs", "--json").stdout)[0]["status"] == "succeeded", "the next try")
    (queue,) = json.loads(project.wherry("queues", "--json").stdout)
    assert (queue["waiting"], queue["in_flight"], queue["dead"]) == (0, 0, 0)
