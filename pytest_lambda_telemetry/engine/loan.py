"""Time, lent to another thread for one call: how an async caller works without blocking its loop."""

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .run import Engine, Interrupted

P = ParamSpec("P")
T = TypeVar("T")


class Loan:
    """One call on a worker thread. While another loan runs, this one does not get time: its call sees that itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._done = threading.Event()
        self._started = threading.Lock()
        self._cut_short = False

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call on this thread, which owns time until it returns, if no other call has it."""
        try:
            with self._started:
                if self._cut_short:
                    raise Interrupted
                lender = self._engine.lend()
            try:
                return call(*args, **kwargs)
            finally:
                self._engine.take_back(lender)
        finally:
            self._done.set()

    def cut_short(self) -> None:
        """The caller was cancelled: end the call between two steps, and wait until it has ended."""
        with self._started:
            self._cut_short = True
        self._engine.interrupt(self._done)
