"""The records that everything else speaks of: what the job file says, what happens, how it ended.

Records are frozen and keyword-only; change is `dataclasses.replace`. Times are aware datetimes in UTC, lengths of
time are `timedelta`, sizes are bytes. Nothing here reads a clock, a file or an environment variable.
"""

from wherry.model.events import LOCAL_ACCOUNT, LOCAL_REGION, Event, complete_event, iso_seconds, new_event
from wherry.model.file import (
    AfterTrigger,
    Bucket,
    Bus,
    CommandAlert,
    Environment,
    EventTrigger,
    Feed,
    Helper,
    Instances,
    InvokeTrigger,
    Job,
    JobFile,
    Keep,
    Network,
    Queue,
    QueueTrigger,
    Retry,
    ScheduleTrigger,
    Trigger,
    UploadTrigger,
    did_you_mean,
)
from wherry.model.runs import Attempt, Ending, Outcome, Overrides, Run, Status, Usage

__all__ = [
    "LOCAL_ACCOUNT",
    "LOCAL_REGION",
    "AfterTrigger",
    "Attempt",
    "Bucket",
    "Bus",
    "CommandAlert",
    "Ending",
    "Environment",
    "Event",
    "EventTrigger",
    "Feed",
    "Helper",
    "Instances",
    "InvokeTrigger",
    "Job",
    "JobFile",
    "Keep",
    "Network",
    "Outcome",
    "Overrides",
    "Queue",
    "QueueTrigger",
    "Retry",
    "Run",
    "ScheduleTrigger",
    "Status",
    "Trigger",
    "UploadTrigger",
    "Usage",
    "complete_event",
    "did_you_mean",
    "iso_seconds",
    "new_event",
]
