"""Why an operation on a stack failed: the first cause among its events, and what to do about it. Pure.

Source: CloudFormation User Guide, "Troubleshooting CloudFormation"; resource handlers say `(..., HandlerErrorCode: X)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Siblings of the resource that failed: they say nothing of the cause.
_VICTIM = re.compile(r"cancelled", re.IGNORECASE)
#: The first that fits the reason counts.
_REMEDIES = (
    (
        r"QueueDeletedRecently|wait 60 seconds",
        "SQS gives a name back a minute after the queue is gone: deploy again then",
    ),
    (
        r"OperationAborted|conflicting conditional operation",
        "S3 gives a name back some time after the bucket is gone, mostly within minutes: deploy again then",
    ),
    (
        r"still Draining|was not idempotent",
        "the tasks of workers with this name are still ending: deploy again in two minutes",
    ),
    (
        r"is being deleted|StateMachineDeleting|in the process of being deleted",
        "what had this name before is still going: deploy again in a minute",
    ),
    (
        r"already exists|AlreadyExists",
        "the name is taken in this account: remove what has it, or choose another; `wherry verify` lists such names",
    ),
    (
        r"not authorized|AccessDenied|Access Denied",
        "whoever deploys needs that action: `wherry policy` prints all that it takes",
    ),
    (r"Rate exceeded|Throttl", "AWS was asked too much at once: deploy again"),
    (r"service linked role", "AWS was still making its own role for ECS: deploy again"),
    (r"cannot be assumed|not able to assume", "AWS had not heard of the new role yet: deploy again"),
    (
        r"LimitExceeded|limit.*exceeded|exceeded.*limit|quota",
        "a quota of the account is used up: Service Quotas raises it",
    ),
    (r"bucket you tried to delete is not empty|BucketNotEmpty", "somebody put objects into it meanwhile: try again"),
    (r"ContainsTasks|ClusterContains|active [Tt]asks", "tasks are still ending: try again in a minute"),
    (
        r"capacity provider is in use|associated with a cluster",
        "tasks still run on the instances: try again when they have ended",
    ),
    (
        r"ScalingActivityInProgress|protected from scale",
        "instances are still going: try again in a few minutes",
    ),
    (
        r"dependent object|DependencyViolation|in use",
        "something outside the stack uses it: remove that and try again",
    ),
    (r"NotStabilized|Exceeded attempts|time.?out", "AWS waited for it in vain: try again"),
)


@dataclass(frozen=True, kw_only=True)
class StackEvent:
    """One step of one resource, as DescribeStackEvents tells it."""

    id: str
    logical_id: str
    kind: str
    status: str
    reason: str = ""
    physical_id: str = ""
    #: The step is of the stack itself.
    is_stack: bool = False

    @property
    def is_failure(self) -> bool:
        """The resource failed, for a reason of its own."""
        return self.status.endswith("_FAILED") and not _VICTIM.search(self.reason)


def first_failure(events: Iterable[StackEvent]) -> StackEvent | None:
    """The cause: the earliest failure of a resource that is not the victim of another one, else of the stack."""
    failed = [event for event in events if event.is_failure]
    return next((event for event in failed if not event.is_stack), failed[0] if failed else None)


def plain_reason(reason: str) -> str:
    """A reason without what only AWS needs: request ids and the handler's frame."""
    text = re.sub(r"^Resource handler returned message: \"?(.*?)\"? \(RequestToken:.*$", r"\1", reason, flags=re.DOTALL)
    text = re.sub(r"\s*\((Service: [^)]*|Request ID: [^)]*)\)", "", text)
    return text.strip().rstrip(".")


def remedy(reason: str) -> str | None:
    """What to do about it, where that is known."""
    return next((advice for pattern, advice in _REMEDIES if re.search(pattern, reason)), None)
