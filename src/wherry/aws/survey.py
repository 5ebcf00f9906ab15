"""Everything that a deployment needs to know, asked at once: the stacks as they are, and what the template takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from wherry.aws import adoption, found, ground, owntask, shipment, telling
from wherry.aws.adoption import Left
from wherry.aws.changes import Template
from wherry.aws.client import Aws
from wherry.aws.compile import base_template, compile_template
from wherry.aws.given import Given
from wherry.aws.names import Names, names_of
from wherry.aws.shipment import Image
from wherry.aws.stack import MOST_INLINE, Stack
from wherry.aws.states import Need, State
from wherry.aws.telling import Notices
from wherry.model import Environment, JobFile

#: Questions that wait for no other one.
_AT_ONCE = 10


@dataclass(frozen=True, kw_only=True)
class Site:
    """An app's place in an account: its names, its two stacks."""

    aws: Aws
    jobfile: JobFile
    environment: Environment
    names: Names

    @property
    def main(self) -> Stack:
        """The stack of everything that runs."""
        return Stack(self.aws, self.names.stack, tags=self.tags, put_away=self._put_away)

    @property
    def base(self) -> Stack:
        """The stack that must be there before."""
        return Stack(self.aws, self.names.base_stack, tags=self.tags)

    @property
    def tags(self) -> dict[str, str]:
        """What marks all that belongs to it."""
        return {"wherry:app": self.names.app, "wherry:environment": self.names.environment}

    def _put_away(self, template: bytes) -> str:
        """Templates too large for a request go through the work bucket, which empties itself."""
        import hashlib

        key = f"templates/{hashlib.sha256(template).hexdigest()}.json"
        self.aws.call("s3", "put_object", Bucket=self.names.work_bucket, Key=key, Body=template)
        return self.aws.object_url(self.names.work_bucket, key)


def site_of(aws: Aws, jobfile: JobFile, environment: Environment) -> Site:
    """The site of an environment; asks whose account it is."""
    names = replace(
        names_of(jobfile, environment.name), account=aws.account, region=aws.region, partition=aws.partition
    )
    return Site(aws=aws, jobfile=jobfile, environment=environment, names=names)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """How things stand, and what the job file makes of them."""

    site: Site
    state: State
    base_state: State
    #: The templates that the two stacks have; empty where there is none.
    deployed: Template
    base_deployed: Template
    images: Sequence[Image]
    given: Given
    #: Buckets of somebody else whose events have to be switched on.
    to_switch_on: Sequence[str]
    #: What buckets of somebody else tell the queues.
    notices: Sequence[Notices]
    #: Own buckets that an earlier stack has left, and that do not tell what they should.
    left: Sequence[Left]

    @property
    def forgotten(self) -> Sequence[str]:
        """Buckets of somebody else that tell the queues, and are not in the job file any more."""
        return sorted(telling.buckets_of(self.deployed) - {each.bucket for each in self.notices})

    @property
    def is_told(self) -> bool:
        """The buckets tell the queues what they should, as far as their stack does not see to that."""
        return not (self.forgotten or self.left or any(each.are_new or each.are_old for each in self.notices))

    @property
    def base(self) -> Template:
        """The base stack's template as it is to be in the end."""
        return base_template(self.site.jobfile, self.site.environment)

    @property
    def grown_base(self) -> Template:
        """The base stack's template before the main stack changes: nothing goes yet that the latter may still use."""
        wanted = self.base
        kept = self.base_deployed.get("Resources", {})
        return {**wanted, "Resources": {**kept, **wanted["Resources"]}}

    def template(self, images: Sequence[Image] | None = None) -> Template:
        """The main stack's template with these images (else with those of the survey)."""
        references = {image.key: image.reference for image in images or self.images}
        made = compile_template(self.site.jobfile, self.site.environment, replace(self.given, images=references))
        return _literal(made, self.site.names)


