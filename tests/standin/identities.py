"""IAM: ECS's own role has its name; a simulation knows the condition keys that it is given.

Source: ECS Developer Guide, "Using service-linked roles"; IAM API Reference, SimulatePrincipalPolicy.
"""

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam

_THEIRS, _NAME = "AWSServiceRoleForEcs", "AWSServiceRoleForECS"


def install() -> None:
    create = iam._create_service_linked_role

    def linked(p):
        if iam._p(p, "AWSServiceName") == "ecs.amazonaws.com" and _NAME in iam._roles:
            message = f"Service role name {_NAME} has been taken in this account, please try a different suffix."
            return iam._error(400, "InvalidInput", message, ns="iam")
        status, headers, body = create(p)
        role = iam._roles.pop(_THEIRS, None)
        if role:
            iam._roles[_NAME] = {**role, "RoleName": _NAME, "Arn": role["Arn"].replace(_THEIRS, _NAME)}
        return status, headers, body.replace(_THEIRS.encode(), _NAME.encode())

    iam._IAM_HANDLERS["CreateServiceLinkedRole"] = linked
    iam._IAM_HANDLERS["SimulatePrincipalPolicy"] = simulated


def simulated(p):
    """One action, one resource: that is all that anybody asks here."""
    kind, _, name = iam._p(p, "PolicySourceArn").rsplit(":", 1)[1].partition("/")
    gather = iam_evaluator._gather_user_policies if kind == "user" else iam_evaluator._gather_role_policies
    key = iam._p(p, "ContextEntries.member.1.ContextKeyName").lower()
    action, resource = iam._p(p, "ActionNames.member.1"), iam._p(p, "ResourceArns.member.1") or "*"
    question = iam_evaluator.EvalContext(
        principal_arn=iam._p(p, "PolicySourceArn"),
        principal_type=kind.capitalize(),
        principal_account=get_account_id(),
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context={key: iam._p(p, "ContextEntries.member.1.ContextKeyValues.member.1")} if key else {},
        principal_keys={},
    )
    decided = iam_evaluator.evaluate(question, gather(name, get_account_id())).decision
    decision = {"Allow": "allowed", "Deny": "explicitDeny"}.get(decided, "implicitDeny")
    member = (
        f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>"
        f"<EvalDecision>{decision}</EvalDecision></member>"
    )
    inner = f"<EvaluationResults>{member}</EvaluationResults><IsTruncated>false</IsTruncated>"
    whole = f"<SimulatePrincipalPolicyResult>{inner}</SimulatePrincipalPolicyResult>"
    return iam._xml(200, "SimulatePrincipalPolicyResponse", whole, ns="iam")
