"""EC2: the default VPC leads to the internet; endpoints have security groups and private names.

As AWS makes them: VPC User Guide, "Default VPC components"; EC2 API Reference, CreateVpcEndpoint.
"""

from ministack.services import ec2


def install() -> None:
    _default_vpc()
    _endpoints()


def _default_vpc() -> None:
    theirs = ec2._init_defaults

    def made():
        theirs()
        routes = ec2._route_tables["rtb-00000001"]["Routes"]
        if not any(route["DestinationCidrBlock"] == "0.0.0.0/0" for route in routes):
            out = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": ec2._DEFAULT_IGW_ID, "State": "active"}
            routes.append({**out, "Origin": "CreateRoute"})

    ec2._init_defaults = made


def _endpoints() -> None:
    create, shown = ec2._create_vpc_endpoint, ec2._vpce_fields_xml

    def created(p):
        before = set(ec2._vpc_endpoints)
        answer = create(p)
        for made in set(ec2._vpc_endpoints) - before:
            record = dict(ec2._vpc_endpoints[made])
            record["Groups"] = ec2._parse_member_list(p, "SecurityGroupId")
            record["PrivateDnsEnabled"] = ec2._p(p, "PrivateDnsEnabled") == "true"
            ec2._vpc_endpoints[made] = record
        return answer

    def fields(endpoint, tag="item"):
        groups = "".join(f"<item><groupId>{each}</groupId></item>" for each in endpoint.get("Groups", ()))
        named = "true" if endpoint.get("PrivateDnsEnabled") else "false"
        more = f"<groupSet>{groups}</groupSet><privateDnsEnabled>{named}</privateDnsEnabled>"
        return shown(endpoint, tag).replace(f"</{tag}>", f"{more}</{tag}>")

    def described(p):
        """With filters by VPC."""
        vpcs = ec2._parse_filters(p).get("vpc-id", [])
        chosen = [each for each in ec2._vpc_endpoints.values() if not vpcs or each["VpcId"] in vpcs]
        items = "".join(fields(each) for each in chosen)
        return ec2._xml(200, "DescribeVpcEndpointsResponse", f"<vpcEndpointSet>{items}</vpcEndpointSet>")

    ec2._vpce_fields_xml = fields
    for name, handler in (("CreateVpcEndpoint", created), ("DescribeVpcEndpoints", described)):
        ec2._ACTION_MAP[name] = handler
