"""`wherry status`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from wherry.cli import output
from wherry.cli.context import add_environment, add_json, open_target
from wherry.cli.queues import queue_as_json, stumble_of
from wherry.cli.runs import row
from wherry.target import EnvironmentStatus, QueueState

#: So many missed firings, and next ones, are listed; `--json` has them all.
_MOST = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_json(parser)
    add_environment(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Show it."""
    with open_target(arguments) as target:
        status = target.status()
        queues = target.queues()
    if arguments.json:
        output.say_json({**_as_json(status), "queues": [queue_as_json(state) for state in queues]})
    else:
        _show(status, queues)
    return 0


def _show(status: EnvironmentStatus, queues: Sequence[QueueState]) -> None:
    output.say(f"{output.paint('engine', 'grey')}    {status.engine}")
    counts = ", ".join(f"{count} {output.status(name)}" for name, count in sorted(status.runs.items()))
    output.say(f"{output.paint('last 24h', 'grey')}  {counts or 'no runs'}")
    _show_triggers(status)
    if status.failures:
        output.say(output.paint("failures of the last 24h", "grey"))
        output.table(["RUN", "JOB", "TRIGGER", "STATUS", "CREATED", "TOOK", ""], [row(run) for run in status.failures])
    if status.dead_letters:
        hint = output.addressed("`wherry dead-letters` lists them")
        output.say(f"{output.paint('dead letters', 'yellow')}  {status.dead_letters}: {hint}")
    if queues:
        output.say(f"{output.paint('queues', 'grey')}    {_of_queues(queues)}")
        for state in queues:
            if state.stumble:
                output.say(f"  {output.addressed(stumble_of(state, state.stumble))}")
    if status.disk:
        parts = {"logs": status.disk.logs, "objects": status.disk.objects, "store": status.disk.store}
        total = output.bytes_of(sum(parts.values()))
        listed = ", ".join(f"{name} {output.bytes_of(size)}" for name, size in parts.items())
        output.say(f"{output.paint('disk', 'grey')}      {total} ({listed})")


def _of_queues(queues: Sequence[QueueState]) -> str:
    """All queues in a line."""
    dead = sum(state.dead for state in queues)
    counts = [
        f"{sum(state.waiting for state in queues)} waiting",
        f"{sum(state.in_flight for state in queues)} in flight",
        output.paint(f"{dead} dead", "yellow") if dead else "0 dead",
    ]
    if missing := sum(not state.is_there for state in queues):
        counts.append(f"{missing} not deployed")
    return f"{', '.join(counts)}: {output.addressed('`wherry queues` lists them')}"


def _show_triggers(status: EnvironmentStatus) -> None:
    """What will fire, what has, and what should have."""
    if status.upcoming:
        output.say(output.paint("next", "grey"))
        for firing in status.upcoming[:_MOST]:
            output.say(f"  {output.moment(firing.at)}  {firing.job}")
        if len(status.upcoming) > _MOST:
            output.say(f"  and {len(status.upcoming) - _MOST} more")
    if status.missed:
        output.say(output.paint("missed: should have started within the last 24h and did not", "yellow"))
        for missed in status.missed[:_MOST]:
            output.say(f"  {output.moment(missed.fires_at)}  {missed.job}  {missed.reason}")
        if len(status.missed) > _MOST:
            output.say(f"  and {len(status.missed) - _MOST} more")
    if status.triggers:
        output.say(output.paint("triggers of the last 24h", "grey"))
        rows = [[each.job, each.trigger, str(each.fired), str(each.missed or "")] for each in status.triggers]
        output.table(["JOB", "TRIGGER", "FIRED", "MISSED"], rows[:_MOST])
        if len(rows) > _MOST:
            output.say(f"  and {len(rows) - _MOST} more")


def _as_json(status: EnvironmentStatus) -> dict[str, object]:
    return {
        "running": status.running,
        "engine": status.engine,
        "runs": {name.value: count for name, count in status.runs.items()},
        "upcoming": [{"job": firing.job, "at": output.instant(firing.at)} for firing in status.upcoming],
        "failures": [output.run_as_json(run) for run in status.failures],
        "missed": [
            {"job": missed.job, "fires_at": output.instant(missed.fires_at), "reason": missed.reason}
            for missed in status.missed
        ],
        "triggers": [vars(each) for each in status.triggers],
        "dead_letters": status.dead_letters,
        "disk": vars(status.disk) if status.disk else None,
    }
