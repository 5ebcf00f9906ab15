"""`wherry queues` and `wherry queue ...` through the command line, beside what AWS's own clients say."""

import json
import os
import pty
import subprocess

import boto3
import pytest

from tests.conftest import BIN, wait_for

JOBFILE = """\
app: post
queues:
  letters: {visibility: 1m, max_receives: 1}
  orders.fifo: {}
jobs:
  reader:
    command: [cat]
    on:
      - {queue: letters, mode: self-polling, workers: {max: 4}}
"""


@pytest.fixture
def post(project):
    project.jobfile(JOBFILE)
    return project


def states(project) -> dict[str, dict]:
    return {state["name"]: state for state in json.loads(project.wherry("queues", "--json").stdout)}


def bodies(project, *options) -> list[str]:
    return [message["body"] for message in json.loads(project.wherry("queue", "peek", *options, "--json").stdout)]


def test_the_table_of_queues(post):
    post.wherry("queue", "send", "letters", "hello")
    head, letters, orders = post.wherry("queues").stdout.splitlines()
    assert head == "QUEUE        JOB     WAITING  IN FLIGHT  DELAYED  OLDEST  DEAD  WORKERS  A MINUTE"
    assert letters.split()[:5] == ["letters", "reader", "1", "0", "0"]
    assert letters.split()[6:] == ["0", "0/4", "0"]
    assert orders.split() == ["orders.fifo", "-", "0", "0", "0", "-", "0", "-", "0"]
    assert len({len(line) for line in (head, letters, orders)}) == 1


def test_no_queues(project):
    project.jobfile("app: bare\n")
    assert project.wherry("queues").stderr == "no queues: the job file declares none under `queues`\n"
    assert project.wherry("queues", "--json").stdout == "[]\n"


def test_a_queue_that_rests_says_why(project):
    project.jobfile("app: post\nqueues: {letters: {}}\njobs: {open: {command: [./knife], on: [{queue: letters}]}}\n")
    project.up()
    project.wherry("queue", "send", "letters", "hello")
    stumble = wait_for(lambda: states(project)["letters"]["stumble"], "the reason")
    assert stumble["what"].startswith("could not start: ")
    (run,) = json.loads(project.wherry("runs", "--json").stdout)
    assert stumble["remedy"] == f"`wherry explain {run['id']}` says more"
    project.file("knife", "#!/bin/sh\n", mode=0o755)
    wait_for(lambda: json.loads(project.wherry("runs", "--json").stdout)[0]["status"] == "succeeded", "its end")
    assert states(project)["letters"]["stumble"] is None


def test_what_is_sent_is_what_was_given(post):
    sent = post.wherry("queue", "send", "letters", "an argument")
    assert sent.stdout.strip() == json.loads(post.wherry("queue", "peek", "letters", "--json").stdout)[0]["id"]
    assert sent.stderr == "no engine runs: the messages wait for `wherry up`\n"
    post.wherry("queue", "send", "letters", "-", stdin="from a pipe\n")
    post.wherry("queue", "send", "letters", stdin="without a dash\n\n")
    post.file("body.txt", "of a file, byte for byte\n")
    post.wherry("queue", "send", "letters", "--file", "body.txt")
    post.wherry("queue", "send", "letters", "--", "--delay")
    assert "quote it" in post.wherry("queue", "send", "letters", "--", "two", "words", code=2).stderr
    assert bodies(post, "letters") == [
        "an argument",
        "from a pipe",
        "without a dash\n",
        "of a file, byte for byte\n",
        "--delay",
    ]


def test_each_line_is_a_message_and_keeps_its_place(post):
    lines = [f"line {number}" for number in range(1200)]
    text = "\n".join([*lines[:600], "", *lines[600:]]) + "\n"
    done = post.wherry("queue", "send", "letters", "--lines", "--attribute", "kind=line", stdin=text)
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == "1200 messages sent"
    assert bodies(post, "letters", "--limit", "2000") == lines
    first = json.loads(post.wherry("queue", "peek", "letters", "--limit", "1", "--json").stdout)[0]
    assert first["attributes"] == {"kind": "line"}


def test_a_bad_line_says_which_and_what_went_before(post):
    text = "\n".join(["good"] * 600 + ["bad\x00"])
    done = post.wherry("queue", "send", "letters", "--lines", stdin=text, code=2)
    assert done.stderr.splitlines()[0] == "500 messages sent before that"
    assert "Invalid characters found" in done.stderr
    assert states(post)["letters"]["waiting"] == 500


