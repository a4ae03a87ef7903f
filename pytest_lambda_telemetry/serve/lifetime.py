"""How long the server runs, on its main thread: until a signal, or the end of a parent; and what tells that it runs."""

import contextlib
import json
import os
import select
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from types import FrameType
from typing import Any

from ..model.errors import MisuseError

_LOOK_MS = 200
"""How often a parent is looked for where the system does not tell of its end."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Keeper:
    """The main thread between start and end: it does what others ask it to do there.

    `parent` is the process whose end is the server's, None for none. Raises MisuseError where it does not run.
    """

    def __init__(self, parent: int | None = None) -> None:
        self._parent = parent
        self._watch = _watch(parent) if parent is not None else None
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._lock = threading.Lock()
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._given_up: Exception | None = None
        self._stopped = False
        self._before: dict[signal.Signals, Any] = {}
        self._woken_by_signals = -1

    def __enter__(self) -> "Keeper":
        # the system may give a signal to any thread, and the one that handles it sleeps until a byte comes
        self._woken_by_signals = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._woken_by_signals)
        for descriptor in (self._woken, self._wake, self._watch):
            if descriptor is not None:
                os.close(descriptor)

    def do(self, job: Callable[[], Any]) -> Any:
        """Have something done on the keeper's thread; its result. Raises what it raises, or what `keep` was given."""
        future: Future[Any] = Future()
        with self._lock:
            if self._given_up is not None:
                raise self._given_up
            self._jobs.append((job, future))
        with contextlib.suppress(BlockingIOError):  # it is full of wake-ups
            os.write(self._wake, b"\0")
        return future.result()

    def keep(self, give_up: Exception) -> None:
        """Do what is asked for until it is time to end; `give_up` is what is raised to who asks later."""
        poller = select.poll()
        for descriptor in (self._woken, self._watch):
            if descriptor is not None:
                poller.register(descriptor, select.POLLIN)
        patience = _LOOK_MS if self._parent is not None and self._watch is None else None
        while not self._stopped:
            found = dict(poller.poll(patience))
            if self._woken in found:
                os.read(self._woken, 4096)
            if self._watch in found or (patience and not _runs(self._parent)):
                self._stopped = True
            while self._jobs and not self._stopped:
                _carry_out(*self._jobs.popleft())
        with self._lock:
            self._given_up = give_up
        for _, future in self._jobs:
            future.set_exception(give_up)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped = True


def _carry_out(job: Callable[[], Any], future: "Future[Any]") -> None:
    try:
        future.set_result(job())
    except BaseException as error:
        future.set_exception(error)


def _watch(pid: int) -> int | None:
    """A descriptor that tells of the end of a process, where the system has such."""
    if not _runs(pid):
        raise MisuseError(f"--parent {pid}: there is no such process; give the number of one that runs")
    open_watch: Callable[[int], int] | None = getattr(os, "pidfd_open", None)
    try:
        return open_watch(pid) if open_watch else None
    except OSError:
        return None


def _runs(pid: int | None) -> bool:
    if pid is None or pid < 1:  # 0 and what is less are groups of processes
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def ready_file(path: str | None, told: Mapping[str, object]) -> Iterator[None]:
    """A file that is there, complete and for its owner only, while the block runs. Raises OSError."""
    if path is None:
        yield
        return
    directory = os.path.dirname(os.path.abspath(path))
    descriptor, draft = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")  # mode 0600
    text = f"{json.dumps(told)}\n"
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            with open(path, encoding="utf-8") as file:
                is_ours = file.read(len(text) + 1) == text
            if is_ours:  # else it is another server's by now
                os.unlink(path)
