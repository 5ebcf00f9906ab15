"""runs, show, logs, status, secrets, emit, cp, check, schema, init: what a person types and sees."""

import json
import re
import subprocess
import sys

import pytest

from tests.conftest import BIN, wait_for

JOBFILE = """\
app: demo
buckets:
  incoming: {}
  theirs: {existing: acme-landing-zone}
jobs:
  on-upload:
    command: [sh, -c, 'echo "got $KEY"']
    on:
      - upload: {bucket: incoming, suffix: .csv}
    env: {KEY: $.detail.object.key}
    reads: [incoming]
  on-order:
    command: [echo, "${event.detail.order}"]
    on:
      - event: {source: [shop], detail-type: [order placed], detail: {total: [{numeric: [">", 100]}]}}
  yearly:
    command: [echo, "${interval.start}", "${interval.end}"]
    on:
      - {schedule: "cron(0 5 1 1 ? *)", timezone: Europe/Berlin}
  fails:
    command: [sh, -c, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; done; exit 9"]
"""
ORDER = '{"source": "shop", "detail-type": "order placed", "detail": {"order": 7, "total": 250}}'


@pytest.fixture
def demo(project):
    project.jobfile(JOBFILE)
    return project


def runs(project, *options) -> list[dict]:
    return json.loads(project.wherry("runs", "--json", *options).stdout)


def test_without_an_engine_an_event_is_kept_for_the_next_one(demo):
    done = demo.wherry("emit", ORDER)
    assert re.fullmatch(r"[0-9a-z]{16}  on-order\n", done.stdout)
    assert done.stderr == "no engine runs: `wherry up` will start what is queued\n"
    demo.up()
    wait_for(lambda: runs(demo)[0]["status"] == "succeeded", "the queued run")


def test_an_event_that_starts_nothing_says_so(demo):
    done = demo.wherry("emit", '{"source": "shop", "detail-type": "order placed", "detail": {"total": 5}}')
    assert (done.stdout, done.stderr) == ("", "no job is started by this event\n")


def test_an_event_with_the_same_id_starts_a_job_once(demo):
    event = json.dumps({**json.loads(ORDER), "id": "7"})
    assert demo.wherry("emit", event).stdout
    assert demo.wherry("emit", event).stdout == ""
    assert len(runs(demo)) == 1


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (
            "{",
            "error: `{` is not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        ("no-such-file", "error: `no-such-file` is neither JSON nor a file"),
        ("[1]", "error: an event is a JSON object"),
        ('{"source": "x"}', "error: an event needs `source` and `detail-type`"),
        ('{"source": "x", "detail-type": "y", "detail": 5}', "error: `detail` of an event is a JSON object"),
        ('{"source": 5, "detail-type": "y"}', "error: `source` of an event is a text"),
    ],
)
def test_a_bad_event_is_refused(demo, event, message):
    assert demo.wherry("emit", event, code=2).stderr.splitlines()[0] == message


@pytest.mark.parametrize(
    ("command", "message", "hint"),
    [
        ("up --port 99999", "`--port` must be from 0 (any that is free) to 65535", ""),
        ("up --port abc", "`--port` must be a whole number, not `abc`", "`wherry up --help` tells what there is"),
        ("up --paralel 3", "unrecognized arguments: --paralel 3", "`wherry up --help` tells what there is"),
        ("runs --limit", "`--limit` needs a value", "`wherry runs --help` tells what there is"),
        ("dead-letters foo", "there is no `foo`", "known: `ls`, `purge`, `redrive`, `show`"),
        ("frobnicate", "there is no `frobnicate`", "`wherry --help` tells what there is"),
        ("replay x --with s3://a/b", "`--with` copies objects to this machine", "add `--here`, or leave it out"),
        (
            "schedule next --timezone Mars/X",
            "`--timezone` is of an expression; a job's schedule names its own",
            "leave it out",
        ),
        (
            "run fails -e 1=2",
            "`-e 1`: a variable's name must consist of letters, digits and underscores, not beginning with a digit",
            "",
        ),
        (
            "backfill fails --from 2026-01-01 --to 2026-01-02 --every 5x",
            "`--every` must be a duration such as `90s`, `10m` or `1h30m`, not `5x`",
            "write 1h, 90m, 1d",
        ),
    ],
)
def test_a_bad_command_line_is_told_in_one_line_and_what_to_do(demo, command, message, hint):
    lines = [f"error: {message}", *([f"  {hint}"] if hint else [])]
    assert demo.wherry(*command.split(), code=2).stderr.splitlines() == lines


