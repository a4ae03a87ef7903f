"""Everything that happened, recorded once and in order, as facts.

It has a limit from the start: bodies go first, then the oldest facts; how many there were stays known.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from ..model.facts import Attempted, Called, Emitted, Fact, StoodIn, Subscribed
from .retention import Held, Newest, Retention, measured

_FACT_BYTES = 100
"""About what a fact costs that holds no text of an extension's."""
_EMIT_BYTES = 400
"""About what one emit costs beside its events' bytes; with many small ones it is most of what they take."""


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
        fold: Callable[[Fact], None],
        retention: Retention,
    ) -> None:
        self._times = times
        self._fold = fold
        self.retention = retention
        self._count = 0
        self._walls_us: deque[int] = deque()
        self._elapsed_us: deque[int] = deque()
        self._facts: Newest[Fact] = Newest(retention, self._forget_times)

    def add(self, fact: Fact) -> None:
        """Append one fact, stamped with the environment's time."""
        self._count += 1
        wall_us, elapsed_us = self._times()
        self._walls_us.append(wall_us)
        self._elapsed_us.append(elapsed_us)
        match fact:
            case Emitted(held=held):
                self._facts.append(fact, _FACT_BYTES)
                self.hold(held, held.size + _EMIT_BYTES)
                return
            case Attempted():
                self._facts.append(fact, _FACT_BYTES)
            case Called(request=one) | StoodIn(outcome=Subscribed(subscription=one)):
                self._facts.append(fact, measured(fact))
                self.hold(one.content, one.content.size)
            case _:
                self._facts.append(fact, measured(fact))
        self._fold(fact)

    def hold(self, what: Held, size: int) -> None:
        """Keep bytes for as long as there is room, and let the oldest go where they are too many."""
        self.retention.hold(what, size)

    def _forget_times(self, _fact: Fact) -> None:
        self._walls_us.popleft()
        self._elapsed_us.popleft()

    @property
    def facts(self) -> tuple[Recorded, ...]:
        """What is kept, oldest first."""
        return self.since(0)

    def since(self, number: int) -> tuple[Recorded, ...]:
        """What is kept of what came after the fact with this number."""
        known = max(0, number - self.forgotten)
        rows = zip(self._walls_us, self._elapsed_us, self._facts, strict=True)
        first = self.forgotten + known + 1
        return tuple(Recorded(place, *row) for place, row in enumerate(islice(rows, known, None), start=first))

    @property
    def count(self) -> int:
        """How many facts were ever recorded."""
        return self._count

    @property
    def forgotten(self) -> int:
        """How many of them the limit cost."""
        return self._facts.forgotten
