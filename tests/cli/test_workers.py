"""Workers that poll their queue by themselves, through the command line and AWS's own clients."""

import itertools
import json
import os
import signal
import socket
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.conftest import wait_for

POLLER = Path(__file__).parent.parent / "local" / "poller.py"
ARTICLE = Path(__file__).parents[3] / "shared" / "articles" / "2-sqs_worker.sh"

#: `COMMAND` and `WORKERS` are filled in.
JOBFILE = """\
app: workers
queues:
  work: {visibility: 1m}
jobs:
  poller:
    command: COMMAND
    overlap: skip
    on:
      - {queue: work, mode: self-polling, workers: WORKERS}
  other:
    command: [echo, other]
"""


def write(project, command=(sys.executable, "-S", str(POLLER)), workers="{max: 3, backlog: 2, idle: 1s}", more=""):
    text = JOBFILE.replace("COMMAND", json.dumps(command)).replace("WORKERS", workers) + more
    project.file("wherry.yaml~", text)
    os.replace(project.folder / "wherry.yaml~", project.folder / "wherry.yaml")


def runs(project, *options) -> list[dict]:
    return json.loads(project.wherry("runs", "--json", "--limit", "5000", "--job", "poller", *options).stdout)


def state(project) -> dict:
    return json.loads(project.wherry("queues", "--json").stdout)[0]


def send(project, *bodies: object) -> None:
    project.wherry("queue", "send", "work", "--lines", stdin="\n".join(map(str, bodies)))


def journal(project) -> list[list[str]]:
    path = project.folder / "journal"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def noted(project, what: str) -> list[str]:
    return [line[1] for line in journal(project) if line[0] == what]


def wait_for_none(project) -> None:
    wait_for(lambda: state(project)["workers"] == 0, "the last worker to go")


def test_they_come_with_the_messages_and_go_when_there_is_nothing_left(project):
    write(project)
    project.up()
    assert runs(project) == []
    send(project, *[0.1] * 5)
    wait_for(lambda: len(noted(project, "end")) == 5, "the work")
    assert sorted(noted(project, "begin")) == sorted(set(noted(project, "end")))
    wait_for_none(project)
    found = runs(project)
    assert len(found) == 3
    for run in found:
        assert (run["status"], run["trigger"], run["cause"][:12]) == ("succeeded", "queue", "worker:work/")
        assert run["reason"] == "not wanted any more, and done with its messages; ended by SIGTERM"
        assert run["attempts"][0]["ending"] == "dismissed"
        document = run["event"]
        assert (document["source"], document["detail-type"]) == ("wherry", "Wherry Queue Worker")
        assert document["detail"] == {"queue": "work"}
    shown = project.wherry("explain", found[0]["id"]).stdout
    assert "not wanted any more, and done with its messages" in shown
    assert "a worker of `work`" in project.engine_output()
    assert state(project)["rate"] == 1.0


def test_what_takes_a_place_waits_for_nobody(project):
    """Workers leave a place to the other jobs, and `min` of them are always there."""
    write(project, workers="{min: 1, max: 8, backlog: 1, idle: 1s}")
    project.up("--parallel", "3")
    wait_for(lambda: len(noted(project, "start")) == 1, "the worker that is always there")
    send(project, *[1] * 6)
    wait_for(lambda: len(noted(project, "start")) == 2, "as many as there are places but one")
    assert state(project)["workers"] == 2
    assert project.wherry("run", "other").stdout == "other\n"
    wait_for(lambda: state(project)["workers"] == 1, "the others to go")
    assert len(noted(project, "start")) == 2
    assert "may keep all" not in project.engine_output()


def test_one_that_is_at_work_when_its_queue_goes_to_another_job_is_done_with_its_message(project):
    """It may delete what it has received; the other job gets what comes from then on."""
    write(project, workers="{max: 1, idle: 1s}")
    project.up()
    send(project, 3)
    wait_for(lambda: len(noted(project, "begin")) == 1, "the work")
    text = (project.folder / "wherry.yaml").read_text().replace("  poller:\n", "  heir:\n")
    project.file("wherry.yaml", text)
    wait_for(lambda: len(noted(project, "end")) == 1, "its end")
    wait_for(lambda: state(project)["in_flight"] == 0, "the message to be deleted")
    send(project, 0)
    wait_for(lambda: len(noted(project, "end")) == 2, "the other job's work")
    assert len(noted(project, "begin")) == 2
    assert [(run["status"], run["attempts"][0]["ending"]) for run in runs(project)] == [("succeeded", "dismissed")]


