"""Names that the first deploy is going to need, and what it has made that somebody has removed since."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from wherry.aws.client import AwsError
from wherry.aws.compile import base_template
from wherry.aws.survey import Site
from wherry.aws.verify.findings import Check, Finding, ng, ok

_ABSENT = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "RepositoryNotFoundException")


@dataclass(frozen=True, kw_only=True)
class Names:
    """What was seen."""

    #: What is there and no stack's -> the command that removes it.
    taken: Mapping[str, str] = field(default_factory=dict)
    #: The stack's log groups that are gone.
    gone: tuple[str, ...] = ()


def check(site: Site) -> Check:
    """Of log groups, queues, and repositories."""
    return Check(subject="names", look=partial(_look, site), judge=judge)


def _look(site: Site) -> Names:
    taken: dict[str, str] = {}
    prefix = site.names.log_group("")
    groups = site.aws.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
    there = {str(group["logGroupName"]) for group in groups}
    deployed = site.main.template() if site.main.look().exists else None
    if deployed is None:
        wanted = {site.names.log_group(job.name) for job in site.jobfile.jobs.values() if not job.task_definition}
        taken |= {
            f"log group {name}": f"`aws logs delete-log-group --log-group-name {name}`"
            for name in sorted(wanted & there)
        }
        for queue in _queues(site):
            if _exists(partial(_queue, site, queue)):
                taken[f"queue {queue}"] = "`aws sqs delete-queue`"
    if not site.base.look().exists:
        for name in _repositories(site):
            if _exists(partial(_repository, site, name)):
                taken[f"repository {name}"] = f"`aws ecr delete-repository --force --repository-name {name}`"
    resources = (deployed or {}).get("Resources", {}).values()
    made = {str(each.get("Properties", {}).get("LogGroupName", "")) for each in resources}
    return Names(taken=taken, gone=tuple(sorted(name for name in made - there if name.startswith(prefix))))


def _repositories(site: Site) -> list[str]:
    resources = base_template(site.jobfile, site.environment)["Resources"].values()
    return sorted(
        str(each["Properties"]["RepositoryName"]) for each in resources if "RepositoryName" in each["Properties"]
    )


def _queues(site: Site) -> list[str]:
    """The queues of the job file with their dead letters, and those of the environment."""
    queues = site.jobfile.queues.values()
    own = [site.names.queue(name) for each in queues for name in (each.name, each.dead_letters)]
    return [site.names.dead_letters, *own]


def _queue(site: Site, name: str) -> object:
    return site.aws.call("sqs", "get_queue_url", QueueName=name)


def _repository(site: Site, name: str) -> object:
    return site.aws.call("ecr", "describe_repositories", repositoryNames=[name])


def _exists(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except AwsError as error:
        if error.code in _ABSENT:
            return False
        raise
    return True


def judge(names: Names) -> Iterator[Finding]:
    """What stands in the way, and what is missing. Pure."""
    for what, command in names.taken.items():
        reason = "is there already, and no stack's: the deploy fails for it"
        yield ng(what, reason, f"{command} removes it, if nobody needs it")
    for name in names.gone:
        hint = f"`aws logs create-log-group --log-group-name {name}` makes it again"
        yield ng(f"log group {name}", "is gone: tasks that write to it fail to start", hint)
    if not names.taken and not names.gone:
        yield ok("names", "nobody else has the names of the stack's resources")
