"""What an environment stands on besides its network, as AWS has it: the type of its instances, its event bus."""

from __future__ import annotations

from wherry.aws import buses, capacity
from wherry.aws.changes import Template
from wherry.aws.client import Aws, AwsError
from wherry.aws.instances import Instance, type_of
from wherry.aws.names import Names
from wherry.errors import NotFound, UserError
from wherry.model import Bus, Environment


def instance_of(aws: Aws, environment: Environment) -> Instance | None:
    """What EC2 says of the environment's instance type, None on Fargate; raises UserError where it is not to be had."""
    if not capacity.on_instances(environment):
        return None
    name = type_of(environment)
    try:
        found = aws.call("ec2", "describe_instance_types", InstanceTypes=[name])["InstanceTypes"][0]
    except AwsError as error:
        if error.code != "InvalidInstanceType":
            raise
        raise UserError(
            f"environment `{environment.name}`: {aws.region} has no instances of type `{name}`",
            hint="`aws ec2 describe-instance-types` lists those that it has; `instances: {type: ...}` names one",
        ) from None
    return Instance(
        type=name,
        vcpus=found["VCpuInfo"]["DefaultVCpus"],
        memory=found["MemoryInfo"]["SizeInMiB"],
        architecture=found["ProcessorInfo"]["SupportedArchitectures"][-1],  # `i386` stands before `x86_64`
    )


def has_bus(aws: Aws, bus: Bus) -> bool:
    """Whether the bus of this name is there; one of another account is that account's business."""
    if bus.is_elsewhere or bus.name == "default":
        return True
    try:
        aws.call("events", "describe_event_bus", Name=bus.name)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return False
        raise
    return True


def refuse_bus(names: Names, environment: Environment, deployed: Template, *, is_there: bool) -> None:
    """Raise UserError for a bus that cannot be what the job file says."""
    bus, where = environment.bus, f"environment `{environment.name}`"
    ours = deployed.get("Resources", {}).get("Bus", {}).get("Properties", {}).get("Name")
    if bus.is_elsewhere:
        _refuse_elsewhere(names, bus, where)
    elif bus.is_owned and is_there and ours != bus.name:
        raise UserError(
            f"{where}: there is an event bus `{bus.name}` already, and it is not this environment's",
            hint=f"`bus: {bus.name}` listens on it as it is; or choose another name",
        )
    elif not bus.is_owned and ours == bus.name:
        raise UserError(
            f"{where}: the event bus `{bus.name}` is its own, and goes when the job file does not make it any more",
            hint=f"write `bus: {{name: {bus.name}}}`, or use another bus",
        )
    elif not bus.is_owned and not is_there:
        raise NotFound(
            f"{where}: there is no event bus `{bus.name}` in {names.region}",
            hint=f"`bus: {{name: {bus.name}}}` makes one, or `aws events create-event-bus --name {bus.name}`",
        )


def _refuse_elsewhere(names: Names, bus: Bus, where: str) -> None:
    if buses.account_of(bus) == names.account:
        own = bus.name.partition("event-bus/")[2]
        raise UserError(f"{where}: the bus `{bus.name}` is this account's own", hint=f"write `bus: {own}`")
    if buses.region_of(bus) != names.region:
        raise UserError(
            f"{where}: the bus `{bus.name}` is not in {names.region}",
            hint="rules are made in the bus's own region: give the environment that one",
        )
