"""cfn-lint, which knows every resource's schema: AWS's own judgement of a template, as far as it goes offline."""

import json

from cfnlint.api import ManualArgs
from cfnlint.api import lint as judge

REGIONS = ["us-east-1"]


def lint(templates):
    """What it has to say of templates, warnings included: (name, rule, message, where)."""
    return [
        (name, match.rule.id, match.message, match.path)
        for name, template in templates.items()
        for match in judge(json.dumps(template), config=ManualArgs(regions=REGIONS))
    ]
