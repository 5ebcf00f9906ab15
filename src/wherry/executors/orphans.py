"""Attempts whose engine has died: watched to their end, which their keeper has left on file, or which is lost."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from wherry.executors import Ended, Key
from wherry.executors.ends import ended
from wherry.executors.proc import ends_within, find_marked, is_alive, kill_marked, signal_group
from wherry.model import Ending, Outcome

#: A keeper notices its engine's death at once; one that has not said so within this many seconds is stuck.
_PATIENCE = 10.0
_PULSE = 0.02
#: While its process lives its keeper need not be asked so often, in seconds.
_LONG_PULSE = 1.0


class Orphan:
    """One attempt of a dead engine."""

    def __init__(self, key: Key, *, process: str, keeper_file: str, log: str) -> None:
        self._key = key
        self._process = process
        self._keeper_file = keeper_file
        self._log = log
        self._end_file = f"{log.removesuffix('.log')}.end"
        self._ended = threading.Event()

    def watch(self, report: Callable[[Ended], None]) -> None:
        """Watch it in a thread of its own; `report` is told the end."""
        thread = threading.Thread(target=lambda: report(self._truth()), daemon=True, name=f"orphan {self._key}")
        thread.start()

    def stop(self, grace: float) -> None:
        """Ask it to end, make it after `grace` seconds; returns at once."""
        threading.Thread(target=self._stop, args=(grace,), daemon=True, name=f"stop {self._key}").start()

    def _stop(self, grace: float) -> None:
        kill_at = time.monotonic() + grace
        asked = False
        while not self._ended.wait(_PULSE):  # it may only just be coming into being
            self._find()
            if is_alive(self._process) and not asked:
                signal_group(self._pid(), signal.SIGTERM)
                asked = True
            if time.monotonic() >= kill_at:
                kill_marked(*self._key)

    def _truth(self) -> Ended:
        try:
            return self._await_end()
        except OSError as error:  # no descriptors, no rights: a run must not hang for that
            reason = f"its end could not be found out: {error}"
            return Ended(self._key, Outcome(ending=Ending.LOST, reason=reason))

    def _await_end(self) -> Ended:
        said = self._await_keeper()
        outcome = None if said is not None else self._unkept()
        # A keeper that ended in order meanwhile has left its word.
        said = said or _read(self._end_file)
        self._ended.set()
        if said is not None:
            return ended(self._key, said)
        assert outcome is not None  # noqa: S101 - one of the two is known
        return Ended(self._key, outcome)

    def _await_keeper(self) -> dict[str, Any] | None:
        """What the keeper says of the end; None when it does not say, because it holds no such attempt or is gone."""
        patient_until = time.monotonic() + _PATIENCE
        while True:
            # The keeper's file first: an end that is written after we looked for it is then found the next time.
            keeper = _read(self._keeper_file)
            said = _read(self._end_file)
            if said is not None:
                return said
            if keeper is None or not is_alive(keeper["keeper"]):
                return None
            held = keeper["held"]
            if held is not None and str(self._key) not in held:
                return None
            if held is None and time.monotonic() > patient_until:
                return None
            if self._process and is_alive(self._process):
                ends_within(self._pid(), _LONG_PULSE)
            else:
                time.sleep(_PULSE)

    def _unkept(self) -> Outcome:
        """The truth without a keeper's word."""
        # A keeper that ends in order takes its file away; one that was killed leaves it, and knew more than is on file.
        keeper = _read(self._keeper_file)
        said_all = keeper is None or (is_alive(keeper["keeper"]) and keeper["held"] is not None)
        self._find()
        if not self._process and said_all and not os.path.exists(self._log):
            reason = "the engine was killed before it had started"
            return Outcome(ending=Ending.COULD_NOT_START, reason=reason, passing=True)
        if is_alive(self._process):
            ends_within(self._pid(), None)
        kill_marked(*self._key)  # nobody else takes care of what it left behind
        return Outcome(
            ending=Ending.LOST, reason="its keeper was killed while it ran, so that how it ended is not known"
        )

    def _find(self) -> None:
        """Look for the process where the store does not know it: the engine died between making and noting it."""
        if not self._process:
            self._process = find_marked(*self._key) or ""

    def _pid(self) -> int:
        return int(self._process.partition(":")[0] or 0)


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            content: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return content
