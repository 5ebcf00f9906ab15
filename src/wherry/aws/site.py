"""One environment on AWS: its job file, its names, its door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from wherry.aws.client import Aws
from wherry.aws.names import Names
from wherry.errors import NotFound, UserError
from wherry.model import Bucket, Environment, JobFile, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Site:
    """What everything that speaks to one environment needs."""

    jobfile: JobFile
    environment: Environment
    aws: Aws
    #: Gives the present moment, in UTC.
    clock: Callable[[], datetime]

    @cached_property
    def names(self) -> Names:
        """The names of all its parts; asks once whose account it is."""
        return Names(
            app=self.jobfile.app,
            environment=self.environment.name,
            account=self.aws.account,
            region=self.aws.region,
            partition=self.aws.partition,
        )

    def bucket_name(self, bucket: Bucket) -> str:
        """A bucket's physical name."""
        return self.names.bucket(bucket, self.environment)

    def bucket(self, name: str) -> str:
        """The physical name of a bucket that a person names by either of its names; raises NotFound."""
        buckets = self.jobfile.buckets
        if name in buckets:
            return self.bucket_name(buckets[name])
        if name in (self.bucket_name(bucket) for bucket in buckets.values()):
            return name
        raise NotFound(f"there is no bucket `{name}` in the job file", hint=did_you_mean(name, buckets))

    def not_deployed(self, job: str | None = None) -> UserError:
        """The error for what is not there yet."""
        name = self.environment.name
        what = f"environment `{name}` is not deployed" if job is None else f"job `{job}` is not deployed in `{name}`"
        return UserError(what, hint=f"`wherry deploy --env {name}` does it")
