"""What names may look like, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class NameRule:
    """The form of a name: a pattern for machines and words for people."""

    #: What it names: `bucket`, `job`.
    noun: str
    #: A whole name matches it; in the dialect that Python and JSON Schema share.
    pattern: str
    #: What a name is made of, completing "must consist of ...".
    words: str
    max_length: int
    min_length: int = 1
    #: Regular expression of names that the pattern allows and somebody else does not -> why.
    refused: tuple[tuple[str, str], ...] = ()
    #: Words are joined by underscores instead of hyphens.
    underscores: bool = False

    def objection(self, name: str) -> str | None:
        """Why this is no such name, or None."""
        refusal = next((why for pattern, why in self.refused if re.search(pattern, name)), None)
        if refusal:
            return refusal
        if name and not self.min_length <= len(name) <= self.max_length:
            return f"must have {self.min_length} to {self.max_length} characters, not {len(name)}"
        if not re.fullmatch(self.pattern, name):
            return f"must consist of {self.words}"
        return None

    def suggestion(self, name: str) -> str | None:
        """The same name made legal by what people get wrong (`My_Job`), or None."""
        separator = "_" if self.underscores else "-"
        made = re.sub(r"[^A-Za-z0-9]+", separator, re.sub("^s3://", "", name)).strip(separator)
        made = made if self.underscores else made.lower()
        return made if made and made != name and self.objection(made) is None else None

    def schema(self) -> dict[str, object]:
        """The rule as JSON Schema, as far as that goes."""
        return {"pattern": f"^{self.pattern}$", "minLength": self.min_length, "maxLength": self.max_length}


#: AWS's codes of its regions.
REGION_PATTERN: Final = r"[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}"
APP: Final = NameRule(
    noun="app",
    pattern="[a-z][a-z0-9-]*",
    words="lower-case letters, digits and hyphens, beginning with a letter",
    max_length=40,
)
ENVIRONMENT: Final = NameRule(noun="environment", pattern=APP.pattern, words=APP.words, max_length=40)
JOB: Final = NameRule(
    noun="job",
    pattern="[a-z0-9][a-z0-9-]*",
    words="lower-case letters, digits and hyphens, not beginning with a hyphen",
    max_length=63,
)
BUCKET: Final = NameRule(
    noun="bucket",
    pattern="[a-z0-9][a-z0-9.-]*[a-z0-9]",
    words="lower-case letters, digits, dots and hyphens, beginning and ending with a letter or digit",
    min_length=3,
    max_length=63,
    refused=(
        (r"\.\.", "must not have two dots in a row"),
        (r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$", "must not look like an IP address"),
        (
            r"^(xn--|sthree-|amzn-s3-demo-)",
            "must not begin with `xn--`, `sthree-` or `amzn-s3-demo-`, which S3 reserves",
        ),
        (
            r"(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$",
            "must not end with `-s3alias`, `--ol-s3`, `.mrap`, `--x-s3` or `--table-s3`, which S3 reserves",
        ),
    ),
)
QUEUE: Final = NameRule(
    noun="queue",
    pattern=r"[A-Za-z0-9_-]+(\.fifo)?",
    words="letters, digits, hyphens and underscores (a FIFO queue's name ends with `.fifo`)",
    max_length=80,
)
HELPER: Final = NameRule(noun="helper", pattern=JOB.pattern, words=JOB.words, max_length=63)
VARIABLE: Final = NameRule(
    noun="variable",
    pattern="[A-Za-z_][A-Za-z0-9_]*",
    words="letters, digits and underscores, not beginning with a digit",
    max_length=255,
    underscores=True,
    refused=((r"^WHERRY_", "is reserved: wherry itself sets the variables that begin with `WHERRY_`"),),
)
SECRET: Final = NameRule(
    noun="secret",
    pattern="[A-Za-z0-9/_+=.@-]+",
    words="letters, digits and `/_+=.@-`, as in Secrets Manager",
    max_length=512,
    refused=(("^arn:", "is an ARN: write the secret's name, which is the same in every environment"),),
)
