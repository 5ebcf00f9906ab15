"""A failure of production runs again on this machine, with one command."""

import json
import os
import pty
import subprocess

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import BIN, PYTHON, Project, wait_for

#: The image has no `aws`, this machine has: there it fails, here it does not.
COMMAND = 'command -v aws >/dev/null || exit 3; aws s3 cp "s3://$INPUT_BUCKET/$INPUT_KEY" -; echo "[$MODE] $TOKEN"'
#: The same of one that works on messages. That it does not read the feeding bucket is said nowhere, as in the examples.
BOOK = 'command -v aws >/dev/null || { sleep 2; exit 3; }; cat "$FILE"; aws sqs send-message --queue-url "$OUT" --message-body "$KEY"'
JOBFILE = f"""
app: back-here
defaults: {{memory: 512MB, cpu: 0.25}}
buckets: {{uploads: {{}}, lookups: {{}}, secret-things: {{}}, inbox: {{}}}}
queues: {{letters: {{from: {{bucket: inbox, suffix: .txt}}}}, out: {{}}}}
jobs:
  book:
    build: book
    command: {json.dumps(BOOK)}
    on: [{{queue: letters}}]
    env: {{FILE: "${{event.file}}", OUT: "${{queue.out.url}}", KEY: $.detail.object.key, REPLY: "to ${{queue.out.url}}"}}
    sends: [out]
    retry: {{backoff: 15m}}
    helpers: {{proxy: {{command: "while :; do echo helping; sleep 0.2; done"}}}}
  analyzer:
    image: "wherry-busybox:1"
    command: {json.dumps(COMMAND)}
    on: [{{upload: {{bucket: uploads, suffix: .csv}}}}]
    env: {{INPUT_BUCKET: $.detail.bucket.name, INPUT_KEY: $.detail.object.key, MODE: as-it-was, TABLE: "s3://${{bucket.lookups}}/table.txt"}}
    reads: [uploads, lookups]
    secrets: {{TOKEN: api-token}}
environments:
  prod: {{region: eu-west-1}}
"""
KEY = "in/it's ü.csv"


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    cloud = Cloud(Project(tmp_path_factory.mktemp("back-here")), standin.account())
    cloud.project.jobfile(JOBFILE)
    cloud.project.file("book/Dockerfile", f"FROM {PYTHON}\n")
    cloud.client("secretsmanager").create_secret(Name="api-token", SecretString="s3cr3t")
    cloud.wherry("deploy", "--yes")
    for text, place in (("lookup", "lookups/table.txt"), ("more", "lookups/more/a.txt"), ("x,y\n", f"uploads/{KEY}")):
        file = cloud.project.file("object", text)
        cloud.wherry("cp", str(file), f"s3://{place}", "--env", "prod")
    yield cloud
    cloud.wherry("destroy", "--yes")


@pytest.fixture(scope="module")
def failed(cloud):
    """The run of the upload."""

    def look():
        found = json.loads(cloud.wherry("runs", "--env", "prod", "--json").stdout)
        return found[0] if found and found[0]["ended_at"] else None

    run = wait_for(look, "the run")
    assert run["reason"] == "exit code 3"
    return run


@pytest.fixture(scope="module")
def waiting(cloud):
    """The run of a message that has failed once, and is due again in a quarter of an hour."""
    cloud.wherry("cp", str(cloud.project.file("object", "dear all\n")), "s3://inbox/a b.txt", "--env", "prod")

    def look():
        found = json.loads(cloud.wherry("runs", "--job", "book", "--env", "prod", "--json").stdout)
        return found[0] if found and found[0]["status"] == "queued" and found[0]["attempts"] else None

    return wait_for(look, "its first attempt")


@pytest.fixture(autouse=True)
def _with_the_aws_cli(monkeypatch):
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")


