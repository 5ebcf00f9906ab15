"""What AWS says when a task does not start, in plain words and with the remedy. Pure.

Sources: Amazon ECS Developer Guide, "Stopped tasks error codes", "API failure reasons", "Resolve stopped task errors";
the error names of amazon-ecs-agent; texts quoted in public repositories.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wherry.model import Ending, Outcome

_SILENCE = (
    r"i/o timeout|timed? ?out|deadline exceeded|request ?cancel|context canceled|connection (?:refused|reset|issue)"
    r"|no route to host|network is unreachable|network configuration|TLS handshake"
)
_REFUSAL = r"AccessDenied|not authorized|unauthorized|forbidden|denied"
_ASKED = (
    r"unable to (?:pull|retrieve) secrets?|failed to fetch secret|secrets? ?manager|GetSecretValue|ssm:GetParameter"
)
_PULL = (
    r"pull(?:ing)? (?:image|command|the image|access)|ref pull|image manifest|failed to resolve ref|registry|cannotpull"
    r"|can(?:no|')t pull|ecr:|\becr\b|docker\.io|manifest"
)
_LOGS = r"logger args|log (?:group|stream|driver)|create stream|cloudwatch log"
_WAY_OUT = (
    "the subnets must lead to the internet (a public subnet, or a NAT gateway), or have VPC endpoints for ECR "
    "(`ecr.api`, `ecr.dkr`), S3 (gateway), CloudWatch Logs and Secrets Manager; security groups must let port 443 out. "
    "Other ones: `subnets` of the environment, then `wherry deploy`"
)
#: The reason of an attempt whose time was over before it had begun begins so.
NOT_BEGUN = "it had not started when"
#: ... and what AWS says of it stands behind this.
OVER = " was over: "
_AGAIN = "nothing to change: it passes, and another attempt finds another machine"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that AWS may say."""

    #: All of these must be found, whatever their case.
    signs: tuple[str, ...]
    #: What it means; named groups of the signs may be used.
    what: str
    #: What to change; `{job}` is the job's name.
    remedy: str


def _reason(*signs: str, what: str, remedy: str) -> Reason:
    return Reason(signs=signs, what=what, remedy=remedy)


