"""What images are called: their registry, their repository. Pure."""

from __future__ import annotations

#: What Docker Hub is called in references, and where its logins are kept.
_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
HUB = "https://index.docker.io/v1/"


def registry_of(reference: str) -> str:
    """The registry's host: the first part where it looks like one, else Docker Hub's place for logins."""
    first, slash, _ = reference.partition("/")
    is_host = "." in first or ":" in first or first == "localhost"
    return first if slash and is_host and first not in _HUB_HOSTS else HUB


def repository_of(reference: str) -> str:
    """A reference without its tag; a port is none."""
    head, colon, tag = reference.rpartition(":")
    return head if colon and "/" not in tag else reference
