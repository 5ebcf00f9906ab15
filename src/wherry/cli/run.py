"""`wherry run JOB [-- ARGS...]`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
import time
from datetime import UTC, datetime
from types import FrameType

from wherry.cli import output
from wherry.cli.context import add_environment, add_executor, open_target
from wherry.cli.emit import event_of, read_json
from wherry.errors import UserError
from wherry.jobfile.names import VARIABLE
from wherry.model import Overrides, Run, Status
from wherry.target import Target, Wish

#: As `timeout` of the coreutils does.
_TIMED_OUT = 124
_INTERRUPTED = 130
#: Who waits longer wants to know for what, in seconds.
_PATIENCE = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.usage = "wherry run JOB [-e NAME=VALUE]... [--event EVENT] [--command TEXT] [--env ENV] [-- ARGS...]"
    parser.epilog = "What stands behind -- is appended to the job's command, as in `docker run IMAGE ARGS`."
    parser.add_argument("job", metavar="JOB")
    parser.add_argument(
        "-e",
        dest="variables",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="set an environment variable; NAME alone passes yours on",
    )
    parser.add_argument("--event", metavar="EVENT", help="the event it gets: JSON, a file's name, or -")
    parser.add_argument("--command", metavar="TEXT", help="run this instead of the job's command")
    parser.add_argument(
        "-d", "--detach", action="store_true", help="print the run's id and leave: it goes on by itself"
    )
    add_environment(parser)
    add_executor(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run the job in the foreground."""
    overrides = Overrides(
        command=_command(arguments.command),
        args=tuple(arguments.rest),
        env=dict(_variable(text) for text in arguments.variables),
    )
    now = datetime.now(UTC)  # noqa: TID251 - the edge
    event = event_of(read_json(arguments.event), now) if arguments.event else None
    with open_target(arguments) as target:
        if arguments.detach and not target.has_engine():
            raise UserError(
                "no engine runs here that would go on with the run",
                hint="start one with `wherry up`, or without --detach",
            )
        run_id = str(target.start(Wish(job=arguments.job, event=event, overrides=overrides)))
        if arguments.detach:
            output.write(f"{run_id}\n".encode())
            return 0
        return follow(target, run_id)


def follow(target: Target, run_id: str, *, after: int = 0) -> int:
    """Pass the log on until the run ends; the first Ctrl-C asks the job to end. Gives the exit code."""
    interrupted = False
    written = 0
    waits = _Waits(target, run_id)
    take_as_interrupts(needs_terminal=not target.has_engine())
    while True:
        try:
            known = written
            for chunk in target.follow(run_id, after=after):
                if not chunk:
                    waits.look()
                new = chunk[known:]  # after Ctrl-C it is followed anew, from its beginning
                known = max(0, known - len(chunk))
                if new:
                    shown = written + len(new)
                    try:
                        output.write(new)
                    finally:  # an interrupt as it comes back leaves it in the buffer, or on the screen
                        written = shown
            break
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            with contextlib.suppress(OSError):
                output.note(f"stopping {run_id}")
            with contextlib.suppress(UserError):  # it has just ended
                target.stop(run_id)
    run = target.find(run_id)
    report(run)
    return _INTERRUPTED if interrupted else exit_code_of(run)


class _Waits:
    """Says once what a run waits for, when it keeps somebody waiting."""

    def __init__(self, target: Target, run_id: str) -> None:
        self._target = target
        self._run_id = run_id
        self._look_at = time.monotonic() + _PATIENCE
        self._said: int | None = None

    def look(self) -> None:
        """Look whether there is something to say, once a second."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _PATIENCE
        run = self._target.find(self._run_id)
        if run.status is not Status.QUEUED or self._said == len(run.attempts):
            return
        self._said = len(run.attempts)
        if len(run.attempts) > run.earlier_attempts:
            output.note(f"{run.reason}; the next attempt begins at {output.moment(run.due_at)}")
        else:
            output.note(f"{run.id} waits for a free place, or for another run of `{run.job}` to end")


def take_as_interrupts(*, needs_terminal: bool = True) -> None:
    """From now on `timeout`, or a supervisor, is like Ctrl-C, and things are put in order.

    So is a closed terminal for what needs it: not after `nohup`, and not where somebody else goes on with the work.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if needs_terminal and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's shape
    raise KeyboardInterrupt


def report(run: Run) -> None:
    """Say how a run ended, where that needs saying."""
    if run.status is Status.SUCCEEDED:
        if sys.stderr.isatty():
            output.note(output.paint(f"{run.id} succeeded", "green", sys.stderr))
        return
    output.note(f"{output.paint(run.status.value, 'red', sys.stderr)}: {run.id} {run.job}: {run.reason}")
    if run.status is not Status.SKIPPED:
        output.note(f"  `wherry explain {run.id}` says what to change, `wherry retry {run.id}` tries again")


def exit_code_of(run: Run) -> int:
    """What `wherry run` exits with: 0 for a success alone, the job's own code where it has one."""
    if run.status is Status.SUCCEEDED:
        return 0
    if run.status is Status.TIMED_OUT:
        return _TIMED_OUT
    outcome = run.attempts[-1].outcome if len(run.attempts) > run.earlier_attempts else None
    return (outcome.exit_code if outcome else None) or 1


def _command(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UserError(f"`--command` cannot be split into words: {str(error).lower()}") from None
    if not words:
        raise UserError("`--command` is empty")
    return words


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or "\0" in text:
        raise UserError(f"`-e {text}` is not NAME=VALUE")
    if (objection := VARIABLE.objection(name)) is not None:
        raise UserError(f"`-e {name}`: a variable's name {objection}")
    if equals:
        return name, value
    if name not in os.environ:
        raise UserError(f"`-e {name}`: there is no such variable here to pass on", hint=f"write `-e {name}=VALUE`")
    return name, os.environ[name]
