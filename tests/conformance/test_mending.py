"""What people do about failures: retry, replay, backfill, dead letters, explanations, reports."""

import http.server
import json
import signal
import threading
from typing import ClassVar

import pytest

from tests.conftest import wait_for


def fragile(backend):
    """A job that fails until `fixed` is marked."""
    return f"job: {{command: '{backend.marked('fixed')} || exit 3; echo $X', env: {{X: $.detail.x}}, retry: {{attempts: 2}}}}"


def test_a_run_is_retried(backend):
    """`wherry retry` gives the same run another round of attempts, with fresh budgets."""
    backend.deploy(fragile(backend))
    run = backend.run("job", "--event", '{"detail": {"x": "data"}}')
    assert (run["status"], len(run["attempts"])) == ("failed", 2)
    backend.project.wherry("retry", run["id"], code=3)
    assert len(backend.runs("job")[0]["attempts"]) == 4
    backend.mark("fixed")
    assert backend.project.wherry("retry", run["id"]).stdout == "data\n"
    again = backend.runs("job")
    assert [(one["id"], one["status"], len(one["attempts"])) for one in again] == [(run["id"], "succeeded", 5)]
    assert backend.status()["dead_letters"] == 0
    assert "`wherry replay" in backend.project.wherry("retry", run["id"], code=2).stderr


def test_a_run_is_replayed(backend):
    """`wherry replay` makes a new run of the same event; also of one that was written to a file elsewhere."""
    backend.deploy(fragile(backend))
    backend.mark("fixed")
    run = backend.run("job", "--event", '{"detail": {"x": "data"}}')
    assert backend.project.wherry("replay", run["id"]).stdout == "data\n"
    again = backend.runs("job")[0]
    assert (again["cause"].split(":")[:2], again["event"]) == (["replay", run["id"]], run["event"])
    backend.project.file("run.json", backend.project.wherry("show", run["id"], "--json").stdout)
    assert backend.project.wherry("replay", "run.json", "--here").stdout == "data\n"
    here = json.loads(backend.here("runs", "--json", "--limit", "1").stdout)[0]
    assert (here["cause"].split(":")[:2], here["event"]) == (["replay", run["id"]], run["event"])


def test_dead_letters_are_listed_redriven_and_purged(backend):
    """What failed for good is kept until somebody deals with it."""
    backend.deploy(fragile(backend) + "\nother: {command: exit 9}")
    first, second = (backend.run("job", "--event", f'{{"detail": {{"x": {n}}}}}') for n in (1, 2))
    backend.run("other")
    wherry = backend.project.wherry

    def letters(*arguments):
        return [run["id"] for run in json.loads(wherry("dead-letters", "ls", "--json", *arguments).stdout)]

    assert letters("--job", "job") == [second["id"], first["id"]]
    assert len(letters()) == 3
    assert len(letters("--reason", "code 9")) == len(letters("--since", "1h", "--job", "other")) == 1
    assert "exit code 3" in wherry("dead-letters", "show", first["id"]).stdout
    wherry("dead-letters", "redrive", code=2)
    backend.mark("fixed")
    wherry("dead-letters", "redrive", "--job", "job", "--dry-run")
    assert len(letters()) == 3
    wherry("dead-letters", "redrive", "--job", "job")
    wait_for(lambda: len(backend.runs("job", "succeeded")) == 2, "the redriven runs")
    assert len(letters()) == 1
    wherry("dead-letters", "purge", "--all")
    assert letters() == []
    assert len(backend.runs()) == 3


HOURLY = 'job: {command: "%s || [ $WHERRY_INTERVAL_START != 2026-03-01T02:00:00Z ]", on: [{schedule: rate(1 hour)}]}'
SPAN = ("job", "--from", "2026-03-01T00:00+00:00", "--to", "2026-03-01T05:00+00:00")


def intervals(backend):
    return sorted(run["event"]["detail"]["interval"]["start"][11:13] for run in backend.runs("job", "succeeded"))


def test_a_backfill_runs_each_interval_once(backend):
    """One run for each interval; the same command goes on with what is missing or failed, and repeats nothing."""
    backend.deploy(HOURLY % backend.marked("fixed"))
    wherry = backend.project.wherry
    assert len(wherry("backfill", *SPAN, "--dry-run").stdout.splitlines()) == 5
    assert backend.runs("job") == []
    wherry("backfill", *SPAN, "--parallel", "3", code=1)
    assert intervals(backend) == ["00", "01", "03", "04"]
    backend.mark("fixed")
    done = wherry("backfill", *SPAN)
    assert "5 intervals, 4 done, 1 to do" in done.stderr
    assert intervals(backend) == ["00", "01", "02", "03", "04"]
    assert "0 to do" in wherry("backfill", *SPAN).stderr
    assert "0 to do" in wherry("backfill", *SPAN, "--tag", "again", "--only-missing").stderr
    wherry("backfill", *SPAN, "--every", "150m", "--tag", "again")
    assert len(backend.runs("job", "succeeded")) == 7


