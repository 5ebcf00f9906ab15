"""What everything is called on AWS: names follow from app, environment and account, so that nothing is looked up.

Pure. The template is made without an account at hand, so names that need one come in two forms: `*_sub` for
CloudFormation's `Fn::Sub`, and the plain one for whoever talks to AWS.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from wherry.executors.references import HUB, registry_of
from wherry.model import Bucket, Bus, Environment, JobFile

#: The executions of a run's further rounds: its id, and their number. No id of ours has hyphens.
_ROUND = re.compile(r"(.+)--([0-9]{1,4})")
#: A bucket's name has at most 63 characters; account and the longest region take 12 + 14 of them, two hyphens 2.
_BUCKET_STEM = 35
_MACHINE_STEM = 80
_RULE = 64
_FUNCTION = 64
_QUEUE = 80
_SERVICE = 255
#: What stays of a long stem at the beginning of names that are matched by their beginning.
_PREFIX = 50
_CLUSTER = 255
_FIFO = ".fifo"
_BUS = 256


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of one app in one environment. Account, region and partition may be empty where stems suffice."""

    app: str
    environment: str
    account: str = ""
    region: str = ""
    partition: str = "aws"

    @property
    def stem(self) -> str:
        """Begins every name."""
        return f"{self.app}-{self.environment}"

    @property
    def stack(self) -> str:
        """The stack of everything that runs."""
        return self.stem

    @property
    def base_stack(self) -> str:
        """The stack that must be there before: repositories for images, and the work bucket."""
        return f"{self.stem}-base"

    @property
    def cluster(self) -> str:
        """The ECS cluster."""
        return shorten(self.stem, _CLUSTER)

    @property
    def capacity_provider(self) -> str:
        """The ECS capacity provider of `capacity: ec2`; a name of one must not begin with `aws`, `ecs` or `fargate`."""
        return shorten(f"wherry-{self.stem}", _CLUSTER)

    def bus(self, bus: Bus) -> str:
        """The bus in this account that rules of `event` triggers are on.

        Events of another account's bus are relayed to one of the environment's own.
        """
        return shorten(self.stem, _BUS) if bus.is_elsewhere else bus.name

    def relay_sub(self, logical_id: str) -> str:
        """A rule on another account's bus, which many accounts may share: it says whose it is, for `Fn::Sub`."""
        return f"wherry-${{AWS::AccountId}}-{shorten(f'{self.stem}_{logical_id}', _RULE - len('wherry-') - 13)}"

    @property
    def prefix(self) -> str:
        """Begins the names of all machines and rules, however long these are, and of no other environment's."""
        return f"{shorten(self.stem, _PREFIX)}_"

    def machine(self, job: str) -> str:
        """A job's run machine (Step Functions). Names hold hyphens, so that another character must part them."""
        return shorten(f"{self.prefix}{job}", _MACHINE_STEM)

    def rule(self, logical_id: str) -> str:
        """A rule or a schedule. CloudFormation's own names need not begin with the stack's when that is long."""
        return shorten(f"{self.prefix}{logical_id}", _RULE)

    def machine_arn(self, job: str) -> str:
        """Its ARN."""
        return f"arn:{self.partition}:states:{self.region}:{self.account}:stateMachine:{self.machine(job)}"

    def execution_arn(self, job: str, run_id: str, round_number: int = 1) -> str:
        """The ARN of the execution that is one round of a run of a job."""
        name = execution_name(run_id, round_number)
        return f"arn:{self.partition}:states:{self.region}:{self.account}:execution:{self.machine(job)}:{name}"

    @property
    def dispatcher_arn(self) -> str:
        """The ARN of the machine that every trigger starts."""
        return f"arn:{self.partition}:states:{self.region}:{self.account}:stateMachine:{self.dispatcher}"

    @property
    def dispatcher(self) -> str:
        """The machine that every trigger starts. No job can have this name: they hold no underscore."""
        return shorten(f"{self.prefix}_dispatcher", _MACHINE_STEM)

    @property
    def watch(self) -> str:
        """The machine that sees to it that silence is noticed, and tells."""
        return shorten(f"{self.prefix}_watch", _MACHINE_STEM)

    def family(self, job: str) -> str:
        """A job's task definition."""
        return f"{self.stem}_{job}"

    def function(self, job: str) -> str:
        """The function (Lambda) of a job with an `invoke` trigger."""
        return shorten(f"{self.prefix}{job}", _FUNCTION)

    def log_group(self, job: str) -> str:
        """A job's log group. The stream of a container is `run/NAME/TASK-ID`."""
        return f"/wherry/{self.app}/{self.environment}/{job}"

    def function_log_group(self, job: str) -> str:
        """The log group of a job's function."""
        return f"{self.log_group(job)}/invoke"

    def repository(self, job: str) -> str:
        """The ECR repository of a job's image."""
        return "/".join(_not_ending_in_hyphens(part) for part in (self.stem, job))

    def repository_in(self, registry: str, job: str) -> str:
        """What the image of a job is called in a registry of the user's; Docker Hub knows no levels in an account."""
        name = self.repository(job)
        return f"{registry}/{name.replace('/', '-') if registry_of(f'{registry}/x') == HUB else name}"

    @property
    def dead_letters(self) -> str:
        """The queue of failed runs and of what could not be delivered."""
        return shorten(f"{self.stem}-dead-letters", 80)

    def queue(self, name: str) -> str:
        """A queue of the job file, or the dead letters of one."""
        stem, fifo = name.removesuffix(_FIFO), _FIFO if name.endswith(_FIFO) else ""
        return shorten(f"{self.stem}-{stem}", _QUEUE - len(fifo)) + fifo

    def queue_arn(self, name: str) -> str:
        """Its ARN."""
        return f"arn:{self.partition}:sqs:{self.region}:{self.account}:{self.queue(name)}"

    def service(self, job: str, queue: str) -> str:
        """The service (ECS) of the workers that a job has at a queue. No name of a job has an underscore."""
        return shorten(f"{job}_{queue.replace('.', '_')}", _SERVICE)

    def worker_family(self, job: str, queue: str) -> str:
        """The task definition of these workers."""
        return shorten(f"{self.family(job)}_{queue.replace('.', '_')}", _SERVICE)

    @property
    def waker(self) -> str:
        """The machine that starts the first worker of a queue."""
        return shorten(f"{self.prefix}_waker", _MACHINE_STEM)

    def notice(self, queue: str) -> str:
        """What a bucket of somebody else calls the entry by which it tells a queue of uploads: ours, by its beginning.

        No name of an app or an environment has an underscore.
        """
        return f"wherry_{self.stem}_{queue}"

    @property
    def topic(self) -> str:
        """The SNS topic of the alerts."""
        return f"{self.stem}-alerts"

    @property
    def schedules(self) -> str:
        """The schedule group."""
        return shorten(self.stem, 64)

    @property
    def watches(self) -> str:
        """The schedule group of the watch. No other environment's can have this name: they hold no underscore."""
        return f"{shorten(self.stem, 58)}_watch"

    def alarm(self, about: str) -> str:
        """An alarm (CloudWatch)."""
        return f"{self.prefix}{about}"

    @property
    def work_bucket_sub(self) -> str:
        """The bucket for what travels: large events, large templates. Nothing in it is meant to stay."""
        return self._bucket_sub("wherry")

    @property
    def work_bucket(self) -> str:
        """The same, plain."""
        return self._plain(self.work_bucket_sub)

    def bucket_sub(self, bucket: Bucket, environment: Environment) -> str:
        """The physical name of a bucket of the job file."""
        return bucket.existing or environment.buckets.get(bucket.name) or self._bucket_sub(bucket.name)

    def bucket(self, bucket: Bucket, environment: Environment) -> str:
        """The same, plain."""
        return self._plain(self.bucket_sub(bucket, environment))

    def _bucket_sub(self, name: str) -> str:
        # a dot in a bucket's name breaks TLS to it
        return f"{shorten(f'{self.stem}-{name}'.replace('.', '-'), _BUCKET_STEM)}-${{AWS::AccountId}}-${{AWS::Region}}"

    def _plain(self, text: str) -> str:
        return text.replace("${AWS::AccountId}", self.account).replace("${AWS::Region}", self.region)


def names_of(jobfile: JobFile, environment: str) -> Names:
    """The names of an environment, without its account."""
    return Names(app=jobfile.app, environment=environment)


def execution_name(run_id: str, round_number: int) -> str:
    """What the execution of a run's round is called: the first one's name is the run's id."""
    return run_id if round_number == 1 else f"{run_id}--{round_number}"


def round_of(execution: str) -> tuple[str, int]:
    """The run's id and the number of the round, by the name of an execution."""
    match = _ROUND.fullmatch(execution)
    return (match[1], int(match[2])) if match else (execution, 1)


def _not_ending_in_hyphens(part: str) -> str:
    """A part of a repository's name, which ends in a letter or digit (ECR API Reference, CreateRepository)."""
    return part if not part.endswith("-") else f"{part.rstrip('-')}-{hashlib.sha256(part.encode()).hexdigest()[:8]}"


def shorten(name: str, limit: int) -> str:
    """The name, or when it is too long its beginning and a hash of the whole."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
