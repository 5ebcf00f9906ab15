"""What a keeper says of an attempt, as an outcome and in words."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from typing import Any

from wherry.executors import Ended, Key, Launch, Part, Usage
from wherry.model import Ending, Outcome

#: Errors that may pass by themselves: no processes, memory, descriptors or disk left.
_PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT}


def ended(key: Key, said: dict[str, Any]) -> Ended:
    """An attempt's end, as the keeper says it or left it in a file."""
    outcome = outcome_of(said["code"])
    if said["outgrew"]:
        reason = f"it took {_megabytes(said['outgrew'])} MB, more than its `memory`"
        outcome = Outcome(ending=Ending.OUT_OF_MEMORY, exit_code=outcome.exit_code, reason=reason)
    elif said["oom"]:
        reason = "the system's memory ran out, and it was killed (SIGKILL) to make room"
        outcome = Outcome(ending=Ending.OUT_OF_MEMORY, exit_code=outcome.exit_code, reason=reason)
    return Ended(key, outcome, said["at"], Usage(said["peak"], said["cpu"]))


def outcome_of(return_code: int) -> Outcome:
    """The outcome of a process's return code as `subprocess` gives it: negative for a signal."""
    if return_code >= 0:
        return Outcome(ending=Ending.EXITED, exit_code=return_code)
    name = signal.Signals(-return_code).name if -return_code in set(signal.Signals) else f"signal {-return_code}"
    return Outcome(ending=Ending.EXITED, exit_code=128 - return_code, reason=f"ended by {name}")


def _megabytes(size: int) -> int:
    return round(size / (1 << 20))


def not_started(launch: Launch, said: dict[str, Any]) -> Outcome:
    """Why there is no process, from what the keeper says."""
    helper: str = said["helper"]
    part = launch.helpers[helper] if helper else launch
    number: int = said["errno"]
    reason = f"its command or environment is refused: {said['why']}" if number == errno.EINVAL else ""
    reason = reason or _why(part, number, said["at"])
    return Outcome(
        ending=Ending.COULD_NOT_START,
        reason=f"helper `{helper}`: {reason}" if helper else reason,
        passing=number in _PASSING,
        unfit=number == errno.E2BIG,  # it is the event's values that make a command long
    )


def _why(part: Part, number: int, where: str | None) -> str:
    """An error number in words for the person who wrote the command."""
    program = part.command[0]
    said = os.strerror(number).lower()
    if where == part.folder:
        return f"the folder `{part.folder}` does not exist" if number == errno.ENOENT else f"`{part.folder}`: {said}"
    if where is not None and where.startswith(os.path.dirname(part.log)):
        return f"its log cannot be written: `{where}`: {said}"
    if number in _PASSING:
        return f"no process can be made: {said}"
    if number == errno.ENOENT:
        return _missing(part, program)
    words = {
        errno.EACCES: f"is not executable: `chmod +x {program}`",
        errno.ENOEXEC: "has no interpreter line: begin it with `#!/bin/sh` or the like",
        errno.E2BIG: "cannot be started: its arguments and environment are too long together",
    }
    return f"`{program}` {words.get(number, f'cannot be started: {said}')}"


def _missing(part: Part, program: str) -> str:
    if "/" in program and os.path.exists(os.path.join(part.folder, program)):
        return f"`{program}` names an interpreter in its first line that does not exist"
    place = "here" if "/" in program else "on PATH"
    near = {"python": "python3", "pip": "pip3"}.get(program)
    hint = f"; there is `{near}`" if near and shutil.which(near, path=part.env.get("PATH")) else ""
    return f"there is no program `{program}` {place}{hint}"
