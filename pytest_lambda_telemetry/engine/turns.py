"""Whose turn it is: one thread moves an environment's time, and may lend its turn to one call on another thread.

Theory of operation. The thread that started the environment has the turn. Each call that moves time *holds* it while it
runs. An async caller must not block its loop, so it makes its call on a worker thread, as a `WorkerCall`, to which the
turn is lent: the call is known by the context it runs in, not by its thread, and the turn is back when it ends. A call
can be told to end between two steps (`interrupt`): it raises Interrupted at its next `check`, and what it did stands.
"""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from ..model.errors import MisuseError
from .recordings import Progress

T = TypeVar("T")

_LOOK_AGAIN_S = 0.01  # the end of an ordinary call notifies nobody: it would cost every call

_MADE_HERE: ContextVar["WorkerCall | None"] = ContextVar("pytest_lambda_telemetry_worker_call", default=None)


class Interrupted(Exception):
    """The call was cut short between two steps; what it did so far stands."""


class Turns:
    """One environment's turn.

    `lock` is the environment's, `abandon` gives up the delivery that is under way; what is `at_end` is called at the
    end of each outermost hold.
    """

    def __init__(self, lock: threading.Condition, abandon: Callable[[], None]) -> None:
        self.at_end: list[Callable[[], None]] = []
        self.held = False
        """A call that moves time is running."""
        self._lock = lock
        self._abandon = abandon
        self._owner = threading.get_ident()
        self._lent_to: WorkerCall | None = None
        self._guard = threading.RLock()
        self._holds: list[Hold] = []
        self._cutting = False  # some call was ever cut short

    @property
    def mine(self) -> bool:
        """A call made here may move time."""
        if (call := self._lent_to) is not None:
            return _MADE_HERE.get() is call
        return threading.get_ident() == self._owner

    @property
    def lent(self) -> bool:
        """A call on a worker thread has the turn."""
        return self._lent_to is not None

    @property
    def held_here(self) -> bool:
        """It runs on this thread."""
        return self._holder() == threading.get_ident()

    @property
    def held_elsewhere(self) -> bool:
        """It runs on another thread."""
        return self._holder() not in (None, threading.get_ident())

    def _holder(self) -> int | None:
        holds = self._holds
        try:
            return holds[-1].thread
        except IndexError:
            return None

    # -- holding -------------------------------------------------------------------------------------------------------

    def hold(self, what: str) -> "Hold":
        """Hold the turn for one call; yields the batches it attempts. Raises MisuseError where it is not ours."""
        if not self.mine:
            raise MisuseError(
                f"{what} was called on thread {threading.current_thread().name!r}, but only one thread moves time: the"
                " one that started the environment; from other threads emit() buffers events for its next call"
            )
        return Hold(self)

    def hold_in_background(self) -> "Hold":
        """For the thread that delivers in real time, which is nobody's call."""
        return Hold(self)

    def take_over(self) -> "Hold":
        """Hold the turn, which is this thread's from now on; a call that still runs elsewhere is cut short first."""
        with self._lock:
            for hold in self._holds:
                if hold.thread != threading.get_ident():
                    hold.interrupted = self._cutting = True
                    self._abandon()
            self._lock.notify_all()
        return Hold(self, for_good=True)

    def note_attempt(self, progress: Progress) -> None:
        """The calls that hold the turn have tried this batch; the caller holds the lock."""
        for hold in self._holds:
            hold.attempted[progress] = None

    def _begin(self, hold: "Hold") -> None:
        self._guard.acquire()
        hold.thread = threading.get_ident()
        if hold.for_good:
            self._owner, self._lent_to = hold.thread, None
        self._holds.append(hold)
        self.held = True

    def _end(self) -> None:
        try:
            self._holds.pop()
            if not self._holds:
                self.held = False
                for end_call in self.at_end:
                    end_call()
        finally:
            self._guard.release()

    # -- lending -------------------------------------------------------------------------------------------------------

    def lend(self, call: "WorkerCall") -> bool:
        """Give the turn to this call, until it ends; False where another call has it."""
        with self._lock:
            if self.lent or self._holder() == self._owner:
                return False
            self._lent_to = call
            return True

    def await_turn(self, call: "WorkerCall") -> None:
        """`lend`, as soon as no other call has it."""
        with self._lock:
            while not self.lend(call):
                self._lock.wait(_LOOK_AGAIN_S)

    def take_back(self, call: "WorkerCall") -> None:
        """The call has ended."""
        with self._lock:
            if self._lent_to is call:
                self._lent_to = None
            self._lock.notify_all()

    # -- cutting a call short ------------------------------------------------------------------------------------------

    @property
    def interrupted(self) -> bool:
        """The call that is made here is to end at its next step."""
        if not self._cutting:  # as a rule
            return False
        call = _MADE_HERE.get()
        if call is not None and call.interrupted:
            return True
        holds = self._holds
        return bool(holds) and holds[-1].interrupted and holds[-1].thread == threading.get_ident()

    def check(self) -> None:
        """Raise Interrupted when the call that is made here is to end."""
        if self._cutting and self.interrupted:
            raise Interrupted

    def expect_cuts(self) -> None:
        """A call is cut short from its beginning."""
        self._cutting = True

    def interrupt(self, call: "WorkerCall") -> None:
        """Let a call end at its next step; a delivery of its that is under way is given up."""
        with self._lock:
            call.interrupted = self._cutting = True
            if self._holder() == call.thread:
                self._abandon()
            self._lock.notify_all()