#: The first one that fits counts: what is special stands before what is general.
REASONS = (
    # --------------------------------------------------------------------------------------------------------- secrets
    _reason(
        r"json key (?P<key>[^\s,:]+)",
        what="a secret has no key `{key}`",
        remedy="add the key to the secret, or correct `valueFrom` in the task definition",
    ),
    _reason(
        _ASKED,
        r"marked for deletion",
        what="the secret{secret} was removed",
        remedy="`wherry secrets set NAME` brings it back",
    ),
    _reason(
        _ASKED,
        r"ResourceNotFound|can.t find the specified secret|InvalidParameters|not found",
        what="the secret{secret} is not there",
        remedy="`wherry secrets set NAME` sets it; if it was deleted and made anew, `wherry deploy` finds the new one",
    ),
    _reason(
        r"\bkms\b",
        rf"{_REFUSAL}|decrypt",
        what="the task's execution role may not use the KMS key of a secret or an image",
        remedy="let the role `kms:Decrypt` with that key, in the key's own policy",
    ),
    _reason(
        _ASKED,
        _REFUSAL,
        what="the task's execution role may not read the secret{secret}",
        remedy="`wherry deploy` gives it the permission; the secret's own policy, or the organisation's, may forbid it",
    ),
    _reason(
        r"secret|registry auth",
        _SILENCE,
        what="there is no way from the task's subnets to Secrets Manager or to the registry",
        remedy=_WAY_OUT,
    ),
    # ------------------------------------------------------------------------------------------------------------ logs
    _reason(
        _LOGS,
        r"not exist|not found|cannot find",
        what="the log group of the job is not there",
        remedy="`wherry deploy` makes it; a task definition of your own may name another one",
    ),
    _reason(
        _LOGS,
        _REFUSAL,
        what="the task's execution role may not write the log",
        remedy="`wherry deploy` gives it the permission",
    ),
    _reason(
        _LOGS,
        rf"{_SILENCE}|signal: killed|retried",
        what="there is no way from the task's subnets to CloudWatch Logs",
        remedy=_WAY_OUT,
    ),
    # ---------------------------------------------------------------------------------------------------------- images
    _reason(
        r"descriptor matching platform|exec format error|no matching manifest",
        what="the image is for another kind of processor",
        remedy="build it for linux/amd64 (`docker build --platform linux/amd64`); what `build` names wherry builds so",
    ),
    _reason(
        r"toomanyrequests|rate limit",
        what="the registry gives no more images for now: Docker Hub counts downloads",
        remedy="copy the image to ECR and name that in `image`, or use ECR's pull-through cache",
    ),
    _reason(
        r"no space left on device",
        what="the image, unpacked, does not fit on the task's disk",
        remedy="make the image smaller; a task definition of your own can have `ephemeralStorage` up to 200 GiB",
    ),
    _reason(
        _PULL,
        r"pull access denied|repository does not exist|(?:manifest|name) unknown|not found|does ?n[o']t exist|no such",
        what="there is no such image, or it is private",
        remedy="correct `image` of job `{job}`, push the tag, or deploy again when the image was built by wherry",
    ),
    _reason(
        r"httpReaderSeeker|failed to copy",
        what="the registry answers, but the image's layers cannot be fetched: ECR keeps them in S3",
        remedy=_WAY_OUT,
    ),
    _reason(
        _PULL,
        rf"{_REFUSAL}|no basic auth|authorization token|no execution role",
        what="the registry does not let the task's execution role pull the image",
        remedy="`wherry deploy` gives it the permission for ECR; a repository of another account must allow this one, "
        "another private registry needs a login: `credentials` below `registry:`",
    ),
    _reason(
        rf"{_PULL}|dial tcp",
        _SILENCE,
        what="there is no way from the task's subnets to the registry",
        remedy=_WAY_OUT,
    ),
    # --------------------------------------------------------------------------------------------- network, disk, files
    _reason(
        r"network interface provisioning|InsufficientFreeAddresses|free (?:ip )?addresses|RESOURCE:ENI",
        what="the task got no network interface: a subnet has no free address left, or AWS was slow",
        remedy="mostly it passes; else give the environment more or larger `subnets`",
    ),
    _reason(
        r"EphemeralStorage provisioning",
        what="AWS did not give the task its disk in time",
        remedy=_AGAIN,
    ),
    _reason(
        r"\befs\b",
        what="the task's EFS file system cannot be mounted",
        remedy="let port 2049 through the security groups of both; check the access point, and DNS in the VPC",
    ),
    _reason(
        r"env(?:ironment)? files?",
        what="a file of environment variables cannot be read",
        remedy="the execution role needs `s3:GetObject` on it, and its name must end with `.env`",
    ),
    # --------------------------------------------------------------------------------------------------------- starting
    _reason(
        r'exec: \\?"?(?P<program>[^"\\:]+)\\?"?: executable file not found',
        what="the image has no program `{program}`",
        remedy="correct `command` of job `{job}`, or install the program in the image",
    ),
    _reason(
        r"executable file not found|no such file or directory",
        what="the image does not have the program that `command` begins with",
        remedy="correct `command` of job `{job}`, or install the program in the image",
    ),
    _reason(
        r"exec|start ?container|runc",
        r"permission denied",
        what="the program that `command` begins with is not executable",
        remedy="`chmod +x` it before the image is built, or name its interpreter in `command`",
    ),
    _reason(
        r"dependency|DependencyError",
        what="a helper that the job waits for ended badly",
        remedy="`wherry logs RUN --helper NAME` shows what it wrote",
    ),
    # --------------------------------------------------------------------------------------------------------- capacity
    _reason(
        r"number of vCPUs|vCPU.*limit|limit.*vCPU",
        what="the account may not run so many vCPUs on Fargate at once",
        remedy="raise `Fargate On-Demand vCPU resource count` (or the Spot one) in Service Quotas; `concurrency` of a "
        "job runs fewer at once",
    ),
    _reason(
        r"Spot",
        what="AWS took the Spot capacity back",
        remedy="make the job able to begin anew; `capacity: fargate` of the environment never interrupts",
    ),
    _reason(
        r"capacity",
        what="AWS has no free machine of that kind in these subnets for now",
        remedy="it passes; subnets in more availability zones find one sooner, and so does `capacity: fargate`",
    ),
    _reason(
        r"RESOURCE:(?P<resource>CPU|MEMORY|PORTS|GPU)",
        what="no machine of the cluster has enough {resource} left",
        remedy="let the cluster have more machines, or give job `{job}` less `cpu` and `memory`",
    ),
    _reason(
        r"\bAGENT\b",
        what="the machine's ECS agent does not answer",
        remedy=_AGAIN,
    ),
    _reason(
        r"\bATTRIBUTE\b|\bLOCATION\b|MemberOf",
        what="no machine of the cluster is of the kind, or in the zone, that the task needs",
        remedy="the cluster's machines must be in the environment's subnets, and able to do what the task wants",
    ),
    _reason(
        r"Host EC2|retired the machine|unwell",
        what="the machine that it was on went away",
        remedy=_AGAIN,
    ),
    _reason(
        r"throttl|rate exceeded",
        what="ECS was asked to start too many tasks at once",
        remedy="it passes; `concurrency` of the job, or `--parallel` of a backfill, starts fewer",
    ),
    # ---------------------------------------------------------------------------------- roles, definitions, the account
    _reason(
        r"service[- ]linked role",
        what="the account has used ECS never before, and AWS is still making its role for it",
        remedy="it passes in a minute; else `aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com`",
    ),
    _reason(
        r"unable to assume",
        what="ECS cannot take on a role of the task",
        remedy="right after a deploy it passes; else somebody changed the role: `wherry deploy` shows and mends it",
    ),
    _reason(
        r"No Fargate configuration|Invalid 'cpu'|Invalid 'memory'",
        what="Fargate has no size with that `cpu` and that `memory`",
        remedy="correct `cpu` and `memory` of job `{job}`: `wherry check` knows the sizes",
    ),
    _reason(
        r"task ?definition.*(?:inactive|not found|does not)|unable to describe task definition",
        what="the job's task definition is gone",
        remedy="`wherry deploy` makes it anew",
    ),
    _reason(
        r"cluster ?(?:was )?not ?found|ClusterNotFound|cluster.*inactive",
        what="the environment's cluster is gone",
        remedy="`wherry deploy` makes it anew",
    ),
    _reason(
        r"(?:subnet|security ?group|vpc).*(?:not exist|not found|NotFound)|InvalidSubnet|InvalidGroup",
        what="a subnet or security group of the environment is gone",
        remedy="correct `subnets` of the environment where it has some, then `wherry deploy`",
    ),
    _reason(
        r"overrides length|8192",
        what="what the run gives the task is too long: ECS takes 8,192 characters of command and variables",
        remedy="pass what is long as an object: put its key into the event",
    ),
    _reason(
        rf"ecs:RunTask|iam:PassRole|ecs:TagResource|States\.Permissions|(?:{_REFUSAL}).*ecs:",
        what="the state machine's role may not start the task",
        remedy="`wherry deploy` gives it the permission; a policy of the organisation may forbid it",
    ),
    # --------------------------------------------------------------------------------------------------------- the rest
    _reason(
        r"could not transition|timed out after waiting|RuntimeTimeout|DockerTimeout"
        r"|Cannot(?:Create|Inspect|Describe|Stop)Container|container status",
        what="the machine had trouble with the container",
        remedy="it mostly passes; when it comes again and again, look whether the image is very large",
    ),
    _reason(
        _PULL,
        what="the image could not be pulled",
        remedy="correct `image` of job `{job}`; the registry must answer from the task's subnets",
    ),
)

