"""What an image is made of, and images in a real registry."""

import json
import os
import shutil
import socket
import subprocess
import textwrap

import pytest

from tests.conftest import BUSYBOX, wait_for
from wherry.errors import UserError
from wherry.executors import context, images, logins, references
from wherry.executors.recipe import recipe


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def paths(folder, *ignore):
    return [entry.path for entry in context.entries(str(folder), ignore)]


FILES = {"a.py": "", "b.txt": "", "deep/a.py": "", "deep/er/b.txt": "", ".git/config": "", ".wherry/wherry.db": ""}


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        ([], [".git", ".git/config", "a.py", "b.txt", "deep", "deep/a.py", "deep/er", "deep/er/b.txt"]),
        ([".git", "deep"], ["a.py", "b.txt"]),
        ([".git", "/deep/er/", "# *.py", ""], ["a.py", "b.txt", "deep", "deep/a.py"]),
        ([".git", "*.txt"], ["a.py", "deep", "deep/a.py", "deep/er", "deep/er/b.txt"]),
        ([".git", "**/*.txt"], ["a.py", "deep", "deep/a.py", "deep/er"]),
        ([".git", "deep/**"], ["a.py", "b.txt", "deep"]),
        (["*", "!a.py"], ["a.py"]),
        (["*", "!deep/a.py"], ["deep/a.py"]),
        ([".git", "deep", "!deep/er"], ["a.py", "b.txt", "deep/er", "deep/er/b.txt"]),
        ([".git", "[ab].*", "dee?"], []),
    ],
)
def test_dockerignore(tmp_path, ignore, left):
    write(tmp_path, FILES)
    assert paths(tmp_path, *ignore) == left


