"""The same backfill in two terminals."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import BIN, wait_for
from wherry.cli.backfill import Plan, _Backfill
from wherry.intervals import Interval
from wherry.model import Run, Status, new_event

JOBFILE = """\
app: demo
jobs:
  fill:
    command: |
      test -e mended || exit 3
      echo "$WHERRY_INTERVAL_START" >>began
      while ! test -e "go-$${WHERRY_INTERVAL_START%%T*}"; do sleep 0.02; done
"""
DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
ARGUMENTS = ("backfill", "fill", "--from", DAYS[0], "--to", "2026-03-04", "--every", "1d")


@pytest.fixture
def failed(project, monkeypatch):
    """A backfill of which every interval has failed, and whose job is mended."""
    monkeypatch.setenv("TZ", "UTC")
    project.jobfile(JOBFILE)
    project.wherry(*ARGUMENTS, code=1)
    project.file("mended", "")
    return project


def begin(project, name):
    out = open(project.folder / name, "w", encoding="utf-8")  # noqa: SIM115 - the process's own
    process = subprocess.Popen([f"{BIN}/wherry", *ARGUMENTS], cwd=project.folder, stdout=out, stderr=out)
    out.close()
    return process


def told(project, name):
    return (project.folder / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("by_engine", [True, False])
def test_what_somebody_else_tries_again_is_theirs_and_counts(failed, by_engine):
    if by_engine:
        failed.up()
    one = begin(failed, "one")
    wait_for((failed.folder / "began").exists, "the first interval")
    two = begin(failed, "two")
    wait_for(lambda: "3 to do" in told(failed, "two"), "the second terminal's plan")
    for number, day in enumerate(DAYS, start=1):
        failed.file(f"go-{day}", "")
        for name in ("one", "two"):
            wait_for(lambda name=name, number=number: f"[{number}/3]" in told(failed, name), f"{name} at {day}")
    assert (one.wait(60), two.wait(60)) == (0, 0), told(failed, "one") + told(failed, "two")
    assert told(failed, "one").count("succeeded") == told(failed, "two").count("succeeded") == 3
    assert [line[:10] for line in told(failed, "began").splitlines()] == [*DAYS]


class LateToTell:
    """A target where somebody else has begun the interval, and whose first answers do not know of it yet."""

    def __init__(self, run, *, unknowing):
        self._run = run
        self._unknowing = unknowing

    def start(self, wish):
        return None

    def of_causes(self, job, causes):
        self._unknowing -= 1
        return {} if self._unknowing >= 0 else {causes[0]: self._run}

    def go_on(self, run_id):
        pass

    def find(self, run_id):
        return self._run


def test_an_interval_that_somebody_else_has_begun_is_waited_for_until_it_is_seen(capsys):
    start = datetime(2026, 3, 1, tzinfo=UTC)
    interval = Interval(start, start + timedelta(days=1))
    run = Run(
        id="abc",
        job="fill",
        trigger="schedule",
        cause="x",
        event=new_event("wherry.schedule", "Scheduled", {}, now=start),
        status=Status.SUCCEEDED,
        created_at=start,
        due_at=start,
        asked_at=start,
    )
    target = LateToTell(run, unknowing=3)
    assert _Backfill(target, "fill", None, [Plan(interval, "x", None, False)], parallel=1).run() == 0
    assert capsys.readouterr().out.startswith("[1/1]")
