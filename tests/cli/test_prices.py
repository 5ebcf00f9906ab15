"""`wherry cost --refresh`, from a server with files of the form that AWS documents."""

import json
import os
import threading
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from wherry.aws import pricelist
from wherry.errors import WherryError

REGION = "eu-central-1"
JOBFILE = "app: a\njobs: {one: {command: [x]}}\nenvironments: {prod: {region: eu-central-1}}\n"
USAGE = {
    "AmazonECS": {
        "EUC1-Fargate-vCPU-Hours:perCPU": ["0.0500000000"],
        "EUC1-Fargate-GB-Hours": ["0.0060000000"],
        "EUC1-Fargate-ARM-vCPU-Hours:perCPU": ["0.0400000000"],
        "EUC1-Fargate-ARM-GB-Hours": ["0.0048000000"],
        "EUC1-Fargate-EphemeralStorage-GB-Hours": ["0.0001400000"],
        "EUC1-Fargate-Windows-vCPU-Hours:perCPU": ["0.1000000000"],
        "EUC1-ECS-Anywhere-Instance-hours": ["0.0102500000"],
    },
    "AmazonStates": {"EUC1-StateTransition": ["0.0000000000", "0.0000300000"]},
    "AmazonCloudWatch": {"EUC1-DataProcessing-Bytes": ["0.7000000000"], "EUC1-TimedStorage-ByteHrs": ["0.0400000000"]},
    "AmazonVPC": {"EUC1-VpcEndpoint-Hours": ["0.0130000000"], "EUC1-VpcEndpoint-Bytes": ["0.0110000000", "0.006"]},
}


def offer(service, usage):
    """One service's file."""
    products, terms = {}, {}
    for number, (name, tiers) in enumerate(usage.items()):
        sku = f"SKU{number}"
        products[sku] = {
            "sku": sku,
            "productFamily": "Compute",
            "attributes": {"usagetype": name, "regionCode": REGION},
        }
        dimensions = {
            f"{sku}.JRTCKXETXF.{tier}": {
                "rateCode": f"{sku}.JRTCKXETXF.{tier}",
                "description": f"{price} USD of {name}",
                "unit": "hours",
                "beginRange": str(tier * 4000),
                "endRange": "Inf",
                "pricePerUnit": {"USD": price},
                "appliesTo": [],
            }
            for tier, price in enumerate(tiers)
        }
        term = {"offerTermCode": "JRTCKXETXF", "sku": sku, "effectiveDate": "2026-11-01T00:00:00Z"}
        terms[sku] = {f"{sku}.JRTCKXETXF": {**term, "priceDimensions": dimensions, "termAttributes": {}}}
    return {
        "formatVersion": "v1.0",
        "disclaimer": "This pricing list is for informational purposes only",
        "offerCode": service,
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
        "products": products,
        "terms": {"OnDemand": terms},
    }


def index(service):
    version = f"/offers/v1.0/aws/{service}/20261101000000/{REGION}/index.json"
    return {
        "formatVersion": "v1.0",
        "publicationDate": "2026-11-01T00:00:00Z",
        "regions": {REGION: {"regionCode": REGION, "currentVersionUrl": version}},
    }


class Lists:
    """What the server has: path -> bytes, a status, or a function that answers."""

    def __init__(self) -> None:
        self.files: dict = {}
        for service, usage in USAGE.items():
            self.put(f"{service}/current/region_index.json", index(service))
            self.put(f"{service}/20261101000000/{REGION}/index.json", offer(service, usage))
        self.url = ""

    def put(self, path, value) -> None:
        self.files[f"/offers/v1.0/aws/{path}"] = json.dumps(value).encode() if isinstance(value, dict) else value

    def of(self, service, value) -> None:
        self.put(f"{service}/20261101000000/{REGION}/index.json", value)


