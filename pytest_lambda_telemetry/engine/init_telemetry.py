"""Telemetry of the init phase, kept for subscriptions that are made later in it."""

from collections.abc import Sequence
from dataclasses import replace

from ..model.event import Event
from ..protocol.encoding import copied

MAX_EVENTS = 10_000
MAX_BYTES = 1_048_576


class InitTelemetry:
    """At most 10,000 events or 1 MiB, the newest dropped and counted."""

    def __init__(self) -> None:
        self.open = True
        self.events: list[Event] = []
        self.numbers: list[int] = []
        self.lost_records = 0
        self.lost_size = 0
        self._size = 0

    def keep(self, events: Sequence[Event], numbers: range, sizes: Sequence[int], stamp: str) -> int:
        """Remember events, whose serialized `sizes` in bytes are given, with the time they were emitted.

        Returns how many found no room.
        """
        lost_before = self.lost_records
        if lost_before:  # full, as a rule for good
            self.lost_records += len(events)
            self.lost_size += sum(sizes)
            return len(events)
        for event, number, size in zip(events, numbers, sizes, strict=True):
            if self.lost_records or len(self.events) == MAX_EVENTS or self._size + size > MAX_BYTES:
                self.lost_records += 1
                self.lost_size += size
            else:
                self.events.append(replace(event, record=copied(event.record), time=event.time or stamp))
                self.numbers.append(number)
                self._size += size
        return self.lost_records - lost_before

    def close(self) -> None:
        """Init is over: nobody can subscribe any more."""
        self.open = False
        self.events.clear()
        self.numbers.clear()
