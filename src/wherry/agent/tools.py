"""What the parts of a worker share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wherry.agent.command import Bell
from wherry.agent.job import Job
from wherry.agent.records import Records
from wherry.agent.services import S3, Sqs
from wherry.agent.settings import Settings


class Tools(NamedTuple):
    """What a worker works with."""

    settings: Settings
    bell: Bell
    sqs: Sqs
    s3: S3
    job: Job
    records: Records
    #: Where this task is, and where it logs.
    place: Mapping[str, str]
