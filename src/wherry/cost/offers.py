"""Prices out of AWS's price list files.

The form of a file is that of "Reading the service price list file for an AWS service" in the AWS Billing User Guide:
`products` by SKU, `terms.OnDemand` by the same SKU. Usage types begin with a region's prefix (`EUC1-`) or, in some
services of us-east-1, with none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from wherry.cost.table import unit_of

#: Service -> usage type without its prefix -> price. NAT gateways are not among them: they stand in the list of EC2,
#: which has hundreds of megabytes. Public addresses and Fargate Spot stand in none.
WANTED: Mapping[str, Mapping[str, str]] = {
    "AmazonECS": {
        "Fargate-vCPU-Hours:perCPU": "fargate-vcpu-hour",
        "Fargate-GB-Hours": "fargate-gb-hour",
        "Fargate-ARM-vCPU-Hours:perCPU": "fargate-arm-vcpu-hour",
        "Fargate-ARM-GB-Hours": "fargate-arm-gb-hour",
        "Fargate-EphemeralStorage-GB-Hours": "ephemeral-gb-hour",
    },
    "AmazonStates": {"StateTransition": "transitions-1000"},
    "AmazonCloudWatch": {"DataProcessing-Bytes": "logs-gb", "TimedStorage-ByteHrs": "logs-kept-gb-month"},
    "AmazonVPC": {"VpcEndpoint-Hours": "endpoint-hour", "VpcEndpoint-Bytes": "endpoint-gb"},
}
#: Without these a file is no price list of Fargate.
NEEDED = ("fargate-vcpu-hour", "fargate-gb-hour")
_PREFIX = re.compile(r"^[A-Z]{2,4}[0-9]?-")


def prices_of(service: str, offer: Mapping[str, Any]) -> dict[str, Decimal]:
    """The prices that one service's file of one region has; raises ValueError for what is no such file.

    A price is taken where all products of its usage type agree; where they do not it is left out.
    """
    if offer.get("offerCode") != service:
        raise ValueError(f"it is the list of `{offer.get('offerCode')}`")
    try:
        found: dict[str, set[Decimal]] = {}
        for sku, product in offer["products"].items():
            usage = _PREFIX.sub("", product["attributes"].get("usagetype", ""))
            key = WANTED[service].get(usage)
            if key is not None:
                found.setdefault(key, set()).update(_amounts(offer["terms"]["OnDemand"].get(sku, {})))
        return {key: amounts.pop() * unit_of(key)[1] for key, amounts in found.items() if len(amounts) == 1}
    except (KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise ValueError(f"it is not made as price lists are: {type(error).__name__} {error}") from None


def _amounts(terms: Mapping[str, Any]) -> Iterator[Decimal]:
    """What a product costs in its first tier that is not free."""
    for term in terms.values():
        tiers = sorted(
            (Decimal(str(tier.get("beginRange", tier.get("startingRange", 0)))), Decimal(tier["pricePerUnit"]["USD"]))
            for tier in term["priceDimensions"].values()
        )
        paid = [amount for _, amount in tiers if amount > 0]
        if paid:
            yield paid[0]