def test_one_that_ran_out_of_time_when_it_was_dismissed_is_not_kept(project):
    """It would be tried again, and nobody wants it: it must neither wait for ever nor begin."""
    script = "trap 'touch termed; while ! [ -e go ]; do sleep 0.05; done; exit 1' TERM; sleep 60 & wait"
    write(project, command=["sh", "-c", script], workers="{min: 1, max: 1}")
    limits = "    timeout: 500ms\n    retry: {attempts: 3, backoff: 0s}\n"
    text = (project.folder / "wherry.yaml").read_text().replace("    overlap: skip\n", limits)
    project.file("wherry.yaml", text)
    project.up()
    wait_for((project.folder / "termed").exists, "the time-out")
    project.file("wherry.yaml", text[: text.index("    on:")] + text[text.index("  other:") :])
    wait_for(lambda: "the job file was changed" in project.engine_output(), "the change")
    wait_for(lambda: state(project)["workers"] == 0, "the dismissal")
    project.file("go", "")
    wait_for(lambda: [bool(run["ended_at"]) for run in runs(project)] == [True], "its end")
    assert len(runs(project)[0]["attempts"]) == 1


def test_one_that_ends_by_itself_is_replaced_while_it_is_wanted(project):
    """Each takes one message and ends, like a program that was written for one."""
    script = project.file(
        "one.sh",
        "#!/bin/sh\n"
        'taken=$(aws sqs receive-message --queue-url "$QUEUE_URL" --wait-time-seconds 1)\n'
        '[ -n "$taken" ] || exit 0\n'
        'handle=$(echo "$taken" | jq -r ".Messages[0].ReceiptHandle")\n'
        'echo "$taken" | jq -r ".Messages[0].Body" >> bodies\n'
        'aws sqs delete-message --queue-url "$QUEUE_URL" --receipt-handle "$handle"\n',
        mode=0o755,
    )
    write(project, command=["./" + script.name], workers="{max: 1, idle: 1s}")
    project.up()
    send(project, "a", "b", "c")
    bodies = project.folder / "bodies"
    wait_for(lambda: bodies.exists() and bodies.read_text() == "a\nb\nc\n", "three of them")
    wait_for_none(project)
    assert {run["status"] for run in runs(project)} == {"succeeded"}
    assert len(runs(project)) >= 3


def test_one_that_fails_is_replaced_after_a_rest_that_grows(project):
    write(project, command="echo no; exit 3", workers="{max: 3, backlog: 1}")
    project.up()
    send(project, *range(5))
    wait_for(lambda: len(runs(project, "--status", "failed")) >= 5, "three at once, then one after the other")
    found = sorted(runs(project, "--status", "failed"), key=lambda run: run["id"])
    spans = [
        [datetime.fromisoformat(run["attempts"][0][moment]).timestamp() for moment in ("started_at", "ended_at")]
        for run in found
    ]
    rests = [start - before[1] for before, (start, _) in itertools.pairwise(spans)]
    assert rests[2] > 0.9  # 1 s, then 2 s, then 4 s
    assert all(rest > 1.9 * 2**number for number, rest in enumerate(rests[3:]))
    assert project.wherry("logs", found[0]["id"]).stdout == "no\n"
    assert state(project)["waiting"] == 5
    letters = json.loads(project.wherry("dead-letters", "--json").stdout)
    assert {run["id"] for run in found} <= {letter["id"] for letter in letters}


def test_one_that_ends_at_once_in_vain_has_to_rest_as_well(project):
    write(project, command="exit 0", workers="{max: 1}")
    project.up()
    send(project, 1)
    wait_for(lambda: len(runs(project)) == 2, "the second one")
    time.sleep(1)
    assert len(runs(project)) <= 3


def test_the_first_signal_waits_for_what_they_work_on(project):
    write(project, workers="{min: 2, max: 2}")
    engine = project.up()
    send(project, 1.5)
    wait_for(lambda: noted(project, "begin") and len(noted(project, "start")) == 2, "both, one at work")
    engine.send_signal(signal.SIGINT)
    assert engine.wait(20) == 0
    assert noted(project, "end") == noted(project, "begin")
    assert state(project)["in_flight"] == 0
    assert [run["status"] for run in runs(project)] == ["succeeded"] * 2


