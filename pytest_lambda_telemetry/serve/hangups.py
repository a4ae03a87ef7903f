"""A client that hangs up ends its call: one thread looks at the connections of the calls that take longer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..engine.turns import WorkerCall

_LOOK_S = 0.05
_RESTS_AFTER = 40
"""So many looks at nothing, and the thread sleeps until it is woken: most calls end before the first look."""


class HangUps:
    """Of one server. A call is cut short, again and again until it has ended, once its client has hung up."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._watched: dict[WorkerCall, Callable[[], bool]] = {}
        self._rests = False
        self._closed = False
        self._thread = threading.Thread(target=self._look_on, name="lambda-telemetry-hang-ups", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, call: WorkerCall, alive: Callable[[], bool]) -> Iterator[None]:
        """Cut `call` short if `alive()` turns False within the block."""
        with self._condition:
            self._watched[call] = alive
            if self._rests:
                self._condition.notify()
        try:
            yield
        finally:
            with self._condition:
                del self._watched[call]

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _look_on(self) -> None:
        idle = 0
        while True:
            with self._condition:
                if self._closed:
                    return
                self._rests = idle > _RESTS_AFTER and not self._watched
                self._condition.wait(None if self._rests else _LOOK_S)
                watched = list(self._watched.items())
            idle = 0 if watched or self._rests else idle + 1
            for call, alive in watched:
                if not alive():
                    call.interrupt()