def test_an_interrupted_backfill_goes_on(backend):
    """Ctrl-C leaves the rest for the same command later."""
    backend.deploy("job: {command: 'sleep 0.2'}")
    arguments = ["backfill", "job", "--from", "2026-03-01", "--to", "2026-03-02", "--every", "2h"]
    process = backend.popen(*arguments)
    wait_for(lambda: backend.count("job", ended=True) >= 2, "two intervals")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in said
    done = backend.project.wherry(*arguments, "--parallel", "8")
    assert done.stdout.splitlines()[-1].startswith("[")
    runs = backend.runs("job")
    assert len(runs) == 12
    assert {run["status"] for run in runs} == {"succeeded"}
    assert len({run["event"]["detail"]["interval"]["start"] for run in runs}) == 12


def explained(backend, run):
    said = " ".join(backend.project.wherry("explain", run["id"]).stdout.split())
    assert f"`wherry retry {run['id']}" in said
    return said


def test_a_failure_is_explained(backend):
    """`wherry explain`: what happened in plain words, the end of the log, what to change."""
    timeout = 0.2 + backend.start_takes
    cases = {
        "timeout": (
            f"command: sleep 300\n  timeout: {timeout * 1000:.0f}ms",
            [f"`timeout: {timeout:g}s`", "raise `timeout` of job `timeout`"],
        ),
        "package": ("command: [python3, -c, 'import nope']", ["lacks the package `nope`", "ModuleNotFoundError"]),
        "variable": ("command: [python3, -c, \"import os; os.environ['DB_URL']\"]", ["variable `DB_URL` is not set"]),
        "signal": ("command: kill -SEGV $$", ["SIGSEGV"]),
        "shell": ("command: exit 127", ["the shell did not find the program"]),
    }
    backend.deploy("\n".join(f"{name}:\n  {job}" for name, (job, _) in cases.items()))
    runs = backend.run_all(*cases)
    for name, (_, words) in cases.items():
        said = explained(backend, runs[name])
        for word in words:
            assert word in said


def test_a_missing_program_is_explained(backend):
    """`wherry explain` tells a program that is not there from one that fails."""
    backend.deploy("job: {command: [no-such-program]}")
    said = explained(backend, backend.run("job"))
    assert "never begun" in said
    assert "no program `no-such-program`" in said


class Hook(http.server.BaseHTTPRequestHandler):
    received: ClassVar[list] = []
    refuse = 1

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if Hook.refuse:
            Hook.refuse -= 1
            self.send_error(503)
            return
        Hook.received.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.needs_engine
def test_failures_are_reported(backend, monkeypatch):
    """`alerts`: a command gets the report on its standard input, an URL is posted to, until it is accepted."""
    Hook.received.clear()
    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/hook"
    backend.deploy(
        "bad: {command: exit 3}\ngood: {command: 'true'}",
        f"environments:\n  local:\n    alerts: ['{address}', {{command: 'cat > report.json'}}]\n",
    )
    backend.run("good")
    run = backend.run("bad")
    report = backend.project.folder / "report.json"
    content = json.loads(wait_for(lambda: report.exists() and report.read_text(), "the report"))
    assert content["text"] == f"conformance: bad failed: exit code 3 (run {run['id']}; `wherry explain {run['id']}`)"
    assert content["event"]["detail"]["run-id"] == run["id"]
    wait_for(lambda: Hook.received, "the second delivery")
    assert Hook.received == [content]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.needs_engine
def test_history_is_pruned(backend):
    """`keep`: what is over its limits goes, the oldest first; disk use is shown."""
    backend.deploy("job: {command: echo hello}", "environments: {local: {keep: {runs: 3}}}\n")
    for _ in range(6):
        backend.run("job")
    newest = [run["id"] for run in backend.runs("job")[:3]]
    backend.kill()
    backend.start()
    wait_for(lambda: [run["id"] for run in backend.runs("job")] == newest, "the pruning")
    assert sorted(path.name for path in (backend.project.folder / ".wherry/runs").iterdir()) == sorted(newest)
    disk = backend.status()["disk"]
    assert disk["logs"] > 0 < disk["store"]
