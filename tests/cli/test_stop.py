"""`wherry stop` where a run does not end while somebody waits for it."""

import argparse
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from wherry.cli import stop
from wherry.model import Run, Status, new_event

NOW = datetime.now(UTC)
RUN = Run(
    id="r1", job="j", trigger="queue", cause="queue:q/m", event=new_event("x", "y", {}, now=NOW), status=Status.QUEUED,
    created_at=NOW, due_at=NOW, asked_at=NOW,
)  # fmt: skip


class Environment:
    """One in which nothing ever ends."""

    def __init__(self, run):
        self.run = run
        self.stopped = []

    def find(self, reference):
        return self.run

    def stop(self, run_id):
        self.stopped.append(run_id)

    def has_engine(self):
        return True


@pytest.mark.parametrize(
    ("env", "run", "code", "said"),
    [
        ("prod", RUN, 0, "r1 will be stopped: its message becomes a dead letter when it is received next\n"),
        ("prod", replace(RUN, status=Status.RUNNING), 1, "r1 has not ended yet; `wherry show r1` says how it stands\n"),
        ("prod", replace(RUN, cause="manual:1"), 1, "r1 has not ended yet; `wherry show r1` says how it stands\n"),
        ("local", RUN, 1, "r1 has not ended yet; where no engine runs the next `wherry up` will end it\n"),
    ],
)
def test_what_does_not_end_in_time_is_told_as_it_is(monkeypatch, capsys, env, run, code, said):
    target = Environment(run)
    monkeypatch.setattr(stop, "open_target", lambda _: contextlib.nullcontext(target))
    for name in ("GRACE", "_MARGIN"):
        monkeypatch.setattr(stop, name, timedelta(0))
    assert stop.execute(argparse.Namespace(env=env, runs=["r1"])) == code
    assert capsys.readouterr().err == said
    assert target.stopped == ["r1"]


def test_for_a_message_that_is_due_later_nobody_waits(monkeypatch, capsys):
    target = Environment(replace(RUN, due_at=NOW + timedelta(hours=1)))
    monkeypatch.setattr(stop, "open_target", lambda _: contextlib.nullcontext(target))
    monkeypatch.setattr(stop.time, "sleep", lambda _: pytest.fail("it waits"))
    assert stop.execute(argparse.Namespace(env="prod", runs=["r1"])) == 0
    assert "when it is received next (due " in capsys.readouterr().err
