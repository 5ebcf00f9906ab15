import os
import signal
import subprocess
import sys
import time

import pytest

from wherry.executors import CouldNotStart, Launch
from wherry.executors.process import ProcessExecutor, identify, is_alive
from wherry.model import Ending, Outcome

EXECUTOR = ProcessExecutor()


@pytest.fixture
def launch(tmp_path):
    def make(*command, env=None):
        environment = {"PATH": os.environ["PATH"], **(env or {})}
        return Launch(command=command, env=environment, folder=str(tmp_path), log=str(tmp_path / "log"))

    return make


def run(launch: Launch) -> Outcome:
    outcome = EXECUTOR.start(launch).wait()
    assert outcome is not None
    return outcome


def read(launch: Launch) -> str:
    with open(launch.log, encoding="utf-8") as file:
        return file.read()


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_processs_own(launch, code):
    assert run(launch("sh", "-c", f"exit {code}")) == Outcome(ending=Ending.EXITED, exit_code=code)


def test_a_signal_counts_as_shells_count_it(launch):
    outcome = run(launch("sh", "-c", "kill -SEGV $$"))
    assert outcome == Outcome(ending=Ending.EXITED, exit_code=139, reason="ended by SIGSEGV")


def test_both_streams_are_kept_in_the_order_they_were_written(launch):
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
    it = launch("sh", "-c", script)
    run(it)
    assert read(it) == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"


def test_the_environment_is_what_it_is_given(launch):
    it = launch("env", env={"ONLY": "this"})
    run(it)
    assert sorted(read(it).splitlines()) == sorted(["ONLY=this", f"PATH={os.environ['PATH']}"])


def test_it_reads_nothing(launch):
    it = launch("sh", "-c", "cat; echo end")
    run(it)
    assert read(it) == "end\n"


def test_a_program_that_is_not_there(launch):
    with pytest.raises(CouldNotStart, match="^there is no program `no-such-program` on PATH$"):
        EXECUTOR.start(launch("no-such-program"))
    with pytest.raises(CouldNotStart, match=r"^there is no program `./nope.sh` here$"):
        EXECUTOR.start(launch("./nope.sh"))


def test_a_file_that_is_not_executable(launch, tmp_path):
    (tmp_path / "job.sh").write_text("echo hi\n")
    with pytest.raises(CouldNotStart, match=r"`./job.sh` is not executable: `chmod \+x ./job.sh`"):
        EXECUTOR.start(launch("./job.sh"))


def test_a_script_without_an_interpreter(launch, tmp_path):
    (tmp_path / "job.sh").write_text("echo hi\n")
    (tmp_path / "job.sh").chmod(0o755)
    with pytest.raises(CouldNotStart, match="`./job.sh` has no interpreter line"):
        EXECUTOR.start(launch("./job.sh"))


def test_a_script_with_an_interpreter_that_is_not_there(launch, tmp_path):
    (tmp_path / "job.sh").write_text("#!/no/such/shell\n")
    (tmp_path / "job.sh").chmod(0o755)
    with pytest.raises(CouldNotStart, match="`./job.sh` names an interpreter in its first line that does not exist"):
        EXECUTOR.start(launch("./job.sh"))


def test_a_folder_that_is_not_there(launch, tmp_path):
    there = launch("true")
    with pytest.raises(CouldNotStart, match="the folder `/no/such/folder` does not exist"):
        EXECUTOR.start(Launch(command=there.command, env=there.env, folder="/no/such/folder", log=there.log))


def test_waiting_with_a_limit_leaves_it_running(launch):
    handle = EXECUTOR.start(launch("sleep", "60"))
    assert handle.wait(0.05) is None
    assert is_alive(handle.identity)
    handle.stop(grace=10)
    assert handle.wait() == Outcome(ending=Ending.EXITED, exit_code=143, reason="ended by SIGTERM")
    assert not is_alive(handle.identity)


def test_one_that_will_not_go_is_killed(launch):
    it = launch("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    handle = EXECUTOR.start(it)
    wait_until(lambda: "ready" in read(it))
    handle.stop(grace=0.1)
    assert handle.wait() == Outcome(ending=Ending.EXITED, exit_code=137, reason="ended by SIGKILL")


def test_nothing_is_left_behind(launch):
    """What the command put into the background goes with it, as in a container."""
    it = launch("sh", "-c", "sleep 600 & echo $!; sleep 600 & echo $!")
    run(it)
    for line in read(it).split():
        wait_until(lambda pid=line: not is_alive(identify(int(pid))))


def test_another_process_finds_it_again(launch):
    """Started by a process that is killed, found by this one through pid and start time."""
    it = launch("sleep", "60")
    program = (
        "import sys, os\nfrom wherry.executors import Launch\nfrom wherry.executors.process import ProcessExecutor\n"
        f"handle = ProcessExecutor().start(Launch(command={it.command!r}, env={dict(it.env)!r}, folder={it.folder!r}, log={it.log!r}))\n"
        "print(handle.identity, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    handle = EXECUTOR.find(done.stdout.strip())
    assert handle is not None
    assert handle.wait(0.05) is None
    handle.stop(grace=5)
    outcome = handle.wait()
    assert outcome is not None
    assert outcome.ending is Ending.LOST  # its exit code was its parent's to know


def test_a_pid_that_means_another_process_is_not_it():
    assert EXECUTOR.find(f"{os.getpid()}:1") is None
