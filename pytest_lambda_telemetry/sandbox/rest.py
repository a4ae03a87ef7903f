"""Whether a process has come to rest: it writes nothing more of what it was about to write."""

from collections.abc import Callable
from threading import Condition

from ..host.process import ExtensionProcess
from ..real import Real

LOOK_S = 0.001
_SETTLE_S = 0.02  # where the system does not tell who rests: a line may come just after the answer
_GAP_S = 0.003  # and another line just after that


def await_settled(process: ExtensionProcess, lock: Condition, may_write: Callable[[], bool], most_s: float) -> bool:
    """Whether it has come to rest, at the latest after so long; the caller holds the lock."""
    deadline = Real.monotonic() + most_s
    settled = 0
    while may_write() and settled < 2:  # twice: it may be between two things
        now = Real.monotonic()
        seen = process.settled()
        if now >= deadline:
            return seen is None and not process.has_lines
        if seen is None:  # the system does not tell
            deadline = min(deadline, now + (_GAP_S if process.has_lines else _SETTLE_S))
        settled = settled + 1 if seen else 0
        lock.wait(LOOK_S)
    return True
