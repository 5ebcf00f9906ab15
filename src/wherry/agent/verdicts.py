"""How an attempt ended, and what becomes of its messages then. Pure.

It is `wherry.lifecycle.after_message` with SQS's means: a message that nobody shall work on again is given back at
once, however often, until SQS itself moves it to the dead letters (`max_receives`, its redrive policy).
"""

from __future__ import annotations

from typing import NamedTuple

from wherry.agent.settings import Settings

#: The endings, as `wherry.model.Ending` has them.
EXITED = "exited"
TIMED_OUT = "timed_out"
STOPPED = "stopped"
OUT_OF_MEMORY = "out_of_memory"
COULD_NOT_START = "could_not_start"

_FINAL = {TIMED_OUT: "timed_out", STOPPED: "stopped"}


class End(NamedTuple):
    """How one attempt ended."""

    ending: str
    exit_code: int | None = None
    reason: str = ""
    #: Another attempt may end differently: its task had to go, its object did not come.
    passing: bool = False


class Verdict(NamedTuple):
    """What becomes of the run and its messages."""

    #: As `wherry.model.Status` has them; `queued` where the messages come back.
    status: str
    reason: str
    #: The messages are deleted; else they come back, after `wait_of` or at once.
    deletes: bool = False
    at_once: bool = False
    #: The run is over, and its messages go to the dead letters.
    is_dead: bool = False


def judge(end: End, settings: Settings, *, receives: int, number: int) -> Verdict:
    """Decide; `receives` is the highest receive count of the messages, `number` the attempt's."""
    said = describe(end)
    if end.ending == EXITED and end.exit_code == 0 and not end.passing:
        return Verdict("succeeded", "", deletes=True)
    if end.ending == EXITED and end.exit_code in settings.drop:
        return Verdict("failed", f"{said}: its message is dropped (`exit_codes: drop`)", deletes=True)
    is_final = end.ending in (STOPPED, COULD_NOT_START) and not end.passing
    if is_final or receives >= settings.max_receives:
        status = _FINAL.get(end.ending, "failed")
        return Verdict(status, said if status == "failed" else end.reason, at_once=True, is_dead=True)
    at_once = end.ending == STOPPED or (end.ending == EXITED and end.exit_code in settings.give_back)
    return Verdict("queued", f"attempt {number}: {said}", at_once=at_once)


def wait_of(settings: Settings, *, receives: int, chance: float) -> float:
    """Seconds until a message that has failed for the `receives`th time comes back; `chance` is in [0, 1)."""
    cap = settings.cap.total_seconds()
    wait = min(settings.backoff.total_seconds(), cap)
    for _ in range(receives - 1):
        wait = min(wait * settings.factor, cap)
    return wait * (1 - settings.jitter * chance)


def describe(end: End) -> str:
    """An end in one line, for people, in the words that runs without a queue have."""
    text = f"exit code {end.exit_code}" if end.ending == EXITED else end.ending.replace("_", " ")
    return f"{text}: {end.reason}" if end.reason else text
