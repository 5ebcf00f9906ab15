"""The stack, the buckets and the event bus: free or there, and whose."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from wherry.aws import feeding, found
from wherry.aws.client import AwsError
from wherry.aws.ground import has_bus
from wherry.aws.states import Need, State
from wherry.aws.survey import Site
from wherry.aws.verify.findings import Check, Finding, ng, ok, skip
from wherry.model import Bucket


def checks(site: Site) -> list[Check]:
    """The stack's name, buckets, the event bus."""
    names, environment = site.names, site.environment
    buckets = list(site.jobfile.buckets.values())
    own = {f"bucket {each.name}": names.bucket(each, environment) for each in buckets if each.existing is None}
    own["work bucket"] = names.work_bucket
    listing = [
        Check(
            subject=f"stack {names.stack}",
            look=partial(_own_stacks, site),
            judge=partial(_stack, names.stack),
        ),
        *(
            Check(subject=about, look=partial(_own_bucket, site, name), judge=partial(bucket, about, name))
            for about, name in own.items()
        ),
        *(
            Check(
                subject=f"bucket {each.name}",
                look=partial(_others_bucket, site, each),
                judge=partial(others_bucket, each, environment.name),
            )
            for each in buckets
            if each.existing
        ),
    ]
    bus = environment.bus
    # one of the environment's own is made with it, and another account's is not for us to see
    if bus.name != "default" and not (bus.is_owned or bus.is_elsewhere):
        about = f"event bus {bus.name}"
        listing.append(Check(subject=about, look=partial(has_bus, site.aws, bus), judge=partial(_has_bus, bus.name)))
    return listing


def _own_stacks(site: Site) -> State:
    """The main stack as it is; raises UserError where one of the two is somebody else's."""
    site.base.own()
    return site.main.own()


def _stack(name: str, state: State) -> Iterator[Finding]:
    about = f"stack {name}"
    if not state.exists:
        yield ok(about, "is not there yet: `wherry deploy` makes it")
    elif state.need is Need.UPDATE:
        yield ok(about, f"is there: {state.status}")
    elif state.need is Need.WAIT:
        yield ok(about, f"is being changed: {state.status}")
    else:
        yield ng(about, f"is {state.status}", "`wherry deploy` mends it")


# ------------------------------------------------------------------------------------------------------------ buckets


def _own_bucket(site: Site, name: str) -> tuple[str, bool]:
    """How a name stands (`free`, `ours`, `theirs`, `taken`), and whether the environment is deployed."""
    is_deployed = site.base.look().exists
    try:
        site.aws.call("s3", "head_bucket", Bucket=name, ExpectedBucketOwner=site.names.account)
    except AwsError as error:
        if error.code in ("404", "NoSuchBucket"):
            return "free", is_deployed
        if error.code in ("403", "AccessDenied", "301"):
            return "taken", is_deployed
        raise
    is_ours = is_deployed or found.bears(site.aws, name, site.tags)
    return "ours" if is_ours else "theirs", is_deployed


def bucket(about: str, name: str, seen: tuple[str, bool]) -> Iterator[Finding]:
    """A bucket that the job file owns. Pure."""
    how, is_deployed = seen
    if how == "taken" and is_deployed:
        yield skip(about, f"`{name}` may not be looked at by you: that needs s3:ListBucket")
    elif how == "taken":
        yield ng(
            about,
            f"`{name}` is another account's, or closed to you",
            "`buckets: {NAME: OTHER}` under the environment gives it another name",
        )
    elif how == "theirs":
        yield ng(
            about,
            f"`{name}` is there already, and was not made for this app",
            "`buckets: {NAME: {existing: BUCKET}}` uses it as it is",
        )
    elif how == "ours":
        yield ok(about, f"`{name}` is there")
    elif is_deployed:
        yield ng(
            about, f"`{name}` is gone: somebody has deleted it", "`wherry destroy`, then `wherry deploy`, makes it"
        )
    else:
        yield ok(about, f"`{name}` is free")


def _others_bucket(site: Site, one: Bucket) -> tuple[bool, bool, bool]:
    """Whether its uploads start jobs, whether they are told to EventBridge, and whether the environment is deployed."""
    found.check_bucket(site.aws, one)
    is_watched = one.name in feeding.watched(site.jobfile)
    is_told = is_watched and "EventBridgeConfiguration" in found.notifications(site.aws, str(one.existing))
    return is_watched, is_told, site.main.look().exists


def others_bucket(one: Bucket, environment: str, seen: tuple[bool, bool, bool]) -> Iterator[Finding]:
    """A bucket of somebody else. Pure."""
    is_watched, is_told, is_deployed = seen
    about = f"bucket {one.name}"
    if is_watched and not is_told and is_deployed:
        hint = f"`wherry deploy --env {environment}` switches that on"
        yield ng(about, f"`{one.existing}` does not tell EventBridge of uploads: no job starts for them", hint)
    elif is_watched and not is_told:
        yield ok(about, f"`{one.existing}` is there; the deploy lets it tell EventBridge of uploads")
    else:
        yield ok(about, f"`{one.existing}` is there{', and tells EventBridge of uploads' if is_watched else ''}")


def _has_bus(name: str, is_there: bool) -> Iterator[Finding]:
    about = f"event bus {name}"
    if is_there:
        yield ok(about, "is there")
    else:
        yield ng(about, "is not there: no event reaches a job", f"`aws events create-event-bus --name {name}`")
