"""CloudFormation acts with the permissions of whoever asked it, unless the stack has a role of its own.

MiniStack's acts as administrator. Here each step of a resource asks IAM about the caller first: for the actions that
AWS's schema names for it (handlers.py), on the resource that the Service Authorization Reference names (reference.py). Source: CloudFormation User Guide, "Control access with IAM".
"""

import contextvars

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from tests.standin.handlers import permissions
from tests.standin.reference import has_resource

#: Whose request is carried out: the access key, also in the task that a request has begun.
_key: contextvars.ContextVar[str] = contextvars.ContextVar("key", default="")
#: Access key -> what IAM was asked about its principal.
_asked: dict[str, list[tuple[str, str, dict]]] = {}
_PASSED_TO = {
    "AWS::ECS::TaskDefinition": "ecs-tasks.amazonaws.com",
    "AWS::StepFunctions::StateMachine": "states.amazonaws.com",
    "AWS::Events::Rule": "events.amazonaws.com",
    "AWS::Scheduler::Schedule": "scheduler.amazonaws.com",
    "AWS::Lambda::Function": "lambda.amazonaws.com",
    "AWS::IAM::InstanceProfile": "ec2.amazonaws.com",
}
#: Roles that AWS makes for itself, where their service is not called like the type.
_LINKED = {"applicationautoscaling": "ecs.application-autoscaling"}
#: IAM is asked for these about all subscriptions of an account.
_OF_SUBSCRIPTIONS = {"sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"}
#: Type -> the property with its name, and how an ARN spells that: `{}` is the name. Without a row: `*`.
_NAMED = {
    "AWS::ECR::Repository": ("RepositoryName", "ecr:R:A:repository/{}"),
    "AWS::S3::Bucket": ("BucketName", "s3:::{}"),
    "AWS::ECS::Cluster": ("ClusterName", "ecs:R:A:cluster/{}"),
    "AWS::ECS::ClusterCapacityProviderAssociations": ("Cluster", "ecs:R:A:cluster/{}"),
    "AWS::ECS::TaskDefinition": ("Family", "ecs:R:A:task-definition/{}:1"),
    "AWS::ECS::Service": ("ServiceName", "ecs:R:A:service/CLUSTER/{}"),
    "AWS::ApplicationAutoScaling::ScalableTarget": ("", "application-autoscaling:R:A:scalable-target/{}"),
    "AWS::ApplicationAutoScaling::ScalingPolicy": ("", "application-autoscaling:R:A:scalable-target/{}"),
    "AWS::ECS::CapacityProvider": ("Name", "ecs:R:A:capacity-provider/{}"),
    "AWS::Logs::LogGroup": ("LogGroupName", "logs:R:A:log-group:{}"),
    "AWS::IAM::Role": ("RoleName", "iam::A:role/{}"),
    "AWS::IAM::Policy": ("Roles", "iam::A:role/{}"),
    "AWS::IAM::InstanceProfile": ("InstanceProfileName", "iam::A:instance-profile/{}"),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", "states:R:A:stateMachine:{}"),
    "AWS::Events::Rule": ("Name", "events:R:A:rule/{}"),
    "AWS::Events::EventBus": ("Name", "events:R:A:event-bus/{}"),
    "AWS::Events::EventBusPolicy": ("EventBusName", "events:R:A:event-bus/{}"),
    "AWS::Scheduler::ScheduleGroup": ("Name", "scheduler:R:A:schedule-group/{}"),
    "AWS::Scheduler::Schedule": ("Name", "scheduler:R:A:schedule/GROUP/{}"),
    "AWS::SQS::Queue": ("QueueName", "sqs:R:A:{}"),
    "AWS::SQS::QueuePolicy": ("Queues", "sqs:R:A:{}"),
    "AWS::SNS::Topic": ("TopicName", "sns:R:A:{}"),
    "AWS::SNS::TopicPolicy": ("Topics", "sns:R:A:{}"),
    "AWS::SNS::Subscription": ("TopicArn", "sns:R:A:{}"),
    "AWS::CloudWatch::Alarm": ("AlarmName", "cloudwatch:R:A:alarm:{}"),
    "AWS::CloudWatch::Dashboard": ("DashboardName", "cloudwatch::A:dashboard/{}"),
    "AWS::Lambda::Function": ("FunctionName", "lambda:R:A:function:{}"),
    "AWS::Lambda::Permission": ("FunctionName", "lambda:R:A:function:{}"),
    "AWS::Lambda::Url": ("TargetFunctionArn", "lambda:R:A:function:{}"),
    "AWS::AutoScaling::AutoScalingGroup": (
        "AutoScalingGroupName",
        "autoscaling:R:A:autoScalingGroup:x:autoScalingGroupName/{}",
    ),
    "AWS::EC2::VPC": ("", "ec2:R:A:vpc/{}"),
    "AWS::EC2::Subnet": ("", "ec2:R:A:subnet/{}"),
    "AWS::EC2::InternetGateway": ("", "ec2:R:A:internet-gateway/{}"),
    "AWS::EC2::VPCGatewayAttachment": ("VpcId", "ec2:R:A:vpc/{}"),
    "AWS::EC2::RouteTable": ("", "ec2:R:A:route-table/{}"),
    "AWS::EC2::Route": ("RouteTableId", "ec2:R:A:route-table/{}"),
    "AWS::EC2::SubnetRouteTableAssociation": ("RouteTableId", "ec2:R:A:route-table/{}"),
    "AWS::EC2::SecurityGroup": ("", "ec2:R:A:security-group/{}"),
    "AWS::EC2::LaunchTemplate": ("", "ec2:R:A:launch-template/{}"),
}


