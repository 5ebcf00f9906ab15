import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time

import pytest

from wherry.errors import WherryError
from wherry.executors import Ended, Key, Launch, Part, Started
from wherry.executors.proc import identify, is_alive
from wherry.executors.process import ProcessExecutor, feed
from wherry.model import Ending, Outcome

#: Of no other process of this machine, whatever a test before has left.
RUN = f"run-{os.getpid()}-{time.time_ns()}"
_numbers = itertools.count(1)


@pytest.fixture
def key():
    return Key(RUN, next(_numbers))


@pytest.fixture
def executor(tmp_path):
    executor = ProcessExecutor(str(tmp_path / "keepers"))
    yield executor
    executor.close()


@pytest.fixture
def launch(tmp_path, key):
    def make(*command, env=None, **more):
        environment = {
            "PATH": os.environ["PATH"],
            "WHERRY_RUN_ID": key.run_id,
            "WHERRY_ATTEMPT": str(key.attempt),
            **(env or {}),
        }
        return Launch(
            command=command, env=environment, folder=str(tmp_path), log=str(tmp_path / "runs/run/1.log"), **more
        )

    return make


def receive(executor, kind, key):
    """Wait for a report of a kind."""
    deadline = time.monotonic() + 20
    while True:
        for report in executor.receive():
            if isinstance(report, kind) and report.key == key:
                return report
        assert time.monotonic() < deadline
        select.select([executor], [], [], 1)


@pytest.fixture
def run(executor, key):
    def run(launch: Launch) -> Outcome:
        executor.launch(key, launch)
        executor.flush()
        return receive(executor, Ended, key).outcome

    return run


def read(launch: Part) -> str:
    with open(launch.log, encoding="utf-8") as file:
        return file.read()


def wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_processs_own(run, launch, code):
    assert run(launch("sh", "-c", f"exit {code}")) == Outcome(ending=Ending.EXITED, exit_code=code)


def test_a_signal_counts_as_shells_count_it(run, launch):
    outcome = run(launch("sh", "-c", "kill -SEGV $$"))
    assert outcome == Outcome(ending=Ending.EXITED, exit_code=139, reason="ended by SIGSEGV")


def test_both_streams_are_kept_in_the_order_they_were_written(run, launch):
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
    it = launch("sh", "-c", script)
    run(it)
    assert read(it) == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"


def test_the_environment_is_what_it_is_given(run, launch):
    it = launch("env", env={"ONLY": "this"})
    run(it)
    assert sorted(read(it).splitlines()) == sorted(f"{name}={value}" for name, value in it.env.items())


def test_values_that_are_not_text_reach_it_as_they_are(run, launch):
    it = launch("sh", "-c", 'printf %s "$ODD" | od -An -tx1', env={"ODD": os.fsdecode(b"\xff\n\xc3")})
    run(it)
    assert read(it).split() == ["ff", "0a", "c3"]


def test_it_reads_nothing(run, launch):
    it = launch("sh", "-c", "cat; echo end")
    run(it)
    assert read(it) == "end\n"


def test_signals_have_their_usual_meaning(run, launch):
    """The keeper ignores what terminals send; what it starts does not inherit that."""
    it = launch(
        sys.executable, "-c", "import signal as s; print(*[s.getsignal(n).name for n in (s.SIGTERM, s.SIGHUP)])"
    )
    run(it)
    assert read(it) == "SIG_DFL SIG_DFL\n"


