"""Extensions as child processes: real ones, flooded, stopped, killed."""

import errno
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import freezegun
import pytest

from pytest_lambda_telemetry.host import leftovers, process
from pytest_lambda_telemetry.host.arguments import arguments, extension_name
from pytest_lambda_telemetry.host.child_names import Resolution
from pytest_lambda_telemetry.host.process import ExtensionProcess, address_in_use
from pytest_lambda_telemetry.model.errors import MisuseError, WaitTimeout

PLAIN = Resolution("as it is")
LIMIT_S = 30.0  # for a loaded machine; nothing waits for it
FOREVER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


class Child(ExtensionProcess):
    """With what tests wait for."""

    def __init__(self, argv: list[Any], **options: Any) -> None:
        self.changed = threading.Condition()
        usual: dict[str, Any] = {"name": "child", "env": {"PATH": os.environ["PATH"]}, "resolution": PLAIN}
        super().__init__(argv, on_lines=self._notify, **usual | options)

    def _notify(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def until(self, holds: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(holds, LIMIT_S), self.output


Start = Callable[..., Child]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start children; afterwards there are none, and no thread or file of theirs."""
    children: list[Child] = []
    threads, files = set(threading.enumerate()), open_files()

    def start(*argv: str | os.PathLike[str], **options: Any) -> Child:
        children.append(Child(list(argv), **options))
        return children[-1]

    yield start
    for child in children:
        child.terminate(0)
        assert leftovers.descendants(child.pid) == set()
    assert not set(threading.enumerate()) - threads
    assert open_files() <= files  # an earlier test's may have gone meanwhile


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", script)


def alive(pid: int) -> bool:
    """Whether this process runs; one that waits to be reaped by whoever has it now does not."""
    return any(one.pid == pid and not one.ended for one in leftovers.processes())


def test_a_child_that_ends(start: Start) -> None:
    child = start("sh", "-c", "echo out; echo err >&2; printf last; exit 3")
    assert child.wait(LIMIT_S) == 3
    assert child.returncode == 3
    assert child.output == "out\nerr\nlast"
    assert child.last_lines == "    out\n    err\n    last"
    child.terminate(0)
    assert child.take_lines() == (["out", "err", "last"], 0, 0)
    assert not child.killed
    assert repr(child) == f"<ExtensionProcess child pid={child.pid} ended with 3>"


def test_a_child_that_runs(start: Start) -> None:
    child = start(*python(FOREVER))
    child.until(lambda: child.output == "up\n")
    assert child.returncode is None
    assert repr(child) == f"<ExtensionProcess child pid={child.pid} running>"
    assert not child.registered


def test_a_signal_is_a_negative_number(start: Start) -> None:
    assert start("sh", "-c", "kill -SEGV $$").wait(LIMIT_S) == -signal.SIGSEGV


def test_a_wait_that_times_out_says_what_it_wrote(start: Start) -> None:
    child = start(*python(FOREVER))
    child.until(lambda: child.output)
    with pytest.raises(
        WaitTimeout, match=rf"^extension child \(pid {child.pid}\) still runs after 0\.01 s; .*:\n    up$"
    ):
        child.wait(0.01)


def test_a_message_shows_the_last_lines_of_much(start: Start) -> None:
    child = start("sh", "-c", "seq 1 30000; exec sleep 600")
    child.until(lambda: child.output.endswith("\n30000\n"))
    with pytest.raises(WaitTimeout, match=r"its last output:\n    … 29,990 earlier lines(\n    2999\d){9}\n    30000$"):
        child.wait(0.01)


def test_a_wait_that_times_out_says_that_nothing_was_written(start: Start) -> None:
    with pytest.raises(WaitTimeout, match=r"\(no output\)$"):
        start("sleep", "600").wait(0.01)


def test_waits_are_in_real_time_under_freezegun(start: Start) -> None:
    with freezegun.freeze_time("2020-01-01"):
        child = start("sleep", "600")
        with pytest.raises(WaitTimeout):
            child.wait(0.01)
        child.terminate(0.01)
        assert start("true").wait(LIMIT_S) == 0


def test_its_environment_directory_and_input_are_as_said(start: Start, tmp_path: Path) -> None:
    child = start("/usr/bin/env", env={"ONLY": "this"}, cwd=tmp_path)
    child.wait(LIMIT_S)
    assert child.output == "ONLY=this\n"
    child = start("sh", "-c", "pwd -P; cat; echo end", cwd=tmp_path)
    child.wait(LIMIT_S)
    assert child.output == f"{tmp_path.resolve()}\nend\n"


def test_it_leads_a_session_and_group_of_its_own(start: Start) -> None:
    child = start(*python("import os; print(os.getpid(), os.getpgrp(), os.getsid(0))"))
    child.wait(LIMIT_S)
    assert set(child.output.split()) == {str(child.pid)}


def test_a_program_is_found_in_its_directory(start: Start, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("#!/bin/sh\necho mine\n")
    (tmp_path / "mine").chmod(0o755)
    for argv0, options in (
        ("./mine", {"cwd": tmp_path}),
        (tmp_path / "mine", {}),
        ("mine", {"env": {"PATH": str(tmp_path)}}),
    ):
        child = start(argv0, **options)
        child.wait(LIMIT_S)
        assert child.output == "mine\n"


def test_pumping_reads_what_is_there_without_waiting(start: Start, tmp_path: Path) -> None:
    """Whoever has heard from the child, in whatever way, has its earlier output after one pump."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = start("sh", "-c", 'echo before; echo done > "$1"; exec sleep 600', "sh", fifo)
    assert fifo.read_text() == "done\n"
    child.pump()
    assert child.take_lines() == (["before"], 0, 0)
    child.pump()
    assert child.take_lines() == ([], 0, 0)


def test_its_output_has_what_it_wrote_before_it_was_heard_from(start: Start, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = start("sh", "-c", 'echo before; echo done > "$1"; exec sleep 600', "sh", fifo)
    assert fifo.read_text() == "done\n"
    assert child.output == "before\n"


def test_a_flood_is_counted_and_never_blocks_the_child(start: Start) -> None:
    size = 64 * 1024 * 1024
    child = start("sh", "-c", f"yes | head -c {size}; echo end >&2")
    assert child.wait(LIMIT_S) == 0
    lines, dropped_lines, dropped_bytes = child.take_lines()
    assert lines == ["y"] * 10_000
    assert (dropped_lines, dropped_bytes) == (size // 2 + 1 - 10_000, size // 2 + 3 - 10_000)
    assert child.output.startswith("[")
    assert child.output.endswith("y\nend\n")
    assert len(child.output) < 1_100_000


def test_a_line_too_long_is_cut_with_a_note(start: Start) -> None:
    child = start(*python("print('x' * 3_000_000); print('next')"))
    assert child.wait(LIMIT_S) == 0
    lines, *_ = child.take_lines()
    assert [len(line) for line in lines] == [1_048_576, 4]
    assert child.take_notes() == ["a line of output is longer than 1,048,576 bytes: cut there"]


def test_it_is_stopped_and_goes_on(start: Start) -> None:
    """A stopped child does not answer; one that goes on does."""
    child = start(*python("import time\nwhile True: print('tick', flush=True); time.sleep(0.001)"))
    child.until(lambda: child.output)
    child.stop()
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    child.pump()
    child.take_lines()
    child.pump()
    assert child.take_lines() == ([], 0, 0)
    child.cont()
    child.until(lambda: child.take_lines()[0])


def test_a_stopped_child_is_killed_all_the_same(start: Start) -> None:
    child = start("sleep", "600")
    child.stop()
    child.terminate(0)
    assert (child.returncode, child.killed) == (-signal.SIGKILL, True)


def test_signals_after_the_end_do_nothing(start: Start) -> None:
    child = start("true")
    child.wait(LIMIT_S)
    child.stop()
    child.cont()
    child.terminate(0)
    child.stop()
    child.terminate(0)
    child.pump()
    assert (child.returncode, child.killed) == (0, False)


@pytest.mark.parametrize("reason", ["no such function", "the system refuses"])
def test_the_end_is_noticed_where_waitid_is_of_no_use(
    start: Start, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """PyPy has none."""
    if reason == "no such function":
        monkeypatch.delattr(os, "waitid", raising=False)
    else:
        monkeypatch.setattr(os, "waitid", refused, raising=False)
    assert start("sh", "-c", "exit 3").wait(LIMIT_S) == 3
    child = start("sleep", "600")
    child.stop()
    child.terminate(0)
    assert (child.returncode, child.killed) == (-signal.SIGKILL, True)


def refused(*args: object) -> None:
    raise OSError(errno.ENOSYS, "not here")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_end_is_announced_although_the_thread_that_waits_for_it_dies(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(popen: object) -> int:
        raise RuntimeError("the thread dies")

    monkeypatch.setattr(process, "_exit_code", dies)
    child = start("sleep", "600")
    child.terminate(LIMIT_S)
    assert (child.running, child.returncode) == (False, -signal.SIGKILL)


def test_descriptors_that_somebody_has_closed_end_nothing_but_the_output(start: Start) -> None:
    """As a fake file system does, and a test that closes whatever is open."""
    child = start("sleep", "600")
    for descriptor in (child._source, child._wake_source, child._wake):
        os.close(descriptor)
    child.terminate(0)
    assert (child.returncode, child.output) == (-signal.SIGKILL, "")


def test_what_the_system_does_not_end_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may hang within the kernel, where no signal reaches it."""
    gone = threading.Event()
    genuine = process._exit_code

    def late(popen: Any) -> int:
        gone.wait(LIMIT_S)
        return genuine(popen)

    monkeypatch.setattr(process, "_KILLED_S", 0.01)
    monkeypatch.setattr(process, "_exit_code", late)
    child = start("sleep", "600")
    child.terminate(0)
    assert (child.killed, child.closed, child.returncode) == (True, True, None)
    gone.set()
    for thread in child._threads:
        thread.join(LIMIT_S)
    assert child.returncode == -signal.SIGKILL
    assert not alive(child.pid)


def test_the_grace_lets_it_end_by_itself(start: Start, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = start("sh", "-c", 'read order < "$1"; echo $order', "sh", fifo)
    fifo.write_text("bye\n")
    child.terminate(LIMIT_S)
    assert (child.returncode, child.killed, child.output) == (0, False, "bye\n")


def test_a_child_that_ignores_everything_is_killed(start: Start) -> None:
    child = start(*python(FOREVER))
    child.until(lambda: child.output)
    child.terminate(0)
    assert (child.returncode, child.killed) == (-signal.SIGKILL, True)
    assert not alive(child.pid)


GRANDCHILDREN = {
    "in the group": "",
    "in a group of its own": "os.setpgid(0, 0)",
    "in a session of its own": "os.setsid()",
    "a daemon": "os.setsid()\n    if os.fork(): os._exit(0)",
}


@linux_only
@pytest.mark.parametrize("leave", GRANDCHILDREN.values(), ids=GRANDCHILDREN)
@pytest.mark.parametrize("orphaned", [False, True])
def test_grandchildren_are_gone_too(start: Start, leave: str, orphaned: bool) -> None:
    """Also those that have left the group, and hold the pipe after the extension has ended."""
    script = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    {leave}
    print(os.getpid(), flush=True)
    time.sleep(600)
time.sleep(0 if {orphaned} else 600)
"""
    child = start(*python(script))
    child.until(lambda: child.output.endswith("\n"))
    grandchild = int(child.output)
    if orphaned:
        child.wait(LIMIT_S)
    assert alive(grandchild)

    child.terminate(0)

    assert not alive(grandchild)
    assert child.killed is not orphaned


@linux_only
def test_a_grandchild_that_has_closed_its_files_may_still_be_ending(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, grandchild = start("true"), start("sleep", "600")
    child.wait(LIMIT_S)
    found = iter([{grandchild.pid}])
    states = iter([False, False, True])
    monkeypatch.setattr(leftovers, "descendants", lambda leader: next(found, set()))
    monkeypatch.setattr(leftovers, "processes", lambda: [leftovers.Process(grandchild.pid, 1, 1, next(states))])
    child.terminate(0)
    assert next(states, None) is None
    monkeypatch.undo()


def test_a_last_line_is_there_although_somebody_still_holds_the_pipe(start: Start) -> None:
    child = start("sh", "-c", "sleep 600 & printf last")
    child.wait(LIMIT_S)
    assert child.output == "last"
    assert child.take_lines() == ([], 0, 0)
    child.terminate(0)
    assert child.take_lines() == (["last"], 0, 0)


def test_the_pipe_of_another_is_not_confused(start: Start) -> None:
    """Who inherits the reading end, or is in our session, is none of a child's."""
    one, two = start("sleep", "600"), start(*python(FOREVER))
    two.until(lambda: two.output)
    one.terminate(0)
    assert two.returncode is None


@pytest.mark.parametrize(
    ("argv", "options", "message"),
    [
        (
            ["no-such-program"],
            {},
            r"there is no program 'no-such-program' in PATH \(/bin\); .* say './no-such-program'$",
        ),
        (["/nowhere/extension"], {}, r"there is no file /nowhere/extension$"),
        (["./extension"], {"cwd": "/"}, r"there is no file /extension$"),
        (["/etc"], {}, r"there is no file /etc$"),
        (["true"], {"cwd": "/nowhere"}, r"its working directory /nowhere does not exist$"),
        (
            ["true", "a\0b"],
            {},
            r"embedded null byte; the arguments and variables of a process are strings without NUL$",
        ),
        (["true"], {"env": {"PATH": "/bin", "N": 1}}, r"not int; the arguments and variables of a process are strings"),
        (["true", 1], {}, r"argument 1 is 1; pass a str or a path for every argument$"),
        ([], {}, r"expected a list of arguments, the program first"),
    ],
)
def test_what_cannot_be_started_is_misuse(start: Start, argv: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(MisuseError, match=rf"^run_extension\(.*\): .*{message}"):
        start(*argv, **{"env": {"PATH": "/bin"}, **options})


def test_a_file_that_is_not_executable_is_misuse(start: Start, tmp_path: Path) -> None:
    script = tmp_path / "extension.py"
    script.write_text("print()")
    with pytest.raises(
        MisuseError, match=r"is not executable; make it so \(chmod \+x\), or run it with its interpreter"
    ):
        start(script)


def test_a_file_of_no_known_format_is_misuse(start: Start, tmp_path: Path) -> None:
    script = tmp_path / "extension"
    script.write_text("no first line that names an interpreter")
    script.chmod(0o755)
    with pytest.raises(MisuseError, match=r"the system cannot run .*: Exec format error"):
        start(script)


@pytest.mark.parametrize("argv", ["python x.py", b"x", Path("x")])
def test_a_command_line_in_one_string_is_misuse(argv: Any) -> None:
    with pytest.raises(MisuseError, match=r"shlex\.split$"):
        arguments(argv)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/opt/extensions/shipper"], "shipper"),
        (["./build/shipper.sh", "--port", "1"], "shipper.sh"),
        ([Path("ext/shipper.py")], "shipper.py"),
        ([sys.executable, "ext/shipper.py", "-c"], "shipper.py"),
        (["python3.12", "-u", "-W", "error", "-Xdev", "-Werror", "shipper.py"], "shipper.py"),
        (["node", "--require", "./setup.js", "--no-warnings", "dir/index.mjs"], "index.mjs"),
        (["bash", "-eu", "-o", "pipefail", "shipper"], "shipper"),
        (["/bin/sh", "-e", "shipper.sh"], "shipper.sh"),
        (["ruby", "-W", "shipper.rb"], "shipper.rb"),
        (["java", "-cp", "lib", "-Xmx64m", "-jar", "build/shipper.jar"], "shipper.jar"),
        (["pythonic", "-c"], "pythonic"),
    ],
)
def test_the_name_is_the_file_name(argv: list[Any], name: str) -> None:
    assert extension_name(argv) == name


@pytest.mark.parametrize(
    "argv",
    [
        [sys.executable, "-c", "print()"],
        ["python", "-Ic", "print()"],
        ["python3", "-u", "-m", "shipper"],
        ["python3", "-mshipper"],
        ["python3"],
        ["python3", "-"],
        ["python3", "-W"],
        ["node", "-e", "1"],
        ["node", "--eval=1"],
        ["sh", "-ec", "true"],
        ["perl", "-E", "1"],
        ["java", "-m", "shipper"],
    ],
)
def test_code_and_modules_need_a_name(argv: list[str]) -> None:
    with pytest.raises(MisuseError, match=r"no file gives this extension its name; say name='…'"):
        extension_name(argv)
    assert extension_name(argv, "shipper") == "shipper"


@pytest.mark.parametrize("name", ["", "  "])
def test_a_name_is_not_empty(name: str) -> None:
    with pytest.raises(MisuseError, match="the name of an extension is a non-empty str"):
        extension_name(["x"], name)


@pytest.mark.parametrize(
    ("output", "port"),
    [
        ("Traceback …\n  File x\nOSError: [Errno 98] Address already in use\n", None),
        ("OSError: [Errno 48] Address already in use", None),
        ("[Errno 98] error while attempting to bind on address ('127.0.0.1', 4243): address already in use", "4243"),
        ("Error: listen EADDRINUSE: address already in use 127.0.0.1:4243\n    at Server (node:net:1817:16)", "4243"),
        ("2024/05/01 12:30:45 listen tcp 127.0.0.1:8124: bind: address already in use\nexit status 1", "8124"),
        ("2024/05/01 12:30:45 bind: address already in use", None),
        ('Os { code: 98, kind: AddrInUse, message: "Address already in use" }', None),
        ("java.net.BindException: Address already in use (Bind failed)", None),
        ("`initialize': Address already in use - bind(2) for 127.0.0.1:4243 (Errno::EADDRINUSE)", "4243"),
        ("Failed to bind to address http://127.0.0.1:5000: address already in use.", "5000"),
    ],
)
def test_a_taken_port_is_recognised_in_any_language(output: str, port: str | None) -> None:
    which = f"port {port}" if port else "the port"
    assert address_in_use(output) == (
        f"{which} that the extension listens on is taken, perhaps by the same extension in a parallel test worker:"
        " let the extension read its port from a variable and pass a free one in env, or keep these tests in one"
        " worker with @pytest.mark.xdist_group and --dist loadgroup"
    )


def test_with_an_address_of_its_own_the_remedy_is_to_bind_it() -> None:
    output = "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 4243): address already in use"
    assert address_in_use(output, "127.1.2.3") == (
        "port 4243 that the extension listens on is taken: let it bind sandbox.localdomain, as on Lambda, which is"
        " 127.1.2.3 here and no other test's; 127.0.0.1, localhost and 0.0.0.0 are everybody's"
    )


def test_a_port_that_is_taken_at_an_address_of_its_own_is_taken_by_a_sibling() -> None:
    output = "2024/05/01 12:30:45 listen tcp 127.1.2.3:8124: bind: address already in use"
    assert address_in_use(output, "127.1.2.3") == (
        "port 8124 that the extension listens on is taken by another extension of this test: 127.1.2.3 is the"
        " environment's own address, and on Lambda too all its extensions share one"
    )


def test_the_last_port_that_was_taken_is_named() -> None:
    output = "".join(f"listen tcp 127.0.0.1:{port}: bind: address already in use\nretry\n" for port in (8124, 8125))
    assert str(address_in_use(output)).startswith("port 8125 that")


@pytest.mark.parametrize("output", ["", "Connection refused", "address in use", "Address not available"])
def test_other_output_is_no_taken_port(output: str) -> None:
    assert address_in_use(output) is None


def test_a_taken_port_of_a_real_child_is_recognised(start: Start) -> None:
    script = """
import socket
with socket.socket() as one, socket.socket() as two:
    one.bind(("127.0.0.1", 0))
    two.bind(one.getsockname())
"""
    child = start(*python(script))
    assert child.wait(LIMIT_S) == 1
    assert address_in_use(child.output) is not None


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_taken_port_of_a_real_node_child_is_recognised(start: Start) -> None:
    script = (
        "const s = require('net').createServer().listen(0, () => require('net').createServer().listen(s.address()))"
    )
    child = start("node", "-e", script)
    assert child.wait(LIMIT_S) == 1
    assert address_in_use(child.output) is not None
