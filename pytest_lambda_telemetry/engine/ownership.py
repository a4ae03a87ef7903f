"""Who moves time: one thread, which may lend it to another one for a single call."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..model.errors import MisuseError
from .channel import Sent


class Interrupted(Exception):
    """The call was cut short between two steps; what it did so far stands."""


_LOOK_AGAIN_S = 0.01  # the end of an ordinary call notifies nobody: it would cost every call


class Ownership:
    """One environment's time as something that threads hold. `lock` is the environment's, `end_call` ends each hold."""

    def __init__(self, lock: threading.Condition, end_call: Callable[[], None]) -> None:
        self.owner: int | None = threading.get_ident()
        self.lent = False
        self._lock = lock
        self._end_call = end_call
        self._driving = threading.RLock()
        self._driver: int | None = None
        self._calls: list[dict[Sent, None]] = []
        self._cut: set[int] = set()

    @property
    def owned_here(self) -> bool:
        """This thread may move time."""
        return threading.get_ident() == self.owner

    @property
    def driving_here(self) -> bool:
        """A call that holds time is running on this thread."""
        return self._driver == threading.get_ident()

    @property
    def driven_elsewhere(self) -> bool:
        """A call that holds time is running on another thread."""
        return self._driver not in (None, threading.get_ident())

    # -- lending -------------------------------------------------------------------------------------------------------

    def lend(self) -> int | None:
        """Take time from its owner, for the thread that will `borrow` it; None where another call has it already."""
        with self._lock:
            if self.lent or (self.owner is not None and self._driver == self.owner):
                return None
            self.lent = True
            lender, self.owner = self.owner, None
            return lender

    def await_loan(self) -> int:
        """`lend`, once no other call has time any more."""
        with self._lock:
            while (lender := self.lend()) is None:
                self._lock.wait(_LOOK_AGAIN_S)
            return lender

    def borrow(self) -> None:
        """What was lent is this thread's."""
        with self._lock:
            self.owner = threading.get_ident()

    def take_back(self, lender: int) -> None:
        """The end of a loan."""
        with self._lock:
            self.owner, self.lent = lender, False
            self._lock.notify_all()

    # -- cutting a call short ------------------------------------------------------------------------------------------

    @property
    def interrupted(self) -> bool:
        """The call on this thread is to end at its next step."""
        return threading.get_ident() in self._cut

    def check_interrupt(self) -> None:
        """Raise Interrupted when the call on this thread is to end."""
        if self._cut and self.interrupted:
            raise Interrupted

    def interrupt(self, thread: int) -> None:
        """Let the call that runs on `thread` end at its next step; who made it undoes this with `go_on`."""
        with self._lock:
            self._cut.add(thread)
            self._lock.notify_all()

    def go_on(self) -> None:
        """The call that was to end has ended: the next one on this thread is another."""
        self._cut.discard(threading.get_ident())

    # -- holding -------------------------------------------------------------------------------------------------------

    @contextmanager
    def taking_over(self) -> Iterator[None]:
        """Time is this thread's from now on; a call that still runs elsewhere is cut short first."""
        driver = self._driver
        if driver not in (None, threading.get_ident()):
            self.interrupt(driver)
        with self._holding_time():
            self.owner = threading.get_ident()
            yield

    def driving(self, what: str) -> "Holding":
        """Hold time for one call; yields the batches it attempts.

        Raises MisuseError on any thread but the one that owns time.
        """
        if not self.owned_here:
            raise MisuseError(
                f"{what} was called on thread {threading.current_thread().name!r}, but only one thread moves time: the"
                " one that started the environment; from other threads emit() buffers events for its next call"
            )
        return self._holding_time()

    def _holding_time(self) -> "Holding":
        return Holding(self)


class Holding:
    """Holds time within its block, which knows the batches that are attempted there. A class: it costs half."""

    __slots__ = ("_attempted", "_of")

    def __init__(self, of: Ownership) -> None:
        self._of = of
        self._attempted: dict[Sent, None] = {}

    def __enter__(self) -> dict[Sent, None]:
        self._of._driving.acquire()
        self._of._calls.append(self._attempted)
        self._of._driver = threading.get_ident()
        return self._attempted

    def __exit__(self, *_: object) -> None:
        try:
            self._of._calls.pop()
            if not self._of._calls:
                self._of._driver = None
                self._of._end_call()
        finally:
            self._of._driving.release()
