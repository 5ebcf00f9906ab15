"""The events that S3 sends to EventBridge (Amazon S3 User Guide, "EventBridge event message structure")."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from wherry.local.objects import ObjectInfo
from wherry.model import LOCAL_ACCOUNT, Event, new_event


def created(info: ObjectInfo, reason: str, now: datetime) -> Event:
    """`Object Created`; the reason is PutObject, CopyObject or CompleteMultipartUpload."""
    about = {"key": info.key, "size": info.size, "etag": info.etag, "sequencer": info.sequencer}
    return _notice("Object Created", info, {"object": about, "reason": reason}, now)


def deleted(info: ObjectInfo, now: datetime) -> Event:
    """`Object Deleted`."""
    about = {"key": info.key, "etag": info.etag, "sequencer": info.sequencer}
    detail = {"object": about, "reason": "DeleteObject", "deletion-type": "Permanently Deleted"}
    return _notice("Object Deleted", info, detail, now)


def _notice(kind: str, info: ObjectInfo, detail: dict[str, Any], now: datetime) -> Event:
    whole = {
        "version": "0",
        "bucket": {"name": info.bucket},
        **detail,
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": LOCAL_ACCOUNT,
        "source-ip-address": "127.0.0.1",
    }
    return new_event("aws.s3", kind, whole, now=now, resources=[f"arn:aws:s3:::{info.bucket}"])
