"""An environment as plain CloudFormation: the same templates, with parameters for what an account gives. Pure.

The stacks, logical ids and names are those of a deploy, so what is ejected takes over an environment that is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherry.aws import tasks
from wherry.aws.compile import Template, base_template, compile_template, logical_ids
from wherry.aws.given import Given, GivenNetwork
from wherry.aws.names import Names
from wherry.model import Environment, JobFile

_VPC = {"Type": "AWS::EC2::VPC::Id", "Description": "where the tasks' security group is made"}
_SUBNETS = {
    "Type": "List<AWS::EC2::Subnet::Id>",
    "Description": "where the tasks stand; from there a registry of images must be reached",
}
#: Stand for parameters until these are put in: no value of a template can be one of them.
_OF_VPC, _OF_SUBNET = "\0vpc", "\0subnet"


@dataclass(frozen=True, kw_only=True)
class Ejected:
    """Both templates, and what the main one asks for."""

    base: Template
    main: Template
    #: Job -> the parameter that names its image, of jobs whose images are built.
    images: Mapping[str, str]
    #: Parameters of the network: `Vpc`, `Subnets`, or none.
    network: Sequence[str]


def ejected(jobfile: JobFile, environment: Environment) -> Ejected:
    """Compile it; asks nobody. Raises Unsupported naming every part of the job file that AWS cannot express."""
    ids = logical_ids(jobfile)
    given = _network(environment)
    built = {job.name: f"{ids[job.name]}Image" for job in jobfile.jobs.values() if tasks.builds_image(job)}
    main = compile_template(jobfile, environment, Given(images={job: f"\0{job}" for job in built}, network=given))
    values: list[tuple[Any, Any]] = [(f"\0{job}", {"Ref": parameter}) for job, parameter in built.items()]
    parameters: dict[str, Any] = {}
    if given and given.vpc == _OF_VPC and not given.security_groups:
        parameters["Vpc"] = _VPC
        values.append((_OF_VPC, {"Ref": "Vpc"}))
    if given and _OF_SUBNET in given.subnets:
        parameters["Subnets"] = _SUBNETS
        values.append(([_OF_SUBNET], {"Ref": "Subnets"}))
    network = list(parameters)
    for job, parameter in built.items():
        parameters[parameter] = {"Type": "String", "Description": f"the image of job {job}, best by its digest"}
    head = {key: main[key] for key in main if key != "Resources"} | ({"Parameters": parameters} if parameters else {})
    return Ejected(
        base=base_template(jobfile, environment),
        main=head | {"Resources": _with(main["Resources"], values)},
        images=built,
        network=network,
    )


def _network(environment: Environment) -> GivenNetwork | None:
    """What the job file says of the network; what it leaves to the account becomes a parameter."""
    wanted = environment.network
    if wanted.which == "own":
        return None
    return GivenNetwork(
        vpc=_OF_VPC,
        subnets=wanted.subnets or (_OF_SUBNET,),
        security_groups=wanted.security_groups,
        public_ip=wanted.public_ip,
    )


def _with(node: Any, values: Sequence[tuple[Any, Any]]) -> Any:
    """The same with new values in place of old ones."""
    for old, new in values:
        if node == old:
            return new
    if isinstance(node, dict):
        return {key: _with(value, values) for key, value in node.items()}
    return [_with(value, values) for value in node] if isinstance(node, list) else node


def names_of_environment(jobfile: JobFile, environment: Environment) -> Names:
    """Its names, with the shell's variables of the handbook for what only the account knows."""
    return Names(
        app=jobfile.app, environment=environment.name, account="$account", region="$AWS_REGION", partition="$partition"
    )
