"""Attempts as containers, through the command line, on a real engine. What all backends have in common is in conformance."""

import json
import os
import shutil
import signal
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.conftest import BUSYBOX, PYTHON, wait_for
from wherry.executors import images

pytestmark = pytest.mark.usefixtures("docker_engine")

DOCKER = ("--executor", "docker")


def docker(*arguments, code=0):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert code is None or done.returncode == code, done.stderr
    return done.stdout


def containers(run_id):
    return docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label=wherry.run={run_id}").split()


def runs(project):
    return json.loads(project.wherry("runs", "--json").stdout)


def ended(project):
    return wait_for(lambda: runs(project)[0]["ended_at"] and runs(project)[0], "the run's end")


def log(project):
    return project.wherry("logs", runs(project)[0]["id"]).stdout


def begin(project, job="job", *, said):
    """Start a job through the engine and wait until it has written something."""
    project.wherry("emit", json.dumps([{"source": "test", "detail-type": job, "detail": {}}]))
    run = wait_for(lambda: runs(project), "the run")[0]
    wait_for(lambda: said in project.wherry("logs", run["id"], code=None).stdout, "its log")
    return run["id"]


def job(text, rest=""):
    body = textwrap.indent(textwrap.dedent(text).strip(), "    ")
    return f"app: test\n{rest}jobs:\n  job:\n    on: [{{event: {{source: [test]}}}}]\n{body}\n"


COUNTING = job(
    f"""
    image: {BUSYBOX}
    command: 'i=0; while [ $i -lt 2000 ]; do echo line $i; [ $((i % 500)) = 499 ] && sleep 1; i=$((i+1)); done; exit 7'
    """
)
LINES = "".join(f"line {number}\n" for number in range(2000))


@pytest.mark.parametrize("pause", ["while it goes on", "after its end"])
def test_a_killed_engine_costs_nothing(project, pause):
    project.jobfile(COUNTING)
    engine = project.up(*DOCKER)
    run_id = begin(project, said="line 499\n")
    engine.kill()
    engine.wait()
    if pause == "after its end":
        wait_for(lambda: docker("inspect", "-f", "{{.State.Status}}", *containers(run_id)).strip() == "exited", "it")
    project.up(*DOCKER)
    run = ended(project)
    assert [(one["ending"], one["exit_code"]) for one in run["attempts"]] == [("exited", 7)]
    assert log(project) == LINES
    wait_for(lambda: not containers(run_id), "the container's removal")


def test_an_engine_with_another_executor_goes_on_with_both(project):
    project.jobfile(COUNTING)
    for first, second in ((DOCKER, ()), ((), DOCKER)):
        engine = project.up(*first)
        begin(project, said="line 499\n")
        engine.kill()
        engine.wait()
        engine = project.up(*second)
        run = ended(project)
        assert [(one["ending"], one["exit_code"]) for one in run["attempts"]] == [("exited", 7)]
        assert log(project) == LINES
        engine.terminate()
        engine.wait()


def test_a_container_that_vanished_is_lost(project):
    project.jobfile(job(f"image: {BUSYBOX}\ncommand: echo up; sleep 300"))
    engine = project.up(*DOCKER)
    run_id = begin(project, said="up\n")
    engine.kill()
    engine.wait()
    docker("rm", "--force", *containers(run_id))
    project.up(*DOCKER)
    assert [one["ending"] for one in ended(project)["attempts"]] == ["lost"]


def test_what_a_killed_engine_left_over_is_removed(project):
    project.jobfile(job(f"image: {BUSYBOX}"))
    labels = {
        "home": project.folder / ".wherry/keepers",
        "run": project.folder.parent.name,
        "attempt": 1,
        "owner": "1:1",
    }
    docker("create", *(f"--label=wherry.{name}={value}" for name, value in labels.items()), BUSYBOX)
    project.up(*DOCKER)
    wait_for(lambda: not containers(labels["run"]), "the removal")


def test_a_stop_leaves_time_to_end(project):
    program = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0))); print('up'); time.sleep(300)"
    project.jobfile(job(f"image: {PYTHON}\ncommand: [python, -c, {json.dumps(program)}]"))
    project.up(*DOCKER)
    run_id = begin(project, said="up\n")
    project.wherry("stop", run_id)
    assert ended(project)["status"] == "stopped"
    assert log(project) == "up\nbye\n"