def test_a_job_without_runs_is_named_and_so_is_one_that_is_not_there(demo):
    assert demo.wherry("runs", "--job", "fails2").stderr.startswith(
        "no runs of job `fails2`, which is not in the job file; "
    )


def test_an_upload_starts_its_job(demo):
    demo.up()
    demo.file("a b.csv", "x\n")
    assert demo.wherry("cp", "a b.csv", "s3://incoming/in/").stderr == "s3://incoming/in/a b.csv  2 B\n"
    run = wait_for(lambda: [run for run in runs(demo) if run["status"] == "succeeded"], "the run")[0]
    assert demo.wherry("logs", run["id"]).stdout == "got in/a b.csv\n"
    assert run["trigger"] == "upload"
    assert demo.wherry("cp", "s3://incoming/in/a b.csv", "-").stdout == "x\n"
    demo.wherry("cp", "s3://incoming/in/a b.csv", "copy.csv")
    assert (demo.folder / "copy.csv").read_text() == "x\n"


def test_a_file_dropped_by_hand_is_an_upload(demo):
    demo.up()
    (demo.folder / ".wherry/buckets/incoming/dropped.csv").write_text("x\n")
    run = wait_for(lambda: [run for run in runs(demo) if run["status"] == "succeeded"], "the run")[0]
    assert demo.wherry("logs", run["id"]).stdout == "got dropped.csv\n"
    assert len(runs(demo)) == 1


def test_a_file_dropped_while_no_engine_ran_is_announced_by_the_next(demo):
    demo.up().terminate()
    wait_for(lambda: demo.wherry("env", code=None).returncode == 2, "the end of the engine")
    (demo.folder / ".wherry/buckets/incoming/dropped.csv").write_text("x\n")
    demo.up()
    wait_for(lambda: [run for run in runs(demo) if run["status"] == "succeeded"], "the run")


def test_cp_refuses_what_it_cannot_do(demo):
    assert "one of SRC and DST must be s3://BUCKET/KEY" in demo.wherry("cp", "a", "b", code=2).stderr
    assert "there is no bucket `incomming`" in demo.wherry("cp", "wherry.yaml", "s3://incomming/x", code=2).stderr
    assert (
        "`nope` cannot be read: no such file or directory" in demo.wherry("cp", "nope", "s3://incoming/", code=2).stderr
    )
    missing = demo.wherry("cp", "s3://incoming/nope", "here", code=2)
    assert "nope" in missing.stderr
    assert not (demo.folder / "here").exists()


def test_both_names_of_somebody_elses_bucket_are_understood(demo):
    demo.wherry("cp", "wherry.yaml", "s3://theirs/a")
    assert demo.wherry("cp", "s3://acme-landing-zone/a", "-").stdout == JOBFILE


def test_show_tells_the_story_of_a_failure(demo):
    demo.wherry("run", "fails", code=9)
    run = runs(demo)[0]
    shown = demo.wherry("show", run["id"][:12]).stdout
    assert re.search(r"^run +" + run["id"] + "  failed$", shown, re.MULTILINE)
    assert re.search(r"^why +exit code 9$", shown, re.MULTILINE)
    assert "line 12" in shown
    assert "line 2\n" not in shown  # the last ten lines
    assert '"detail-type": "Manual Run"' in shown