@contextmanager
def serving(lists):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = lists.files.get(self.path, 404)
            if callable(found):
                found(self)
                return
            self.send_response(found if isinstance(found, int) else 200)
            body = b"" if isinstance(found, int) else found
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    lists.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield lists
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def lists(monkeypatch):
    with serving(Lists()) as found:
        monkeypatch.setenv("WHERRY_PRICE_LIST", found.url)
        yield found


@pytest.fixture
def shop(project, tmp_path, monkeypatch):
    project.jobfile(JOBFILE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return project


def compute(project, *arguments) -> Decimal:
    job = json.loads(project.wherry("cost", "--duration", "1h", "--json", *arguments).stdout)["jobs"]["one"]
    return Decimal(next(part["amount"] for part in job["parts"] if part["what"] == "compute"))


def test_fetched_prices_come_first(shop, lists, tmp_path):
    assert compute(shop) == Decimal("0.014195")
    done = shop.wherry("cost", "--refresh")
    place = tmp_path / "cache/wherry/prices.toml"
    assert f"written to {place}; NAT gateways," in done.stderr
    assert "fargate-vcpu-hour      0.04656   0.05\n" in done.stdout
    assert compute(shop) == Decimal("0.25") * Decimal("0.05") + Decimal("0.5") * Decimal("0.006")
    shown = shop.wherry("cost").stdout
    assert "as of 2026-10-05" not in shown
    assert "AWS price list of AmazonECS in eu-central-1, published 2026-11-01 (" in shown
    # what is free at first costs what it costs then, and what was not fetched is what it was
    assert "8 transitions x $0.03 per 1,000" in shown
    assert "one would be $37.96 a month" in shown
    # other regions are as they were
    assert "as of 2026-10-05" in shop.wherry("cost", "--region", "eu-west-1").stdout
    assert compute(shop, "--region", "eu-west-1") == Decimal("0.0123425")
    told = json.loads(shop.wherry("cost", "--refresh", "--json").stdout)
    assert told["prices"]["endpoint-gb"] == "0.011"
    assert told["prices"]["transitions-1000"] == "0.03"
    assert told["not_found"] == []
    assert os.listdir(place.parent) == ["prices.toml"]


def test_a_second_region_joins_the_first(shop, lists):
    shop.wherry("cost", "--refresh")
    for service, usage in USAGE.items():
        lists.put(
            f"{service}/current/region_index.json",
            {"regions": {"xx-new-1": {"currentVersionUrl": f"/offers/v1.0/aws/{service}/1/xx-new-1/index.json"}}},
        )
        lists.put(f"{service}/1/xx-new-1/index.json", offer(service, usage))
    assert "there are no prices for region `xx-new-1`" in shop.wherry("cost", "--region", "xx-new-1", code=2).stderr
    shop.wherry("cost", "--refresh", "--region", "xx-new-1")
    assert compute(shop, "--region", "xx-new-1") == compute(shop) == Decimal("0.0155")


def test_a_file_of_ones_own(shop):
    text = 'date = "2027-01-01"\n[sources]\nagreed = {date = "2027-01-01", about = "our agreement"}\n'
    text += '[regions.eu-central-1]\nfargate-vcpu-hour = [0.04, "agreed"]\nfargate-gb-hour = [0, "agreed"]\n'
    own = shop.file("own.toml", text)
    assert "our agreement (2027-01-01)" in shop.wherry("cost", env={"WHERRY_PRICES": str(own)}).stdout
    for wrong in (
        text.replace("0.04", '"0.04"'),
        text.replace("vcpu-hour", "vcpu-minute"),
        text.replace("0.04", "-1.5"),
        text.replace('0.04, "agreed"', '0.04, "who"'),
        "x",
    ):
        own.write_text(wrong)
        told = shop.wherry("cost", env={"WHERRY_PRICES": str(own)}, code=2).stderr
        assert told.startswith(f"error: {own} is no price table: ")


def _broken_off(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"offerCode": ')


def _without(usage, *names):
    return offer("AmazonECS", {name: tiers for name, tiers in usage.items() if not name.endswith(names)})


@pytest.mark.parametrize(
    ("service", "answer", "message"),
    [
        ("AmazonECS", 500, "HTTP Error 500: Internal Server Error"),
        ("AmazonVPC", 404, "HTTP Error 404: Not Found"),
        ("AmazonVPC", b"<html>", "Expecting value: line 1 column 1 (char 0)"),
        ("AmazonVPC", b"[]", "it is no price list"),
        ("AmazonVPC", _broken_off, "it breaks off"),
        (
            "AmazonVPC",
            offer("AmazonECS", {}),
            "the price list of AmazonVPC in eu-central-1 cannot be read: it is the list",
        ),
        ("AmazonVPC", {"offerCode": "AmazonVPC", "products": {}, "terms": []}, ""),
        (
            "AmazonECS",
            {"offerCode": "AmazonECS", "products": {"A": {}}, "terms": {}},
            "it is not made as price lists are",
        ),
        ("AmazonECS", _without(USAGE["AmazonECS"], "Fargate-GB-Hours"), "has no fargate-gb-hour"),
        ("AmazonECS", offer("AmazonECS", {"Fargate-vCPU-Hours:perCPU": ["much"]}), "it is not made as price lists are"),
    ],
)
def test_what_fails_changes_nothing(shop, lists, tmp_path, service, answer, message):
    shop.wherry("cost", "--refresh")
    place = tmp_path / "cache/wherry/prices.toml"
    before = place.read_bytes()
    lists.of(service, answer)
    if not message:  # a file without what is wanted is a file
        assert "endpoint-hour, endpoint-gb" in shop.wherry("cost", "--refresh").stderr
        return
    told = shop.wherry("cost", "--refresh", code=1).stderr
    assert message in told
    assert "the prices stay as they were" in told
    assert place.read_bytes() == before
    assert os.listdir(place.parent) == ["prices.toml"]


def test_a_region_that_aws_does_not_have(shop, lists):
    told = shop.wherry("cost", "--refresh", "--region", "mars-1", code=2).stderr
    assert told == "error: AWS has no prices of AmazonECS for region `mars-1`\n  known: eu-central-1\n"


def test_two_prices_of_one_kind_are_none(shop, lists):
    usage = {**USAGE["AmazonCloudWatch"], "DataProcessing-Bytes": ["0.9"]}
    lists.of("AmazonCloudWatch", offer("AmazonCloudWatch", usage))
    assert "not in AWS's list, or not in one way: logs-gb\n" in shop.wherry("cost", "--refresh").stderr
    assert "x $0.63 [" in shop.wherry("cost").stdout


def test_nobody_answers(shop):
    told = shop.wherry("cost", "--refresh", env={"WHERRY_PRICE_LIST": "http://127.0.0.1:9"}, code=1).stderr
    assert "127.0.0.1:9/offers/v1.0/aws/AmazonECS/current/region_index.json: " in told
    assert "is the network there?" in told


@pytest.mark.parametrize(("limit", "seconds"), [("_TIMEOUT", 0.2), ("_LONGEST", 0.2)])
def test_a_server_that_is_too_slow(lists, monkeypatch, limit, seconds):
    monkeypatch.setattr(pricelist, limit, seconds)
    enough = threading.Event()

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "3000000")
        handler.end_headers()
        for _ in range(2):
            if limit == "_LONGEST":
                handler.wfile.write(b" " * (1 << 20))
            enough.wait(0.5)

    lists.put("AmazonECS/current/region_index.json", drip)
    with pytest.raises(WherryError) as caught:
        pricelist.offer("AmazonECS", REGION)
    enough.set()
    assert "timed out" in caught.value.message or "it is too long" in caught.value.message


def test_a_place_that_cannot_be_written(shop, lists):
    told = shop.wherry("cost", "--refresh", env={"WHERRY_PRICES": "/proc/prices.toml"}, code=1).stderr
    assert told.startswith("error: /proc/prices.toml cannot be written: ")