def test_fifo_and_delay(post):
    first = post.wherry("queue", "send", "orders.fifo", "--group", "a", "--dedup", "1", "one").stdout
    again = post.wherry("queue", "send", "orders.fifo", "one again", "--group", "a", "--dedup", "1").stdout
    assert again == first
    post.wherry("queue", "send", "letters", "--delay", "5m", "later")
    assert bodies(post, "orders.fifo") == ["one"]
    assert (states(post)["letters"]["waiting"], states(post)["letters"]["delayed"]) == (0, 1)
    table = post.wherry("queue", "peek", "orders.fifo").stdout.splitlines()
    assert table[0].split() == ["MESSAGE", "SENT", "RECEIVES", "STATE", "GROUP", "RUN", "BODY"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lettres", "x"], "there is no queue `lettres` in the job file\n  did you mean `letters`?"),
        (["letters", "x", "--file", "y"], "a body and `--file` are two messages\n  keep one of them"),
        (["letters", "x", "--lines"], "`--lines` are those of standard input or of a file"),
        (["letters", "--lines", "--dedup", "x"], "`--dedup` is one message's, and `--lines` sends many"),
        (["letters", "--file", "nothing.txt"], "`nothing.txt` cannot be read: no such file or directory"),
        (["letters", "--delay", "5", "x"], "`--delay` must be a duration such as `90s`, `10m` or `1h30m`, not `5`"),
        (["letters", "--delay", "16m", "x"], "Value 960 for parameter DelaySeconds is invalid"),
        (["letters", "x", "--attribute", "kind"], "`--attribute kind` is not NAME=VALUE"),
        (["letters", ""], "The request must contain the parameter MessageBody.\n  give a body"),
        (["orders.fifo", "x"], "The request must contain the parameter MessageGroupId.\n  `--group NAME` says whose"),
        (["orders.fifo", "x", "--group", "a"], "ContentBasedDeduplication enabled or MessageDeduplicationId provided"),
    ],
)
def test_what_cannot_be_sent(post, arguments, said):
    done = post.wherry("queue", "send", *arguments, code=2)
    assert said in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["send", "x"], ["peek"], ["peek", "--dead"], ["purge", "--yes"], ["redrive", "--yes"]]
)
@pytest.mark.parametrize(
    ("name", "queue"), [("letters-dead-letters", "letters"), ("orders-dead-letters.fifo", "orders.fifo")]
)
def test_dead_letters_are_asked_for_by_their_queues_name(post, arguments, name, queue):
    """Their own is in every URL, so people type it."""
    verb, *more = arguments
    assert post.wherry("queue", verb, name, *more, code=2).stderr == (
        f"error: there is no queue `{name}` in the job file\n"
        f"  these are the dead letters of `{queue}`: name that, as in `wherry queue peek {queue} --dead`\n"
    )


def test_bytes_are_no_message(post):
    (post.folder / "image.png").write_bytes(b"\x89PNG")
    done = post.wherry("queue", "send", "letters", "--file", "image.png", code=2)
    assert done.stderr == "error: image.png is not UTF-8 text\n  a message is text: put bytes into it as base64\n"


def test_peek_shows_a_body_in_one_safe_line(post):
    post.wherry("queue", "send", "letters", '{"a":\n\t"\x7f"}', code=0)
    post.wherry("queue", "send", "letters", "long " * 40)
    rows = post.wherry("queue", "peek", "letters").stdout.splitlines()[1:]
    assert rows[0].endswith('{"a": " "}')
    assert rows[1].endswith("…")
    assert "\x7f" not in rows[0]
    assert post.wherry("queue", "peek", "letters", "--dead").stderr == "no dead letters of `letters`\n"
    assert (
        post.wherry("queue", "peek", "letters", "--limit", "0", code=2).stderr
        == "error: `--limit` must be at least 1\n"
    )


def test_purge_asks(post):
    post.wherry("queue", "send", "letters", "--lines", stdin="a\nb\n")
    refused = post.wherry("queue", "purge", "letters", code=2).stderr
    asks = "`wherry queue purge` asks first, and there is no terminal here: it would delete 2 messages of `letters`"
    assert refused == f"error: {asks}\n  add `--yes`\n"
    code, shown = on_a_terminal(post, "n\n", "queue", "purge", "letters")
    assert (code, "delete 2 messages of `letters`? [y/N]" in shown, "nothing was changed" in shown) == (1, True, True)
    assert states(post)["letters"]["waiting"] == 2
    code, shown = on_a_terminal(post, "y\n", "queue", "purge", "letters")
    assert (code, "2 messages deleted" in shown) == (0, True)
    assert states(post)["letters"]["waiting"] == 0
    assert post.wherry("queue", "purge", "letters").stderr == "no messages in `letters`\n"


