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
    """What becomes of a run and its message."""

    #: As `wherry.model.Status` has them; `queued` where the message comes back.
    status: str
    reason: str
    #: The message is deleted; else it comes back, after so many seconds.
    deletes: bool = False
    wait: float = 0.0
    #: The run is over, and its message goes to the dead letters.
    is_dead: bool = False


def judge(end: End, settings: Settings, *, receives: int, number: int, chance: float, is_late: bool = False) -> Verdict:
    """Decide; `receives` is the message's receive count, `number` the attempt's; `is_late`: its deadline is over."""
    said = describe(end)
    if end.ending == EXITED and end.exit_code == 0 and not end.passing:
        return Verdict("succeeded", "", deletes=True)
    if end.ending == EXITED and end.exit_code in settings.drop:
        return Verdict("failed", f"{said}: its message is dropped (`exit_codes: drop`)", deletes=True)
    is_final = end.ending in (STOPPED, COULD_NOT_START) and not end.passing
    is_final = is_final or (end.ending == TIMED_OUT and is_late)
    if is_final or receives >= settings.max_receives:
        status = _FINAL.get(end.ending, "failed")
        return Verdict(status, said if status == "failed" else end.reason, is_dead=True)
    at_once = end.ending == STOPPED or (end.ending == EXITED and end.exit_code in settings.give_back)
    wait = 0.0 if at_once else wait_of(settings, receives=receives, chance=chance)
    return Verdict("queued", f"attempt {number}: {said}", wait=wait)


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