@pytest.mark.parametrize(
    ("command", "text", "mode", "reason"),
    [
        ("no-such-program", None, 0, "there is no program `no-such-program` on PATH"),
        ("./nope.sh", None, 0, "there is no program `./nope.sh` here"),
        ("./job.sh", "echo hi\n", 0o644, "`./job.sh` is not executable: `chmod +x ./job.sh`"),
        ("./job.sh", "echo hi\n", 0o755, "`./job.sh` has no interpreter line: begin it with `#!/bin/sh` or the like"),
        (
            "./job.sh",
            "#!/no/such/shell\n",
            0o755,
            "`./job.sh` names an interpreter in its first line that does not exist",
        ),
    ],
)
def test_what_cannot_start_says_why(run, launch, tmp_path, command, text, mode, reason):
    if text:
        (tmp_path / "job.sh").write_text(text)
        (tmp_path / "job.sh").chmod(mode)
    assert run(launch(command)) == Outcome(ending=Ending.COULD_NOT_START, reason=reason)


def test_a_folder_that_is_not_there(run, launch):
    there = launch("true")
    outcome = run(Launch(command=there.command, env=there.env, folder="/no/such/folder", log=there.log))
    assert outcome.reason == "the folder `/no/such/folder` does not exist"


def test_one_that_runs_is_named_and_can_be_stopped(executor, key, launch):
    executor.launch(key, launch("sleep", "60"))
    executor.flush()
    started = receive(executor, Started, key)
    assert is_alive(started.process)
    executor.stop(key, grace=10)
    executor.flush()
    ended = receive(executor, Ended, key)
    assert ended.outcome == Outcome(ending=Ending.EXITED, exit_code=143, reason="ended by SIGTERM")
    assert not is_alive(started.process)
    assert abs(ended.at - time.time()) < 5


def test_one_that_will_not_go_is_killed(executor, key, launch):
    it = launch("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    executor.launch(key, it)
    executor.flush()
    wait_until(lambda: os.path.exists(it.log) and "ready" in read(it))
    executor.stop(key, grace=0.1)
    executor.flush()
    outcome = receive(executor, Ended, key).outcome
    assert outcome == Outcome(ending=Ending.EXITED, exit_code=137, reason="ended by SIGKILL")


@pytest.mark.parametrize("way", ["sleep 600 & echo $!", "setsid sleep 600 & echo $!; sleep 0.1"])
def test_nothing_is_left_behind(run, launch, way):
    """What the command put into the background goes with it, as in a container; also what left its session."""
    it = launch("sh", "-c", f"{way}\n{way}")
    run(it)
    for line in read(it).split():
        wait_until(lambda pid=line: not is_alive(identify(int(pid))))


def test_what_it_took_is_counted(executor, key, launch):
    executor.launch(key, launch(sys.executable, "-c", "x = b'x' * 100_000_000; sum(range(3_000_000))"))
    executor.flush()
    usage = receive(executor, Ended, key).usage
    assert 100e6 < usage.peak_memory < 300e6
    assert usage.cpu_seconds > 0.01


def test_one_that_outgrows_its_memory_is_killed_and_that_is_told(run, launch):
    program = "import time; x = b'x' * 200_000_000; time.sleep(60)"
    outcome = run(launch(sys.executable, "-c", program, memory=50 << 20))
    assert (outcome.ending, outcome.exit_code) == (Ending.OUT_OF_MEMORY, 137)
    assert "more than its `memory`" in outcome.reason


def test_shared_memory_is_counted_once(run, launch):
    """Eight children that share 60 MB with their parent take 60 MB together, not 540."""
    program = (
        "import os, time\nx = bytearray(b'x') * 60_000_000\nfor _ in range(8):\n"
        "    if os.fork() == 0:\n        time.sleep(1)\n        os._exit(0)\ntime.sleep(1)\n"
    )
    assert run(launch(sys.executable, "-c", program, memory=200 << 20)).exit_code == 0


def test_processors_are_counted(run, launch):
    it = launch(sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))", cpus=1)
    run(it)
    assert read(it) == "1\n"