def test_the_second_signal_stops_them(project):
    write(project)
    engine = project.up()
    send(project, 1000)
    wait_for(lambda: noted(project, "begin"), "the work")
    engine.send_signal(signal.SIGINT)
    wait_for(lambda: "waiting for 1 run to end" in project.engine_output(), "the engine to hear it")
    assert engine.poll() is None
    engine.send_signal(signal.SIGINT)
    assert engine.wait(20) == 0
    assert [run["status"] for run in runs(project)] == ["stopped"]
    peeked = json.loads(project.wherry("queue", "peek", "work", "--json").stdout)[0]
    assert (peeked["state"], peeked["run"]) == ("in flight", runs(project)[0]["id"])


def test_a_killed_engine_finds_them_again(project):
    """The next one counts those that live, and what a dismissed one does at its end is no failure."""
    slow = project.file(
        "slow.sh",
        "#!/bin/sh\n"
        f"{sys.executable} -S {POLLER} & poller=$!\n"
        "trap 'kill $poller; touch asked; sleep 3; exit 9' TERM\n"
        "while :; do wait $poller; done\n",
        mode=0o755,
    )
    write(project, command=["./" + slow.name], workers="{max: 1, idle: 1s}")
    first = project.up()
    send(project, 0.1)
    wait_for(lambda: noted(project, "begin"), "the work")
    first.kill()
    first.wait()
    second = project.up()
    wait_for((project.folder / "asked").exists, "its dismissal by the second engine")
    second.kill()
    second.wait()
    project.up()
    run = wait_for(lambda: runs(project, "--status", "succeeded"), "its end")[0]
    assert run["attempts"][0]["ending"] == "dismissed"
    assert run["attempts"][0]["exit_code"] == 9
    assert len(noted(project, "start")) == 1
    assert len(runs(project)) == 1


def test_workers_that_ask_where_nobody_answers_any_more_are_replaced(project):
    """An engine that comes back at another port: its predecessor's workers would wait there for ever."""
    write(project, workers="{max: 1, idle: 1h}")
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    first = project.up("--port", str(ports[0]))
    send(project, 0.1)
    wait_for(lambda: noted(project, "end"), "the work of the first worker")
    first.kill()
    first.wait()
    project.up("--port", str(ports[1]))
    send(project, 0.1)
    wait_for(lambda: len(noted(project, "end")) == 2, "the work of another worker")
    second, deaf = runs(project)
    assert (deaf["attempts"][0]["ending"], deaf["status"]) == ("dismissed", "succeeded")
    assert str(ports[0]) in deaf["env"]["QUEUE_URL"]
    assert (second["status"], str(ports[1]) in second["env"]["QUEUE_URL"]) == ("running", True)


def test_engines_that_are_killed_lose_no_message_and_no_worker(project):
    """Their workers go on and find the next engine, which knows them."""
    write(project)
    engine = project.up()
    send(project, *[0.1] * 60)
    for pause in (0.2, 0.6, 0.4, 0.8):
        time.sleep(pause)
        engine.kill()
        engine.wait()
        engine = project.up()
    wait_for(lambda: len(set(noted(project, "end"))) == 60, "all the work")
    assert set(noted(project, "begin")) == set(noted(project, "end"))
    wait_for_none(project)
    assert {run["status"] for run in runs(project)} == {"succeeded"}
    assert len(runs(project)) == 3


def test_a_changed_job_file_changes_how_many_there_are(project):
    """Fewer, who finish first; and none any more when the job has nothing to do with the queue."""
    write(project, workers="{min: 3, max: 3}")
    project.up()
    wait_for(lambda: len(noted(project, "start")) == 3, "three")
    send(project, 2, 2, 2)
    wait_for(lambda: len(noted(project, "begin")) == 3, "all at work")
    write(project, workers="{min: 1, max: 1}")
    wait_for(lambda: state(project)["workers"] == 1, "one to stay")
    assert len(noted(project, "end")) >= 2
    wait_for(lambda: state(project)["in_flight"] == 0, "the rest of the work")
    assert len(noted(project, "end")) == 3
    assert {run["status"] for run in runs(project)} == {"succeeded", "running"}
    project.jobfile(JOBFILE.partition("    on:")[0].replace("COMMAND", "[echo, hello]"))
    wait_for_none(project)


