"""What security groups and network ACLs let through. Pure.

Source: VPC User Guide, "Security groups", "Network ACLs", "Ephemeral ports".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wherry.aws.verify.findings import Finding, ng, ok, skip

HTTPS = 443
ANYWHERE = "0.0.0.0/0"
FAILS = "a task that is launched here fails to run: "
#: A port that answers come back to.
_ANSWER = 49_152


def out_of(group: Mapping[str, Any]) -> Finding:
    """Whether a tasks' security group lets HTTPS out."""
    about = f"security group {group['GroupId']}"
    rules = [rule for rule in group.get("IpPermissionsEgress", ()) if _is_of_https(rule)]
    if any(_covers(rule, ANYWHERE) for rule in rules):
        return ok(about, "lets HTTPS out")
    if rules:
        return skip(about, "lets HTTPS out to some addresses alone: perhaps to those of the registry and the logs")
    return ng(about, f"{FAILS}it lets nothing out on port {HTTPS}", "allow outbound TCP 443: images and logs need it")


def lets_in(groups: Sequence[Mapping[str, Any]], block: str, ours: Iterable[str]) -> bool:
    """Whether an endpoint's groups let HTTPS in from a subnet or from tasks' groups; without groups: yes."""
    named = set(ours)
    rules = [rule for group in groups for rule in group.get("IpPermissions", ()) if _is_of_https(rule)]
    return not groups or any(_covers(rule, block) or _names(rule, named) for rule in rules)


def closed_by(acls: Iterable[Mapping[str, Any]], subnet: str) -> Finding | None:
    """What a subnet's network ACL forbids, where its rules for everybody say so."""
    for acl in acls:
        if not any(each.get("SubnetId") == subnet for each in acl.get("Associations", ())):
            continue
        for egress, port, way in ((True, HTTPS, "out to"), (False, _ANSWER, "back in from")):
            if not _allows(acl.get("Entries", ()), egress=egress, port=port):
                reason = f"{FAILS}the network ACL {acl['NetworkAclId']} lets nothing {way} the internet (port {port})"
                return ng(f"subnet {subnet}", reason, "allow TCP 443 out, and TCP 1024-65535 in")
    return None


def _allows(entries: Iterable[Mapping[str, Any]], *, egress: bool, port: int) -> bool:
    """What the first rule says that fits; one for some addresses alone is no rule for everybody, but may do."""
    for entry in sorted(entries, key=lambda each: int(each["RuleNumber"])):
        ports = entry.get("PortRange") or {}
        if bool(entry["Egress"]) is not egress or str(entry["Protocol"]) not in ("-1", "6"):
            continue
        if ports and not int(ports["From"]) <= port <= int(ports["To"]):
            continue
        is_allowed = entry["RuleAction"] == "allow"
        if is_allowed or entry.get("CidrBlock") == ANYWHERE:
            return bool(is_allowed)
    return False


def _is_of_https(rule: Mapping[str, Any]) -> bool:
    if str(rule["IpProtocol"]) == "-1":
        return True
    return rule["IpProtocol"] in ("tcp", "6") and int(rule["FromPort"]) <= HTTPS <= int(rule["ToPort"])


def _covers(rule: Mapping[str, Any], block: str) -> bool:
    wanted = ipaddress.IPv4Network(block)
    ranges = [ipaddress.IPv4Network(each["CidrIp"], strict=False) for each in rule.get("IpRanges", ())]
    return any(wanted.subnet_of(each) for each in ranges)


def _names(rule: Mapping[str, Any], groups: set[str]) -> bool:
    return any(pair.get("GroupId") in groups for pair in rule.get("UserIdGroupPairs", ()))
