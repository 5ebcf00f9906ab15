"""What follows from a step of a run, in the same transaction: events on the bus, reports to people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from wherry import announcements
from wherry.local.alerts import Alerts
from wherry.local.database import Transaction
from wherry.local.intake import Intake
from wherry.model import Event, Run, Status


class Consequences:
    """Says what happens on the bus, where somebody listens, and reports failures."""

    def __init__(self, intake: Intake, alerts: Alerts, failed: Callable[[BaseException], None]) -> None:
        self._intake = intake
        self._alerts = alerts
        self._failed = failed

    def of(self, transaction: Transaction, run: Run, now: datetime) -> None:
        """A run has become what it is. What goes wrong here is told, and does not keep the run from its end."""
        is_bad = run.status in (Status.FAILED, Status.TIMED_OUT)
        if not self._intake.watches_runs and not (is_bad and self._alerts.addresses):
            return
        self._say(transaction, announcements.state_change(run, now=now), now, alert=is_bad)

    def missed(self, transaction: Transaction, event: Event, now: datetime, *, report: bool = True) -> None:
        """A firing was missed; of many that were missed together one report is enough."""
        self._say(transaction, event, now, alert=report)

    def _say(self, transaction: Transaction, event: Event, now: datetime, *, alert: bool) -> None:
        try:
            with transaction.nested():
                if self._intake.watches_runs:
                    self._intake.accept_within(transaction, event)
                if alert:
                    self._alerts.add(transaction, event, now)
        except Exception as error:  # noqa: BLE001 - the run's own end must be kept
            self._failed(error)