def test_by_hand_it_is_a_run_like_any_other(project):
    write(project, command='echo "$QUEUE_URL"; aws sqs send-message --queue-url "$QUEUE_URL" --message-body x || true')
    done = project.wherry("run", "poller")
    assert "/000000000000/work\n" in done.stdout
    assert "sqs:SendMessage" in done.stdout + done.stderr or "AccessDenied" in done.stdout + done.stderr


def test_who_has_no_place_left_is_told(project):
    write(project, workers="{min: 2, max: 8}")
    project.up("--parallel", "2")
    said = (
        "workers that poll their queues may keep all 2 places of this machine, and other jobs wait for them: "
        "`wherry up --parallel 3` leaves one\n"
    )
    assert said in project.engine_output()


def test_the_callers_own_aws_knows_no_queue_of_ours(project):
    write(project, more="environments: {local: {aws: inherit}}\n")
    refused = project.wherry("up", code=2).stderr
    assert "job `poller` polls queue `work` by itself, and with `aws: inherit` it finds AWS" in refused


def test_boto3_is_a_worker(project):
    project.file(
        "worker.py",
        "import boto3, os\n"
        "sqs, s3, url = boto3.client('sqs'), boto3.client('s3'), os.environ['QUEUE_URL']\n"
        "while True:\n"
        "    for m in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get('Messages', []):\n"
        "        s3.put_object(Bucket='results', Key=m['MessageId'], Body=m['Body'].upper().encode())\n"
        "        sqs.delete_message(QueueUrl=url, ReceiptHandle=m['ReceiptHandle'])\n",
    )
    write(project, command=[sys.executable, "worker.py"], more="    writes: [results]\nbuckets: {results: {}}\n")
    text = (project.folder / "wherry.yaml").read_text()
    text = text.replace("    on:", "    writes: [results]\n    on:").replace(
        "other]\n    writes: [results]\n", "other]\n"
    )
    project.jobfile(text)
    project.up()
    send(project, "hello")
    results = project.folder / ".wherry" / "buckets" / "results"
    found = wait_for(lambda: list(results.glob("*")) if results.exists() else [], "the result")
    assert found[0].read_text() == "HELLO"
    wait_for_none(project)


@pytest.mark.skipif(not ARTICLE.exists(), reason="the articles' files stand beside the repository, and are not there")
def test_the_articles_worker_as_it_is(project, monkeypatch):
    """Each worker in a folder of its own: the script works in a fixed one."""
    project.file("bin/process_file", '#!/bin/sh\ncp "$1" "$DONE/$(md5sum < "$1" | cut -c1-8)"\n', mode=0o755)
    (project.folder / "done").mkdir()
    project.jobfile(
        f"""\
app: article
buckets: {{uploads: {{}}}}
queues:
  geojson: {{from: {{bucket: uploads, suffix: .geojson, format: s3}}, visibility: 10m}}
jobs:
  tiles:
    command: cd "$(mktemp -d)" && exec bash {ARTICLE}
    env: {{DONE: {project.folder}/done}}
    on:
      - {{queue: geojson, mode: self-polling, workers: {{max: 2, backlog: 1, idle: 1s}}}}
"""
    )
    monkeypatch.setenv("PATH", f"{project.folder}/bin{os.pathsep}{os.environ['PATH']}")
    project.up()
    texts = [f'{{"type": "FeatureCollection", "number": {number}}}' for number in range(3)]
    for number, text in enumerate(texts):
        project.file("x.geojson", text)
        project.wherry("cp", "x.geojson", f"s3://uploads/in/{number}.geojson")
    wait_for(lambda: len(list((project.folder / "done").iterdir())) == 3, "all of them")
    assert {path.read_text() for path in (project.folder / "done").iterdir()} == set(texts)
    wait_for(lambda: state(project)["workers"] + state(project)["in_flight"] == 0, "none to be left")
    assert {run["status"] for run in json.loads(project.wherry("runs", "--json").stdout)} == {"succeeded"}
