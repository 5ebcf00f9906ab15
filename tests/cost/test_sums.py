"""The sums, by numbers that were worked out by hand."""

from datetime import timedelta
from decimal import Decimal

import pytest

from wherry.cli import prices
from wherry.cost import fargate
from wherry.cost.deployment import Deployment, Task
from wherry.cost.parts import total
from wherry.cost.rivals import glue, rivals
from wherry.cost.standing import idle
from wherry.errors import UserError

TABLE = prices.packaged()
SIZES = {
    ("0.25", "0.5"): ("0.0123425", "0.014195", "0.013575", "0.015405", "0.0148", "0.0212"),
    ("0.5", "1"): ("0.024685", "0.02839", "0.02715", "0.03081", "0.0296", "0.0424"),
    ("1", "2"): ("0.04937", "0.05678", "0.0543", "0.06162", "0.0592", "0.0848"),
    ("2", "4"): ("0.09874", "0.11356", "0.1086", "0.12324", "0.1184", "0.1696"),
    ("4", "8"): ("0.19748", "0.22712", "0.2172", "0.24648", "0.2368", "0.3392"),
    ("8", "16"): ("0.39496", "0.45424", "0.4344", "0.49296", "0.4736", "0.6784"),
    ("16", "32"): ("0.78992", "0.90848", "0.8688", "0.98592", "0.9472", "1.3568"),
}
COLUMNS = (
    ("us-east-1", "us-west-2", "eu-west-1"),
    ("eu-central-1",),
    ("eu-north-1",),
    ("ap-northeast-1", "ap-southeast-1"),
    ("ap-southeast-2",),
    ("sa-east-1",),
)


def task(cpu, memory, **more):
    return Task(cpu=Decimal(cpu), memory=Decimal(memory), **{"public_ip": False, **more})


def cost(region, a_task, **length) -> Decimal:
    return total(fargate.attempt(TABLE.tariff(region), a_task, timedelta(**length)))


@pytest.mark.parametrize(
    ("region", "size", "amount"),
    [
        (region, size, amount)
        for size, row in SIZES.items()
        for column, amount in zip(COLUMNS, row, strict=True)
        for region in column
    ],
)
def test_a_task_hour(region, size, amount):
    hour = fargate.task_hour(TABLE.tariff(region), task(*size))
    assert hour.amount == Decimal(amount)
    assert (hour.doubt == "unverified price") == (region == "eu-north-1")


@pytest.mark.parametrize(
    ("region", "a_task", "length", "amount"),
    [
        ("eu-central-1", task("0.25", "0.5"), {"seconds": 45}, "0.00023658"),
        ("us-east-1", task("1", "2"), {"seconds": 600}, "0.00822833"),
        ("ap-northeast-1", task("4", "30"), {"hours": 2}, "0.73628"),
        ("eu-west-1", task("2", "4", ephemeral=100), {"hours": 1}, "0.1085"),
        ("us-east-1", task("1", "2", public_ip=True), {"seconds": 600}, "0.00906167"),
        ("us-east-1", task("0.25", "0.5"), {"hours": 730}, "9.010025"),
        ("eu-central-1", task("0.25", "0.5"), {"seconds": 0.2}, "0.00023658"),
        ("eu-central-1", task("1", "1", arm=True), {"hours": 1}, "0.04134"),
    ],
)
def test_an_attempt(region, a_task, length, amount):
    assert cost(region, a_task, **length).quantize(Decimal("1e-8")) == Decimal(amount)


def test_the_last_second_counts_whole():
    assert fargate.billed(timedelta(seconds=60.001)) == 61


def test_spot_is_an_estimate_and_says_so():
    parts = fargate.attempt(TABLE.tariff("us-east-1"), task("1", "2", capacity="fargate-spot"), timedelta(hours=1))
    assert parts[0].amount == Decimal("0.04937") * Decimal("0.35")
    assert parts[0].doubt == "Fargate Spot: an estimate"


