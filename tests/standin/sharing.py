"""Event buses that accounts share: their policies, events and rules that come from another account, buses as targets.

MiniStack keeps a policy and asks it nothing; an ARN of another account names nothing. Sources: EventBridge User Guide,
"Permissions for event buses" and "Sending and receiving events between AWS accounts"; API Reference, DescribeRule (a rule
on another account's bus has that account in its ARN, and `CreatedBy` says whose it is), PutEvents.
"""

import json

from ministack.core import iam_evaluator
from ministack.core.responses import (
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    new_uuid,
    request_scope,
)
from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners

from tests.standin import roles


class Refused(Exception):
    """What the other account's policy does not allow, in AWS's words."""


def install() -> None:
    for name, action in (
        ("_put_rule", "PutRule"),
        ("_delete_rule", "DeleteRule"),
        ("_describe_rule", "DescribeRule"),
        ("_put_targets", "PutTargets"),
        ("_remove_targets", "RemoveTargets"),
        ("_list_targets_by_rule", "ListTargetsByRule"),
    ):
        setattr(eventbridge, name, _of_rule(getattr(eventbridge, name), action))
    eventbridge._put_events = _events(eventbridge._put_events)
    eventbridge._put_permission = _permission(eventbridge._put_permission)
    eventbridge._dispatch_to_event_bus = _to_bus
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::Events::EventBusPolicy"] = {
        "create": _policy_made,
        "update": lambda sid, _old, new, _stack: _policy_made("", new, "") and (sid, {}),
        "delete": _policy_gone,
    }
    rule = handlers["AWS::Events::Rule"]
    rule["create"], rule["delete"] = _created(rule["create"]), _deleted(rule["delete"])


# policies


def _lets(bus: str, account: str, action: str, resource: str, **context: str) -> bool:
    """Whether the policy of a bus in this scope lets another account do something; its own account needs no leave."""
    statements = eventbridge._event_bus_policies.get(bus, {}).get("Statement", [])
    return account == get_account_id() or any(_matches(each, account, action, resource, context) for each in statements)


def _matches(statement: dict, account: str, action: str, resource: str, context: dict) -> bool:
    principal = statement["Principal"]
    named = [principal] if isinstance(principal, str) else _listed(principal.get("AWS"))
    asked = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:iam::{account}:root",
        principal_type="Account",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context=context,
        secure_transport=True,
    )
    return (
        bool({"*", account, f"arn:aws:iam::{account}:root"} & set(named))
        and iam_evaluator._action_matches(action, _listed(statement["Action"]), [])
        and iam_evaluator._resource_matches(resource, _listed(statement["Resource"]), [])
        and iam_evaluator._conditions_met(statement.get("Condition", {}), asked)
    )


def _listed(value) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _demand(bus: str, account: str, action: str, resource: str, **context: str) -> None:
    if not _lets(bus, account, action, resource, **context):
        raise Refused(
            f"User: arn:aws:iam::{account}:root is not authorized to perform: {action} on resource: {resource} "
            f"because no resource-based policy allows the {action} action"
        )


def _permission(theirs):
    """PutPermission takes one statement, or in `Policy` the whole policy."""

    def put(data):
        if "Policy" not in data:
            return theirs(data)
        eventbridge._event_bus_policies[data.get("EventBusName", "default")] = json.loads(data["Policy"])
        return json_response({})

    return put


def _policy_made(_logical_id, props, _stack):
    bus = props.get("EventBusName", "default")
    _policy_gone(props["StatementId"], props)
    policy = eventbridge._event_bus_policies.setdefault(bus, {"Version": "2012-10-17", "Statement": []})
    policy["Statement"].append({"Sid": props["StatementId"], **props["Statement"]})
    return props["StatementId"], {}


def _policy_gone(_statement_id, props) -> None:
    eventbridge._remove_permission(
        {"EventBusName": props.get("EventBusName", "default"), "StatementId": props["StatementId"]}
    )


# rules


def _where(name: str | None) -> tuple[str, str]:
    """The account and the name of a bus that is given by its name or its ARN."""
    if not (name or "").startswith("arn:"):
        return get_account_id(), name or "default"
    return name.split(":")[4], name.partition("event-bus/")[2]


