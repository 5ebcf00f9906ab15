"""How attempts end, and what follows from it."""

import contextlib
import glob
import random
from datetime import datetime

import pytest

from tests.conftest import wait_for


def codes(run):
    return [attempt["exit_code"] for attempt in run["attempts"]]


def endings(run):
    return [attempt["ending"] for attempt in run["attempts"]]


def moments(run, name):
    return [datetime.fromisoformat(attempt[name]) for attempt in run["attempts"]]


def test_the_exit_code_decides(backend):
    """Exit code 0 is success, every other one failure."""
    expected = {0: "succeeded", 1: "failed", 137: "failed", 255: "failed"}
    backend.deploy("\n".join(f"job{code}: {{command: 'exit {code}'}}" for code in expected))
    runs = backend.run_all(*(f"job{code}" for code in expected)).values()
    assert {run["attempts"][0]["exit_code"]: run["status"] for run in runs} == expected
    assert {len(run["attempts"]) for run in runs} == {1}


def test_a_failed_attempt_is_tried_again(backend):
    """`retry` gives attempts until one succeeds."""
    backend.deploy('job: {command: "[ $WHERRY_ATTEMPT = 3 ]", retry: {attempts: 5}}')
    run = backend.run("job")
    assert (run["status"], codes(run)) == ("succeeded", [1, 1, 0])


def test_retries_are_used_up(backend):
    """After `attempts` failures the run has failed, and is a dead letter."""
    backend.deploy("job: {command: exit 4, retry: {attempts: 3}}")
    run = backend.run("job")
    assert (run["status"], codes(run), run["reason"]) == ("failed", [4, 4, 4], "exit code 4")
    assert backend.status()["dead_letters"] == 1


def test_only_some_exit_codes_are_worth_retrying(backend):
    """`exit_codes` names those; others fail at once."""
    backend.deploy(
        'job: {command: "[ $WHERRY_ATTEMPT = 1 ] && exit 75; exit 3", retry: {attempts: 5, exit_codes: [75]}}'
    )
    run = backend.run("job")
    assert (run["status"], codes(run)) == ("failed", [75, 3])


def test_attempts_wait_for_their_backoff(backend):
    """The wait grows by `factor`, up to `cap`."""
    tick = backend.tick
    retry = f"{{attempts: 4, backoff: {tick * 1000:.0f}ms, factor: 4, cap: {tick * 2000:.0f}ms}}"
    backend.deploy(f"job: {{command: exit 1, retry: {retry}}}")
    run = backend.run("job")
    began, ended = moments(run, "started_at"), moments(run, "ended_at")
    waits = [(after - before).total_seconds() for before, after in zip(ended, began[1:], strict=False)]
    assert [wait >= least for wait, least in zip(waits, [tick * 0.999, tick * 1.999, tick * 1.999], strict=True)] == [
        True
    ] * 3
    # Without the cap the last one would be 16 times the first.
    assert waits[2] < 12 * tick


def test_a_timeout_kills_the_attempt_and_all_it_began(backend):
    """`timeout` bounds an attempt: its whole process group ends, and the next attempt begins."""
    # A number that no other process of this machine has in its command.
    length = random.randrange(10**6, 10**9)
    timeout = 1.5 + backend.start_takes
    backend.deploy(
        f"job:\n  command: 'sleep {length} & sleep {length}'\n  timeout: {timeout * 1000:.0f}ms\n  retry: {{attempts: 2}}"
    )
    run = backend.run("job")
    assert (run["status"], endings(run)) == ("timed_out", ["timed_out", "timed_out"])
    assert run["reason"] == f"it ran longer than `timeout: {timeout:g}s`"
    wait_for(lambda: not [one for one in commands() if str(length) in one], "the end of all", backend.slack)