def test_on_ec2_a_run_is_not_priced():
    parts = fargate.attempt(TABLE.tariff("us-east-1"), task("1", "2", capacity="ec2"), timedelta(hours=1))
    assert [(part.amount, part.how) for part in parts] == [(None, "EC2 instances are billed by EC2, not by the run")]


@pytest.mark.parametrize(
    ("region", "standing", "amount"),
    [
        ("us-east-1", {"nat-hour": 730}, "32.85"),
        ("eu-west-1", {"nat-hour": 730}, "35.04"),
        ("eu-central-1", {"nat-hour": 730}, "37.96"),
        ("us-east-1", {"endpoint-hour": 4 * 2 * 730}, "58.40"),
        ("eu-west-1", {"endpoint-hour": 4 * 2 * 730}, "64.24"),
    ],
)
def test_what_stands_there(region, standing, amount):
    deployment = Deployment(standing={key: Decimal(hours) for key, hours in standing.items()})
    parts = idle(deployment, TABLE.tariff(region))
    assert total(parts).quantize(Decimal("0.01")) == Decimal(amount)
    assert [part.what for part in parts][:2] == ["NAT gateways", "interface endpoints"]


def test_glue_costs_what_the_article_says():
    tariff = TABLE.tariff("us-east-1")
    assert glue(tariff, Decimal(4), timedelta(hours=1)).amount == Decimal("1.76")
    assert glue(tariff, Decimal(4), timedelta(minutes=5)).amount.quantize(Decimal("0.0001")) == Decimal("0.1467")
    assert cost("us-east-1", task("4", "16"), minutes=5).quantize(Decimal("0.0001")) == Decimal("0.0194")


@pytest.mark.parametrize(
    ("size", "minutes", "notes"),
    [
        (("0.25", "0.5"), 15, ("512 MB", "2 workers G.1X", "for Python alone")),
        (("1", "2"), 16, ("cannot: longer than 15 minutes", "2 workers G.1X", "for Python alone")),
        (("1", "1.5"), 5, ("1,769 MB", "2 workers G.1X", "for Python alone")),
        (
            ("16", "32"),
            5,
            ("cannot: 32,768 MB, and it has at most 10,240", "4 workers G.1X", "cannot: more than 4 vCPU or 16 GB"),
        ),
    ],
)
def test_rivals(size, minutes, notes):
    found = rivals(TABLE.tariff("us-east-1"), task(*size), timedelta(minutes=minutes))
    assert [rival.name for rival in found] == ["Lambda", "Glue Spark", "Glue Python shell"]
    assert tuple(rival.note for rival in found) == notes
    assert all((rival.part is None) == rival.note.startswith("cannot") for rival in found)


def test_lambda_bills_memory_and_time():
    lambda_ = rivals(TABLE.tariff("us-east-1"), task("1", "2"), timedelta(minutes=10))[0]
    assert lambda_.part.amount == Decimal(1200) * Decimal("0.0000166667") + Decimal("0.0000002")


def test_what_is_missing_is_not_guessed():
    part = fargate.task_hour(TABLE.tariff("eu-west-2"), task("1", "2", arm=True))
    assert (part.amount, part.doubt) == (None, "no price is known for eu-west-2")


def test_an_unknown_region_is_refused():
    with pytest.raises(UserError) as caught:
        TABLE.tariff("mars-north-1")
    assert caught.value.message == "there are no prices for region `mars-north-1`"
    assert "eu-central-1, eu-north-1" in caught.value.hint


def test_every_region_has_fargate_and_every_number_a_source_with_a_date():
    assert len(TABLE.regions) == 15
    for code in TABLE.regions:
        assert {"fargate-vcpu-hour", "fargate-gb-hour"} <= TABLE.tariff(code).prices.keys()
    used = [price.source for found in (TABLE.elsewhere, *TABLE.regions.values()) for price in found.values()]
    assert all(source.date and source.about for source in used)
    assert {source.name for source in used} == set(TABLE.sources)
    doubted = {code for code, found in TABLE.regions.items() if not found["fargate-vcpu-hour"].source.verified}
    assert doubted == {"eu-north-1", "eu-west-2", "eu-west-3", "ap-northeast-2", "ap-south-1"}