def _of_rule(theirs, action: str):
    def called(data):
        caller = get_account_id()
        owner, bus = _where(data.get("EventBusName"))
        name = data.get("Name") or data.get("Rule")
        with request_scope(owner, get_region()):
            known = eventbridge._rules.get(eventbridge._rule_key(name, bus))
            creator = known.get("CreatedBy", owner) if known else caller
            try:
                arn = eventbridge._rule_arn(name, bus)
                _demand(bus, caller, f"events:{action}", arn, **{"events:creatoraccount": creator})
            except Refused as error:
                return error_response_json("AccessDeniedException", str(error), 400)
            answer = theirs({**data, "EventBusName": bus})
            if action == "PutRule" and answer[0] == 200:
                eventbridge._rules[eventbridge._rule_key(name, bus)]["CreatedBy"] = creator
            return answer

    return called


def _created(theirs):
    """AWS::Events::Rule on another account's bus: what CloudFormation calls, one after the other."""

    def created(logical_id, props, stack):
        if _where(props.get("EventBusName"))[0] == get_account_id():
            return theirs(logical_id, props, stack)
        name, bus = props["Name"], props["EventBusName"]
        pattern = props["EventPattern"]
        text = pattern if isinstance(pattern, str) else json.dumps(pattern)
        for call, data in (
            (eventbridge._put_rule, {"Name": name, "EventPattern": text, "State": props["State"]}),
            (eventbridge._put_targets, {"Rule": name, "Targets": props["Targets"]}),
        ):
            status, _, body = call({**data, "EventBusName": bus})
            if status != 200:
                raise ValueError(json.loads(body)["message"])
        return f"{bus.partition('event-bus/')[2]}|{name}", {}

    return created


def _deleted(theirs):
    def deleted(identifier, props):
        if _where(props.get("EventBusName"))[0] == get_account_id():
            return theirs(identifier, props)
        ids = [target["Id"] for target in props["Targets"]]
        eventbridge._remove_targets({"Rule": props["Name"], "EventBusName": props["EventBusName"], "Ids": ids})
        return eventbridge._delete_rule({"Name": props["Name"], "EventBusName": props["EventBusName"]})

    return deleted


# events


def _events(theirs):
    def put(data, *, allow_aws_source=False):
        caller, region = get_account_id(), get_region()
        if all(_where(entry.get("EventBusName"))[0] == caller for entry in data.get("Entries", ())):
            return theirs(data, allow_aws_source=allow_aws_source)
        results = []
        for entry in data["Entries"]:
            owner, bus = _where(entry.get("EventBusName"))
            with request_scope(owner, region):
                try:
                    _demand(bus, caller, "events:PutEvents", f"arn:aws:events:{region}:{owner}:event-bus/{bus}")
                except Refused as error:
                    return error_response_json("AccessDeniedException", str(error), 400)
                results.append({"EventId": _take(entry, bus, caller)})
        return json_response({"FailedEntryCount": 0, "Entries": results})

    return put


def _take(entry: dict, bus: str, sender: str) -> str:
    """An event of another account: it keeps the account that it is from."""
    event = {
        "EventId": new_uuid(),
        "Source": entry["Source"],
        "DetailType": entry["DetailType"],
        "Detail": entry["Detail"],
        "EventBusName": bus,
        "Time": int(eventbridge._now_ts()),
        "Resources": entry.get("Resources", []),
        "Account": sender,
        "Region": get_region(),
    }
    eventbridge._dispatch_event(event)
    return event["EventId"]


def _to_bus(spec, event, rule, event_path, _payload=None) -> None:
    """A bus as target: the rule's role puts the event there, which stays as it is, and goes to no third bus."""
    from tests.standin import events

    if event_path:
        return
    target, *_ = events.current()
    arn, bus = target["Arn"], spec.resource.split("/", 1)[1]
    try:
        keys = roles.credentials(target["RoleArn"], "events.amazonaws.com", "relay", rule["Arn"])
    except roles.NotAssumed as error:
        print(f"undelivered to {arn}: {error}", flush=True)
        return
    account = target["RoleArn"].split(":")[4]
    with request_scope(account, get_region()):
        denied = iam_evaluator.enforce(keys["AccessKeyId"], "events:PutEvents", "events", get_region(), arn)
    with request_scope(spec.account_id, spec.region):
        if denied or not _lets(bus, account, "events:PutEvents", arn):
            print(f"undelivered to {arn}: {denied or 'the policy of the bus'}", flush=True)
            return
        path = [*event_path, eventbridge._rule_key(rule["Name"], rule["EventBusName"])]
        eventbridge._dispatch_event({**event, "EventBusName": bus, "_DispatchPath": path})
