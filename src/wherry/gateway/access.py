"""Who calls, and what they may do: the folder's owner everything, a run what its job declares.

Credentials are derived from the folder's key, so that nothing needs to be stored and every process of the folder agrees
on them. A run's end is the end of its credentials.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from wherry.gateway.errors import AwsError
from wherry.model import Job, JobFile

OWNER = "WHERRYOWNER000000000"
_RUN = "WRUN"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who sent a request: a run, or (with neither) the owner of the folder."""

    run_id: str | None = None
    job: Job | None = None

    @property
    def arn(self) -> str:
        """As STS tells it."""
        if self.job is None:
            return "arn:aws:iam::000000000000:user/wherry"
        return f"arn:aws:sts::000000000000:assumed-role/{self.job.name}/{self.run_id}"


def owner_credentials(key: bytes) -> tuple[str, str]:
    """Access key id and secret of the folder's owner."""
    return OWNER, _secret(key, OWNER)


def run_credentials(key: bytes, run_id: str) -> tuple[str, str]:
    """Access key id and secret of one run."""
    access_key_id = _RUN + run_id.upper()
    return access_key_id, _secret(key, access_key_id)


def _secret(key: bytes, access_key_id: str) -> str:
    digest = hmac.new(key, access_key_id.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest[:30]).decode()


class Guard:
    """Knows callers by their access keys and decides what they may do."""

    def __init__(
        self,
        key: bytes,
        jobfile: Callable[[], JobFile],
        active_job: Callable[[str], str | None],
        denied: Callable[[str, str], None],
    ) -> None:
        self._key = key
        self._current = jobfile
        self._active_job = active_job
        self._denied = denied

    @property
    def _jobfile(self) -> JobFile:
        """Asked at each call: the file may be changed while the engine runs."""
        return self._current()

    def secret_of(self, access_key_id: str) -> str:
        """The secret of an access key; raises AwsError for a key that is not one of this folder's."""
        if access_key_id != OWNER and not access_key_id.startswith(_RUN):
            raise AwsError(
                "InvalidAccessKeyId",
                f'the access key `{access_key_id}` is not of this engine; `eval "$(wherry env)"` sets the right one',
                403,
            )
        return _secret(self._key, access_key_id)

    def caller(self, access_key_id: str) -> Caller:
        """Who owns a verified access key; raises AwsError when the run has ended."""
        if access_key_id == OWNER:
            return Caller()
        run_id = access_key_id.removeprefix(_RUN).lower()
        name = self._active_job(run_id)
        if name is None or name not in self._jobfile.jobs:
            raise AwsError("ExpiredToken", f"the credentials are those of run {run_id}, which has ended", 400)
        return Caller(run_id=run_id, job=self._jobfile.jobs[name])

    def may_read(self, caller: Caller, bucket: str) -> None:
        """Raise AccessDenied unless the caller may read the bucket."""
        self._check(caller, "reads", bucket, caller.job.reads if caller.job else ())

    def may_write(self, caller: Caller, bucket: str) -> None:
        """Raise AccessDenied unless the caller may write the bucket."""
        self._check(caller, "writes", bucket, caller.job.writes if caller.job else ())

    def may_see(self, caller: Caller, bucket: str) -> None:
        """Raise AccessDenied unless the caller may know that the bucket exists."""
        job = caller.job
        if job and self.name(bucket) not in (*job.reads, *job.writes):
            self.may_read(caller, bucket)

    def may_get_secret(self, caller: Caller, name: str) -> None:
        """Raise AccessDenied unless the secret is one of the caller's job."""
        job = caller.job
        if job is None or name in job.secrets.values():
            return
        variable = "".join(character if character.isalnum() else "_" for character in name).upper()
        self._deny(
            caller,
            "AccessDeniedException",
            f"job `{job.name}` may not read the secret `{name}`",
            f"add `secrets: {{{variable}: {name}}}`" if not job.secrets else f"add `{variable}: {name}` to `secrets`",
            "secrets",
        )

    def may_invoke(self, caller: Caller, name: str) -> None:
        """Raise AccessDenied for runs: on AWS their roles may not invoke functions either."""
        job = caller.job
        if job is None:
            return
        message = (
            f"job `{job.name}` may not invoke `{name}`: let that job run `after` this one, or put an event on the bus"
        )
        self.note(caller, message)
        raise AwsError("AccessDeniedException", message, 403)

    def note(self, caller: Caller, message: str) -> None:
        """Keep with a run what it was told, for `wherry show`."""
        if caller.run_id is not None:
            self._denied(caller.run_id, message)

    def _check(self, caller: Caller, key: str, bucket: str, allowed: tuple[str, ...]) -> None:
        if caller.job is None:
            return
        name = self.name(bucket)
        if name in allowed:
            return
        verb = "read" if key == "reads" else "write to"
        advice = f"add `{name}` to its `{key}`" if allowed else f"add `{key}: [{name}]`"
        self._deny(caller, "AccessDenied", f"job `{caller.job.name}` may not {verb} bucket `{name}`", advice, key)

    def _deny(self, caller: Caller, code: str, what: str, advice: str, key: str) -> None:
        assert caller.job is not None  # noqa: S101 - the owner is never denied
        place = self._jobfile.place(f"jobs.{caller.job.name}.{key}")
        message = f"{what}: {advice} ({place})"
        self.note(caller, message)
        raise AwsError(code, message, 403 if code == "AccessDenied" else 400)

    def name(self, bucket: str) -> str:
        """The job file's name of a bucket that clients know by its physical one."""
        known = self._jobfile.bucket_by_local_name(bucket)
        return known.name if known else bucket
