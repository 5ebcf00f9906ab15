"""What the command line sees of queues, and does with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from wherry import lifecycle
from wherry.errors import UserError
from wherry.local.queue_records import NewMessage, Settings
from wherry.local.workspace import Workspace
from wherry.model import LOCAL_ACCOUNT, Run, no_such_queue
from wherry.target import Draft, Message, QueueState, Stumble

#: The rate of a queue is that of so many minutes.
_RATE = timedelta(minutes=5)


class Mailroom:
    """The part of the local environment's `Target` that speaks of queues."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._queues = workspace.queues

    def states(self, endpoint: str) -> list[QueueState]:
        """All queues of the job file, in its order, and those that clients have created.

        `endpoint`: where the gateway answers, empty while none does.
        """
        history = self._workspace.history
        at_work, stumbled = history.at_work(), history.stumbled()
        return [
            self._state(
                self._queues.settings(name), endpoint, at_work[name], None if at_work[name] else stumbled.get(name)
            )
            for name in self._named_by_people()
        ]

    def send(self, queue: str, drafts: Sequence[Draft]) -> list[str]:
        """Send messages, in order; gives their ids."""
        new = [
            NewMessage(
                body=draft.body,
                group=draft.group,
                deduplication_id=draft.deduplication_id,
                delay=draft.delay,
                attributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in draft.attributes.items()
                },
            )
            for draft in drafts
        ]
        return [sent.id for sent in self._queues.send(self._named(queue).name, new)]

    def peek(self, queue: str, *, dead: bool, limit: int) -> list[Message]:
        """The oldest messages of a queue, or of its dead letters."""
        settings = self._named(queue)
        return self._queues.peek(_letters_of(settings) if dead else settings.name, limit)

    def redrive(self, queue: str) -> int:
        """Move the dead letters of a queue back into it; the store lets go of the runs whose last letter has gone."""
        return len(self._queues.move(self._own_letters(queue)))

    def purge(self, queue: str, *, dead: bool) -> int:
        """Delete all messages of a queue, or of its dead letters."""
        return self._queues.purge(self._own_letters(queue) if dead else self._named(queue).name)

    def _state(self, queue: Settings, endpoint: str, workers: int, stumbled: Run | None) -> QueueState:
        counts = self._queues.counts(queue.name)
        letters = self._queues.counts(queue.letters)[:3] if queue.letters else ()
        taker = self._workspace.jobfile.taker(queue.name)
        finished = self._queues.finished(queue.name, _RATE)
        return QueueState(
            name=queue.name,
            url=f"{endpoint}/{LOCAL_ACCOUNT}/{queue.name}" if endpoint else "",
            waiting=counts.waiting,
            in_flight=counts.in_flight,
            delayed=counts.delayed,
            dead=sum(letters),
            oldest=self._workspace.clock() - counts.oldest if counts.oldest else None,
            job=taker[0].name if taker else None,
            workers=workers,
            max_workers=taker[1].max_workers if taker else 0,
            rate=finished / (_RATE / timedelta(minutes=1)),
            stumble=_stumble(stumbled) if stumbled and taker else None,
        )

    def _named_by_people(self) -> list[str]:
        declared = self._workspace.jobfile.queues
        return [*declared, *(name for name in self._queues.names() if not self._queues.declares(name))]

    def _named(self, queue: str) -> Settings:
        names = self._named_by_people()
        if queue not in names:
            raise no_such_queue(queue, names)
        return self._queues.settings(queue)

    def _own_letters(self, queue: str) -> str:
        """The queue that has the dead letters of this one and nothing else."""
        letters = _letters_of(self._named(queue))
        if not self._queues.declares(queue):
            raise UserError(
                f"queue `{queue}` was created by a client, and its dead letters may stand among others in `{letters}`",
                hint="SQS's StartMessageMoveTask moves all of them, PurgeQueue deletes them",
            )
        return letters


def _letters_of(settings: Settings) -> str:
    if settings.letters is None:
        raise UserError(f"queue `{settings.name}` was created without a `RedrivePolicy`", hint="it has no dead letters")
    return settings.letters


def _stumble(run: Run) -> Stumble:
    """Why a queue rests, by the last run of a message of it that could not start."""
    last = run.attempts[-1]
    reason = lifecycle.describe(last.outcome) if last.outcome else run.reason
    remedy = f"`wherry explain {run.id}` says more"
    return Stumble(at=last.ended_at or last.started_at, what=reason, remedy=remedy, reason=reason, log="")
