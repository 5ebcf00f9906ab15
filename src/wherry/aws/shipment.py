"""The images that an environment needs: which are there already, and how the others get there."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from wherry.aws.client import Aws, AwsError
from wherry.aws.found import at_once
from wherry.aws.names import Names
from wherry.aws.tasks import builds_image, has_worker, is_in
from wherry.errors import WherryError
from wherry.executors import images, layer, logins
from wherry.model import Environment, JobFile

#: So many digits of the sum of the sources are the tag; the local image has the same.
_TAG = 32
_ECR_HOST = ".dkr.ecr."


#: Looks at one image.
Ask = Callable[[], "Image"]


@dataclass(frozen=True, kw_only=True)
class Image:
    """The image of a job, or of a helper of one."""

    #: `JOB` or `JOB/HELPER`.
    key: str
    #: What a task definition says: by digest once it is known.
    reference: str
    #: The folder that it is built from; None: somebody else's image.
    folder: str | None = None
    #: Somebody else's image that the worker is put into.
    base: str | None = None
    has_worker: bool = False
    #: False: it has to be built and pushed.
    is_there: bool = True
    #: Why it is not named by its digest, or empty.
    doubt: str = ""


def survey(aws: Aws, jobfile: JobFile, environment: Environment, names: Names) -> Sequence[Image]:
    """All images as they are now; nothing is built. Raises UserError for folders that no image can be made of."""
    return at_once(lambda pair: pair[1](), asks(aws, jobfile, environment, names))


def asks(aws: Aws, jobfile: JobFile, environment: Environment, names: Names) -> list[tuple[str, Ask]]:
    """For each image its key, and how it is looked at."""
    root = os.path.dirname(os.path.abspath(jobfile.path))
    found: list[tuple[str, Ask]] = []
    for job in jobfile.jobs.values():
        own = job.image
        if own and has_worker(job):
            found.append((job.name, partial(_extended, aws, environment, names, job.name, own)))
            own = None
        elif builds_image(job):
            folder = os.path.join(root, job.build or ".")
            found.append((job.name, partial(_built, aws, environment, names, job.name, folder, has_worker(job))))
        named = {job.name: own, **{f"{job.name}/{helper.name}": helper.image for helper in job.helpers}}
        found += [(key, partial(_pinned, aws, key, image)) for key, image in named.items() if image]
    return found


def ship(
    aws: Aws,
    image: Image,
    environment: Environment,
    names: Names,
    show: Callable[[bytes], object] | None = None,
) -> Image:
    """Build an image that is not there, and push it; gives it by its digest. Raises AwsError and DockerFailure."""
    if image.is_there or not (image.folder or image.base):
        return image
    tag = _make(aws, image, environment.platform, show)
    repository = image.reference.rpartition(":")[0]
    if not environment.registry:  # only now is it surely there, and AWS tells its address
        described = aws.call("ecr", "describe_repositories", repositoryNames=[names.repository(image.key)])
        repository = str(described["repositories"][0]["repositoryUri"])
    digest = images.push(tag, repository, _credentials(aws, environment))
    return replace(image, reference=f"{repository}@{digest}", is_there=True)


def _make(aws: Aws, image: Image, platform: str, show: Callable[[bytes], object] | None) -> str:
    """Build an image here, and give its local tag."""
    if image.base is not None:
        with logins.logged_in(image.base, _login(aws) if _is_in_ecr(aws, image.base) else None) as options:
            return layer.extend(image.base, platform, show, pull_with=options)
    make = layer.build if image.has_worker else images.build
    return make(str(image.folder), platform, show)


def _built(aws: Aws, environment: Environment, names: Names, job: str, folder: str, has_worker: bool) -> Image:
    total = images.fingerprint(folder, environment.platform)
    tag = (layer.total_of(total) if has_worker else total)[:_TAG]
    reference, is_there = _in_registry(aws, environment, names, job, tag)
    return Image(key=job, reference=reference, folder=folder, is_there=is_there, has_worker=has_worker)


def _extended(aws: Aws, environment: Environment, names: Names, job: str, image: str) -> Image:
    """Somebody else's image, as it is now, with the worker in it."""
    below = _pinned(aws, job, image)
    tag = layer.total_of(f"{environment.platform} {below.reference}")[:_TAG]
    reference, is_there = _in_registry(aws, environment, names, job, tag)
    return Image(key=job, reference=reference, base=below.reference, is_there=is_there, has_worker=True)


