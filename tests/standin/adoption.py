"""CreateChangeSet's ImportExistingResources: a bucket that is adopted is no conflict of names.

MiniStack validates names before it looks at what is adopted; CloudFormation adopts (User Guide, "Import AWS resources
into a CloudFormation stack automatically").
"""

import contextvars

from ministack.services.cloudformation import changesets, stacks

_adopted: contextvars.ContextVar[frozenset] = contextvars.ContextVar("adopted", default=frozenset())


def install() -> None:
    deploy, errors = changesets._deploy_stack_async, stacks._validation_errors

    async def deploying(*arguments, **more):
        names = {identifier.get("BucketName") for identifier in (more.get("imports") or {}).values()}
        _adopted.set(frozenset(names))
        await deploy(*arguments, **more)

    def judged(*arguments):
        *others, owned = arguments
        return errors(*others, owned | _adopted.get())

    changesets._deploy_stack_async = deploying
    stacks._validation_errors = judged