def test_runs_are_filtered(demo):
    demo.wherry("run", "fails", code=9)
    demo.wherry("emit", ORDER)
    assert [run["job"] for run in runs(demo)] == ["on-order", "fails"]
    assert [run["job"] for run in runs(demo, "--job", "fails")] == ["fails"]
    assert [run["job"] for run in runs(demo, "--status", "queued")] == ["on-order"]
    assert len(runs(demo, "--since", "1h")) == 2
    assert runs(demo, "--since", "2999-01-01") == []
    assert len(runs(demo, "--limit", "1")) == 1
    table = demo.wherry("runs").stdout.splitlines()
    assert table[0].split() == ["RUN", "JOB", "TRIGGER", "STATUS", "CREATED", "TOOK"]
    assert len(table) == 3
    assert "did you mean `failed`?" in demo.wherry("runs", "--status", "faild", code=2).stderr
    assert "`yesterday` is not a time" in demo.wherry("runs", "--since", "yesterday", code=2).stderr


def test_logs_follow_a_run_to_its_end(demo):
    demo.jobfile(JOBFILE + "  slow:\n    command: [sh, -c, 'for i in 1 2 3; do echo $i; sleep 0.2; done']\n")
    demo.up()
    process = subprocess.Popen([f"{BIN}/wherry", "run", "slow"], cwd=demo.folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "1\n"
    assert demo.wherry("logs", "-f", runs(demo)[0]["id"]).stdout == "1\n2\n3\n"
    process.communicate(timeout=60)


def test_status_at_a_glance(demo):
    demo.wherry("run", "fails", code=9)
    shown = demo.wherry("status").stdout
    assert "none runs: `wherry up` starts it" in shown
    assert "1 failed" in shown
    assert re.search(r"\d{4}-(12-31|01-01) \d\d:00:00  yearly", shown)
    status = json.loads(demo.wherry("status", "--json").stdout)
    assert status["running"] is False
    assert status["runs"] == {"failed": 1}
    assert status["upcoming"][0]["job"] == "yearly"
    assert status["failures"][0]["job"] == "fails"


def test_secrets_are_set_listed_and_removed(demo):
    demo.file("key.json", '{"a": 1}\n')
    demo.wherry("secrets", "set", "google", "--from-file", "key.json")
    demo.wherry("secrets", "set", "token", stdin="x\n")
    assert [entry["name"] for entry in json.loads(demo.wherry("secrets", "ls", "--json").stdout)] == ["google", "token"]
    demo.wherry("secrets", "rm", "token")
    assert "there is no secret `token`" in demo.wherry("secrets", "rm", "token", code=2).stderr


def test_env_needs_an_engine(demo):
    refused = demo.wherry("env", code=2)
    assert refused.stderr == "error: no engine runs here\n  start it in another terminal: `wherry up`\n"


def test_an_engine_comes_back_to_its_port(demo):
    first = demo.up()
    endpoint = json.loads(demo.wherry("env", "--json").stdout)["AWS_ENDPOINT_URL"]
    first.terminate()
    first.wait(60)
    demo.up()
    assert json.loads(demo.wherry("env", "--json").stdout)["AWS_ENDPOINT_URL"] == endpoint


def test_an_engine_refuses_by_name_what_it_cannot_yet_do(project):
    project.jobfile(
        "app: demo\nbuckets: {bkt: {}}\nqueues:\n  q: {from: {bucket: bkt}}\njobs:\n"
        "  a:\n    command: 'true'\n    on:\n      - {queue: q, mode: self-polling}\n"
        "    helpers:\n      db: {image: postgres}\n"
        "environments:\n  local:\n    aws: inherit\n    alerts: arn:aws:sns:eu-central-1:123456789012:ops\n"
    )
    refused = project.wherry("up", code=2)
    for line in (
        "wherry.yaml:9:9: job `a` polls queue `q` by itself, and with `aws: inherit` it finds AWS",
        "wherry.yaml:11:7: job `a`: helper `db` has an image and no command, so it cannot run as a process",
        "--executor docker",
        "wherry.yaml:15:5: reports to `arn:aws:sns:eu-central-1:123456789012:ops` cannot be sent from here",
        "error: 3 problems",
    ):
        assert line in refused.stderr
    project.wherry("check")


def test_an_environment_that_the_job_file_does_not_have(demo):
    demo.jobfile(JOBFILE + "environments:\n  prod: {region: eu-central-1}\n")
    assert "there is no environment `prd`" in demo.wherry("runs", "--env", "prd", code=2).stderr


def test_what_is_meant_for_this_machine_does_not_import_boto3(demo):
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "wherry", "runs"],
        cwd=demo.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "boto" not in found.stderr
    assert "wherry.aws" not in found.stderr


