"""EC2 Auto Scaling and ECS capacity providers, as far as coming and going depends on them; no instance really runs.

MiniStack lets a protected instance go, deletes a provider that a cluster has, and invents what an instance type is.
Sources: EC2 Auto Scaling User Guide, "Use instance scale-in protection" (its activities say "all remaining instances are
protected from scale-in"); aws-cdk, issues 14732 and 19275 (what stacks say then); EC2 API Reference, DescribeInstanceTypes.
"""

from ministack.services import autoscaling, ec2, ecs
from ministack.services.cloudformation import provisioners

# type -> vCPUs, MiB, architecture (EC2 instance type specifications)
TYPES = {
    "m7i.large": (2, 8192, "x86_64"),
    "m7g.large": (2, 8192, "arm64"),
    "t3.small": (2, 2048, "x86_64"),
    "inf2.xlarge": (4, 16384, "x86_64"),
}


def install() -> None:
    autoscaling._reconcile_instances = _reconcile(autoscaling._reconcile_instances)
    autoscaling._ACTION_MAP |= {
        "SetInstanceProtection": _protect,
        "UpdateAutoScalingGroup": _updated(autoscaling._update_asg),
    }
    ec2._ACTION_MAP["DescribeInstanceTypes"] = _types(ec2._describe_instance_types)
    handlers = provisioners._RESOURCE_HANDLERS
    group = handlers["AWS::AutoScaling::AutoScalingGroup"]
    group["delete"] = _deleted(group["delete"])
    handlers["AWS::ECS::CapacityProvider"] = {
        "create": _provide,
        "update": lambda name, _old, _new, _stack: (name, {}),
        "delete": _withdraw,
    }


def _reconcile(theirs):
    """What is protected stays when a group shrinks."""

    def reconciled(group):
        kept = [each for each in group["Instances"] if each["ProtectedFromScaleIn"]]
        surplus = len(group["Instances"]) - group["DesiredCapacity"]
        if surplus > 0:
            free = [each for each in group["Instances"] if not each["ProtectedFromScaleIn"]]
            group["Instances"][:] = kept + free[surplus:]
        else:
            theirs(group)

    return reconciled


def _updated(theirs):
    def updated(params):
        group = autoscaling._asgs.get(autoscaling._p(params, "AutoScalingGroupName"))
        wanted = autoscaling._p(params, "NewInstancesProtectedFromScaleIn")
        if group and wanted:
            group["NewInstancesProtectedFromScaleIn"] = wanted == "true"
        return theirs(params)

    return updated


def _protect(params):
    group = autoscaling._asgs.get(autoscaling._p(params, "AutoScalingGroupName"))
    if not group:
        return autoscaling._error("ValidationError", "AutoScalingGroup name not found")
    named = autoscaling._parse_member_list(params, "InstanceIds")
    for instance in group["Instances"]:
        if instance["InstanceId"] in named:
            instance["ProtectedFromScaleIn"] = autoscaling._p(params, "ProtectedFromScaleIn") == "true"
    return autoscaling._xml(200, "SetInstanceProtectionResponse", "<SetInstanceProtectionResult/>")


def _deleted(theirs):
    """CloudFormation shrinks the group to none and waits; in vain where an instance is protected."""

    def deleted(name, props):
        held = [each["InstanceId"] for each in autoscaling._asgs.get(name, {}).get("Instances", ())]
        if held:
            raise ValueError(f"You cannot delete an AutoScalingGroup while there are instances: {held} are protected")
        theirs(name, props)

    return deleted


def _provide(_logical_id, props, _stack):
    """AWS::ECS::CapacityProvider; Ref is its name (resource schema)."""
    ecs._create_capacity_provider(provisioners._pascal_to_camel(props))
    return props["Name"], {}


def _withdraw(name, _props):
    if any(name in cluster["capacityProviders"] for cluster in ecs._clusters.values()):
        raise ValueError(
            "Invalid request provided: Cannot delete a capacity provider while it is associated with a cluster."
        )
    ecs._delete_capacity_provider({"capacityProvider": name})


def _types(theirs):
    def described(params):
        named = ec2._parse_member_list(params, "InstanceType")
        unknown = [each for each in named if each not in TYPES]
        if unknown:
            message = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
            return ec2._error("InvalidInstanceType", message, 400)
        status, headers, body = theirs(params)
        text = body.decode() if isinstance(body, bytes) else body
        return (
            status,
            headers,
            "<instanceType>".join(_corrected(part) for part in text.split("<instanceType>")).encode(),
        )

    return described


def _corrected(part: str) -> str:
    """One item of the answer, from its type's name on."""
    import re

    if (name := part.partition("<")[0]) not in TYPES:
        return part
    vcpus, memory, architecture = TYPES[name]
    part = re.sub(r"<defaultVCpus>\d+", f"<defaultVCpus>{vcpus}", part)
    part = re.sub(r"<memoryInfo><sizeInMiB>\d+", f"<memoryInfo><sizeInMiB>{memory}", part)
    return part.replace("<item>x86_64</item>", f"<item>{architecture}</item>")
