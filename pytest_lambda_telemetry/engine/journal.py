"""Everything that happened, recorded once and in order, as facts.

It has a limit from the start: the bytes of deliveries and of events go first, then the oldest facts; how many there
were stays known.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..model.facts import Emitted, Fact

DEFAULT_LIMIT = 65_536
"""Facts kept; and as many KiB of delivered bytes and emitted events."""
_OVERHEAD_BYTES = 400
"""About what one emit costs beside its events' bytes; with many small ones it is most of what they take."""


class Held(Protocol):
    """Bytes that the journal may let go."""

    def release(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """A fact with its place: `number` counts from 1, the times are the environment's, in microseconds."""

    number: int
    wall_us: int
    elapsed_us: int
    fact: Fact


class Journal:
    """An append-only record with a limit. The caller holds the environment's lock.

    `times` tells wall and elapsed microseconds, `fold` is told every fact, at once and in order.
    """

    def __init__(
        self,
        times: Callable[[], tuple[int, int]],
        fold: Callable[[Fact], None] = lambda _fact: None,
        limit: int = DEFAULT_LIMIT,
    ) -> None:
        self.limit = limit
        self._times = times
        self._fold = fold
        self._count = 0
        # side by side, not as tuples: what holds nothing but numbers costs the garbage collector nothing
        self._facts: deque[Fact] = deque(maxlen=limit)
        self._walls_us: deque[int] = deque(maxlen=limit)
        self._elapsed_us: deque[int] = deque(maxlen=limit)
        self._held: deque[tuple[Held, int]] = deque()
        self._held_bytes = 0

    def add(self, fact: Fact) -> None:
        """Append one fact, stamped with the environment's time."""
        self._count += 1
        wall_us, elapsed_us = self._times()
        self._facts.append(fact)
        self._walls_us.append(wall_us)
        self._elapsed_us.append(elapsed_us)
        if type(fact) is Emitted:
            self.hold(fact.held, fact.held.size + _OVERHEAD_BYTES)
        else:
            self._fold(fact)

    def hold(self, what: Held, size: int) -> None:
        """Keep bytes for as long as there is room, and let the oldest go where they are too many."""
        self._held.append((what, size))
        self._held_bytes += size
        while self._held_bytes > self.limit * 1024 and len(self._held) > 1:
            what, size = self._held.popleft()
            what.release()
            self._held_bytes -= size

    @property
    def facts(self) -> tuple[Recorded, ...]:
        """What is kept, oldest first."""
        rows = zip(self._walls_us, self._elapsed_us, self._facts, strict=True)
        return tuple(Recorded(number, *row) for number, row in enumerate(rows, start=self.forgotten + 1))

    @property
    def count(self) -> int:
        """How many facts were ever recorded."""
        return self._count

    @property
    def forgotten(self) -> int:
        """How many of them the limit cost."""
        return self._count - len(self._facts)
