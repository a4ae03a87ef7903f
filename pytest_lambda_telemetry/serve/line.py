"""Calls that move time stand in line: one at a time, in order of arrival."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from ..engine.turns import Interrupted, WorkerCall

_LOOK_AGAIN_S = 0.05
"""An interrupted call that stands in line finds out so late at most: nobody is told of it."""


class Line:
    """Of one environment."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._calls: deque[WorkerCall] = deque()

    @property
    def empty(self) -> bool:
        """No call moves time, or is about to."""
        return not self._calls

    @contextmanager
    def place(self, call: WorkerCall) -> Iterator[None]:
        """The block runs when all calls before this one have ended. Raises Interrupted where it was to end before."""
        calls = self._calls
        with self._condition:
            calls.append(call)
        try:
            with self._condition:
                while calls[0] is not call:
                    if call.ended:
                        raise Interrupted
                    self._condition.wait(_LOOK_AGAIN_S)
            yield
        finally:
            with self._condition:
                calls.remove(call)
                self._condition.notify_all()
