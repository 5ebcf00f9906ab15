"""Messages that nobody takes any more because the job file was changed: they stay, and that is said."""

from __future__ import annotations

from collections.abc import Iterator

from wherry.errors import WherryError
from wherry.local.queues import Queues
from wherry.model import JobFile


def left_behind(queues: Queues, jobfile: JobFile, before: JobFile | None = None) -> Iterator[WherryError]:
    """What is to be said of messages that wait; `before`: the job file until now, None for one that was just begun."""
    for name, count in queues.all_waiting().items():
        said = "1 message waits" if count == 1 else f"{count} messages wait"
        if not queues.knows(name):
            yield WherryError(
                f"{said} in queue `{name}`, which the job file does not declare: nobody can receive them",
                hint=f"they stay; declare the queue to go on with them, or to delete them: `{name}: {{}}`",
            )
        elif before is not None and before.taker(name) and not jobfile.taker(name):
            yield WherryError(
                f"{said} in queue `{name}`, and no job takes them any more",
                hint="they stay until a job has the trigger, somebody receives them, or they are over their retention",
            )