#: What the end of a job's own log gives away on AWS: pattern -> remedy.
LOG_SIGNS = (
    (
        r"AccessDenied|is not authorized to perform|403\)? ?(?:Forbidden|when calling)",
        "the job's role may not do that: name the bucket in `reads` or `writes` of job `{{job}}`, then `wherry deploy`",
    ),
    (
        r"NoCredentials|Unable to locate credentials|Unable to load (?:AWS )?credentials",
        "the task has no role: give the task definition a `taskRoleArn`, or leave it out and wherry makes one",
    ),
    (
        r"(?:Connect|Read) timeout on endpoint|Could not connect to the endpoint|ETIMEDOUT|Connection timed out",
        f"there is no way from the task's subnets to that service: {_WAY_OUT}",
    ),
)
#: What a signal means that nobody here sent: exit code -> remedy.
CODES = {
    137: "mostly a process of the job that took too much memory: raise `memory` of job `{job}`",
}
#: Of an end that nobody knows.
LOST = "Step Functions itself ended the run: look whether somebody has changed its machine or role (`wherry plan`)"
#: Of a task whose time was over before it had begun, where AWS says nothing more.
LATE = (
    "the start is in `timeout`, which counts from the call: if it rightly takes that long (a large image, no "
    "capacity), raise it for job `{job}`"
)

_SECRET_NAME = re.compile(
    r"secret:(?P<name>[\w/+=.@-]+?)(?:-[A-Za-z0-9]{6})?(?=[\s:,;'\"]|$)|parameter/(?P<parameter>[\w./-]+)"
)


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What AWS's words mean for one job."""

    what: str
    remedy: str


def never_began(outcome: Outcome | None) -> bool:
    """True for the outcome of an attempt in which the job itself never ran."""
    if outcome is None:
        return False
    is_late = outcome.ending is Ending.TIMED_OUT and outcome.reason.startswith(NOT_BEGUN)
    return is_late or outcome.ending is Ending.COULD_NOT_START


def meaning(said: str, job: str) -> Meaning | None:
    """What it means, None for what nobody has written down yet; `said` is AWS's reason, `job` the job's name."""
    for reason in REASONS:
        found = [re.search(sign, said, re.IGNORECASE | re.DOTALL) for sign in reason.signs]
        if all(found):
            groups = {name: text or "" for match in found if match for name, text in match.groupdict().items()}
            secret = _SECRET_NAME.search(said)
            name = (secret["name"] or secret["parameter"]) if secret else ""
            groups |= {"job": job, "secret": f" `{name}`" if name else ""}
            remedy = (
                reason.remedy.replace("NAME", name) if name and "secrets set NAME" in reason.remedy else reason.remedy
            )
            return Meaning(what=reason.what.format(**groups), remedy=remedy.format(**groups))
    return None
