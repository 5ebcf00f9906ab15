"""What an attempt is started with: the command and the whole environment, resolved. Nothing leaks in unnamed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Protocol

from wherry import mapping
from wherry.causes import queue_of_worker
from wherry.errors import MissingValue, WherryError
from wherry.executors import Launch, Part
from wherry.local.home import Home
from wherry.local.records import dump_document
from wherry.messages import QUEUE_URL
from wherry.model import LOCAL_ACCOUNT, LOCAL_REGION, Helper, Job, JobFile, QueueTrigger, Run

#: What an attempt inherits of the engine's own environment.
INHERITED = ("PATH", "HOME", "LANG", "TZ")
#: An event longer than this travels as a file: ECS allows 8,192 characters for all overrides together.
EVENT_LIMIT = 8_000
#: Names that file, and where it is in a container.
EVENT_FILE = "WHERRY_EVENT_FILE"
_EVENT_INSIDE = "/run/wherry/event.json"
#: Where a container finds the folder of the file that a message comes as.
_FILES_INSIDE = "/run/wherry/files"
#: An `aws` that finds the gateway's SQS whichever version of the AWS CLI is installed.
_PROGRAMS = os.path.join(os.path.dirname(__file__), "bin")


class SecretSource(Protocol):
    """Where secrets come from."""

    def get(self, name: str) -> bytes | None:
        """The secret's value, or None when there is none of that name."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class AwsAccess:
    """How an attempt reaches AWS: the gateway, with credentials of its own; or None of that with `aws: inherit`."""

    endpoint: str
    access_key_id: str
    secret_access_key: str

    def queue_url(self, name: str) -> str:
        """What clients of SQS call a queue."""
        return f"{self.endpoint}/{LOCAL_ACCOUNT}/{name}"

    def variables(self, region: str) -> dict[str, str]:
        """The environment that every AWS SDK and the AWS CLI understand."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }


def prepare(
    run: Run,
    jobfile: JobFile,
    home: Home,
    secrets: SecretSource,
    access: AwsAccess | None,
    *,
    file: str | None = None,
    in_container: bool = False,
) -> tuple[Run, Launch]:
    """Resolve a claimed run: the run with its command and environment (without secrets), and what to start.

    In a container the image says what PATH and HOME are, and may have a command of its own. `file` is the name of the
    file that the run's message comes as, in the run's folder of such files.

    Raises MissingValue when the event lacks a value that the job asks for, WherryError where no event would help: a
    secret is not set.
    """
    job = jobfile.job(run.job)
    if access is None:
        _refuse_queue_urls(job)
    context = mapping.Context(
        event=run.event.document,
        buckets={name: bucket.local_name for name, bucket in jobfile.buckets.items()},
        queues=queue_urls(jobfile, access),
        interval=interval_of(run),
        file=None if file is None else f"{files_folder(home, run.id, in_container=in_container)}/{file}",
    )
    own = _polled(run, job, access) | _rendered(job.env, context) | dict(run.overrides.env)
    command = _command(job, run, context)
    if not (in_container or command):
        raise _no_command("job", f"job `{job.name}`")
    common = _common(run, jobfile, home, access, in_container=in_container)
    files = {}
    if in_container and EVENT_FILE in common:
        files[_EVENT_INSIDE] = common[EVENT_FILE]
        common[EVENT_FILE] = _EVENT_INSIDE
    if in_container and file is not None:
        files[_FILES_INSIDE] = f"{home.files}/{run.id}"
    secret = _secrets(job, secrets)
    helpers = {}
    for helper in job.helpers:
        helper_command = _helper_command(helper, context)
        if not (in_container or helper_command):
            raise _no_command("helper", f"helper `{helper.name}` of job `{job.name}`")
        helpers[helper.name] = Part(
            command=helper_command,
            is_whole=isinstance(helper.command, str),
            env=common | _rendered(helper.env, context) | secret,
            folder=folder_of(job, jobfile),
            log=home.log(run.id, run.attempts[-1].number, helper.name),
            image=helper.image,
            files=files,
        )
    texts = [text for part in helpers.values() for text in part.command]
    _refuse_nul([*command, *own.values(), *secret.values(), *texts])
    launch = Launch(
        command=command,
        is_whole=isinstance(job.command, str),
        env=common | own | secret,
        folder=folder_of(job, jobfile),
        log=home.log(run.id, run.attempts[-1].number),
        helpers=helpers,
        image=job.image,
        files=files,
        memory=job.memory,
        cpus=job.cpu,
    )
    return dataclasses.replace(run, command=command, env=own), launch


def _rendered(env: Mapping[str, str], context: mapping.Context) -> dict[str, str]:
    return {name: mapping.parse(value).render(context) for name, value in env.items()}


def _no_command(kind: str, whose: str) -> WherryError:
    return WherryError(
        f"{whose} has no command, so it cannot run as a process",
        hint=f"add `command:` to the {kind}; an image's own command needs `--executor docker`",
    )


def _common(run: Run, jobfile: JobFile, home: Home, access: AwsAccess | None, *, in_container: bool) -> dict[str, str]:
    """What the job and its helpers have in common."""
    common = {} if in_container else inherited()
    if access is not None and jobfile.queues and "PATH" in common:
        common["PATH"] = f"{_PROGRAMS}:{common['PATH']}"
    common["PYTHONUNBUFFERED"] = "1"  # a Python program's lines reach the log when they are printed
    return common | _aws(jobfile, access) | _facts(run, run.attempts[-1].number, home)


def _polled(run: Run, job: Job, access: AwsAccess | None) -> dict[str, str]:
    """Where a command finds the queue that it polls by itself: its worker's, or the job's only one."""
    queues = [each.queue for each in job.triggers if isinstance(each, QueueTrigger) and not each.is_managed]
    queue = queue_of_worker(run.cause) or (queues[0] if len(queues) == 1 else "")
    return {QUEUE_URL: access.queue_url(queue)} if access and queue else {}


def queue_urls(jobfile: JobFile, access: AwsAccess | None) -> dict[str, str]:
    """The URL of each queue for whoever uses this access; without one wherry knows of none."""
    return {name: access.queue_url(name) for name in jobfile.queues} if access else {}


def _refuse_queue_urls(job: Job) -> None:
    """Better said by name than that there was no such queue: there is, but not where the job would look for it."""
    parts: tuple[Job | Helper, ...] = (job, *job.helpers)
    commands = [(part.command,) if isinstance(part.command, str) else part.command for part in parts]
    texts = [text for part in parts for text in part.env.values()] + [text for each in commands for text in each]
    for reference in (found for text in texts for found in mapping.parse(text).references):
        if reference.kind == "queue":
            raise WherryError(
                f"`{reference.written}`: the queue is here, and with `aws: inherit` job `{job.name}` would look at AWS",
                hint="write the URL that the queue has at AWS, or leave `aws: inherit` out of `local`",
            )


def files_folder(home: Home, run_id: str, *, in_container: bool) -> str:
    """Where a job finds the file that its message comes as."""
    return _FILES_INSIDE if in_container else f"{home.files}/{run_id}"


def _refuse_nul(texts: list[str]) -> None:
    """No process can be given a NUL character; better said by name here than by the system."""
    for text in texts:
        if "\0" in text:
            shown = text.replace("\0", "\\0")[:40]
            raise MissingValue(
                f"`{shown}` holds a NUL character, which no command and no variable can",
                hint="look at the event's value, or at the secret; the job can read it from `WHERRY_EVENT_FILE`",
            )


def inherited() -> dict[str, str]:
    """What every process gets of the engine's own environment."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def interval_of(run: Run) -> tuple[str, str] | None:
    """What a scheduled run covers: [previous firing, this firing), or None for other runs."""
    interval = run.event.detail.get("interval")
    if isinstance(interval, Mapping) and interval.keys() >= {"start", "end"}:
        return str(interval["start"]), str(interval["end"])
    return None


