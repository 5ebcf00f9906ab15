"""Events: the document that every trigger makes and every run keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Event:
    """An EventBridge event: the document every trigger makes and every run keeps.

    The document's shape is the EventBridge User Guide's "event structure": version, id, detail-type, source, account,
    time, region, resources, detail.
    """

    document: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The event's unique id."""
        return str(self.document["id"])

    @property
    def source(self) -> str:
        """Who says it, e.g. `aws.s3`."""
        return str(self.document["source"])

    @property
    def detail_type(self) -> str:
        """What kind of thing is said, e.g. `Object Created`."""
        return str(self.document["detail-type"])

    @property
    def detail(self) -> Mapping[str, Any]:
        """The particulars."""
        detail: Mapping[str, Any] = self.document["detail"]
        return detail


#: The account id of the local environment, in events and ARNs.
LOCAL_ACCOUNT = "000000000000"
#: The region of the local environment where no other is configured.
LOCAL_REGION = "us-east-1"


def new_event(
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    *,
    now: datetime,
    event_id: str | None = None,
    resources: Sequence[str] = (),
    region: str = LOCAL_REGION,
) -> Event:
    """A complete event document of the local environment; `now` becomes its time, in whole seconds as on AWS."""
    import uuid  # 4 ms, which `wherry runs` need not pay

    return Event(
        document={
            "version": "0",
            "id": event_id or str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": LOCAL_ACCOUNT,
            "time": iso_seconds(now),
            "region": region,
            "resources": list(resources),
            "detail": dict(detail),
        }
    )


def complete_event(document: Mapping[str, Any], *, now: datetime) -> Event:
    """A person's event, completed: id, time and the like are made where they are missing.

    What has none of an event's own fields is taken for the detail alone: `{"order": 7}`.
    """
    if not document.keys() & {"source", "detail-type", "detail"}:
        document = {"detail": document}
    whole = new_event("wherry", "Manual Run", {}, now=now)
    return Event(document={**whole.document, **document})


def iso_seconds(moment: datetime) -> str:
    """`2026-03-01T10:00:00Z`: an aware datetime as EventBridge writes it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
