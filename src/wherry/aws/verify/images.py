"""Whether images are there, and for the environment's processors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from wherry.aws import shipment
from wherry.aws.shipment import Image
from wherry.aws.survey import Site
from wherry.aws.verify.findings import Check, Finding, ng, ok, skip
from wherry.errors import WherryError


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An image, and what it can run on."""

    image: Image
    #: What tasks run on: `linux/amd64`.
    wanted: str
    #: What the image is for; empty: nobody tells; None: its registry has none of that name.
    platforms: frozenset[str] | None = frozenset()
    #: Why nobody does, or empty.
    doubt: str = ""


def checks(site: Site) -> list[Check]:
    """One for each image."""
    asks = shipment.asks(site.aws, site.jobfile, site.environment, site.names)
    return [Check(subject=f"image of {key}", look=partial(_look, site, ask), judge=judge) for key, ask in asks]


def _look(site: Site, ask: shipment.Ask) -> Seen:
    image = ask()
    seen = Seen(image=image, wanted=site.environment.platform, doubt=image.doubt)
    if not image.is_there:
        return seen  # what is built is built for the platform
    try:
        platforms = shipment.platforms(site.aws, site.environment, image)
    except WherryError as error:
        return Seen(image=image, wanted=seen.wanted, doubt=error.message)
    return Seen(image=image, wanted=seen.wanted, platforms=platforms, doubt=image.doubt)


def judge(seen: Seen) -> Iterator[Finding]:
    """Is it there, and for the right processors? Pure."""
    about = f"image of {seen.image.key}"
    reference = f"`{seen.image.reference}`"
    if not seen.image.is_there:
        yield ok(about, "is not built yet: the next deploy builds and pushes it")
    elif seen.platforms is None:
        hint = "push it, or mend its name; what is not public ECS pulls from ECR, or with `registry: {credentials}`"
        yield ng(about, f"{reference} is not in its registry, or not for everybody", hint)
    elif not seen.platforms:
        yield skip(
            about, f"{reference}: its registry does not tell what it is for: {seen.doubt or 'it has no such entry'}"
        )
    elif seen.wanted not in seen.platforms:
        listed = ", ".join(sorted(seen.platforms))
        yield ng(
            about,
            f"{reference} is for {listed}, and the environment's tasks run on {seen.wanted}: exec format error",
            f"build it for {seen.wanted} (`docker build --platform {seen.wanted}`), or write `platform:` there",
        )
    elif seen.doubt:
        yield skip(about, f"{reference}, for {seen.wanted}, as this machine has it: {seen.doubt}")
    else:
        yield ok(about, f"is in its registry, for {seen.wanted}")