def test_check_exits_with_0_or_2(demo):
    assert demo.wherry("check").stdout == "ok: demo: 4 jobs, 2 buckets, 0 queues\n"
    demo.file("bad.yaml", "app: demo\njobs:\n  a: {comand: x, on: [{upload: {bucket: nope}}]}\n")
    refused = demo.wherry("check", "bad.yaml", code=2)
    assert "bad.yaml:3:7: " in refused.stderr
    assert "did you mean `command`?" in refused.stderr
    assert "`nope`" in refused.stderr
    assert demo.wherry("check", "missing.yaml", code=2).stderr == "error: there is no file `missing.yaml`\n"


CIRCLES = """\
app: circles
buckets: {inbox: {}, sorted: {}}
queues:
  q: {from: {bucket: inbox}}
jobs:
  copier:
    command: "true"
    writes: [sorted, inbox]
    on: [{queue: q, workers: {max: 2}}, {upload: {bucket: inbox}}]
  fine:
    command: "true"
    writes: [inbox, sorted]
    on:
      - {upload: {bucket: sorted, prefix: in/}}
      - {upload: {bucket: inbox, suffix: .csv}}
      - {schedule: rate(1 hour)}
"""


def test_a_job_that_may_start_itself_without_end_is_told(project):
    """No event says who wrote an object, so nobody can stop that circle: here it is processors, on AWS a bill."""
    project.jobfile(CIRCLES)
    checked = project.wherry("check")
    assert checked.stdout == "ok: circles: 2 jobs, 2 buckets, 1 queue\n"
    said = "note: job `copier` may write to bucket `inbox`, and every upload there starts it:"
    heads = [line for line in checked.stderr.splitlines() if not line.startswith(" ")]
    assert [line[: line.index(" what it writes")] for line in heads] == [
        f"wherry.yaml:4:7: {said}",
        f"wherry.yaml:9:41: {said}",
    ]
    assert "`prefix` or `suffix`" in checked.stderr


def test_the_job_file_is_found_from_below(demo):
    below = demo.folder / "some" / "folder"
    below.mkdir(parents=True)
    done = subprocess.run([f"{BIN}/wherry", "check"], cwd=below, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ok: demo")


def test_no_job_file_anywhere(tmp_path):
    done = subprocess.run([f"{BIN}/wherry", "runs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: there is no wherry.yaml here or in a folder above\n  `wherry init` makes one; `-f FILE` names one\n"
    )


@pytest.mark.parametrize("template", ["hello", "nightly", "upload"])
def test_each_template_is_right(project, template):
    made = project.wherry("init", template).stdout
    assert "made wherry.yaml" in made
    checked = project.wherry("check")
    assert checked.stdout.startswith("ok: ")
    assert not checked.stderr
    assert "is there already" in project.wherry("init", template, code=2).stderr


def test_the_first_template_runs(project):
    project.wherry("init")
    assert re.fullmatch(r"hello from hello, run \w{16} again\n", project.wherry("run", "hello", "--", "again").stdout)


def test_the_nightly_template_runs_by_hand(project):
    project.wherry("init", "nightly")
    assert project.wherry("run", "nightly").stdout == "loading from the beginning to now, log level INFO\n"


def test_the_upload_template_runs(project):
    project.wherry("init", "upload")
    project.up()
    project.wherry("cp", "-", "s3://incoming/data.csv", stdin="a,b\n1,2\n3,4\n")
    run = wait_for(lambda: [run for run in runs(project) if run["ended_at"]], "the run")[0]
    assert run["status"] == "succeeded", project.wherry("logs", run["id"]).stdout
    assert json.loads(project.wherry("cp", "s3://results/data.csv.json", "-").stdout) == {"file": "data.csv", "rows": 2}


def test_an_unknown_template(project):
    assert "did you mean `hello`?" in project.wherry("init", "helo", code=2).stderr