def test_limits_are_the_engines(project):
    project.jobfile(job(f"image: {BUSYBOX}\ncommand: echo up; sleep 300\ncpu: 0.25\nmemory: 96MB"))
    project.up(*DOCKER)
    run_id = begin(project, said="up\n")
    found = json.loads(docker("inspect", *containers(run_id)))[0]["HostConfig"]
    assert (found["NanoCpus"], found["Memory"], found["MemorySwap"]) == (250_000_000, 96 << 20, 96 << 20)
    project.wherry("stop", run_id)


def test_helpers_are_on_localhost(project):
    project.jobfile(
        job(
            f"""
            image: {BUSYBOX}
            command: until wget -q -O - http://localhost:8080/ && wget -q -O - http://localhost:8081/hello; do sleep 0.1; done
            helpers:
              web: {{command: 'mkdir /w; echo found > /w/hello; httpd -f -p 8081 -h /w'}}
              other: {{image: "{PYTHON}", command: 'echo helper; mkdir /w; cd /w; python -m http.server 8080'}}
            """
        )
    )
    assert project.wherry("run", "job", *DOCKER).stdout.endswith("found\n")
    run_id = runs(project)[0]["id"]
    assert project.wherry("logs", run_id, "--helper", "other").stdout.startswith("helper\n")
    assert not containers(run_id)


def test_an_image_brings_its_own_command(project):
    project.file("image/Dockerfile", f'FROM {BUSYBOX}\nENTRYPOINT ["echo", "own"]\nCMD ["words"]\n')
    project.jobfile(job("build: image\nhelpers: {side: {image: wherry-busybox:1}}"))
    assert project.wherry("run", "job", *DOCKER).stdout == "own words\n"
    assert project.wherry("run", "job", *DOCKER, "--", "other", "words").stdout == "own other words\n"
    assert "`--executor docker`" in project.wherry("run", "job", code=2).stderr


def test_text_for_the_shell_is_no_argument_of_the_images_program_and_a_list_is(project):
    """As on ECS, also where the list is a shell's."""
    project.file("image/Dockerfile", f'FROM {BUSYBOX}\nENTRYPOINT ["echo", "own"]\n')
    project.jobfile(job("build: image\ncommand: echo $((1 + 1))"))
    assert project.wherry("run", "job", *DOCKER).stdout == "2\n"
    project.jobfile(job("build: image\ncommand: [/bin/sh, -c, echo $((1 + 1))]"))
    assert project.wherry("run", "job", *DOCKER).stdout == "own /bin/sh -c echo $((1 + 1))\n"


def test_sources_become_an_image_once(project):
    project.file("Dockerfile", f"FROM {BUSYBOX}\nWORKDIR /work\nCOPY . .\n")
    project.file("data.txt", "first\n")
    project.jobfile(job("command: cat data.txt; pwd; ls -a"))
    first = project.wherry("run", "job", *DOCKER).stdout
    assert first.startswith("first\n/work\n")
    assert ".wherry" not in first.splitlines()
    (project.folder / "data.txt").touch()
    tagged = ("inspect", "--format", "{{.Id}} {{.Metadata.LastTagTime}}", images.tag_of(str(project.folder)))
    before = docker(*tagged)
    project.wherry("run", "job", *DOCKER)
    assert docker(*tagged) == before
    project.file("data.txt", "second\n")
    assert project.wherry("run", "job", *DOCKER).stdout.startswith("second\n")


def test_a_python_project_needs_no_dockerfile(project):
    project.file("task/requirements.txt", "# nothing\n")
    project.file("task/main.py", "import os, pwd; print(pwd.getpwuid(os.getuid())[0], os.getcwd()); open('out', 'w')")
    project.jobfile(job("build: task\ncommand: [python, main.py]"))
    assert project.wherry("run", "job", *DOCKER).stdout == "job /app\n"


def test_a_folder_without_a_recipe_is_refused(project):
    project.jobfile(job("command: echo hello"))
    said = project.wherry("run", "job", *DOCKER, code=2).stderr
    assert "neither a Dockerfile nor a requirements.txt or pyproject.toml" in said
    assert "name an `image`" in said


def test_a_failing_build_is_shown(project):
    project.file("Dockerfile", f"FROM {BUSYBOX}\nRUN echo before; nonsense\n")
    project.jobfile(job("command: 'true'"))
    done = project.wherry("run", "job", *DOCKER, code=1)
    assert "before" in done.stdout
    run = runs(project)[0]
    assert [one["ending"] for one in run["attempts"]] == ["could_not_start"]
    assert "could not be built" in run["reason"]
    assert "nonsense" in run["reason"]