def commands():
    """The command lines of all processes, those in containers too; a zombie has none."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            yield file.read()


def test_the_deadline_bounds_the_run(backend):
    """`deadline` bounds all attempts and the waits between them: no attempt begins after it."""
    seconds = 3 + backend.start_takes
    backend.deploy(f"job: {{command: 'sleep 0.3; exit 1', deadline: {seconds:g}s, retry: {{attempts: 50}}}}")
    run = backend.run("job")
    took = datetime.fromisoformat(run["ended_at"]) - datetime.fromisoformat(run["created_at"])
    assert run["status"] in ("failed", "timed_out")
    assert 2 <= len(run["attempts"]) <= seconds / 0.3
    assert took.total_seconds() < seconds + 5
    assert "deadline" in run["reason"]


def test_the_deadline_ends_an_attempt(backend):
    """What is left of the deadline bounds the attempt, also without a timeout."""
    deadline, said = ("500ms", "0.5s") if backend.tick < 1 else ("9s", "9s")
    backend.deploy(f"job: {{command: sleep 300, deadline: {deadline}}}")
    run = backend.run("job")
    assert (run["status"], run["reason"]) == ("timed_out", f"it ran longer than `deadline: {said}`")


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ("command: [no-such-program]", "could not start: there is no program `no-such-program`"),
        ('command: ["true"]\n  env: {X: $.detail.nope}', "could not start: the event has no `detail.nope`"),
        ('command: ["true"]\n  secrets: {X: nope}', "could not start: there is no secret `nope`"),
    ],
    ids=["program", "value", "secret"],
)
def test_what_cannot_start_is_told_apart(backend, job, reason):
    """A job that was never begun has not failed by itself: `retry` does not apply, and the reason says what lacks."""
    backend.deploy(f"job:\n  {job}\n  retry: {{attempts: 3}}")
    run = backend.run("job")
    assert run["status"] == "failed"
    assert endings(run) == ["could_not_start"] or (not run["attempts"] and backend.checks_first)
    assert run["reason"].startswith(reason)


def test_too_much_memory_is_told_apart(backend):
    """An attempt that outgrows `memory` is killed, and that is told apart from a crash."""
    least = backend.least_memory
    greedy = f"import time; x = b'x' * {least * 3}_000_000; time.sleep(60)"
    backend.deploy(f'job:\n  command: [python3, -c, "{greedy}"]\n  memory: {least}MB')
    run = backend.run("job")
    assert (run["status"], endings(run), codes(run)) == ("failed", ["out_of_memory"], [137])
    assert run["reason"].startswith("out of memory: ")


def test_the_main_process_decides(backend):
    """Helpers begin before the main process and end after it; their own ends decide nothing."""
    backend.deploy(
        f"job:\n  command: '{backend.until('ready')}; exit 0'\n"
        f"  helpers:\n    proxy: {{command: 'echo up; {backend.marking('ready')}; sleep 300'}}\n"
        "    broken: {command: exit 9}"
    )
    run = backend.run("job")
    assert run["status"] == "succeeded"
    assert backend.log(run, "--helper", "proxy").splitlines()[0] == "up"


def test_the_log_has_both_streams_in_order(backend):
    """Standard output and standard error, as they were written."""
    backend.deploy("job: {command: 'for i in 1 2 3; do echo o$i; echo e$i >&2; done'}")
    assert backend.log(backend.run("job")) == "o1\ne1\no2\ne2\no3\ne3\n"


def test_the_log_has_all_of_both_streams(backend):
    """All lines of standard output and of standard error, those of each in their order."""
    backend.deploy("job: {command: 'for i in 1 2 3; do echo o$i; echo e$i >&2; done'}")
    lines = backend.log(backend.run("job")).splitlines()
    for stream in "oe":
        assert [line for line in lines if line.startswith(stream)] == [f"{stream}{number}" for number in (1, 2, 3)]
    assert len(lines) == 6


def test_a_run_sees_what_it_is(backend):
    """The variables that every run gets; nothing else leaks in."""
    backend.deploy("job: {command: env, env: {OWN: $.detail.x}}")
    run = backend.run("job", "--event", '{"detail": {"x": "a b\\n\\"c\\""}}')
    variables = dict(line.partition("=")[::2] for line in backend.log(run).splitlines() if "=" in line)
    assert variables["WHERRY_RUN_ID"] == run["id"]
    assert (variables["WHERRY_JOB"], variables["WHERRY_ATTEMPT"], variables["WHERRY_TRIGGER"]) == ("job", "1", "manual")
    assert variables["OWN"] == "a b"
    assert not {"PYTEST_CURRENT_TEST", "VIRTUAL_ENV"} & variables.keys()


def test_a_long_event_comes_as_a_file(backend):
    """An event that is too long for a variable is in the file that `WHERRY_EVENT_FILE` names."""
    backend.deploy("job: {command: 'wc -c < $WHERRY_EVENT_FILE'}")
    run = backend.run("job", "--event", '{"detail": {"x": "' + "y" * 100_000 + '"}}')
    assert int(backend.log(run)) > 100_000