def test_the_sum_is_of_what_an_image_becomes(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        write(folder, {"Dockerfile": "FROM x", "a.py": "1", ".dockerignore": "*.log"})
    first = images.fingerprint(str(one))
    os.utime(other / "a.py", (0, 0))
    (other / "noise.log").write_text("")
    (other / "a.py").chmod(0o600)
    assert images.fingerprint(str(other)) == first
    assert images.fingerprint(str(other), "linux/arm64") != first
    for change in ({"a.py": "2"}, {"b.py": ""}, {"Dockerfile": "FROM y"}):
        shutil.copytree(one, tmp_path / "third")
        write(tmp_path / "third", change)
        assert images.fingerprint(str(tmp_path / "third")) != first
        shutil.rmtree(tmp_path / "third")
    (other / "a.py").chmod(0o755)
    assert images.fingerprint(str(other)) != first


def test_what_changes_without_the_program_makes_no_other_image(tmp_path):
    write(tmp_path, {"Dockerfile": "FROM x\nCOPY . .\n", "src/a.py": "1"})
    first = images.fingerprint(str(tmp_path))
    write(tmp_path, {".git/index": "1", "wherry.yaml": "app: x", "src/__pycache__/a.pyc": "1"})
    assert images.fingerprint(str(tmp_path)) == first
    for wanted in ({".dockerignore": "!.git"}, {"Dockerfile": "FROM x\nCOPY .git wherry.yaml ./\n"}):
        write(tmp_path, wanted)
        second = images.fingerprint(str(tmp_path))
        write(tmp_path, {".git/index": next(iter(wanted))})
        assert images.fingerprint(str(tmp_path)) != second
        (tmp_path / ".dockerignore").unlink(missing_ok=True)


def test_it_is_built_where_it_is_needed_whatever_builder_the_person_uses(tmp_path, monkeypatch):
    write(tmp_path, {"docker": '#!/bin/sh\necho "$BUILDX_BUILDER $BUILDX_NO_DEFAULT_ATTESTATIONS"\n'})
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("BUILDX_BUILDER", "remote")
    assert images.docker("build", "-") == (0, b"default 1\n")


def test_a_dockerfile_is_made_up_for_python(tmp_path):
    with pytest.raises(UserError, match="neither a Dockerfile"):
        recipe(str(tmp_path))
    write(tmp_path, {"pyproject.toml": '[project]\nrequires-python = ">=3.12"\ndependencies = ["a>=1", "b"]\n'})
    lines = recipe(str(tmp_path)).dockerfile.splitlines()
    assert lines[0] == "FROM python:3.12-slim"
    assert lines.index('RUN ["pip", "install", "--no-cache-dir", "a>=1", "b"]') < lines.index("COPY --chown=job . .")
    assert lines[-1] == "USER job"
    write(tmp_path, {"requirements.txt": "a", ".python-version": "3.13.1\n", "pyproject.toml": "[build-system]\n"})
    lines = recipe(str(tmp_path)).dockerfile.splitlines()
    assert lines[0] == "FROM python:3.13-slim"
    assert lines[-2] == "RUN pip install --no-cache-dir --no-deps ."
    assert ".env" in recipe(str(tmp_path)).ignore
    write(tmp_path, {".dockerignore": "data\n"})
    assert recipe(str(tmp_path)).ignore[-1:] == ("data",)
    assert ".env" not in recipe(str(tmp_path)).ignore


@pytest.mark.parametrize(
    ("reference", "registry", "repository"),
    [
        ("python", "https://index.docker.io/v1/", "python"),
        ("python:3.11", "https://index.docker.io/v1/", "python"),
        ("acme/job:1", "https://index.docker.io/v1/", "acme/job"),
        ("docker.io/acme/job:1", "https://index.docker.io/v1/", "docker.io/acme/job"),
        ("localhost:5000/job", "localhost:5000", "localhost:5000/job"),
        (
            "1.dkr.ecr.eu-central-1.amazonaws.com/a/b:2",
            "1.dkr.ecr.eu-central-1.amazonaws.com",
            "1.dkr.ecr.eu-central-1.amazonaws.com/a/b",
        ),
    ],
)
def test_references(reference, registry, repository):
    assert references.registry_of(reference) == registry
    assert references.repository_of(reference) == repository


@pytest.mark.parametrize("where", ["credsStore", "credHelpers"])
def test_a_login_that_a_credential_helper_keeps(tmp_path, monkeypatch, where):
    helper = """        #!/bin/sh
        read -r server
        [ "$1 $server" = "get https://index.docker.io/v1/" ] && echo '{"Username": "me", "Secret": "'"$server"'"}' && exit
        echo "credentials not found in native keychain"; exit 1
    """
    config = {"auths": {"ghcr.io": {}}, where: "vault" if where == "credsStore" else {references.HUB: "vault"}}
    write(tmp_path, {"docker-credential-vault": textwrap.dedent(helper), "config.json": json.dumps(config)})
    (tmp_path / "docker-credential-vault").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert logins.stored("docker.io/acme/job:1") == logins.Credentials(username="me", password=references.HUB)
    assert logins.stored("ghcr.io/acme/job:1") is None


# --------------------------------------------------------------------------------------------- with a real registry

#: bcrypt of that password
HASHED = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
PAIR = logins.Credentials(username="me", password="secret")


@pytest.fixture(params=[None, PAIR], ids=["open", "with a login"])
def registry(request, tmp_path, docker_engine):
    """(address, credentials) of a registry of our own."""
    program = shutil.which("docker-registry")
    if program is None:
        said = "there is no program docker-registry; `scripts/docker-engine` installs it"
        pytest.fail(said) if os.environ.get("CI") == "true" else pytest.skip(said)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = (
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\nhttp: {{addr: '{address}'}}\n"
    )
    if request.param:
        (tmp_path / "users").write_text(f"me:{HASHED}\n")
        settings += f"auth: {{htpasswd: {{realm: test, path: {tmp_path}/users}}}}\n"
    (tmp_path / "registry.yml").write_text(settings)
    with open(tmp_path / "registry.log", "wb") as log:
        server = subprocess.Popen([program, "serve", f"{tmp_path}/registry.yml"], stdout=log, stderr=log)
    wait_for(lambda: answers(address), "the registry")
    yield address, request.param
    server.terminate()
    server.wait()


def answers(address):
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def test_an_image_on_its_way_through_a_registry(registry, tmp_path):
    address, credentials = registry
    repository = f"{address}/team/job"
    write(tmp_path / "source", {"Dockerfile": f"FROM {BUSYBOX}\nCOPY . /data\n", "x": os.urandom(8).hex()})
    said = []
    tag = images.build(str(tmp_path / "source"), images.NATIVE, show=said.append)
    assert said
    assert images.build(str(tmp_path / "source"), images.NATIVE, show=pytest.fail) == tag
    reference = f"{repository}:{tag.partition(':')[2]}"
    assert images.remote_digest(reference, credentials) is None
    digest = images.push(tag, repository, credentials)
    assert digest == images.remote_digest(reference, credentials)
    assert images.pinned(reference, credentials) == f"{repository}@{digest}"
    # What the registry has is not pushed again: were it, docker would have to have the image.
    docker("rmi", "--force", tag, reference)
    assert images.push(tag, repository, credentials) == digest
    if credentials is None:
        # As another machine would.
        images.pull(f"{repository}@{digest}")
        run = docker("run", "--rm", "--network", "none", f"{repository}@{digest}", "cat", "/data/x")
        assert run == (tmp_path / "source/x").read_text()
    else:
        with pytest.raises(images.ImageFailed):
            images.remote_digest(reference, logins.Credentials(username="me", password="wrong"))
    docker("rmi", "--force", f"{repository}@{digest}") if credentials is None else None


def test_sources_that_change_nothing_in_the_image_make_no_other(docker_engine, tmp_path):
    write(tmp_path, {"Dockerfile": f"FROM {BUSYBOX}\nCOPY data /data\n", "data": os.urandom(8).hex()})
    tags = []
    for text in ("one", "other"):
        write(tmp_path, {"README.md": text})
        tags.append(images.build(str(tmp_path), images.NATIVE))
    assert tags[0] != tags[1]
    assert docker("inspect", "-f", "{{.Id}}", tags[0]) == docker("inspect", "-f", "{{.Id}}", tags[1])
    docker("rmi", *tags)


def test_a_registry_that_is_not_there(docker_engine):
    with pytest.raises(images.ImageFailed) as caught:
        images.pull("127.0.0.1:1/nothing:1")
    assert caught.value.is_passing
    assert images.pinned(BUSYBOX.replace("wherry", "127.0.0.1:1/wherry")) is None
