"""Telemetry of the init phase, kept for subscriptions that are made later in it."""

from collections.abc import Sequence
from dataclasses import replace

from ..model.event import Event
from ..protocol.encoding import copied, encode
from ..protocol.projection import resolve

MAX_EVENTS = 10_000
MAX_BYTES = 1_048_576


class EarlyEvents:
    """At most 10,000 events or 1 MiB, the newest dropped and counted."""

    def __init__(self) -> None:
        self.open = True
        self.events: list[Event] = []
        self.lost_records = 0
        self.lost_size = 0
        self._size = 0

    def keep(self, events: Sequence[Event], stamp: str) -> int:
        """Remember events with the time they were emitted; how many found no room."""
        lost_before = self.lost_records
        for event in events:
            size = len(encode(resolve(event, event.time or stamp)))
            if self.lost_records or len(self.events) == MAX_EVENTS or self._size + size > MAX_BYTES:
                self.lost_records += 1
                self.lost_size += size
            else:
                kept = replace(event, record=copied(event.record), time=event.time or stamp)
                self.events.append(kept)
                self._size += size
        return self.lost_records - lost_before

    def close(self) -> None:
        """Init is over: nobody can subscribe any more."""
        self.open = False
        self.events.clear()
