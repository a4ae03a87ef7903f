"""Everything that happened, recorded once and in order; reports, assertions and the timeline are views of it.

It has a limit from the start: the bytes of deliveries go first, then the oldest entries; how many went stays known.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..model.records import Payload
from .clock import from_us

DEFAULT_LIMIT = 65_536
"""Entries kept; and as many KiB of delivered bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the journal.

    `elapsed` and `at` are the environment's time, `kind` what sort of thing happened (`request`, `event`, `delivery`,
    `drop`, `lifecycle`, `note`, `stray`), `who` it concerns, `what` happened and with what `verdict`.
    """

    number: int
    at: datetime
    elapsed: timedelta
    kind: str
    who: str
    what: str
    verdict: str


class Journal:
    """An append-only record with a limit. The caller holds the environment's lock.

    `times` tells wall and elapsed microseconds.
    """

    def __init__(self, times: Callable[[], tuple[int, int]], limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self._times = times
        self._number = 0
        self._entries: deque[tuple[int, int, int, str, str, str, str]] = deque(maxlen=limit)
        self._payloads: deque[Payload] = deque()
        self._payload_bytes = 0

    def record(self, kind: str, who: str, what: str, verdict: str = "") -> None:
        """Append one entry, stamped with the environment's time."""
        self._number += 1
        # an Entry is made of it when somebody asks: few are ever read
        self._entries.append((self._number, *self._times(), kind, who, what, verdict))

    def keep(self, payload: Payload) -> None:
        """Hold the bytes of a delivery, and let the oldest go where they are too many."""
        self._payloads.append(payload)
        self._payload_bytes += len(payload.body)
        while self._payload_bytes > self.limit * 1024 and len(self._payloads) > 1:
            self._payload_bytes -= self._payloads.popleft().release()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is kept, oldest first."""
        return tuple(
            Entry(
                number=number,
                at=from_us(wall_us),
                elapsed=timedelta(microseconds=elapsed_us),
                kind=kind,
                who=who,
                what=what,
                verdict=verdict,
            )
            for number, wall_us, elapsed_us, kind, who, what, verdict in self._entries
        )

    @property
    def count(self) -> int:
        """How many entries were ever recorded."""
        return self._number

    @property
    def forgotten(self) -> int:
        """How many entries the limit cost."""
        return self._number - len(self._entries)
