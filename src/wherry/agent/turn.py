"""One turn of the worker: an attempt of one run, from its messages to what becomes of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from wherry.agent.attempt import Attempt
from wherry.agent.batches import deadline_left
from wherry.agent.client import CallFailed
from wherry.agent.heartbeat import Heartbeat
from wherry.agent.records import iso, receives_of
from wherry.agent.repeating import Repeating
from wherry.agent.run import Run
from wherry.agent.services import Message, Sqs
from wherry.agent.telling import tell
from wherry.agent.tools import Tools
from wherry.agent.verdicts import COULD_NOT_START, STOPPED, TIMED_OUT, End, Verdict, describe, judge, wait_of

#: What is over within so many seconds is recorded once, at its end.
_SHORT = 2.0
#: Seconds between two looks whether somebody wants the run to end.
_LOOK = 5.0
_FOR_GIVING_BACK = 30.0
#: A beat takes no longer: its own patience, and one silence. Who has to go waits for a moment only.
_FOR_A_BEAT, _COURTESY = 45.0, 2.0
_NEVER = 1e9
_STATUS = {STOPPED: "stopped", TIMED_OUT: "timed_out"}

#: What becomes of each run, and of its message.
Fates = list[tuple[Run, Verdict]]


class Turn:
    """One attempt of one run.

    A batch is its first message's run, and one record, while it goes on and when it succeeds. Otherwise it falls apart:
    each message is a run of its own from then on, and this was its first attempt.
    """

    def __init__(self, tools: Tools, taken: Sequence[Message], beat: Heartbeat) -> None:
        self._tools = tools
        self._runs = [Run(tools, message) for message in taken]
        self._run = self._runs[0]
        self._began_at = datetime.now(timezone.utc)
        self._beat = beat
        self._attempt = Attempt(tools.settings, tools.job, tools.s3, tools.bell, beat)
        self._chance = random.random()  # noqa: S311 - nothing secret
        #: There is an attempt; a message on its way to the dead letters gets none.
        self._has_begun = False
        self.taken = taken
        #: Those that come back for another attempt.
        self.returning: list[Message] = []
        #: The attempt could not start, through no fault of its message: the next one would fare no better.
        self.has_stumbled = False
        #: The messages could not be started together, and nothing has become of them: each is to be tried alone.
        self.is_apart = False

    def go(self) -> None:
        """Do it."""
        try:
            self._run.recall()
        except CallFailed as error:
            self.give_up(f"what is known of run {self._run.id} cannot be read: {error}")
            return
        if self._run.is_done:
            tell(f"run {self._run.id} was done before, and its message was received again: deleted")
            delete(self._tools.sqs, self.taken)
            self._beat.let_go(self.taken, patience=_COURTESY)
            return
        end, fates = self._hopeless() or self._work()
        if self.is_apart:
            self._run.unwrite()
        else:
            self._settle(end, fates)

    def give_up(self, why: str) -> None:
        """Give the messages back, which cannot be worked on through no fault of theirs; nothing is written of it."""
        tell(f"{listed(self.taken)} cannot be worked on, and comes back: {why}")
        self.has_stumbled = True
        self.returning = list(self.taken)
        self._beat.let_go(self.taken, patience=_FOR_A_BEAT)
        hide(self._tools.sqs, self.taken, self._wait_of)

    def _wait_of(self, message: Message) -> float:
        return wait_of(self._tools.settings, receives=receives_of(message), chance=self._chance)

    def _hopeless(self) -> tuple[End, Fates] | None:
        """The end of a run that is over, and whose message is only on its way to the dead letters."""
        run, settings = self._run, self._tools.settings
        if run.death:
            return End(STOPPED), [(run, run.death)]
        if run.receives > 1 and self._tools.records.is_to_stop(run.id):
            end = End(STOPPED)
        elif deadline_left(run.message, settings, self._began_at) <= 0:
            end = End(TIMED_OUT, reason="the deadline is over")
        else:
            return None
        tell(f"run {run.id} is over ({describe(end)}): {listed(self.taken)} goes to the dead letters")
        return end, [(run, Verdict(_STATUS[end.ending], end.reason, is_dead=True))]

    def _work(self) -> tuple[End, Fates]:
        """The attempt, and what becomes of each message then."""
        self._has_begun = True
        run, settings = self._run, self._tools.settings
        event = self._tools.job.event(self.taken, self._began_at)
        mark = f"run {run.id} attempt {run.number}"
        tell(f"{mark} begins: {listed(self.taken)}, received {run.receives} of {settings.max_receives} times")
        with (
            Repeating(self._write, interval=_NEVER, first=_SHORT),
            Repeating(self._look, interval=_LOOK, first=_SHORT),
        ):
            end = self._attempt.go(run.id, run.number, event, self.taken)
        could_not_start = end.ending == COULD_NOT_START
        if could_not_start and not end.passing and len(self.taken) > 1:
            # one of them is to blame, or each is; what is to be written of this attempt follows under the same mark
            self.is_apart = True
            tell(f"{listed(self.taken)} cannot be started together, and are worked on singly: {end.reason}")
            return end, []
        self.has_stumbled = could_not_start and end.passing
        tell(f"{mark} ends: {describe(end)}", fresh_line=True)
        return end, [(each, self._judge(each, end)) for each in self._runs]

    def _judge(self, run: Run, end: End) -> Verdict:
        settings = self._tools.settings
        is_late = deadline_left(run.message, settings, datetime.now(timezone.utc)) <= 0
        return judge(end, settings, receives=run.receives, number=run.number, chance=self._chance, is_late=is_late)

    def _settle(self, end: End, fates: Fates) -> None:
        """Delete the messages or give them back, and write down what has become of their runs."""
        deletes = fates[0][1].deletes  # exit codes say so, of all of them
        is_done = deletes and delete(self._tools.sqs, self.taken)
        if deletes and not is_done:
            tell("the work is done, and the message is still there: it will be received again")
        is_whole = is_done and fates[0][1].status == "succeeded"
        # who receives a message next shall know of this attempt; but when the task has to go there is no time
        is_hurried = self._tools.bell.is_drained() and not deletes
        if not is_hurried:
            self._record(end, fates, is_whole=is_whole)
        self._beat.let_go(self.taken, patience=_COURTESY if is_hurried or deletes else _FOR_A_BEAT)
        if not deletes:
            waits = {run.message["MessageId"]: verdict.wait for run, verdict in fates}
            hide(self._tools.sqs, self.taken, lambda each: waits[each["MessageId"]])
            self.returning = [run.message for run, verdict in fates if not verdict.is_dead]
        if is_hurried:
            self._record(end, fates, is_whole=is_whole)

    def _record(self, end: End, fates: Fates, *, is_whole: bool) -> None:
        """Write down the end: of the batch, or of each message's own run where it is none any more."""
        if is_whole:
            self._write(end, fates[0][1])
            return
        attempt = self._as_attempt(end)
        if attempt and len(self._runs) > 1:
            said = f"it was an attempt of a batch of {len(self._runs)}, as run {self._run.id}"
            attempt |= {"batch": self._run.id, "reason": f"{end.reason}; {said}" if end.reason else said}
        for run, verdict in fates:
            run.write(self._facts([run.message]), attempt, verdict)

    def _write(self, end: End | None = None, verdict: Verdict | None = None) -> None:
        """The record of the batch, or of the one message, as it stands."""
        self._run.write(self._facts(self.taken), self._as_attempt(end), verdict, beside=self.taken[1:])

    def _facts(self, messages: Sequence[Message]) -> dict[str, Any]:
        if not self._has_begun:
            return {}
        found: dict[str, Any] = {"event": self._tools.job.event(messages, self._began_at)}
        prepared = self._attempt.prepared
        if prepared:
            found |= {"command": list(prepared.command), "env": prepared.env}
        return found

    def _as_attempt(self, end: End | None) -> dict[str, Any] | None:
        if not self._has_begun:
            return None
        found: dict[str, Any] = {"started": iso(self._began_at), **self._tools.place}
        if end is None:
            return found
        now = datetime.now(timezone.utc)
        found |= {"ended": iso(now), "ending": end.ending, "code": end.exit_code, "reason": end.reason}
        return (
            found
            | ({"passing": True} if end.passing else {})
            | ({"peak": self._attempt.peak} if self._attempt.peak else {})
        )

    def _look(self) -> None:
        if self._tools.records.is_to_stop(self._run.id):
            self._attempt.is_unwanted = True
            self._tools.bell.ring()


def delete(sqs: Sqs, taken: Sequence[Message]) -> bool:
    """Delete messages; False when SQS does not."""
    try:
        sqs.delete(taken)
    except CallFailed as error:
        tell(f"{listed(taken)} could not be deleted: {error}")
        return False
    return True


def hide(sqs: Sqs, taken: Sequence[Message], seconds: Callable[[Message], float]) -> None:
    """Give messages back; where that fails they come back by themselves after their visibility."""
    try:
        sqs.hide(taken, seconds, patience=_FOR_GIVING_BACK)
    except CallFailed as error:
        tell(f"{listed(taken)} could not be given back, and comes back by itself: {error}")


def listed(taken: Sequence[Message]) -> str:
    """Messages in words."""
    if len(taken) == 1:
        return f"message {taken[0]['MessageId']}"
    return f"{len(taken)} messages, the first of them {taken[0]['MessageId']}"
