"""A message is a run of the job that takes from its queue."""

import pytest

from tests.conftest import wait_for

pytestmark = pytest.mark.needs_engine

QUEUE = "queues: {work: {max_receives: 2}}\n"
JOB = """\
taker:
  command: 'case "$BODY" in again) [ "$WHERRY_ATTEMPT" = 2 ] ;; bad) exit 3 ;; hopeless) exit 65 ;; esac'
  env: {BODY: $.detail.body}
  # On AWS wherry's worker stands beside it in the image, which has to have a python3.
  on:
    - {queue: work, workers: {max: 2}, exit_codes: {drop: [65]}}
"""


def ended(backend, job, count):
    """The runs of a job when so many have ended; on AWS no execution tells of those that work on messages."""

    def look():
        found = [run for run in backend.runs(job) if run["ended_at"]]
        return found if len(found) >= count else None

    return wait_for(look, f"{count} ended runs of {job}", 90)


def test_a_message_comes_back_until_its_run_succeeds(backend):
    """What fails `max_receives` times is a dead letter, with its run; what is dropped is none."""
    backend.deploy(JOB, QUEUE)
    for body in ("well", "again", "bad", "hopeless"):
        backend.send("work", body)
    runs = {run["event"]["detail"]["body"]: run for run in ended(backend, "taker", 4)}
    assert {body: run["status"] for body, run in runs.items()} == {
        "well": "succeeded",
        "again": "succeeded",
        "bad": "failed",
        "hopeless": "failed",
    }
    assert [len(runs[body]["attempts"]) for body in ("well", "again", "bad", "hopeless")] == [1, 2, 2, 1]
    assert {run["trigger"] for run in runs.values()} == {"queue"}
    wait_for(lambda: backend.queue("work")["dead"] == 1, "the dead letter", 20)
    assert backend.dead_letters() == [runs["bad"]["id"]]
    assert [backend.queue("work")[name] for name in ("waiting", "in_flight", "delayed")] == [0, 0, 0]


def test_uploads_feed_a_queue_and_are_files_of_its_runs(backend):
    """The event is the upload's own; `${event.file}` is a copy of the object, under its own name."""
    backend.deploy(
        """\
reader:
  command: [sh, -c, 'echo "$KEY" "$(basename "$1")"; cat "$1"', sh, "${event.file}"]
  env: {KEY: $.detail.object.key}
  # python3, as above
  on:
    - queue: files
""",
        "buckets: {incoming: {}}\nqueues: {files: {from: {bucket: incoming, suffix: .txt}}}\n",
    )
    backend.project.file("a b.txt", "some content\n")
    backend.project.wherry("cp", "a b.txt", "s3://incoming/in/a b.txt")
    (run,) = ended(backend, "reader", 1)
    assert run["status"] == "succeeded"
    wait_for(lambda: "content" in backend.log(run), "the log")
    assert backend.log(run) == "in/a b.txt a_b.txt\nsome content\n"
