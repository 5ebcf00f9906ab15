"""Ids of runs that somebody starts by hand: the same form in every environment."""

from __future__ import annotations

import os
import threading
from datetime import datetime

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 16
_RANDOM_BITS = 30
#: Two letters at a time.
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]


class RunIds:
    """Makes ids that sort by time: 10 letters of milliseconds, 6 of chance, in Crockford's Base32.

    Within one process each id is greater than the one before, also within a millisecond.
    """

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def new(self, now: datetime) -> str:
        """A new id."""
        number = (_milliseconds(now) << _RANDOM_BITS) | int.from_bytes(os.urandom(4), "big") >> (32 - _RANDOM_BITS)
        with self._lock:
            if number <= self._last:
                number = self._last + 1
            self._last = number
        return _spell(number)


def first_of(moment: datetime) -> str:
    """No id that was made since then is less than this."""
    return _spell(_milliseconds(moment) << _RANDOM_BITS)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _spell(number: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(5 * (_LENGTH - 2), -1, -10)])
