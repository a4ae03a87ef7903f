"""Extensions that are child processes: started as Lambda starts them, read without blocking them, ended for good."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from select import POLLIN, poll

from ..model import checks
from ..model.checks import path
from ..model.errors import MisuseError, WaitTimeout
from ..real import Real
from . import layers, leftovers
from .activity import is_idle
from .addresses import LOOPBACK
from .arguments import arguments
from .child_names import Resolution, choose
from .output import INBOX_BYTES, INBOX_LINES, Output

_CHUNK = 65_536  # what a pipe holds: one read takes all that is there
_LAST_READS = 32  # after the exit: enough for the largest pipe, an end where a grandchild writes on
_ROUNDS, _ROUND_S = 200, 0.001  # how often to look whether all that it started is gone
_KILLED_S = 5.0  # real seconds for the system to end what was killed, and for our threads to notice


class ExtensionProcess:
    """An extension running in a process of its own; a live object.

    `name` is what Lambda calls the extension, `pid` its process id, `address` what `sandbox.localdomain` is there,
    `registered` whether it has registered, `killed` whether it had to be killed because it did not end by itself.
    """

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        name: str,
        env: Mapping[str, str],
        cwd: str | os.PathLike[str] | None = None,
        on_lines: Callable[[], None] = lambda: None,
        resolution: Resolution | None = None,
        address: str = LOOPBACK,
        layer: str | os.PathLike[str] | None = None,
    ) -> None:
        """Start it, with exactly the variables `env`, in a session and process group of its own, without input.

        `on_lines` is called, on a thread of ours, after something was read and after the process has ended.
        `resolution` is how it resolves `sandbox.localdomain`; by default the best way the machine allows; it
        resolves to `address` unless the system's hosts file decides. `layer` is a folder that it sees as /opt. Raises
        MisuseError when the program cannot be started.
        """
        resolution = resolution or choose()
        where = None if cwd is None else path("cwd", cwd)
        self.name = name
        self.address = resolution.address(address)
        self.registered = False
        self.killed = False
        self._on_lines = on_lines
        self._output = Output()
        self._lock = threading.Lock()  # guards the output and the reading end
        self._ended = threading.Event()
        self._code: int | None = None
        self._at_end = False
        self._closed = False
        self._source, sink = os.pipe()
        try:
            self._process = _start(
                arguments(argv), resolution, env=env, cwd=where, output=sink, address=address, layer=layer
            )
        except BaseException:
            os.close(self._source)
            raise
        finally:
            os.close(sink)
        os.set_blocking(self._source, False)
        self._wake_source, self._wake = os.pipe()
        self.pid = self._process.pid
        self._threads = [
            threading.Thread(target=target, name=f"{name} {what}", daemon=True)
            for target, what in ((self._read_on, "output"), (self._await_end, "exit"))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> bool:
        """It has not ended yet; one that is frozen counts as running."""
        return not self._ended.is_set()

    @property
    def returncode(self) -> int | None:
        """The exit code, or the negative number of the signal that ended it; None while it runs."""
        return self._code if self._ended.is_set() else None

    @property
    def output(self) -> str:
        """What it has written to stdout and stderr so far; of a long output the last MiB, with a mark."""
        self._read()  # the thread that reads may be late
        with self._lock:
            return self._output.text

    @property
    def last_lines(self) -> str:
        """The last lines of its output, indented, for a message; says so when there is none."""
        self._read()  # the thread that reads may be late
        with self._lock:
            return self._output.last_lines

    def wait(self, timeout: float = 5.0) -> int:
        """Wait until it ends by itself; returns its exit code. `timeout` is in real seconds, whatever is frozen.

        Raises WaitTimeout, with the last lines of its output, when it still runs then.
        """
        self._ended.wait(checks.timeout(timeout))
        if (code := self.returncode) is None:
            raise self.overdue(timeout)
        return code

    def overdue(self, timeout: float) -> WaitTimeout:
        """The error of a wait that ran out."""
        return WaitTimeout(
            f"extension {self.name} (pid {self.pid}) still runs after {timeout:g} s; its last output:\n"
            f"{self.last_lines}"
        )

    @property
    def has_lines(self) -> bool:
        """Lines wait to be taken, or were dropped."""
        return self._output.has_lines

    @property
    def closed(self) -> bool:
        """`terminate` has been called: nothing of it is left."""
        return self._closed

    def take_lines(self, most: int = INBOX_LINES, most_bytes: int = INBOX_BYTES) -> tuple[list[str], int, int]:
        """The lines since the last call, oldest first, without newlines; how many lines and bytes were dropped.

        At most 10,000 lines or 4 MiB wait here; beyond that they are dropped and counted. No more than `most` lines are
        taken, nor any that begins after `most_bytes`; the rest waits on.
        """
        with self._lock:
            return self._output.take_lines(most, most_bytes)

    def take_notes(self) -> list[str]:
        """What the journal should say about its output since the last call: lines that were cut."""
        with self._lock:
            return self._output.take_notes()

    def pump(self) -> None:
        """Read what is in the pipe right now, without waiting: what it wrote before an answer is seen after it."""
        self._read()

    def settled(self) -> bool | None:
        """It sleeps, and all it has written was read; None where that cannot be seen."""
        idle = is_idle(self.pid)
        self._read()
        return idle

    def stop(self) -> None:
        """Stop its process group where it stands (SIGSTOP), as Lambda freezes it; returns when it stands."""
        self._signal(signal.SIGSTOP)
        if sys.platform != "darwin" and not self._closed:
            with contextlib.suppress(AttributeError, OSError):  # see _exit_code
                os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def cont(self) -> None:
        """Let its process group go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def terminate(self, grace_s: float) -> None:
        """Give it `grace_s` real seconds to end by itself, then kill it; in any case kill whatever it has started.

        Afterwards nothing of it is left: no process, no thread, no open pipe; only what the system itself cannot end
        is given up after some seconds. A stopped process cannot use its grace: `cont` first. Idempotent.
        """
        if self._closed:
            return
        self.killed = not self._ended.wait(grace_s)
        self._kill_all()
        _close(self._wake)
        reader, waiter = self._threads
        reader.join(_KILLED_S)
        if self._ended.is_set():
            waiter.join(_KILLED_S)
        self._last_reads()
        with self._lock:
            self._output.finish()
            self._closed = True
            _close(self._source)
        _close(self._wake_source)
        for _ in range(_ROUNDS):  # gives its id back to the system: at once, as a rule
            if self._process.poll() is not None:
                break
            Real.sleep(_ROUND_S)
        if self._code is None:
            self._code = self._process.returncode

    def __repr__(self) -> str:
        code = self.returncode
        state = "running" if code is None else f"ended with {code}"
        return f"<ExtensionProcess {self.name} pid={self.pid} {state}>"

    def _signal(self, number: signal.Signals) -> None:
        if not self._closed:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM where only a zombie is left
                os.killpg(self.pid, number)

    def _kill_all(self) -> None:
        """Kill the group, then whoever has left it, until nobody is found; a process takes a moment to be gone."""
        started = leftovers.descendants(self.pid)
        killed: set[int] = set()  # one that ends has closed its files some time before it is gone
        self._signal(signal.SIGKILL)
        for _ in range(_ROUNDS):
            for pid in started:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            killed |= started
            self._last_reads()
            started = leftovers.descendants(self.pid) | (set() if self._at_end else leftovers.writers(self._source))
            if not started and not leftovers.living(killed):
                break
            Real.sleep(_ROUND_S)
        self._ended.wait(_KILLED_S)

    def _read(self) -> bool:
        """Read once what is there; whether anything was, the end counted."""
        with self._lock:
            if self._at_end or self._closed:
                return False
            try:
                data = os.read(self._source, _CHUNK)
            except BlockingIOError:
                return False
            except OSError:  # somebody has closed the descriptor: there is no more to come
                data = b""
            if data:
                self._output.feed(data)
            else:
                self._at_end = True
                self._output.finish()
            return True

    def _last_reads(self) -> None:
        for _ in range(_LAST_READS):
            if not self._read():
                break

    def _read_on(self) -> None:
        """The output thread: read until the end, or until `terminate` hangs up where a writer has survived."""
        poller = poll()
        poller.register(self._source, POLLIN)
        poller.register(self._wake_source, POLLIN)
        while not self._at_end:
            if self._wake_source in dict(poller.poll()):
                return
            if self._read():
                self._on_lines()

    def _await_end(self) -> None:
        """The exit thread: when the end is announced, all that the process wrote has been read."""
        try:
            self._code = _exit_code(self._process)
            self._last_reads()
        finally:
            self._ended.set()  # in any case: `terminate` and `wait` wait for it
        self._on_lines()
        if self._closed:  # `terminate` did not wait so long
            self._process.poll()