def test_without_an_engine_it_says_so(project):
    project.jobfile(job(f"image: {BUSYBOX}"))
    nowhere = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    for verb in (("run", "job"), ("up",)):
        said = project.wherry(*verb, *DOCKER, code=1, env=nowhere).stderr
        assert "no Docker engine answers at /nowhere/docker.sock" in said
        assert "without `--executor docker`" in said
    assert (
        "not of this machine" in project.wherry("run", "job", *DOCKER, code=1, env={"DOCKER_HOST": "tcp://far"}).stderr
    )


def test_who_asks_an_engine_for_another_executor_is_told(project):
    project.jobfile(job("command: echo hello"))
    project.up()
    said = project.wherry("run", "job", *DOCKER, code=2).stderr
    assert "executes by `process`" in said


def test_nothing_of_this_machine_leaks_in(project):
    project.jobfile(job(f"image: {BUSYBOX}\ncommand: env"))
    variables = dict(line.split("=", 1) for line in project.wherry("run", "job", *DOCKER).stdout.splitlines())
    assert variables["HOME"] == "/root"
    assert os.environ["PATH"] != variables["PATH"]
    assert variables["PYTHONUNBUFFERED"] == "1"


# ------------------------------------------------------------------------------------------------ the gateway inside


def with_boto3(folder):
    """A build context with boto3 in it: a build has no package index. Of the many services' data only what is used."""
    import boto3

    packages = Path(boto3.__file__).parent.parent
    wanted = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py")

    def unused(path, names):
        data = Path(path).name == "data" and Path(path).parent.name in ("boto3", "botocore")
        return [
            name for name in names if name == "__pycache__" or (data and not name.endswith(".json") and name != "s3")
        ]

    for name in wanted:
        source = packages / name
        if source.is_dir():
            shutil.copytree(source, folder / "lib" / name, ignore=unused)
        else:
            shutil.copy(source, folder / "lib" / name)
    (folder / "Dockerfile").write_text(
        f"FROM {PYTHON}\nENV PYTHONPATH=/lib-python\nCOPY lib /lib-python\nCOPY *.py ./\n"
    )


def test_a_run_reaches_what_it_declares_and_nothing_else(project):
    image = project.folder / "image"
    image.mkdir()
    with_boto3(image)
    (image / "job.py").write_text(
        "import boto3\ns3 = boto3.client('s3')\n"
        "print(s3.get_object(Bucket='mine', Key='a.txt')['Body'].read().decode())\n"
        "s3.put_object(Bucket='theirs', Key='b', Body=b'')\n"
    )
    project.jobfile(job("build: image\ncommand: [python, job.py]\nreads: [mine]", "buckets: {mine: {}, theirs: {}}\n"))
    project.file("a.txt", "content")
    project.wherry("cp", "a.txt", "s3://mine/a.txt")
    done = project.wherry("run", "job", *DOCKER, code=1)
    assert "content\n" in done.stdout
    assert "AccessDenied" in done.stdout
    assert "`writes: [theirs]`" in done.stderr or "writes" in done.stderr


def test_the_analyzer_runs_as_it_is(project):
    analyzer = Path(__file__).parents[3] / "shared/articles/3-analyzer.py"
    if not analyzer.exists():
        pytest.skip("the article's program stands beside the repository, and is not there")
    image = project.folder / "image"
    image.mkdir()
    with_boto3(image)
    shutil.copy(analyzer, image / "analyzer.py")
    project.jobfile(
        "app: test\nbuckets: {uploads: {}, results: {}}\njobs:\n  analyzer:\n    build: image\n"
        "    command: [python, analyzer.py]\n    on: [{upload: {bucket: uploads, suffix: .csv}}]\n"
        "    reads: [uploads]\n    writes: [results]\n    env:\n      INPUT_BUCKET: ${bucket.uploads}\n"
        "      INPUT_KEY: $.detail.object.key\n      OUTPUT_BUCKET: ${bucket.results}\n"
    )
    engine = project.up(*DOCKER)
    project.file("a.csv", "x,y\n1,2\n3,4\n")
    project.wherry("cp", "a.csv", "s3://uploads/in/a.csv")
    run = wait_for(lambda: [one for one in runs(project) if one["ended_at"]], "the run")[0]
    assert run["status"] == "succeeded", log(project)
    result = json.loads(project.wherry("cp", "s3://results/results/a.csv.analysis.json", "-").stdout)
    assert (result["row_count"], result["columns"]) == (2, ["x", "y"])
    engine.send_signal(signal.SIGINT)
    engine.wait(20)