def folder_of(job: Job, jobfile: JobFile) -> str:
    """Where the job's command starts: its `build` folder, else the job file's."""
    return os.path.normpath(os.path.join(os.path.dirname(jobfile.path), job.build or "."))


def _command(job: Job, run: Run, context: mapping.Context) -> tuple[str, ...]:
    if run.overrides.command is not None:
        return run.overrides.command + run.overrides.args
    if isinstance(job.command, str):
        # As in `sh -c TEXT sh ARGS`: what is appended reaches the text as "$@".
        text = mapping.parse(job.command).render(context)
        if not run.overrides.args:
            return ("/bin/sh", "-c", text)
        return ("/bin/sh", "-c", f'{text} "$@"', "sh", *run.overrides.args)
    return tuple(mapping.parse(argument).render(context) for argument in job.command) + run.overrides.args


def _helper_command(helper: Helper, context: mapping.Context) -> tuple[str, ...]:
    if isinstance(helper.command, str):
        return ("/bin/sh", "-c", mapping.parse(helper.command).render(context))
    return tuple(mapping.parse(argument).render(context) for argument in helper.command)


def _aws(jobfile: JobFile, access: AwsAccess | None) -> dict[str, str]:
    local = jobfile.environments.get("local")
    if access is not None:
        return access.variables((local and local.region) or LOCAL_REGION)
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def _facts(run: Run, attempt: int, home: Home) -> dict[str, str]:
    facts = {
        "WHERRY_RUN_ID": run.id,
        "WHERRY_JOB": run.job,
        "WHERRY_ATTEMPT": str(attempt),
        "WHERRY_TRIGGER": run.trigger,
    }
    scheduled_at = run.event.detail.get("scheduled-time")
    if run.trigger == "schedule" and scheduled_at:
        facts["WHERRY_SCHEDULED_AT"] = str(scheduled_at)
    interval = interval_of(run)
    if interval:
        facts["WHERRY_INTERVAL_START"], facts["WHERRY_INTERVAL_END"] = interval
    event = dump_document(run.event)
    if len(event) <= EVENT_LIMIT:
        facts["WHERRY_EVENT"] = event
    else:
        facts[EVENT_FILE] = _event_file(home, run, event)
    return facts


def _event_file(home: Home, run: Run, event: str) -> str:
    path = f"{home.runs}/{run.id}/event.json"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)  # a container's user is another one
        file.write(event)
    return path


def _secrets(job: Job, secrets: SecretSource) -> dict[str, str]:
    values = {}
    for variable, name in job.secrets.items():
        value = secrets.get(name)
        if value is None:
            raise WherryError(f"there is no secret `{name}`", hint=f"set it: `wherry secrets set {name}`")
        try:
            values[variable] = value.decode()
        except UnicodeDecodeError:
            raise WherryError(
                f"the secret `{name}` is not text, so it cannot be the environment variable `{variable}`",
                hint="read it in the job with Secrets Manager's GetSecretValue",
            ) from None
    return values
