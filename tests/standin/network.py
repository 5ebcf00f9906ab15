"""EC2: the default VPC leads to the internet, as AWS makes it (VPC User Guide, default VPC components)."""

from ministack.services import ec2


def install() -> None:
    theirs = ec2._init_defaults

    def made():
        theirs()
        routes = ec2._route_tables["rtb-00000001"]["Routes"]
        if not any(route["DestinationCidrBlock"] == "0.0.0.0/0" for route in routes):
            out = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": ec2._DEFAULT_IGW_ID, "State": "active"}
            routes.append({**out, "Origin": "CreateRoute"})

    ec2._init_defaults = made
