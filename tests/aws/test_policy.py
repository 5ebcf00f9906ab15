"""The tables behind `wherry policy`, held against what AWS publishes and against what wherry calls."""

import ast
import json
from itertools import chain
from pathlib import Path

import pytest

from tests.aws.lint import lint
from tests.standin import handlers as aws
from tests.standin.reference import has_resource, is_action, resource_types
from wherry import jobfile
from wherry.aws import calls, deployer, handlers, reach
from wherry.aws.reach import Place

_DOORS = ("call", "once", "pages")
SOURCE = Path(__file__).parents[2] / "src/wherry"
TABLES = (calls.DEPLOYING, calls.ON_INSTANCES, calls.WITH_WORKERS, calls.USING)
JOBFILES = sorted((Path(__file__).parent / "templates").glob("*.yaml"))


def places():
    for path in JOBFILES:
        read = jobfile.load(str(path))
        for name, environment in read.environments.items():
            if name != "local":
                yield Place(jobfile=read, environment=environment, account="123456789012", region="eu-west-1")


def calls_made() -> dict[str, str]:
    """Every operation that the source gives to `Aws` -> where. Raises for one that is not spelled out."""
    found: dict[str, str] = {}
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
        handed = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in _DOORS]
        for node in handed:
            is_door = isinstance(node.value, ast.Attribute) and node.value.attr == "aws"
            assert not is_door or any(node is each.func for each in nodes), (
                f"{path.name}:{node.lineno}: call it, so that it is seen"
            )
        doors = [node for node in nodes if node.func.attr in _DOORS and len(node.args) > 1]
        # a module's own `_call(operation)` speaks to one service
        services = {ast.literal_eval(node.args[0]) for node in doors if not isinstance(node.args[1], ast.Constant)}
        for node in doors:
            assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}: which service?"
            if isinstance(node.args[1], ast.Constant):
                found[f"{node.args[0].value}:{node.args[1].value}"] = path.name
        for node in nodes:
            if node.func.attr == "_call" and services:
                (service,) = services
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}: which operation?"
                found[f"{service}:{node.args[0].value}"] = path.name
            if node.func.attr == "upload" and len(node.args) > 1:
                found["s3:put_object"] = path.name
    return found


def test_every_call_has_a_row():
    made = calls_made()
    assert len(made) > 50
    rows = set().union(*TABLES)
    assert {call: where for call, where in made.items() if call not in rows} == {}, "rows missing in wherry.aws.calls"
    assert rows - made.keys() == set(), "rows of wherry.aws.calls that nothing calls"


@pytest.mark.parametrize("kind", sorted(handlers.ACTIONS))
def test_a_row_is_what_aws_says_of_the_type(kind):
    steps = ("create", "update", "delete", "read")
    assert handlers.actions_of([kind]) == set(chain(*(aws.permissions(kind, step) for step in steps)))


def test_every_type_has_a_row():
    used = set().union(*(deployer.resource_types(place) for place in places()))
    assert used - handlers.ACTIONS.keys() == set(), "rows missing in wherry.aws.handlers"


def test_actions_are_iam_s_and_have_a_resource_where_iam_knows_one():
    actions = handlers.actions_of(handlers.ACTIONS).union(*(calls.actions_of(each) for each in TABLES))
    assert {action for action in actions if not is_action(action)} == set()
    named = {action for action in actions if "*" not in action}
    assert {action for action in named if not has_resource(action)} == reach.NO_RESOURCE & named


def test_every_service_has_its_resources():
    actions = handlers.actions_of(handlers.ACTIONS).union(*(calls.actions_of(each) for each in TABLES))
    services = {action.partition(":")[0] for action in actions - reach.NO_RESOURCE}
    assert services - reach.resources(next(places())).keys() == set(), "rows missing in wherry.aws.reach"


def test_resources_have_the_form_that_iam_knows():
    """Each pattern begins as an ARN of one of the service's resource types."""
    place = next(places())
    for service, arns in reach.resources(place).items():
        for arn in arns:
            kind = arn.split(":", 5)[5].replace("*/*", "vpc/*")
            known = resource_types(service)
            assert any(kind.startswith(begin) or begin == "" for begin in known), (arn, known)


@pytest.mark.parametrize("place", list(places()), ids=lambda place: f"{place.names.stem}")
def test_policies_are_valid_small_enough_and_whole(place):
    whole = deployer.policy(place)
    parts = deployer.parts(whole)
    assert [statement for part in parts for statement in part["Statement"]] == whole["Statement"]
    assert all(len(json.dumps(part, separators=(",", ":"))) <= 6_144 for part in parts)
    assert len(parts) <= 3
    assert len(deployer.parts(deployer.policy(place, using_only=True))) == 1
    resource = {
        f"P{n}": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": each}}
        for n, each in enumerate(parts)
    }
    assert lint({"policy": {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resource}}) == []
    sids = [statement["Sid"] for statement in whole["Statement"]]
    assert len(sids) == len(set(sids))


@pytest.mark.parametrize("place", list(places()), ids=lambda place: f"{place.names.stem}")
def test_only_what_has_no_resource_is_allowed_everywhere(place):
    for statement in deployer.policy(place)["Statement"]:
        if statement["Resource"] == ["*"]:
            known = set(statement["Action"]) - reach.NO_RESOURCE
            assert known <= deployer.WIDE | {"ecs:ListTasks"}
            assert "ecs:ListTasks" not in known or "Condition" in statement


def test_a_policy_asks_nobody(project):
    project.jobfile("app: a\njobs: {x: {image: 'b:1'}}\nenvironments: {prod: {region: cn-north-1}}\n")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
    named = project.wherry("policy", "--account", "123456789012", env=nowhere).stdout
    assert "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/a-prod" in named
    assert project.wherry("policy", "--account", "123456789012", env=nowhere).stdout == named
    told = project.wherry("policy", env=nowhere)
    assert "`--account ID` names it" in told.stderr
    assert "arn:aws-cn:iam::*:role/a-prod-*" in told.stdout
    assert "an account has 12 digits" in project.wherry("policy", "--account", "12", code=2).stderr
