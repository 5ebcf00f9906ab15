"""From the job file to AWS: what would change, and the changing.

The order makes every interruption harmless: what is needed is there before what needs it, what is no longer needed goes
after it, and each step finds by looking whether it is still to be done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from wherry.aws import adoption, found, handover, permissions, release, shipment, telling
from wherry.aws.changes import Change, Template, between
from wherry.aws.client import AwsError
from wherry.aws.events import Watch
from wherry.aws.failures import StackEvent
from wherry.aws.permissions import Grant
from wherry.aws.shipment import Image
from wherry.aws.stack import Proposal, Stack
from wherry.aws.states import Need, State
from wherry.aws.survey import Survey, is_large
from wherry.aws.words import about


class Report(Protocol):
    """Whoever tells a person how it goes."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""
        ...

    def event(self, what: str, event: StackEvent) -> None:
        """A resource, in our words, went a step further."""
        ...

    def output(self, line: bytes) -> None:
        """What a build says."""
        ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a deploy would do now."""

    survey: Survey
    template: Template
    base_changes: Sequence[Change]
    changes: Sequence[Change]
    #: Images that have to be built and pushed first.
    to_ship: Sequence[Image]
    granted: frozenset[Grant]
    revoked: frozenset[Grant]
    #: What has to happen before anything else, in words; empty mostly.
    first: str = ""
    #: The change set, where it was kept and holds the final template.
    proposal: Proposal | None = None

    @property
    def is_empty(self) -> bool:
        """Nothing to do."""
        changes = self.base_changes or self.changes or self.to_ship or self.survey.to_switch_on or self.first
        return not changes and self.survey.is_told


_FIRST = {
    Need.WAIT: "another operation is under way on the stack, and is waited for",
    Need.REMOVE: "the stack could not be made at first: what is left of it is removed",
    Need.CONTINUE: "going back to what was before got stuck, and goes on",
}


def plan(survey: Survey, *, keep: bool = False) -> Plan:
    """Work out what would change; leaves nothing behind, or with `keep` a change set that can be executed as it is."""
    template = survey.template()
    handover.refuse_to_move(survey.site, survey.deployed, template)
    release.refuse_while_busy(survey.site, survey.deployed, template)
    base_changes = between(survey.base_deployed, survey.base)
    to_ship = [image for image in survey.images if not image.is_there]
    needs = {survey.state.need, survey.base_state.need}
    first = next((text for need, text in _FIRST.items() if need in needs), "")
    is_final = not (to_ship or between(survey.base_deployed, survey.grown_base) or first)
    changes, proposal = _changes(survey, template, is_whole=not first, keep=keep, is_final=is_final)
    old, new = permissions.grants(survey.deployed), permissions.grants(template)
    return Plan(
        survey=survey,
        template=template,
        base_changes=base_changes,
        changes=changes,
        to_ship=to_ship,
        granted=new - old,
        revoked=old - new,
        first=first,
        proposal=proposal,
    )


def _changes(
    survey: Survey, template: Template, *, is_whole: bool, keep: bool, is_final: bool
) -> tuple[Sequence[Change], Proposal | None]:
    """The changes: as AWS works them out, and where it cannot yet be asked as the templates show them."""
    if survey.deployed == template and survey.state.is_settled:
        return (), None  # a change set takes seconds, and would say the same
    is_certain = keep and not is_final and not survey.state.exists  # all of it is new, and AWS is asked later
    if not is_whole or is_certain or (is_large(template) and not survey.base_state.exists):
        old = survey.deployed if survey.state.need is not Need.REMOVE else {}
        return between(old, template), None
    main = survey.site.main
    proposal = main.propose(template, is_new=not survey.state.exists)
    if proposal is None:
        return (), None
    if keep and is_final:
        return proposal.changes, proposal
    main.withdraw(proposal.id, proposal.stack_id)
    return proposal.changes, None


def abandon(plan: Plan) -> None:
    """Take back the change set that a plan has kept."""
    if plan.proposal is not None:
        plan.survey.site.main.withdraw(plan.proposal.id, plan.proposal.stack_id)


def carry_out(plan: Plan, report: Report) -> State:
    """Do it; gives the main stack as it is then.

    Raises StackFailed, DockerFailure, AwsError; another deploy goes on from there.
    """
    survey = plan.survey
    site = survey.site
    _bring(site.base, lambda: survey.grown_base, report, "the base: image repositories, the work bucket")
    images = []
    for image in survey.images:
        if not image.is_there:
            report.stage(f"job {image.key}: building and pushing its image")
        images.append(shipment.ship(site.aws, image, site.environment, site.names, report.output))
    for bucket in survey.to_switch_on:
        report.stage(f"bucket {bucket}: its events are told to EventBridge from now on")
        found.switch_on(site.aws, bucket)
    for left in survey.left:
        report.stage(f"bucket {left.bucket}: it is there already, and tells what the job file says from now on")
        adoption.put_right(site.aws, site.names, left)
    if release.has_instances(survey.deployed) and not release.has_instances(plan.template):
        release.release(site, report.stage, for_good=False)
    _forget(survey, report)
    if said := handover.waits_for(site, survey.deployed, survey.template(images)):
        report.stage(said)
    state = _bring(site.main, lambda: survey.template(images), report, "the stack", plan.proposal)
    for notices in survey.notices:
        if notices.are_new:
            report.stage(f"bucket {notices.bucket}: it tells the queues of uploads from now on")
            telling.tell(site.aws, site.names, notices)
    _bring(site.base, lambda: survey.base, report, "the base: what is no longer needed goes")
    return state


def _forget(survey: Survey, report: Report) -> None:
    """Nothing is told to a queue that is about to go."""
    site = survey.site
    for notices in survey.notices:
        if notices.are_old:
            report.stage(f"bucket {notices.bucket}: it does not tell all the queues any more")
            telling.forget(site.aws, site.names, notices.bucket, [each["Id"] for each in notices.wanted])
    for bucket in survey.forgotten:
        report.stage(f"bucket {bucket}: it does not tell the queues any more")
        telling.forget(site.aws, site.names, bucket)


def _bring(
    stack: Stack, wanted: Callable[[], Template], report: Report, what: str, proposal: Proposal | None = None
) -> State:
    """Bring a stack to a template, where it is not there already."""
    template = wanted()
    if proposal is None:
        state = stack.settle(watching(report, stack.template() or {}))
        deployed = stack.template() or {}
        if deployed == template and state.is_settled:
            return state
        if not state.exists:
            _prepare_account(stack)
        proposal = stack.propose(template, is_new=not state.exists)
        if proposal is None:
            return state
    else:
        deployed = stack.template() or {}
    report.stage(f"{what} ({len(proposal.changes)} to do)")
    return stack.apply(proposal, watching(report, template, deployed))


def _prepare_account(stack: Stack) -> None:
    """The role that ECS has in every account; without it an account's very first task fails."""
    with contextlib.suppress(AwsError):  # it is there already, or somebody else's business
        stack.aws.call("iam", "create_service_linked_role", AWSServiceName="ecs.amazonaws.com")


def watching(report: Report, *templates: Template) -> Watch:
    """Pass on what happens to resources, in our words."""
    return lambda event: report.event(about(event.logical_id, *templates), event)
