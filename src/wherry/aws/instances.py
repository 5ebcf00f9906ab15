"""EC2 instances as ECS sees them: what there is of one for tasks. Pure.

Sources: EC2 instance type specifications (2026-11); ECS Developer Guide, "Reserving Amazon ECS Linux container instance
memory": an agent offers 1,024 units for each vCPU, and of the memory what kernel and hypervisor have left.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wherry.aws.sizes import Size
from wherry.model import Environment

#: What the agent keeps back for itself and the system, in MiB (ECS_RESERVED_MEMORY).
RESERVED = 256
_DEFAULT = {"linux/amd64": "m7i.large", "linux/arm64": "m7g.large"}
_ARCHITECTURES = {"linux/amd64": "x86_64", "linux/arm64": "arm64"}
#: Families whose sizes follow a rule: what begins a name -> GiB for each vCPU. Others are asked of EC2.
_BY_RULE = re.compile(r"([cmr])[5-8](?:[aig]d?|in|d|i-flex)?\.(medium|large|(\d*)xlarge)")
_GIB = {"c": 2, "m": 4, "r": 8}
_BURSTABLE = re.compile(r"t(?:3|3a|4g)\.(\w+)")
#: Size of a burstable type -> vCPUs and GiB.
_BURSTABLE_SIZES = {
    "micro": (2, 1),
    "small": (2, 2),
    "medium": (2, 4),
    "large": (2, 8),
    "xlarge": (4, 16),
    "2xlarge": (8, 32),
}


class Instance(NamedTuple):
    """An instance type."""

    type: str
    vcpus: int
    #: MiB, as AWS advertises it.
    memory: int
    #: `x86_64` or `arm64`, as EC2 says it.
    architecture: str

    @property
    def room(self) -> Size:
        """What there is for tasks.

        How much kernel and hypervisor take differs between types (an m4.large of 8,192 MiB offers 7,985); 7% and 64 MiB
        is more than any of them, so that what fits here fits there.
        """
        return Size(self.vcpus * 1024, self.memory * 93 // 100 - 64 - RESERVED)

    def runs(self, platform: str) -> bool:
        """Whether images for a platform (`linux/amd64`) run on it."""
        return self.architecture == _ARCHITECTURES[platform]


def type_of(environment: Environment) -> str:
    """The instance type of an environment."""
    return environment.instances.type or _DEFAULT[environment.platform]


def known(type_name: str) -> Instance | None:
    """What a type is by its name alone; None where only EC2 can tell."""
    architecture = "arm64" if re.match(r"[a-z]+\d+g", type_name) else "x86_64"
    if found := _BY_RULE.fullmatch(type_name):
        family, size, times = found.groups()
        vcpus = {"medium": 1, "large": 2}.get(size) or 4 * int(times or 1)
        return Instance(type_name, vcpus, vcpus * _GIB[family] * 1024, architecture)
    if (found := _BURSTABLE.fullmatch(type_name)) and found[1] in _BURSTABLE_SIZES:
        vcpus, gib = _BURSTABLE_SIZES[found[1]]
        return Instance(type_name, vcpus, gib * 1024, architecture)
    return None