def on_a_terminal(project, answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command as a person does, and answer its question."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [f"{BIN}/wherry", *arguments], cwd=project.folder, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    os.write(master, answer.encode())
    code = process.wait(60)
    shown = os.read(master, 1 << 16).decode()
    os.close(master)
    return code, shown


@pytest.fixture
def clients(post):
    """The queues served, with boto3 and the AWS CLI as their clients; the job has no worker yet."""
    post.jobfile(JOBFILE.replace("[cat]", "[sleep, '1000']"))
    post.up()
    told = json.loads(post.wherry("env", "--json").stdout)
    sqs = boto3.client(
        "sqs",
        endpoint_url=told["AWS_ENDPOINT_URL"],
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
        region_name=told["AWS_REGION"],
    )
    return post, sqs, told


def test_all_clients_agree(clients):
    """Some wait, some are in flight, one is delayed, one is dead."""
    post, sqs, told = clients
    post.wherry("queue", "send", "letters", "--lines", stdin="a\nb\nc\nd\n")
    post.wherry("queue", "send", "letters", "later", "--delay", "10m")
    url = states(post)["letters"]["url"]
    assert url == sqs.get_queue_url(QueueName="letters")["QueueUrl"]
    taken = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"][0]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=taken["ReceiptHandle"], VisibilityTimeout=0)
    in_flight = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2)["Messages"]
    # The first one is received too often and goes to the dead letters; the last one is given back.
    (last,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2)["Messages"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=last["ReceiptHandle"], VisibilityTimeout=0)
    seen = states(post)["letters"]
    assert (seen["waiting"], seen["in_flight"], seen["delayed"], seen["dead"]) == (1, 2, 1, 1)
    names = {
        "ApproximateNumberOfMessages": "waiting",
        "ApproximateNumberOfMessagesNotVisible": "in_flight",
        "ApproximateNumberOfMessagesDelayed": "delayed",
    }
    by_boto3 = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    shown = subprocess.run(
        [
            *(f"{BIN}/aws", "sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "All"),
            *("--endpoint-url", told["AWS_ENDPOINT_URL"]),
        ],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=True,
    )
    by_cli = json.loads(shown.stdout)["Attributes"]
    for theirs, ours in names.items():
        assert by_boto3[theirs] == by_cli[theirs] == str(seen[ours])
    letters = sqs.get_queue_url(QueueName="letters-dead-letters")["QueueUrl"]
    dead = sqs.get_queue_attributes(QueueUrl=letters, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert dead == {"ApproximateNumberOfMessages": str(seen["dead"])}
    peeked = json.loads(post.wherry("queue", "peek", "letters", "--json").stdout)
    assert {each["id"] for each in peeked if each["state"] == "in flight"} == {each["MessageId"] for each in in_flight}
    line = next(line for line in post.wherry("status").stdout.splitlines() if line.startswith("queues"))
    assert line == "queues    1 waiting, 2 in flight, 1 dead: `wherry queues` lists them"
    assert json.loads(post.wherry("status", "--json").stdout)["queues"][0]["dead"] == 1

    refused = post.wherry("queue", "redrive", "letters", code=2).stderr
    assert "it would move 1 dead letter back into `letters`" in refused
    done = post.wherry("queue", "redrive", "letters", "--yes")
    assert done.stderr == "1 message moved back into `letters`; `wherry queues` shows it\n"
    again = states(post)["letters"]
    assert (again["waiting"], again["dead"]) == (2, 0)
    assert post.wherry("queue", "redrive", "letters", "--yes").stderr == "no dead letters of `letters`\n"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=in_flight[0]["ReceiptHandle"])
    assert states(post)["letters"]["rate"] == pytest.approx(0.2)


def test_a_dead_message_leads_to_the_run_that_failed_and_to_its_log(post):
    post.jobfile(
        "app: post\nqueues: {letters: {max_receives: 1}}\njobs:\n  reader:\n"
        "    command: [sh, -c, 'cat $0; echo; echo torn; exit 3', '${event.file}']\n    on: [{queue: letters}]\n"
    )
    post.up()
    sent = post.wherry("queue", "send", "letters", '{"page": 1}').stdout.strip()
    wait_for(lambda: states(post)["letters"]["dead"], "the dead letter")
    (dead,) = json.loads(post.wherry("queue", "peek", "letters", "--dead", "--json").stdout)
    assert dead["id"] == sent
    assert post.wherry("logs", dead["run"]).stdout == '{"page": 1}\ntorn\n'
    listed = post.wherry("dead-letters")
    assert dead["run"] in listed.stdout
    said = "queue `letters` holds 1 dead message: `wherry queue peek letters --dead` shows the run of each\n"
    assert listed.stderr == said
    shown = post.wherry("dead-letters", "show", dead["run"]).stdout
    assert f"queue:letters/{sent}" in shown
    assert "torn" in shown
    assert "raise `max_receives` of queue `letters`" in post.wherry("explain", dead["run"]).stdout
    post.wherry("queue", "purge", "letters", "--dead", "--yes")
    assert post.wherry("dead-letters").stderr == "no dead letters\n"