class Denied(ValueError):
    """What a resource's status reason says."""


def install() -> None:
    def enforce(access_key, action, service, region, resource_arn="*", service_context=None):
        _key.set(access_key)
        if not iam_evaluator.is_root_access_key(access_key):
            _asked.setdefault(access_key, []).append((action, resource_arn, service_context or {}))
        return judge(access_key, action, service, region, resource_arn, service_context)

    judge, iam_evaluator.enforce = iam_evaluator.enforce, enforce
    for kind, handler in provisioners._RESOURCE_HANDLERS.items():
        for step in ("create", "update", "delete", "import"):
            if step in handler:
                handler[step] = _checked(kind, step, handler[step])


def asked(access_key: str) -> list[tuple[str, str, dict]]:
    """What IAM was asked about a principal, by its key: action, resource and condition keys."""
    return _asked.get(access_key, [])


def _checked(kind: str, step: str, theirs):
    def carried_out(*arguments, **more):
        if step == "create":
            logical_id, properties, stack = arguments[:3]
            physical_id = provisioners._physical_name(stack, logical_id, max_len=64)
        elif step == "import":
            physical_id, properties = next(iter(arguments[0].values())), arguments[0]
        else:
            physical_id, properties = arguments[0], arguments[2 if step == "update" else 1]
        # the model that a handler gives back is read; what is adopted is only read
        for part in {"delete": ("delete",), "import": ("read",)}.get(step, (step, "read")):
            for action in permissions(kind, part):
                _ask(kind, action, properties or {}, physical_id)
        return theirs(*arguments, **more)

    return carried_out


def _ask(kind: str, action: str, properties: dict, physical_id: str) -> None:
    """Raises Denied where the caller may not."""
    for resource, context in _resources(kind, action, properties, physical_id):
        if not may(key(), action, resource, context):
            arn = iam_evaluator.resolve_principal(key(), get_account_id()).arn
            raise Denied(
                f'Resource handler returned message: "User: {arn} is not authorized to perform: {action} on '
                f"resource: {resource} because no identity-based policy allows the {action} action (Service: X, Status "
                f'Code: 403, Request ID: x)" (RequestToken: x, HandlerErrorCode: AccessDenied)'
            )


def key() -> str:
    """The access key of the request that is carried out."""
    return _key.get()


