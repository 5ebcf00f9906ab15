"""cfn-lint, which knows every resource's schema: AWS's own judgement of a template, as far as it goes offline."""

from cfnlint.api import ManualArgs
from cfnlint.api import lint as judge

from wherry.aws.template import to_yaml

REGIONS = ["us-east-1"]


def lint(templates):
    """What it has to say of templates, warnings included: (name, rule, message, where)."""
    return [
        (name, match.rule.id, match.message, getattr(match, "path", None))
        for name, template in templates.items()
        for match in judge(to_yaml(template), config=ManualArgs(regions=REGIONS))
    ]