class Hold:
    """The turn, held within its block. A class of its own, and no generator: it costs half."""

    __slots__ = ("_turns", "attempted", "for_good", "interrupted", "thread")

    def __init__(self, turns: Turns, *, for_good: bool = False) -> None:
        self._turns = turns
        self.attempted: dict[Progress, None] = {}
        self.for_good = for_good
        self.interrupted = False
        self.thread = 0

    def __enter__(self) -> dict[Progress, None]:
        self._turns._begin(self)
        return self.attempted

    def __exit__(self, *_: object) -> None:
        self._turns._end()


class WorkerCall:
    """One call to be made on a worker thread. It ends by itself, or between two steps once it is interrupted.

    `moves_time`: it needs the turn, and waits for it unless `lend` gave it already. `interrupted` from the start: it
    only puts things in order.
    """

    def __init__(self, turns: Turns, *, moves_time: bool = False, interrupted: bool = False) -> None:
        self.interrupted = interrupted
        self.thread: int | None = None
        self._turns = turns
        if interrupted:
            turns.expect_cuts()
        self._moves_time = moves_time
        self._guard = threading.Lock()
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """The call has returned or raised, or will never be made."""
        return self._ended.is_set()

    def lend(self) -> bool:
        """Have the turn from now on; False where another call has it, and nothing has changed."""
        return self._turns.lend(self)

    def run(self, call: Callable[[], T]) -> T:
        """Make the call on this thread."""
        with self._guard:
            if self.ended:
                raise Interrupted
            self.thread = threading.get_ident()
        token = _MADE_HERE.set(self)
        try:
            if self._moves_time and not self._turns.mine:
                self._turns.await_turn(self)
            return call()
        finally:
            _MADE_HERE.reset(token)
            with self._guard:
                self._end()

    def interrupt(self) -> None:
        """Let the call end at its next step, or never begin; does not wait for that."""
        with self._guard:
            if self.thread is None:
                self._end()
            elif not self.ended:
                self._turns.interrupt(self)

    def wait(self) -> None:
        """Wait until an interrupted call has ended; it may just be on its way into the next wait."""
        while not self._ended.wait(_LOOK_AGAIN_S):
            self.interrupt()

    def _end(self) -> None:
        if not self.ended:
            self._turns.take_back(self)
            self._ended.set()
