"""Who calls, and what they may do: the folder's owner everything, a run what its job declares.

Credentials are derived from the folder's key, so that nothing needs to be stored and every process of the folder agrees
on them. A run's end is the end of its credentials.
"""

from __future__ import annotations

import base64
import functools
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from wherry import causes
from wherry.errors import Place
from wherry.gateway.errors import AwsError
from wherry.model import Job, JobFile

OWNER = "WHERRYOWNER000000000"
_RUN = "WRUN"
#: What SQS calls a denial.
_DENIED = "AccessDeniedException"
_BY_PEOPLE = "only the folder's owner may, as `wherry env` makes you"


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

    @property
    def user_id(self) -> str:
        """As STS tells it, and SQS of a sender: a run is its job's role, in a session of the run's name."""
        return f"AROAWHERRY:{self.run_id}" if self.run_id else "AIDAWHERRY"


def owner_credentials(key: bytes) -> tuple[str, str]:
    """Access key id and secret of the folder's owner."""
    return OWNER, _secret(key, OWNER)


def run_credentials(key: bytes, run_id: str) -> tuple[str, str]:
    """Access key id and secret of one run."""
    access_key_id = _RUN + run_id.upper()
    return access_key_id, _secret(key, access_key_id)


@functools.lru_cache(maxsize=256)
def _secret(key: bytes, access_key_id: str) -> str:
    digest = hmac.digest(key, access_key_id.encode(), "sha256")
    return base64.b64encode(digest[:30]).decode()


class Guard:
    """Knows callers by their access keys and decides what they may do."""

    def __init__(
        self,
        key: bytes,
        jobfile: Callable[[], JobFile],
        active_job: Callable[[str], Job | None],
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
        job = self._active_job(run_id)
        if job is None:
            raise AwsError("ExpiredToken", f"the credentials are those of run {run_id}, which has ended", 400)
        # What the job file says now; a run whose job was taken out of it goes on as it began.
        return Caller(run_id=run_id, job=self._jobfile.jobs.get(job.name, job))

    def may_read(self, caller: Caller, bucket: str, key: str | None = None) -> None:
        """Raise AccessDenied unless the caller may read the bucket, or (who takes messages of uploads) this object."""
        if caller.job and key is not None and self._is_fed(caller.job, bucket, key):
            return
        self._check(caller, "reads", bucket, caller.job.reads if caller.job else ())

    def may_write(self, caller: Caller, bucket: str) -> None:
        """Raise AccessDenied unless the caller may write the bucket."""
        self._check(caller, "writes", bucket, caller.job.writes if caller.job else ())

    def may_list(self, caller: Caller, bucket: str) -> None:
        """Raise AccessDenied unless the caller may list the bucket, and so learn whether an object is there."""
        if not (caller.job and self._is_fed(caller.job, bucket)):
            self.may_read(caller, bucket)

    def may_locate(self, caller: Caller, bucket: str) -> None:
        """Raise AccessDenied unless the caller may know where the bucket is."""
        if not (caller.job and self.name(bucket) in caller.job.writes):
            self.may_list(caller, bucket)

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
            400,
        )

    def may_emit(self, caller: Caller) -> None:
        """Raise AccessDenied unless the caller may put events on the bus."""
        job = caller.job
        if job is not None and not job.emits:
            what = f"job `{job.name}` may not put events on the bus"
            self._deny(caller, "AccessDeniedException", what, "add `emits: true`", "emits", 400)

    def may_send(self, caller: Caller, queue: str) -> None:
        """Raise AccessDenied unless the caller may send to the queue."""
        job = caller.job
        if queue not in self._jobfile.queues:
            self.is_owner(caller, f"send to queue `{queue}`")
        if job is None or queue in job.sends:
            return
        advice = f"add `{queue}` to its `sends`" if job.sends else f"add `sends: [{queue}]`"
        self._deny(caller, _DENIED, f"job `{job.name}` may not send to queue `{queue}`", advice, "sends")

    def may_take(self, caller: Caller, queue: str, has_them: Callable[[], bool] = lambda: False) -> None:
        """Raise AccessDenied unless the caller may receive, hide and delete the queue's messages.

        `has_them` is asked of one that may not, or not any more: it may be done with those that it has received.
        """
        job = caller.job
        if job is None or queue in causes.queues_of(job) or has_them():
            return
        if queue not in self._jobfile.queues:
            self.is_owner(caller, f"take messages of queue `{queue}`")
        taker = self._jobfile.taker(queue)
        if taker:
            advice = f"they are for job `{taker[0].name}`; a message is for one job, so make a queue for each"
        else:
            advice = f"add `- {{queue: {queue}, mode: self-polling}}` to its `on`"
        self._deny(caller, _DENIED, f"job `{job.name}` may not take messages of queue `{queue}`", advice, "on")

    def may_see_queue(self, caller: Caller, queue: str) -> None:
        """Raise AccessDenied unless the caller may know of the queue: it sends to it, or takes from it."""
        if not (caller.job and queue in causes.queues_of(caller.job)):
            self.may_send(caller, queue)

    def is_owner(self, caller: Caller, what: str, instead: str = _BY_PEOPLE, code: str = _DENIED) -> None:
        """Raise AccessDenied for runs: this is for people, who use `wherry env`; on AWS no job's role may it either."""
        if caller.job is None:
            return
        message = f"job `{caller.job.name}` may not {what}: {instead}"
        self.note(caller, message)
        raise AwsError(code, message, 403)

    def place(self, path: str) -> Place:
        """Where the job file says something."""
        return self._jobfile.place(path)

    def note(self, caller: Caller, message: str) -> None:
        """Keep with a run what it was told, for `wherry show`."""
        if caller.run_id is not None:
            # A client may name what is no text: half a surrogate pair cannot be kept.
            self._denied(caller.run_id, message.encode(errors="replace").decode())

    def _is_fed(self, job: Job, bucket: str, key: str | None = None) -> bool:
        """True when uploads of this key (or of some) become messages that the job takes."""
        return causes.is_fed(self._jobfile, job, self.name(bucket), key)

    def _check(self, caller: Caller, key: str, bucket: str, allowed: tuple[str, ...]) -> None:
        if caller.job is None:
            return
        name = self.name(bucket)
        if name in allowed:
            return
        verb = "read" if key == "reads" else "write to"
        advice = f"add `{name}` to its `{key}`" if allowed else f"add `{key}: [{name}]`"
        self._deny(caller, "AccessDenied", f"job `{caller.job.name}` may not {verb} bucket `{name}`", advice, key)

    def _deny(self, caller: Caller, code: str, what: str, advice: str, key: str, status: int = 403) -> None:
        assert caller.job is not None  # noqa: S101 - the owner is never denied
        place = self._jobfile.place(f"jobs.{caller.job.name}.{key}")
        message = f"{what}: {advice} ({place})"
        self.note(caller, message)
        raise AwsError(code, message, status)

    def name(self, bucket: str) -> str:
        """The job file's name of a bucket that clients know by its physical one."""
        known = self._jobfile.bucket_by_local_name(bucket)
        return known.name if known else bucket
