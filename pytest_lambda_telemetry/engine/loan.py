"""One call made on a worker thread, which may take time along on loan: how an async caller works off its loop."""

import threading
from collections.abc import Callable
from typing import TypeVar

from .ownership import Interrupted, Ownership

T = TypeVar("T")

_NUDGE_S = 0.01  # a call that is to end may just be on its way into the next wait


class Errand:
    """A call to be made elsewhere. It ends by itself, or between two steps once it is interrupted.

    `lender` is what `Ownership.lend` gave for it; `patient` lets it wait for its turn to have time instead; `hurried`
    interrupts it from the start, for what must only be put in order.
    """

    def __init__(
        self, time: Ownership, lender: int | None = None, *, patient: bool = False, hurried: bool = False
    ) -> None:
        self._time = time
        self._lender = lender
        self._patient = patient
        self._hurried = hurried
        self._guard = threading.Lock()
        self._thread: int | None = None
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """The call has returned or raised, or will never be made."""
        return self._ended.is_set()

    def run(self, call: Callable[[], T]) -> T:
        """Make the call on this thread."""
        with self._guard:
            if self.ended:
                raise Interrupted
            self._thread = threading.get_ident()
        try:
            if self._patient:
                self._lender = self._time.await_loan()
            if self._lender is not None:
                self._time.borrow()
            if self._hurried:
                self._time.interrupt(self._thread)
            return call()
        finally:
            with self._guard:
                self._end()

    def interrupt(self) -> None:
        """Let the call end at its next step, or never begin; does not wait for that."""
        with self._guard:
            if self._thread is None:
                self._end()
            elif not self.ended:
                self._time.interrupt(self._thread)

    def wait(self) -> None:
        """Wait until an interrupted call has ended."""
        while not self._ended.wait(_NUDGE_S):
            self.interrupt()

    def _end(self) -> None:
        if not self.ended:
            self._time.go_on()
            if self._lender is not None:
                self._time.take_back(self._lender)
            self._ended.set()
