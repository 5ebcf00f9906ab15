"""Whether what tasks must reach can be reached from where they stand. Pure.

Source: VPC User Guide, "Route tables", PrivateLink Guide; ECS Developer Guide on Fargate's
task networking.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wherry.aws.verify import rules
from wherry.aws.verify.findings import Finding, ng, ok, skip
from wherry.aws.verify.network import Network
from wherry.aws.verify.rules import ANYWHERE, FAILS, HTTPS


def judge(network: Network | None) -> Iterator[Finding]:
    """The network, each subnet, and each security group."""
    if network is None:
        yield ok("network", "the stack makes a small one of its own, whose subnets lead out")
        return
    if not network.resolves:
        yield ng("network", f"{network.given.vpc} resolves no names", _attribute(network, "enable-dns-support"))
    for subnet in network.subnets:
        if subnet.get("AvailableIpAddressCount") == 0:
            yield ng(f"subnet {subnet['SubnetId']}", f"{FAILS}it has no free address left", "name another one as well")
        yield rules.closed_by(network.acls, subnet["SubnetId"]) or _way_out(network, subnet)
    for group in network.given.security_groups:
        yield rules.out_of(network.groups[group])


def _way_out(network: Network, subnet: Mapping[str, Any]) -> Finding:
    about = f"subnet {subnet['SubnetId']}"
    route = _default_route(_table_of(network, subnet["SubnetId"]))
    trouble, hint = _trouble_of_route(network, route)
    if trouble:
        return _by_endpoints(network, subnet, trouble, hint)
    target = next((str(route[key]) for key in _TARGETS if route.get(key)), "something else")
    if target.startswith("igw-"):
        return ok(about, f"leads out through {target}, and its tasks get public addresses")
    if target.startswith("nat-"):
        return ok(about, f"leads out through {target}")
    return skip(about, f"leads out through {target}, and who knows where")


#: What a route may lead to.
_TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "VpcPeeringConnectionId",
)


def _trouble_of_route(network: Network, route: Mapping[str, Any]) -> tuple[str, str]:
    """Why a default route leads nowhere, and what to do about it; empty: it does, or nobody can tell."""
    gateway, nat = str(route.get("GatewayId", "")), str(route.get("NatGatewayId", ""))
    if not route:
        return "it has no outbound access", ""
    if route.get("State") == "blackhole":
        return "its default route leads to something that is gone", ""
    if gateway.startswith("igw-") and not network.given.public_ip:
        hint = "write `public_ip: true`, or choose a subnet that leads out through a NAT gateway"
        return f"it leads out through {gateway}, and its tasks get no public address", hint
    trouble = _trouble_of_nat(network, nat) if nat else ""
    return (f"its NAT gateway {nat} {trouble}", "") if trouble else ("", "")


def _trouble_of_nat(network: Network, name: str) -> str:
    """Why a NAT gateway leads nowhere; empty: it does (VPC User Guide, "NAT gateways")."""
    nat = network.nats.get(name, {"State": "gone"})
    if nat["State"] != "available":
        return f"is {nat['State']}"
    if nat.get("ConnectivityType") == "private":
        return "is private: it leads to other networks alone"
    if not str(_default_route(_table_of(network, nat["SubnetId"])).get("GatewayId", "")).startswith("igw-"):
        return f"stands in {nat['SubnetId']}, which does not lead out itself"
    return ""


def _by_endpoints(network: Network, subnet: Mapping[str, Any], otherwise: str, hint: str = "") -> Finding:
    """A subnet that does not lead to the internet: endpoints may do."""
    about = f"subnet {subnet['SubnetId']}"
    if network.needs.elsewhere:
        images = ", ".join(f"`{image}`" for image in network.needs.elsewhere)
        reason = f"{FAILS}{otherwise}, and images come from elsewhere: {images}"
        return ng(about, reason, hint or "a NAT gateway leads out; images in ECR can be reached by VPC endpoints")
    troubles = {service: _trouble(network, subnet, service) for service in network.needs.services}
    missing = {service: trouble for service, trouble in troubles.items() if trouble}
    if not missing:
        return ok(about, f"reaches {', '.join(network.needs.services)} by VPC endpoints")
    if len(missing) == len(troubles):
        wanted = ", ".join(f"com.amazonaws.{network.region}.{service}" for service in missing)
        return ng(about, f"{FAILS}{otherwise}", hint or f"a NAT gateway leads out; or VPC endpoints for {wanted}")
    listed = "; ".join(missing.values())
    return ng(about, f"{FAILS}{otherwise}, and {listed}", hint or "the other VPC endpoints are there")


def _trouble(network: Network, subnet: Mapping[str, Any], service: str) -> str:
    """Why a service is not reached by an endpoint; empty: it is."""
    name = f"com.amazonaws.{network.region}.{service}"  # in China with `cn.` before it
    mine = [each for each in network.endpoints if each["ServiceName"].endswith(name) and _is_ready(each)]
    table = _table_of(network, subnet["SubnetId"]).get("RouteTableId")
    if any(each["VpcEndpointType"] == "Gateway" and table in each.get("RouteTableIds", ()) for each in mine):
        return ""
    gateways = [each for each in mine if each["VpcEndpointType"] == "Gateway"]
    private = [each for each in mine if each["VpcEndpointType"] == "Interface"]
    named = [each for each in private if each.get("PrivateDnsEnabled") and network.has_names]
    if any(_lets_in(network, each, subnet) for each in named):
        return ""
    if named:
        return f"the security groups of the endpoint {named[0]['VpcEndpointId']} let nothing in on port {HTTPS}"
    if private:
        return f"the endpoint {private[0]['VpcEndpointId']} ({service}) is not found by the service's name: private DNS"
    if gateways:
        return f"the endpoint {gateways[0]['VpcEndpointId']} ({service}) is not in the route table {table}"
    return f"there is no endpoint for {service}"


def _is_ready(endpoint: Mapping[str, Any]) -> bool:
    return str(endpoint.get("State", "")).lower() == "available"


def _lets_in(network: Network, endpoint: Mapping[str, Any], subnet: Mapping[str, Any]) -> bool:
    ids = [each["GroupId"] for each in endpoint.get("Groups", ())]
    theirs = [network.groups[each] for each in ids if each in network.groups]
    return rules.lets_in(theirs, subnet["CidrBlock"], network.given.security_groups)


def _table_of(network: Network, subnet: str) -> Mapping[str, Any]:
    """The route table of a subnet: its own, else the VPC's main one."""
    main: Mapping[str, Any] = {}
    for table in network.tables:
        for association in table.get("Associations", ()):
            if association.get("SubnetId") == subnet:
                return table
            if association.get("Main"):
                main = table
    return main


def _default_route(table: Mapping[str, Any]) -> Mapping[str, Any]:
    routes: Sequence[Mapping[str, Any]] = table.get("Routes", ())
    return next((route for route in routes if route.get("DestinationCidrBlock") == ANYWHERE), {})


def _attribute(network: Network, name: str) -> str:
    return f"`aws ec2 modify-vpc-attribute --vpc-id {network.given.vpc} --{name}` switches it on"
