"""When something happens: the environment's two times at one look."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from .clock import Clock, from_us
from .turns import Turns


class Moments:
    """Looks at the clock, and at the same moment for as long as one request is being answered."""

    def __init__(self, clock: Clock, turns: Turns, lock: threading.Condition) -> None:
        self._clock = clock
        self._turns = turns
        self._lock = lock
        self._one: tuple[int, int] | None = None

    def look(self) -> tuple[int, int]:
        """Wall and elapsed microseconds of what happens now; between calls a followed clock may be ahead of ours."""
        if self._turns.held and not self._clock.real:
            return self._clock.wall_us, self._clock.elapsed_us
        if (one := self._one) is not None:
            return one
        with self._lock:
            return self._clock.peek()

    @property
    def now(self) -> datetime:
        """The wall time, aware."""
        return from_us(self.look()[0])

    @contextmanager
    def one(self) -> Iterator[datetime]:
        """All that happens within happens at one moment. The caller holds the environment's lock."""
        before, self._one = self._one, self.look()
        try:
            yield from_us(self._one[0])
        finally:
            self._one = before
