"""The JSON Schema, judged by an implementation that is not ours."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from wherry import jobfile
from wherry.jobfile import document
from wherry.jobfile.nodes import to_json
from wherry.jobfile.shapes import keys_of
from wherry.jobfile.source import Source
from wherry.jobfile.table import JOB_FILE

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
VALID = [*sorted((HERE / "valid").glob("*.yaml")), *sorted((REPOSITORY / "examples").glob("*/wherry.yaml"))]
#: Wrong in their form, not only in what they mean together.
MALFORMED = (
    "app-name", "bucket-names", "build-and-image", "command", "durations", "environments", "environment-names",
    "env-values", "everything-at-once", "image-name", "job-names", "key-in-wrong-place", "key-parts",
    "listed-twice", "missing-app", "missing-space-after-dash", "missing-space-in-braces", "no-break-space", "no-values",
    "nothing-to-run", "overlap", "queue-names", "queue-values", "quoted-number", "retry",
    "sizes", "trigger-forms", "unknown-keys", "variable-names", "windows-line-ends", "workers", "wrong-types",
)  # fmt: skip


@pytest.fixture(scope="module")
def validator():
    Draft202012Validator.check_schema(jobfile.json_schema())
    return Draft202012Validator(jobfile.json_schema())


def as_json(path: Path) -> object:
    """The file as JSON, problems of its meaning aside."""
    return to_json(document.read(Source(path.read_text(encoding="utf-8"), path.name)).root)


@pytest.mark.parametrize("path", VALID, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_accepts_what_the_reader_accepts(path, validator):
    jobfile.load(str(path))
    assert [error.message for error in validator.iter_errors(as_json(path))] == []


@pytest.mark.parametrize("name", MALFORMED)
def test_refuses_what_is_malformed(name, validator):
    assert not validator.is_valid(as_json(HERE / "broken" / f"{name}.yaml"))


def test_names_itself():
    schema = jobfile.json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"]
    assert schema["title"]


def test_every_key_says_what_it_is_for():
    for _, record in keys_of(JOB_FILE):
        for key in record.keys:
            assert key.about
            assert not key.about.endswith(".")


def test_each_schema_is_a_new_one():
    jobfile.json_schema()["properties"].clear()
    assert jobfile.json_schema()["properties"]
