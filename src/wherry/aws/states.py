"""What a stack's status means for whoever wants to change it.

Pure. Source: CloudFormation User Guide, "Stack status codes" and "Troubleshooting CloudFormation".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

#: What ends well. ROLLBACK_COMPLETE and UPDATE_ROLLBACK_COMPLETE do not, although they end in COMPLETE.
WELL = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}
#: A first creation that failed, or a deletion: the stack can only be deleted.
_DEAD = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}
_SHELL = "REVIEW_IN_PROGRESS"


class Need(enum.Enum):
    """What has to be done before, or instead of, a change."""

    #: There is no stack, or a shell that an abandoned change set has left.
    CREATE = "create"
    UPDATE = "update"
    #: An operation is under way, ours of before or somebody else's.
    WAIT = "wait"
    #: Only deletion is possible.
    REMOVE = "remove"
    #: The rollback of an update got stuck, and has to be continued.
    CONTINUE = "continue"


@dataclass(frozen=True, kw_only=True)
class State:
    """A stack as it is; without an id there is none."""

    id: str = ""
    status: str = ""
    reason: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    is_protected: bool = False

    @property
    def exists(self) -> bool:
        """There is a stack, and not only the shell of a change set that was never executed."""
        return bool(self.id) and self.status not in ("DELETE_COMPLETE", _SHELL)

    @property
    def is_shell(self) -> bool:
        """Nothing but change sets."""
        return self.status == _SHELL

    @property
    def is_settled(self) -> bool:
        """What its template says is what there is."""
        return self.exists and self.need is Need.UPDATE and self.status != "UPDATE_FAILED"

    @property
    def need(self) -> Need:
        """What a deploy has to do first."""
        if not self.exists:
            return Need.CREATE
        if self.status.endswith("_IN_PROGRESS"):
            return Need.WAIT
        if self.status == "UPDATE_ROLLBACK_FAILED":
            return Need.CONTINUE
        return Need.REMOVE if self.status in _DEAD else Need.UPDATE


def is_final(status: str) -> bool:
    """No operation is under way any more."""
    return not status.endswith("_IN_PROGRESS") or status == _SHELL
