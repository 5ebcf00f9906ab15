"""What the workers of a job in managed mode are told: `wherry.agent.settings`, for CloudFormation. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from wherry import mapping
from wherry.agent.settings import Settings
from wherry.aws.policy import sub
from wherry.messages import BACKOFF, LONGEST_BACKOFF
from wherry.model import Job, Queue, QueueTrigger

#: What the job file says for the worker to fill in; the rest is CloudFormation's.
_THE_JOBS_OWN = ("command", "env")


def settings_text(
    job: Job,
    trigger: QueueTrigger,
    queue: Queue,
    *,
    buckets: Mapping[str, str],
    queues: Mapping[str, str],
    bus: str,
    work_bucket: str,
) -> Any:
    """The value of `settings.VARIABLE`. Names of buckets and URLs of queues are texts for `Fn::Sub`.

    What the job file says with `${...}` is for the worker to fill in: CloudFormation sees none of it.
    """
    used = {(reference.kind, reference.name) for reference in _references(job)}
    settings = Settings(
        job=job.name,
        queue=queue.name,
        url=queues[queue.name],
        command=job.command,
        env=job.env,
        buckets={name: text for name, text in buckets.items() if ("bucket", name) in used},
        queues={name: text for name, text in queues.items() if ("queue", name) in used},
        bus=bus if ("bus", "") in used else Settings.bus,
        batch=trigger.batch,
        visibility=queue.visibility,
        max_receives=queue.max_receives,
        backoff=job.retry.backoff or BACKOFF,
        factor=job.retry.factor,
        jitter=job.retry.jitter,
        cap=min(job.retry.cap, LONGEST_BACKOFF),
        drop=trigger.drop,
        give_back=trigger.give_back,
        timeout=job.timeout,
        deadline=job.deadline,
        work_bucket=work_bucket,
    )
    document = settings.document()
    members = (f"{_text(name)}:{_kept(name, _text(document[name]))}" for name in sorted(document))
    return sub(f"{{{','.join(members)}}}")


def _references(job: Job) -> Iterator[mapping.Reference]:
    command = (job.command,) if isinstance(job.command, str) else job.command
    for text in (*command, *job.env.values()):
        yield from mapping.parse(text).references


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _kept(name: str, text: str) -> str:
    """The job's own `${` as JSON spells it without a `$`.

    `Fn::Sub` has `${!` for it, but where such a literal ends that holds another one, as in `${A:-${B}}`, is not
    documented.
    """
    return text.replace("${", "\\u0024{") if name in _THE_JOBS_OWN else text
