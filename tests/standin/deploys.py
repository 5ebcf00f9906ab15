"""CloudFormation: resource types that MiniStack lacks, properties that it loses, definitions that it does not read."""

import json

from ministack.core.responses import get_account_id, get_region
from ministack.services import ecs, s3, scheduler
from ministack.services import stepfunctions as sfn
from ministack.services.cloudformation import provisioners
from ministack.services.cloudformation.handlers import _ACTION_HANDLERS

from tests.standin.left_out import LEFT_OUT

# createOnly of the resource provider schemas (bundled with cfn-lint 1.58) where MiniStack has none: it says
# Replacement "Conditional" of these types, whatever changes
CREATE_ONLY = {
    "AWS::EC2::InternetGateway": (),
    "AWS::EC2::Route": ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId"),
    "AWS::EC2::RouteTable": ("VpcId",),
    "AWS::EC2::SecurityGroup": ("GroupDescription", "GroupName", "VpcId"),
    "AWS::EC2::Subnet": ("VpcId", "AvailabilityZone", "AvailabilityZoneId", "CidrBlock"),
    "AWS::EC2::SubnetRouteTableAssociation": ("SubnetId", "RouteTableId"),
    "AWS::EC2::VPC": ("CidrBlock", "Ipv4IpamPoolId", "Ipv4NetmaskLength"),
    "AWS::EC2::VPCGatewayAttachment": ("VpcId",),
    "AWS::ECS::Cluster": ("ClusterName",),
    "AWS::ECS::ClusterCapacityProviderAssociations": ("Cluster",),
    "AWS::ECS::TaskDefinition": (
        "Family", "ContainerDefinitions", "Cpu", "EnableFaultInjection", "ExecutionRoleArn", "Memory", "NetworkMode",
        "PlacementConstraints", "ProxyConfiguration", "RequiresCompatibilities", "RuntimePlatform", "TaskRoleArn",
        "Volumes", "PidMode", "IpcMode", "EphemeralStorage",
    ),
    "AWS::Events::EventBus": ("Name",),
    "AWS::Events::Rule": ("Name",),
    "AWS::IAM::Policy": (),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::S3::BucketPolicy": ("Bucket",),
    "AWS::SNS::Subscription": ("Endpoint", "Protocol", "TopicArn"),
    "AWS::SNS::TopicPolicy": (),
    "AWS::SQS::QueuePolicy": (),
    "AWS::Scheduler::Schedule": ("Name",),
}  # fmt: skip


def install() -> None:
    for kind, names in CREATE_ONLY.items():
        provisioners._REPLACING_PROPERTIES.setdefault(kind, names)
    for action, token in (("CreateChangeSet", "ClientToken"), ("ExecuteChangeSet", "ClientRequestToken")):
        _ACTION_HANDLERS[action] = _repeatable(_ACTION_HANDLERS[action], token)
    handlers = provisioners._RESOURCE_HANDLERS
    for kind in LEFT_OUT:
        handlers.setdefault(kind, _inert(kind))
    handlers["AWS::ECS::ClusterCapacityProviderAssociations"] = {
        "create": _associate,
        "update": lambda _id, _old, new, stack: _associate("", new, stack),
        # what is left is none, also of those that the cluster itself had named
        "delete": lambda _id, props: _associate("", {**props, "CapacityProviders": []}, ""),
    }
    # CloudFormation hands a stack's tags on to its buckets (User Guide, "Resource tag")
    provisioners._STACK_TAG_PROPERTY["AWS::S3::Bucket"] = ("Tags", "list")
    bucket = handlers["AWS::S3::Bucket"]
    for step in ("create", "update"):
        bucket[step] = _tagged(bucket[step])
    alarm = handlers["AWS::CloudWatch::Alarm"]
    for step in ("create", "update"):
        alarm[step] = _without_math(alarm[step], _inert("AWS::CloudWatch::Alarm")[step])
    definition = handlers["AWS::ECS::TaskDefinition"]
    definition["create"], definition["update"] = _spelled(definition["create"]), _spelled(definition["update"])
    schedule = handlers["AWS::Scheduler::Schedule"]
    schedule["create"], schedule["update"] = _whole(schedule["create"]), _whole(schedule["update"])
    service = handlers["AWS::ECS::Service"]
    service["update"] = _forced(service["update"])
    machine = handlers["AWS::StepFunctions::StateMachine"]
    machine["create"], machine["update"] = _read(machine["create"]), _read(machine["update"])


def _tagged(theirs):
    """A bucket gets the tags of its properties, which is all that is before the last argument."""

    def tagged(*arguments):
        name, attributes = theirs(*arguments)
        s3._bucket_tags[name] = {tag["Key"]: tag["Value"] for tag in arguments[-2].get("Tags", ())}
        return name, attributes

    return tagged


def _without_math(theirs, inert):
    """An alarm of an expression is taken and does nothing (`left_out`); MiniStack refuses it."""

    def made(*arguments, **more):
        props = [each for each in arguments if isinstance(each, dict)][-1]
        return (inert if "Metrics" in props else theirs)(*arguments, **more)

    return made