def last_output(process: ExtensionProcess | None) -> str:
    """What ends a message about an extension: its process's last lines; nothing where no process was started."""
    return "" if process is None else f"\n  Its last output:\n{process.last_lines}"


def _exit_code(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end, leaving a zombie where the system can: its id is given to nobody before all is cleared up."""
    if sys.platform != "darwin":
        # no zombie: the user ignores SIGCHLD; no waitid: PyPy, some sandboxes
        with contextlib.suppress(AttributeError, OSError):
            ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            if ended is not None:
                return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    return process.wait()


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # somebody else has closed it
        os.close(descriptor)


def _start(
    argv: list[str],
    resolution: Resolution,
    *,
    env: Mapping[str, str],
    cwd: str | None,
    output: int,
    address: str,
    layer: str | os.PathLike[str] | None,
) -> "subprocess.Popen[bytes]":
    layer = resolution.layer(layer)
    cwd = layers.find_directory(argv, cwd, layer)
    program = layers.find_program(argv, env, cwd, layer)
    try:
        return resolution.start(program, argv, env=env, cwd=cwd, output=output, address=address, layer=layer)
    except OSError as error:
        raise MisuseError(
            f"run_extension({argv!r}): the system cannot run {program}: {error.strerror}. A script needs a first line"
            " that names an interpreter of this machine (#!/usr/bin/env python3), or is run with it:"
            " run_extension([sys.executable, 'script.py'])"
        ) from error
    except (TypeError, ValueError) as error:
        raise MisuseError(
            f"run_extension({argv!r}): {error}; the arguments and variables of a process are strings without NUL"
        ) from error


_TAKEN = re.compile(r"^.*(?:address already in use|EADDRINUSE|AddrInUse).*$", re.IGNORECASE | re.MULTILINE)
_PORT = re.compile(r"(?:[\w\]:.*]:|', )(\d{4,5})\b")


def address_in_use(output: str, address: str = LOOPBACK) -> str | None:
    """If this output says that a port was taken: that, and what to do about it, as a sentence. Else None.

    `address` is what `sandbox.localdomain` is in its process. The texts of Python, Node.js, Go, Rust, Java, Ruby and
    .NET are recognised.
    """
    lines = _TAKEN.findall(output)
    if not lines:
        return None
    ports = _PORT.findall(lines[-1])  # the last one that it tried
    which = f"port {ports[-1]}" if ports else "the port"
    if address != LOOPBACK and address in lines[-1]:
        return (
            f"{which} that the extension listens on is taken by another extension of this test: {address} is the"
            " environment's own address, and on Lambda too all its extensions share one"
        )
    if address != LOOPBACK:
        return (
            f"{which} that the extension listens on is taken: let it bind sandbox.localdomain, as on Lambda, which is"
            f" {address} here and no other test's; 127.0.0.1, localhost and 0.0.0.0 are everybody's"
        )
    return (
        f"{which} that the extension listens on is taken, perhaps by the same extension in a parallel test worker:"
        " let the extension read its port from a variable and pass a free one in env, or keep these tests in one"
        " worker with @pytest.mark.xdist_group and --dist loadgroup"
    )