def _in_registry(aws: Aws, environment: Environment, names: Names, job: str, tag: str) -> tuple[str, bool]:
    """What an image of ours is called in its registry, and whether it is there."""
    if environment.registry:
        repository = names.repository_in(environment.registry, job)
        digest = images.remote_digest(f"{repository}:{tag}", None)
    else:
        repository, digest = _of_ecr(aws, environment, names, names.repository(job), tag)
    return (f"{repository}@{digest}", True) if digest else (f"{repository}:{tag}", False)


def _of_ecr(aws: Aws, environment: Environment, names: Names, name: str, tag: str) -> tuple[str, str | None]:
    """The repository's address, and the digest of a tag in it."""
    try:
        described = aws.call("ecr", "describe_repositories", repositoryNames=[name])
        repository = str(described["repositories"][0]["repositoryUri"])
        if _ECR_HOST not in repository:
            return repository, images.remote_digest(f"{repository}:{tag}", _credentials(aws, environment))
        answer = aws.call("ecr", "describe_images", repositoryName=name, imageIds=[{"imageTag": tag}])
    except AwsError as error:
        if error.code == "ImageNotFoundException":
            return repository, None
        if error.code == "RepositoryNotFoundException":
            suffix = "amazonaws.com.cn" if names.partition == "aws-cn" else "amazonaws.com"
            return f"{names.account}{_ECR_HOST}{names.region}.{suffix}/{name}", None
        raise
    return repository, str(answer["imageDetails"][0]["imageDigest"])


def _pinned(aws: Aws, key: str, image: str) -> Image:
    """Somebody else's image, by the digest that its registry gives it now."""
    try:
        known = images.pinned(image, _login(aws) if _is_in_ecr(aws, image) else None)
    except WherryError as error:
        return Image(key=key, reference=image, doubt=error.message)
    return Image(key=key, reference=known or image, doubt="" if known else "its registry does not tell its digest")


def platforms(aws: Aws, environment: Environment, image: Image) -> frozenset[str] | None:
    """What an image is for, as its registry says to the environment's tasks; raises ImageFailed and AwsError.

    None: it has none of that name for them (`images.platforms`).
    """
    own = bool(image.folder or image.base) and not environment.registry
    if own or _is_in_ecr(aws, image.reference):
        return images.platforms(image.reference, _login(aws))
    has_login = environment.registry_secret is not None and is_in(environment.registry, image.reference)
    if has_login or _ECR_HOST in image.reference:
        return images.platforms(image.reference)
    try:
        return images.platforms(image.reference, logins.NOBODY)
    except images.ImageFailed as error:
        if error.is_passing:
            raise
        return None


def _is_in_ecr(aws: Aws, reference: str) -> bool:
    """In ECR, and in this region: our log-in is good for it."""
    host = reference.partition("/")[0]
    return _ECR_HOST in host and aws.region in host


def _credentials(aws: Aws, environment: Environment) -> logins.Credentials | None:
    """ECR's; for other registries the logins of the `docker` program."""
    return None if environment.registry else _login(aws)


def _login(aws: Aws) -> logins.Credentials:
    token = aws.call("ecr", "get_authorization_token")["authorizationData"][0]["authorizationToken"]
    username, _, password = base64.b64decode(token).decode().partition(":")
    return logins.Credentials(username=username, password=password)
