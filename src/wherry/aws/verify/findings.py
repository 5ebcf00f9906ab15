"""What a check is, and what it finds. A check looks (asks AWS) and judges (pure); what it may not ask it leaves out."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wherry.aws import calls
from wherry.aws.client import AwsError
from wherry.errors import WherryError


class Verdict(enum.Enum):
    """How a check ended."""

    OK = "OK"
    #: A run, or the next deploy, is going to fail for it.
    NG = "NG"
    #: It could not be told.
    SKIP = "SKIP"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of `wherry verify`."""

    verdict: Verdict
    #: What was looked at: `secret api-token`, `subnet subnet-1`.
    subject: str
    #: What there is to say of it, in one sentence.
    reason: str
    #: What to do about it, or empty.
    hint: str = ""


def ok(subject: str, reason: str) -> Finding:
    """It is as it must be."""
    return Finding(verdict=Verdict.OK, subject=subject, reason=reason)


def ng(subject: str, reason: str, hint: str = "") -> Finding:
    """It is not."""
    return Finding(verdict=Verdict.NG, subject=subject, reason=reason, hint=hint)


def skip(subject: str, reason: str, hint: str = "") -> Finding:
    """It cannot be told."""
    return Finding(verdict=Verdict.SKIP, subject=subject, reason=reason, hint=hint)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing to look at."""

    subject: str
    #: Asks; raises AwsError and other WherryErrors.
    look: Callable[[], Any]
    #: Judges what was seen. Pure.
    judge: Callable[[Any], Iterable[Finding]]

    def findings(self) -> list[Finding]:
        """Look and judge; never raises WherryError."""
        try:
            seen = self.look()
        except AwsError as error:
            if error.is_denied:
                return [skip(self.subject, f"the caller may not look: that needs {_needed(error)}")]
            return [skip(self.subject, error.message, error.hint or "")]
        except WherryError as error:
            return [ng(self.subject, error.message, error.hint or "")]
        return list(self.judge(seen))


def _needed(error: AwsError) -> str:
    known = {**calls.USING, **calls.DEPLOYING}.get(error.call, "").split()
    return known[0] if known else error.call


def worst_first(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Those that something has to be done about, then what could not be told, then the rest."""
    order = [Verdict.NG, Verdict.SKIP, Verdict.OK]
    yield from sorted(findings, key=lambda finding: order.index(finding.verdict))