def test_helpers_begin_first_and_end_with_it(run, launch, tmp_path):
    it = launch("sh", "-c", "while ! grep -q ready runs/run/1.proxy.log; do sleep 0.02; done; exit 7")
    helper = Part(
        command=("sh", "-c", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done"),
        env=it.env,
        folder=it.folder,
        log=str(tmp_path / "runs/run/1.proxy.log"),
    )
    outcome = run(Launch(command=it.command, env=it.env, folder=it.folder, log=it.log, helpers={"proxy": helper}))
    assert outcome == Outcome(ending=Ending.EXITED, exit_code=7)
    assert (read(helper).splitlines()[0], read(helper).splitlines()[-1]) == ("ready", "bye")


def test_a_helpers_own_end_decides_nothing(run, launch, tmp_path):
    it = launch("sh", "-c", "sleep 0.3")
    helper = Part(command=("sh", "-c", "exit 9"), env=it.env, folder=it.folder, log=str(tmp_path / "runs/run/h.log"))
    assert run(Launch(command=it.command, env=it.env, folder=it.folder, log=it.log, helpers={"h": helper})).succeeded


def test_a_helper_that_cannot_start_keeps_it_from_starting(run, launch, tmp_path):
    it = launch("sh", "-c", "echo began")
    helper = Part(command=("no-such",), env=it.env, folder=it.folder, log=str(tmp_path / "runs/run/h.log"))
    outcome = run(Launch(command=it.command, env=it.env, folder=it.folder, log=it.log, helpers={"h": helper}))
    assert outcome.reason == "helper `h`: there is no program `no-such` on PATH"
    assert not os.path.exists(it.log)


# ------------------------------------------------------------------------------------------ after a death


UNTIL_GO = "while [ ! -e go ]; do sleep 0.02; done"


def start_and_die(tmp_path, it: Launch, key) -> str:
    """Another process starts it and is killed; gives that process's identity."""
    program = (
        "import os, select, time\n"
        "from wherry.executors import Key, Launch\nfrom wherry.executors.process import ProcessExecutor\n"
        "from wherry.executors.proc import identify\n"
        f"executor = ProcessExecutor({str(tmp_path / 'keepers')!r})\n"
        f"executor.launch(Key({key.run_id!r}, {key.attempt}), Launch(command={tuple(it.command)!r}, env={dict(it.env)!r}, "
        f"folder={it.folder!r}, log={it.log!r}))\nexecutor.flush()\n"
        f"while not os.path.exists({it.log!r}): time.sleep(0.01)\n"
        "print(identify(os.getpid()), flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.strip()


def test_the_exit_code_outlives_the_engine(executor, key, launch, tmp_path):
    it = launch("sh", "-c", f"{UNTIL_GO}; exit 5")
    owner = start_and_die(tmp_path, it, key)
    executor.adopt(key, process="", owner=owner, log=it.log)
    (tmp_path / "go").touch()
    ended = receive(executor, Ended, key)
    assert ended.outcome == Outcome(ending=Ending.EXITED, exit_code=5)
    wait_until(lambda: not os.listdir(tmp_path / "keepers"))


def test_an_end_before_anybody_came_back_is_known(executor, key, launch, tmp_path):
    it = launch("sh", "-c", "exit 6")
    owner = start_and_die(tmp_path, it, key)
    wait_until(lambda: not os.listdir(tmp_path / "keepers"))
    executor.adopt(key, process="", owner=owner, log=it.log)
    assert receive(executor, Ended, key).outcome == Outcome(ending=Ending.EXITED, exit_code=6)


def test_an_end_for_which_there_is_no_room_is_written_when_there_is(executor, key, launch, tmp_path):
    it = launch("sh", "-c", f"echo $$; {UNTIL_GO}; exit 5")
    end_file = it.log.removesuffix(".log") + ".end"
    os.makedirs(os.path.dirname(end_file))
    os.symlink("/dev/full", f"{end_file}~")  # where the keeper writes it first
    owner = start_and_die(tmp_path, it, key)
    executor.adopt(key, process="", owner=owner, log=it.log)
    wait_until(lambda: read(it))
    process = f"/proc/{int(read(it))}"
    (tmp_path / "go").touch()
    wait_until(lambda: not os.path.exists(process))
    time.sleep(0.1)  # it is reaped, and its keeper finds no room
    assert json.loads((tmp_path / "keepers" / owner).read_text())["held"] == [str(key)]
    os.unlink(f"{end_file}~")
    assert receive(executor, Ended, key).outcome == Outcome(ending=Ending.EXITED, exit_code=5)
    wait_until(lambda: not os.listdir(tmp_path / "keepers"))


def test_an_orphan_can_be_stopped(executor, key, launch, tmp_path):
    it = launch("sleep", "60")
    owner = start_and_die(tmp_path, it, key)
    executor.adopt(key, process="", owner=owner, log=it.log)
    executor.stop(key, grace=10)
    executor.flush()
    assert receive(executor, Ended, key).outcome.exit_code == 143


def test_what_was_never_started_is_known_to_be_so(executor, key, launch, tmp_path):
    it = launch("sleep", "60")
    owner = start_and_die(tmp_path, it, key)
    never = Key(RUN, next(_numbers))
    executor.adopt(never, process="", owner=owner, log=str(tmp_path / "runs/run/2.log"))
    outcome = receive(executor, Ended, never).outcome
    assert (outcome.ending, outcome.passing) == (Ending.COULD_NOT_START, True)
    executor.adopt(key, process="", owner=owner, log=it.log)
    executor.stop(key, grace=10)
    executor.flush()
    receive(executor, Ended, key)


def keeper_of(tmp_path, owner: str) -> int:
    return int(json.loads((tmp_path / "keepers" / owner).read_text())["keeper"].partition(":")[0])


def test_without_its_keeper_an_end_is_lost_and_nothing_is_left(executor, key, launch, tmp_path):
    it = launch("sh", "-c", f"setsid sleep 600 & echo $$ $!; {UNTIL_GO}")
    owner = start_and_die(tmp_path, it, key)
    wait_until(lambda: len(read(it).split()) == 2)
    main, stray = (identify(int(pid)) for pid in read(it).split())
    os.kill(keeper_of(tmp_path, owner), signal.SIGKILL)
    executor.adopt(key, process=main, owner=owner, log=it.log)
    (tmp_path / "go").touch()
    assert receive(executor, Ended, key).outcome.ending is Ending.LOST
    wait_until(lambda: not is_alive(stray))


def test_a_keeper_that_is_killed_is_replaced(executor, key, launch, tmp_path):
    executor.launch(key, launch("sh", "-c", UNTIL_GO))
    executor.flush()
    process = receive(executor, Started, key).process
    os.kill(keeper_of(tmp_path, identify(os.getpid())), signal.SIGKILL)
    (tmp_path / "go").touch()
    assert receive(executor, Ended, key).outcome.ending is Ending.LOST
    assert not is_alive(process)
    another = Key(RUN, next(_numbers))
    executor.launch(another, launch("sh", "-c", "exit 3"))
    executor.flush()
    assert receive(executor, Ended, another).outcome.exit_code == 3


def test_a_pid_that_means_another_process_is_not_it():
    assert is_alive(identify(os.getpid()))
    assert not is_alive(f"{os.getpid()}:1")
    assert not is_alive("")


def test_a_short_program_is_fed_and_held_to_its_end(tmp_path):
    feed(("sh", "-c", "cat > got"), b"data", env={"PATH": os.environ["PATH"]}, folder=str(tmp_path), timeout=10)
    assert (tmp_path / "got").read_bytes() == b"data"
    with pytest.raises(WherryError, match="ended with exit code 3: no$"):
        feed(("sh", "-c", "echo no >&2; exit 3"), b"", env={"PATH": os.environ["PATH"]}, folder="/", timeout=10)
    with pytest.raises(WherryError, match=r"took longer than 0.1 s"):
        feed(("sleep", "9"), b"", env={"PATH": os.environ["PATH"]}, folder="/", timeout=0.1)
