"""How an attempt ended, and what becomes of its message."""

from datetime import timedelta

import pytest

from wherry.agent.settings import Settings
from wherry.agent.verdicts import COULD_NOT_START, EXITED, STOPPED, TIMED_OUT, End, Verdict, judge

SETTINGS = Settings(
    job="j", queue="q", url="u", backoff=timedelta(seconds=10), drop=frozenset({65}), give_back=frozenset({75})
)


@pytest.mark.parametrize(
    ("end", "is_late", "verdict"),
    [
        (End(EXITED, 0), True, Verdict("succeeded", "", deletes=True)),
        (End(EXITED, 1), False, Verdict("queued", "attempt 2: exit code 1", wait=20)),
        (End(EXITED, 75), False, Verdict("queued", "attempt 2: exit code 75", wait=0)),
        (
            End(EXITED, 65),
            False,
            Verdict("failed", "exit code 65: its message is dropped (`exit_codes: drop`)", deletes=True),
        ),
        # of a batch that one message's deadline has ended the others come back
        (
            End(TIMED_OUT, reason="deadline: 5m"),
            False,
            Verdict("queued", "attempt 2: timed out: deadline: 5m", wait=20),
        ),
        (End(TIMED_OUT, reason="deadline: 5m"), True, Verdict("timed_out", "deadline: 5m", is_dead=True)),
        (End(STOPPED), False, Verdict("stopped", "", is_dead=True)),
        (End(STOPPED, passing=True), False, Verdict("queued", "attempt 2: stopped", wait=0)),
        (End(COULD_NOT_START, reason="x"), False, Verdict("failed", "could not start: x", is_dead=True)),
        (
            End(COULD_NOT_START, reason="x", passing=True),
            False,
            Verdict("queued", "attempt 2: could not start: x", wait=20),
        ),
    ],
)
def test_what_an_end_means(end, is_late, verdict):
    assert judge(end, SETTINGS, receives=2, number=2, chance=0.5, is_late=is_late) == verdict


def test_the_last_receive_is_the_end():
    assert judge(End(EXITED, 1), SETTINGS, receives=3, number=7, chance=0) == Verdict(
        "failed", "exit code 1", is_dead=True
    )
