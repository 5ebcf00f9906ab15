"""What is allowed on every resource stands in docs/aws.md with the reason, and nothing stands there that is not."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([a-z0-9-]+:[A-Za-z]+)` \| [^|]+ \| [^|]{20,} \|$", re.MULTILINE)


def statements():
    """Every statement of every policy in the goldens."""
    for path in sorted((ROOT / "tests/aws/templates/goldens").glob("*.yaml")):
        for template in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            for resource in template["Resources"].values():
                given = resource["Properties"]
                documents = [policy["PolicyDocument"] for policy in given.get("Policies", ())]
                documents += [given["PolicyDocument"]] if "PolicyDocument" in given else []
                for document in documents:
                    yield from document["Statement"]


def listed(value):
    return value if isinstance(value, list) else [value]


def test_what_is_allowed_on_everything_is_in_the_table():
    found = {action for each in statements() if "*" in listed(each["Resource"]) for action in listed(each["Action"])}
    assert found == set(ROW.findall((ROOT / "docs/aws.md").read_text(encoding="utf-8")))


def test_no_action_is_a_pattern():
    assert [each for each in statements() for action in listed(each["Action"]) if "*" in action] == []


def test_policies_allow_and_nothing_else():
    assert {each["Effect"] for each in statements()} == {"Allow"}