def may(access_key: str, action: str, resource: str, context: dict | None = None) -> bool:
    """Whether the policies of a principal allow something."""
    principal = iam_evaluator.resolve_principal(access_key, get_account_id())
    if getattr(principal, "policies", None) is None:
        return isinstance(principal, iam_evaluator.PrincipalInfo)
    _asked.setdefault(access_key, []).append((action, resource, context or {}))
    question = iam_evaluator.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context={name.lower(): value for name, value in (context or {}).items()},
        principal_keys=principal.keys,
    )
    return iam_evaluator.evaluate(question, principal.policies, *principal.limits).decision == "Allow"


def _resources(kind: str, action: str, properties: dict, physical_id: str) -> list[tuple[str, dict]]:
    """What an action is asked about, with its condition keys."""
    account = get_account_id()
    if action == "iam:PassRole":
        passed = {"iam:PassedToService": _PASSED_TO.get(kind, "")}
        return [(role, passed) for role in sorted(_roles(properties))]
    if action == "iam:GetRole" and kind != "AWS::IAM::Role":
        return [(role, {}) for role in sorted(_roles(properties))]
    if action == "iam:CreateServiceLinkedRole":
        service = kind.split("::")[1].lower()
        service = f"{_LINKED.get(service, service)}.amazonaws.com"
        role = f"arn:aws:iam::{account}:role/aws-service-role/{service}/AWSServiceRoleFor"
        return [(role, {"iam:AWSServiceName": service})]
    if action.startswith("ssm:"):  # the image that a group's launch template names
        return [(f"arn:aws:ssm:{get_region()}::parameter/aws/service/ecs/optimized-ami", {})]
    if not has_resource(action):
        return [("*", {})]
    if action == "ec2:RunInstances":  # asked of a group that could launch one
        own = f"arn:aws:ec2:{get_region()}:{account}"
        return [(f"{own}:instance/*", {}), (f"arn:aws:ec2:{get_region()}::image/ami-0", {})]
    if action in _OF_SUBSCRIPTIONS:
        return [(f"arn:aws:sns:{get_region()}:{account}:*", {})]
    if kind == "AWS::ECS::CapacityProvider" and action.startswith("autoscaling:"):
        kind = "AWS::AutoScaling::AutoScalingGroup"
        physical_id = properties["AutoScalingGroupProvider"]["AutoScalingGroupArn"]
    name, arn = _NAMED.get(kind, ("", ""))
    given = properties.get(name) or physical_id
    found = [str(each).rsplit("/" if kind.startswith("AWS::SQS") else ":", 1)[-1] for each in _listed(given)]
    found = [each.removeprefix("instance-profile/") for each in found]
    if kind == "AWS::Events::Rule" and properties.get("EventBusName"):
        found = [f"{properties['EventBusName']}/{each}" for each in found]
    spelled = arn.replace(":R:", f":{get_region()}:").replace(":A:", f":{account}:")
    spelled = spelled.replace("GROUP", str(properties.get("GroupName", "default")))
    spelled = spelled.replace("CLUSTER", str(properties.get("Cluster", "default")).rpartition("/")[2])
    return [(f"arn:aws:{spelled.format(each)}" if arn else "*", _tags(properties, each)) for each in found]


def _tags(properties: dict, name: str) -> dict:
    """The tags of a resource: those that it is made with, the stack's among them, or that it has."""
    tags = ec2._tags.get(name) or properties.get("Tags") or []
    return {f"aws:ResourceTag/{each['Key']}": each["Value"] for each in tags} if isinstance(tags, list) else {}


def _roles(node) -> set[str]:
    """All roles that properties name."""
    if isinstance(node, str):
        return {node} if node.startswith("arn:aws:iam::") and ":role/" in node else set()
    if isinstance(node, dict):
        passed = {key: value for key, value in node.items() if key not in ("PolicyDocument", "Definition", "Input")}
        return set().union(*(_roles(each) for each in passed.values()))
    return set().union(*(_roles(each) for each in node)) if isinstance(node, list) else set()


def _listed(value) -> list:
    return value if isinstance(value, list) else [value]