def _repeatable(handler, token):
    """A request that is repeated with its token is the same request (API_CreateChangeSet, API_ExecuteChangeSet)."""
    answers = {}

    def answered(params):
        key = (get_account_id(), *params.get(token, ()))
        if len(key) == 1:
            return handler(params)
        if key not in answers:
            answers[key] = handler(params)
        return answers[key]

    return answered


def _spelled(handler):
    """Container definitions in the API's camelCase to their depths (`DependsOn[].ContainerName`), as AWS has them."""

    def spelled(*arguments):
        answer = handler(*arguments)
        properties = next(each for each in reversed(arguments) if isinstance(each, dict))
        for key, made in list(ecs._task_defs.items()):
            if made.get("taskDefinitionArn") == answer[0]:
                made["containerDefinitions"] = _camel(properties.get("ContainerDefinitions", []))
                ecs._task_defs[key] = made
        return answer

    return spelled


def _camel(node):
    if isinstance(node, list):
        return [_camel(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name[:1].lower() + name[1:]: value if name in ("Options", "DockerLabels") else _camel(value)
        for name, value in node.items()
    }


def _inert(kind: str) -> dict:
    def create(logical_id, _props, stack):
        name = f"{stack}-{logical_id}"
        arn = f"arn:aws:{kind.split('::')[1].lower()}:{get_region()}:{get_account_id()}:{name}"
        return name, {"Arn": arn}

    return {
        "create": create,
        "update": lambda identifier, _old, _new, _stack: (identifier, {}),
        "delete": lambda *_: None,
    }


def _associate(_logical_id, props, _stack):
    """AWS::ECS::ClusterCapacityProviderAssociations; Ref is the cluster's name (resource schema)."""
    cluster = ecs._clusters[ecs._resolve_cluster_name(props["Cluster"])]
    strategy = provisioners._pascal_to_camel(props["DefaultCapacityProviderStrategy"])
    cluster |= {"capacityProviders": props["CapacityProviders"], "defaultCapacityProviderStrategy": strategy}
    return props["Cluster"], {}


def _whole(theirs):
    """A schedule keeps its time zone, its end and the rest; MiniStack's handler knows six properties."""

    def made(*arguments, **more):
        props = next(a for a in reversed(arguments) if isinstance(a, dict))
        name, attributes = theirs(*arguments, **more)
        record = scheduler._schedules[f"{props.get('GroupName', 'default')}/{name}"]
        for field in ("ScheduleExpressionTimezone", "StartDate", "EndDate", "State", "Target"):
            if field in props:
                record[field] = props[field]
        return name, attributes

    return made


def _forced(theirs):
    """A service's strategy changes with a forced deployment alone (the words as in aws/aws-cdk#36563)."""

    def updated(identifier, old, new, stack):
        force = new.get("ForceNewDeployment", {})
        is_forced = force.get("EnableForceNewDeployment") and force != old.get("ForceNewDeployment")
        if old.get("CapacityProviderStrategy") != new.get("CapacityProviderStrategy") and not is_forced:
            raise ValueError(
                "Invalid request provided: When switching from launch type to capacity provider strategy on an existing "
                "service, or making a change to a capacity provider strategy on a service that is already using one, "
                "you must force a new deployment."
            )
        answer = theirs(identifier, old, new, stack)
        if is_forced and old.get("TaskDefinition") == new.get("TaskDefinition"):
            ecs._update_service({"cluster": new["Cluster"], "service": new["ServiceName"], "forceNewDeployment": True})
        return answer

    return updated


def _read(theirs):
    """A definition that is no state machine fails its resource (CreateStateMachine: InvalidDefinition)."""

    def made(*arguments, **more):
        props = next(a for a in reversed(arguments) if isinstance(a, dict))
        wrong = faults(provisioners._sfn_definition(props))
        if wrong:
            raise provisioners._sfn_handler_error(
                f"Invalid State Machine Definition: '{wrong}' (Service: Sfn, Status Code: 400)"
            )
        return theirs(*arguments, **more)

    return made


def faults(text: str) -> str:
    """The first of: no JSON, a state that is missing, unreachable, or has no way on; a malformed expression."""
    try:
        definition = json.loads(text)
    except ValueError as error:
        return f"INVALID_JSON_DESCRIPTION: {error}"
    states = definition.get("States", {})
    seen, left = set(), [definition.get("StartAt")]
    while left:
        name = left.pop()
        if name not in states:
            return f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {name}"
        if name not in seen:
            seen.add(name)
            state = states[name]
            ways = [state["Next"]] if "Next" in state else []
            ways += [state["Default"]] if "Default" in state else []
            ways += [rule["Next"] for rule in (*state.get("Choices", []), *state.get("Catch", []))]
            if not ways and not state.get("End") and state["Type"] not in ("Succeed", "Fail"):
                return f"SCHEMA_VALIDATION_FAILED: neither Next nor End at /States/{name}"
            left += ways
    unreachable = sorted(states.keys() - seen)
    if unreachable:
        return f'MISSING_TRANSITION_TARGET: State "{unreachable[0]}" is not reachable'
    return sfn._validate_definition_jsonata(text) or ""
