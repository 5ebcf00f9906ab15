"""Stands where an engine would: hears of new runs, and has no place for any."""

from __future__ import annotations

from wherry.local.runs import Queued
from wherry.model import Run


class Ear:
    me = "1:1"

    def __init__(self) -> None:
        self.offered: list[Queued] = []

    def offer(self, run: Run) -> None:
        self.offered.append(Queued.of(run))

    def reserve(self, job: str) -> bool:
        return False

    def begin(self, run: Run) -> None:
        raise AssertionError("nothing was reserved")

    def release(self) -> None:
        raise AssertionError("nothing was reserved")