def typed(cloud, text, *arguments):
    """A command on a terminal; gives its exit code, and what it printed."""
    leader, follower = pty.openpty()
    os.write(leader, text.encode())
    done = subprocess.run(
        [f"{BIN}/wherry", *arguments],
        cwd=cloud.project.folder,
        env={**os.environ, **cloud.account.environment},
        stdin=follower,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(leader)
    os.close(follower)
    return done


def replay(run, *more):
    return ("replay", run["id"], "--env", "prod", "--here", *more)


def test_a_run_of_production_runs_here(cloud, failed):
    """What it needs is copied and said, secrets are asked for, the log and the exit code are the job's."""
    refused = cloud.wherry(*replay(failed), code=2)
    assert "needs secrets that are not set here: `api-token`" in refused.stderr
    assert "`wherry secrets set api-token`" in refused.stderr
    assert not (cloud.project.folder / ".wherry/buckets/uploads/in").exists()

    assert "is not set here" in typed(cloud, "n\n", *replay(failed)).stderr
    done = typed(cloud, "y\n", *replay(failed, "--with", "s3://lookups/more/"))
    assert (done.returncode, done.stdout) == (0, "x,y\n[as-it-was] s3cr3t\n"), done.stderr
    assert f"from prod: s3://uploads/{KEY}  4 B" in done.stderr
    assert "from prod: s3://lookups/table.txt  6 B" in done.stderr
    buckets = cloud.project.folder / ".wherry/buckets"
    assert {str(path.relative_to(buckets)) for path in buckets.rglob("*") if path.is_file()} == {
        f"uploads/{KEY}",
        "lookups/table.txt",
        "lookups/more/a.txt",
    }
    # what was copied has started nothing
    [here] = json.loads(cloud.wherry("runs", "--json").stdout)
    assert here["cause"].startswith(f"replay:{failed['id']}:")
    assert here["event"]["detail"]["bucket"]["name"] == "uploads"
    assert here["env"]["TABLE"] == "s3://lookups/table.txt"


def test_what_is_here_is_not_overwritten_silently(cloud, failed):
    cloud.wherry("secrets", "set", "api-token", stdin="mine")
    assert "from prod" not in cloud.wherry(*replay(failed)).stderr
    place = cloud.project.folder / ".wherry/buckets/uploads" / KEY
    place.write_text("my own\n")
    refused = cloud.wherry(*replay(failed), code=2)
    assert "in the place of another one" in refused.stderr
    assert place.read_text() == "my own\n"
    assert typed(cloud, "n\n", *replay(failed)).returncode == 2
    assert cloud.wherry(*replay(failed, "--yes")).stdout == "x,y\n[as-it-was] mine\n"
    assert place.read_text() == "x,y\n"


def test_what_cannot_be_copied_is_said_by_name(cloud, failed):
    for url, said in (
        ("s3://uploads/no.csv", "no object `s3://uploads/no.csv`"),
        ("s3://other/x", "no bucket `other`"),
    ):
        assert said in cloud.wherry(*replay(failed, "--with", url), code=2).stderr


def test_a_run_of_a_message_runs_here(cloud, waiting):
    """Its object comes though no `reads` names its bucket, and what it sends goes into the queue that is here."""
    env = waiting["env"]
    assert "amazonaws.com" in env["OUT"] or cloud.account.id in env["OUT"], env
    done = cloud.wherry(*replay(waiting))
    assert done.stdout.startswith("dear all\n"), done.stderr
    assert "from prod: s3://inbox/a b.txt  9 B" in done.stderr
    (here,) = json.loads(cloud.wherry("runs", "--job", "book", "--json").stdout)
    assert (here["status"], here["trigger"], here["cause"].split(":")[1]) == ("succeeded", "queue", waiting["id"])
    assert here["env"]["OUT"].endswith("/000000000000/out")
    assert here["env"]["REPLY"] == f"to {here['env']['OUT']}"
    assert here["env"]["FILE"].startswith(str(cloud.project.folder))
    (sent,) = json.loads(cloud.wherry("queue", "peek", "out", "--json").stdout)
    assert sent["body"] == "a b.txt"
    states = json.loads(cloud.wherry("queues", "--env", "prod", "--json").stdout)
    assert {state["name"]: state["waiting"] for state in states}["out"] == 0


def test_of_a_message_no_machine_starts_a_run_that_fails(cloud, waiting):
    refused = cloud.wherry("replay", waiting["id"], "--env", "prod", code=2).stderr
    assert "a replay on AWS has no message" in refused
    assert f"`wherry replay {waiting['id']} --here --env prod`" in refused
    refused = cloud.wherry("run", "book", "--env", "prod", code=2).stderr
    assert "`wherry queue send letters BODY --env prod`" in refused
    assert len(json.loads(cloud.wherry("runs", "--job", "book", "--env", "prod", "--json").stdout)) == 1


def test_the_log_of_a_helper_is_that_of_the_attempt(cloud, waiting):
    log = cloud.wherry("logs", waiting["id"], "--helper", "proxy", "--env", "prod").stdout.splitlines()
    assert set(log) == {"helping"}
    refused = cloud.wherry("logs", waiting["id"], "--helper", "prox", "--env", "prod", code=2).stderr
    assert "job `book` has no helper `prox`" in refused
    assert "did you mean `proxy`?" in refused


def test_stopping_what_waits_for_its_message_is_no_failure(cloud, waiting):
    done = cloud.wherry("stop", waiting["id"], "--env", "prod")
    assert (
        f"{waiting['id']} will be stopped: its message becomes a dead letter when it is received next (due "
        in done.stderr
    )