def check(jobfile: JobFile, environment: Environment) -> None:
    """Look at the file alone, before anybody is asked anything; raises Unsupported."""
    base_template(jobfile, environment)
    compile_template(jobfile, environment, Given())


def survey(site: Site) -> Survey:
    """Look at everything; makes nothing. Raises UserError for what has to be mended before anything can be made."""
    aws, jobfile, environment = site.aws, site.jobfile, site.environment
    asks: dict[str, Callable[[], Any]] = {
        "secrets": partial(found.secrets_of, aws, jobfile, environment),
        "to_switch_on": partial(found.existing_buckets, aws, jobfile),
        "notices": partial(telling.look, aws, jobfile, site.names),
        "network": partial(found.network_of, aws, environment),
        "images": partial(shipment.survey, aws, jobfile, environment, site.names),
        "state": site.main.own,
        "base_state": site.base.own,
        "deployed": site.main.template,
        "base_deployed": site.base.template,
        "groups": partial(_log_groups, site),
        "instance": partial(ground.instance_of, aws, environment),
        "bus": partial(ground.has_bus, aws, environment.bus),
    }
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = {name: pool.submit(ask) for name, ask in asks.items()}
        answers = {name: future.result() for name, future in futures.items()}
    deployed = answers["deployed"] if answers["state"].exists and answers["deployed"] else {}
    base_deployed = answers["base_deployed"] if answers["base_state"].exists and answers["base_deployed"] else {}
    ground.refuse_bus(site.names, environment, deployed, is_there=answers["bus"])
    left = adoption.look(
        aws,
        jobfile,
        environment,
        site.names,
        tags=site.tags,
        deployed={} if answers["state"].need is Need.REMOVE else deployed,
    )
    own = {resource.get("Properties", {}).get("LogGroupName") for resource in deployed.get("Resources", {}).values()}
    given = Given(
        secrets=answers["secrets"],
        network=answers["network"],
        instance=answers["instance"],
        log_groups=frozenset(answers["groups"]) - {str(name) for name in own},
    )
    return Survey(
        site=site,
        state=answers["state"],
        base_state=answers["base_state"],
        deployed=deployed,
        base_deployed=base_deployed,
        images=answers["images"],
        given=given,
        to_switch_on=answers["to_switch_on"],
        notices=answers["notices"],
        left=left,
    )


def is_large(template: Template) -> bool:
    """Too large for a request."""
    import json

    return len(json.dumps(template, separators=(",", ":"), ensure_ascii=False).encode()) > MOST_INLINE


def _log_groups(site: Site) -> set[str]:
    """Of the log groups that users' own task definitions name, those that are there."""
    own = [owntask.load(site.jobfile, job) for job in site.jobfile.jobs.values() if job.task_definition]
    wanted = sorted({group for definition in own for group in owntask.log_groups(definition)})

    def is_there(name: str) -> bool:
        groups = site.aws.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name)
        return any(group["logGroupName"] == name for group in groups)

    return {name for name, there in zip(wanted, found.at_once(is_there, wanted), strict=True) if there}


def _literal(template: Template, names: Names) -> Template:
    """With the kept buckets' names in full.

    A bucket that a destroyed stack has left is taken back only where the template spells its name without functions
    (CreateChangeSet, ImportExistingResources).
    """
    resources = dict(template["Resources"])
    for logical_id, resource in resources.items():
        name = resource.get("Properties", {}).get("BucketName")
        if resource["Type"] == "AWS::S3::Bucket" and resource.get("DeletionPolicy", "").startswith("Retain"):
            properties = {**resource["Properties"], "BucketName": _plain(name, names)}
            resources[logical_id] = {**resource, "Properties": properties}
    return {**template, "Resources": resources}


def _plain(name: Any, names: Names) -> Any:
    match name:
        case {"Fn::Sub": str() as text}:
            return text.replace("${AWS::AccountId}", names.account).replace("${AWS::Region}", names.region)
        case Mapping() | _:
            return name
