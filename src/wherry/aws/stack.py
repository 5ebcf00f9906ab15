"""One CloudFormation stack: looked at, proposed to, changed, deleted.

The stack is the truth and the only state. What was under way when somebody was interrupted goes on at AWS by itself,
and the next operation waits for it.

Source: CloudFormation API Reference; User Guide, "Updating stacks using change sets".
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.aws.changes import Change, Template, change_of
from wherry.aws.client import Aws, AwsError
from wherry.aws.events import Follower, Watch, nobody
from wherry.aws.failures import StackEvent, first_failure, plain_reason, remedy
from wherry.aws.states import WELL, Need, State
from wherry.aws.words import about
from wherry.errors import UserError, WherryError

#: A template that travels in the request itself has at most so many bytes; larger ones go through a bucket.
MOST_INLINE = 51_200
#: All that a template with roles needs.
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
#: What the reason of a stack says whose template was refused before anything began.
_ELSEWHERE = "DescribeEvents"
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed", "no changes")


class StackFailed(WherryError):
    """An operation on a stack did not end well; the message names the first cause."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A change set that is there, and can be executed."""

    stack: str
    #: The ARN of the change set.
    id: str
    stack_id: str
    template: Template
    changes: tuple[Change, ...]


class Stack:
    """A stack by its name. `put_away` keeps a template too large for a request, and gives its URL."""

    def __init__(
        self,
        aws: Aws,
        name: str,
        *,
        tags: Mapping[str, str] | None = None,
        put_away: Callable[[bytes], str] | None = None,
    ) -> None:
        self.name = name
        self.aws = aws
        self._tags = tags or {}
        self._put_away = put_away

    def look(self, reference: str | None = None) -> State:
        """The stack as it is."""
        try:
            found = self._call("describe_stacks", StackName=reference or self.name)["Stacks"]
        except AwsError as error:
            if "does not exist" in error.message:
                return State()
            raise
        stack = found[0]
        return State(
            id=stack["StackId"],
            status=stack["StackStatus"],
            reason=stack.get("StackStatusReason", ""),
            outputs={output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())},
            tags={tag["Key"]: tag["Value"] for tag in stack.get("Tags", ())},
            is_protected=bool(stack.get("EnableTerminationProtection")),
        )

    def own(self) -> State:
        """The stack as it is; raises UserError for one of somebody else, which merely has the name.

        Whose it is its tags say: they come with its first change set, and stay whatever becomes of it. The shell of a
        change set that was never executed holds nothing, and is nobody's.
        """
        state = self.look()
        if state.exists and not self._tags.items() <= state.tags.items():
            app, environment = (state.tags.get(key) for key in ("wherry:app", "wherry:environment"))
            whose = f"belongs to app `{app}` in environment `{environment}`" if app else "was not made by wherry"
            raise UserError(
                f"the name is taken: stack `{self.name}` is there, and {whose}; it is left as it is",
                hint="another `app`, or another name of the environment, gives this one other stacks",
            )
        return state

    def template(self) -> Template | None:
        """The template that it has; None when there is no stack, or its template is not JSON as ours are."""
        try:
            body = self._call("get_template", StackName=self.name, TemplateStage="Original")["TemplateBody"]
        except AwsError as error:
            if "does not exist" in error.message:
                return None
            raise
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except ValueError:
                return None
        return dict(body)

    def propose(self, template: Template, *, is_new: bool) -> Proposal | None:
        """Make a change set; None when there is nothing to change. Raises StackFailed when AWS refuses the template."""
        made = self._call(
            "create_change_set",
            StackName=self.name,
            ChangeSetName=(name := f"wherry-{secrets.token_hex(6)}"),
            ClientToken=name,  # by which CloudFormation knows a repetition
            ChangeSetType="CREATE" if is_new else "UPDATE",
            Capabilities=_CAPABILITIES,
            Tags=[{"Key": key, "Value": value} for key, value in self._tags.items()],
            # a bucket that a destroyed stack has left becomes the new stack's own
            ImportExistingResources=True,
            **self._body(template),
        )
        try:
            described = self._described(made["Id"], made["StackId"])
        except BaseException:
            with contextlib.suppress(AwsError):
                self.withdraw(made["Id"], made["StackId"])
            raise
        if described["Status"] == "FAILED":
            reason = described.get("StatusReason", "")
            # asked before the change set goes, and with it what is known of it
            refused = self._refused(ChangeSetName=made["Id"]) if _ELSEWHERE in reason else None
            self.withdraw(made["Id"], made["StackId"])
            if any(text in reason for text in _NO_CHANGES):
                return None
            if refused:
                what = f"{about(refused.logical_id, template)} ({refused.logical_id})"
                said = plain_reason(refused.reason)
                raise StackFailed(f"{what}: {said}; nothing was deployed", hint=remedy(refused.reason))
            raise StackFailed(f"CloudFormation refuses the template of `{self.name}`: {reason}", hint=remedy(reason))
        changes = [change_of(change["ResourceChange"]) for change in described["Changes"] if "ResourceChange" in change]
        return Proposal(
            stack=self.name, id=made["Id"], stack_id=made["StackId"], template=template, changes=tuple(changes)
        )

    def withdraw(self, change_set: str, stack_id: str) -> None:
        """Delete a change set, and the shell of a stack that it may have made: nothing is left."""
        self._call("delete_change_set", ChangeSetName=change_set, StackName=stack_id)
        self.sweep()

    def sweep(self) -> None:
        """Delete the shell that an abandoned change set has left, unless another change set stands in it."""
        state = self.look()
        if state.is_shell and not self._call("list_change_sets", StackName=state.id).get("Summaries"):
            self._call("delete_stack", StackName=state.id)
            while self.look(state.id).status not in ("", "DELETE_COMPLETE"):
                time.sleep(0.2)

    def apply(self, proposal: Proposal, watch: Watch = nobody) -> State:
        """Execute a change set and follow it to its end; raises StackFailed with the first cause."""
        follower = Follower(self.aws, self.name, proposal.stack_id)
        follower.skip()
        try:
            self._call(
                "execute_change_set",
                ChangeSetName=proposal.id,
                StackName=proposal.stack_id,
                ClientRequestToken=f"wherry-{secrets.token_hex(12)}",
                # what a failed operation has made goes again, also buckets: nobody has had time to fill them
                RetainExceptOnCreate=True,
            )
        except AwsError as error:
            if error.code in ("InvalidChangeSetStatus", "ChangeSetNotFound", "InvalidChangeSetStatusException"):
                text = f"`{self.name}` was changed by somebody else meanwhile"
                raise StackFailed(text, hint="deploy again: what is to change is then worked out anew") from None
            raise
        return self._follow(follower, watch, proposal.template)

    def settle(self, watch: Watch = nobody) -> State:
        """Bring the stack to where it can be changed: wait for what is under way, take away what failed at first.

        Raises StackFailed when it cannot be brought there, UserError when it is somebody else's.
        """
        while True:
            state = self.own()
            match state.need:
                case Need.CREATE | Need.UPDATE:
                    return state
                case Need.WAIT:
                    Follower(self.aws, self.name, state.id).join(watch)
                case Need.REMOVE:
                    self.delete(watch)
                case Need.CONTINUE:
                    follower = Follower(self.aws, self.name, state.id)
                    follower.skip()
                    self._call("continue_update_rollback", StackName=state.id)
                    ended = follower.wait(watch)
                    if ended == "UPDATE_ROLLBACK_FAILED":
                        raise self._failure(follower, ended, self.template() or {})

    def delete(self, watch: Watch = nobody) -> None:
        """Delete it, whatever its state, and follow that.

        Raises StackFailed when a resource cannot be deleted, UserError when it is somebody else's.
        """
        state = self.own()
        while state.need is Need.WAIT and state.status != "DELETE_IN_PROGRESS":
            Follower(self.aws, self.name, state.id).join(watch)
            state = self.look()
        if not state.id or state.status == "DELETE_COMPLETE":
            return
        if state.is_protected:
            raise StackFailed(
                f"`{self.name}` is protected against deletion",
                hint="`aws cloudformation update-termination-protection --no-enable-termination-protection "
                f"--stack-name {self.name}` ends that",
            )
        template = self.template() or {}
        follower = Follower(self.aws, self.name, state.id)
        follower.skip()
        self._call("delete_stack", StackName=state.id)
        ended = follower.wait(watch, status="DELETE_")
        if ended != "DELETE_COMPLETE":
            raise self._failure(follower, ended, template)

    def _follow(self, follower: Follower, watch: Watch, template: Template) -> State:
        ended = follower.wait(watch)
        if ended not in WELL:
            raise self._failure(follower, ended, template)
        return self.look(follower.stack_id)

    def _failure(self, follower: Follower, ended: str, template: Template) -> StackFailed:
        cause = first_failure(follower.seen)
        if cause is not None and _ELSEWHERE in cause.reason:
            cause = self._refused(StackName=follower.stack_id) or cause
        outcome = _OUTCOMES.get(ended, f"its stack is {ended}")
        if cause is None:
            return StackFailed(f"`{self.name}`: {outcome}", hint="`aws cloudformation describe-stack-events` has more")
        what = (
            f"`{self.name}` itself" if cause.is_stack else f"{about(cause.logical_id, template)} ({cause.logical_id})"
        )
        advice = remedy(cause.reason)
        return StackFailed(f"{what}: {plain_reason(cause.reason)}; {outcome}", hint=advice)

    def _refused(self, **of: str) -> StackEvent | None:
        """What CloudFormation found wrong before it began; elsewhere it says only where that stands."""
        try:
            answer = self._call("describe_events", **of, Filters={"FailedEvents": True})
        except AwsError:
            return None  # the failure itself is told, with less of its cause
        for event in answer.get("OperationEvents", ()):
            if event.get("EventType") == "VALIDATION_ERROR":
                return StackEvent(
                    id=event["EventId"],
                    logical_id=event.get("LogicalResourceId", ""),
                    kind=event.get("ResourceType", ""),
                    status="VALIDATION_FAILED",
                    reason=event.get("ValidationStatusReason", ""),
                )
        return None

    def _body(self, template: Template) -> dict[str, str]:
        text = json.dumps(template, separators=(",", ":"), ensure_ascii=False)
        if len(text.encode()) <= MOST_INLINE:
            return {"TemplateBody": text}
        if self._put_away is None:
            raise StackFailed(
                f"the template of `{self.name}` is too large: {len(text.encode())} bytes of {MOST_INLINE}"
            )
        return {"TemplateURL": self._put_away(text.encode())}

    def _described(self, change_set: str, stack_id: str) -> dict[str, Any]:
        """The whole change set, once AWS has worked it out. IAM asks about the stack: it is named, too."""
        named = {"ChangeSetName": change_set, "StackName": stack_id}
        pause = 0.1
        while True:
            first = self._call("describe_change_set", **named)
            if not first["Status"].endswith(("_IN_PROGRESS", "_PENDING")):
                break
            time.sleep(pause)
            pause = min(2.0, pause * 1.5)
        changes: list[Any] = list(first.get("Changes", ()))
        page = first
        while page.get("NextToken"):
            page = self._call("describe_change_set", **named, NextToken=page["NextToken"])
            changes += page.get("Changes", ())
        return {**first, "Changes": changes}

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.aws.call("cloudformation", operation, **parameters)


#: What became of it, by the status that the stack ended in.
_OUTCOMES = {
    "ROLLBACK_COMPLETE": "nothing was deployed, and what had been made was removed again",
    "ROLLBACK_FAILED": "nothing was deployed, and not all that had been made could be removed: the next deploy will",
    "UPDATE_ROLLBACK_COMPLETE": "nothing was deployed: everything is as it was before",
    "UPDATE_ROLLBACK_FAILED": "going back to what was before failed, too; the next deploy goes on with it",
    "DELETE_FAILED": "it could not be deleted",
}
