"""The way from emitted events to one subscriber: filter, projection, buffer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..model.event import Event
from ..model.facts import Numbers, SentBatch
from ..model.records import Subscription
from ..protocol.buffering import Batch, Buffer
from ..protocol.encoding import cut_event, encode, encode_lines, http_body, tcp_body
from ..protocol.logs_api import to_logs_events
from ..protocol.projection import View, category, project, resolve
from ..protocol.schema import LOG_TYPES, V2022_07, V2025_01

WHOLE = View(V2025_01, "Text")
"""Everything, as the latest schema version has it: one serialized event for each event."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Events as one view shows them: serialized, with their types, serial numbers, and the categories among them."""

    parts: Sequence[bytes]
    types: Sequence[str]
    numbers: Numbers
    categories: frozenset[str]


class Subscriber:
    """One subscription with its buffer and its view of events. `cut`: records over its `maxBytes` are cut there."""

    def __init__(self, subscription: Subscription, view: View, *, cut: bool = False) -> None:
        self.subscription = subscription
        self.view = view
        self.buffer = Buffer(subscription.buffering)
        self.in_flight: SentBatch | None = None
        self.ended = False
        """Its extension has ended: it gets nothing any more, and what it has not got is lost."""
        self._wanted = frozenset(subscription.types)
        self._cuts_at = subscription.buffering.max_bytes if cut else None

    @property
    def name(self) -> str:
        """The extension's."""
        return self.subscription.extension_name

    def takes(self, event_type: str) -> bool:
        """The subscription's types include this event's."""
        return category(event_type) in self._wanted

    def select(self, encoded: Encoded) -> Encoded:
        """Of encoded events those that the subscription's types include, in the pieces in which it gets them."""
        if not encoded.categories <= self._wanted:
            rows = zip(encoded.parts, encoded.types, encoded.numbers, strict=True)
            chosen = [row for row in rows if self.takes(row[1])]
            encoded = _of_rows(chosen, encoded.categories & self._wanted)
        if self._cuts_at is not None and max(map(len, encoded.parts), default=0) > self._cuts_at:
            return self._cut(encoded, self._cuts_at)
        return encoded

    def _cut(self, encoded: Encoded, limit: int) -> Encoded:
        rows = zip(encoded.parts, encoded.types, encoded.numbers, strict=True)
        pieces = [
            (piece, kind, number)
            for part, kind, number in rows
            for piece in (cut_event(part, limit) if kind in LOG_TYPES else (part,))
        ]
        return _of_rows(pieces, encoded.categories)

    def body_of(self, batch: Batch) -> bytes:
        """The bytes that carry a batch over this subscription's protocol."""
        form = tcp_body if self.subscription.destination.protocol == "TCP" else http_body
        return form(batch.parts)


def _of_rows(rows: Sequence[tuple[bytes, str, int]], categories: frozenset[str]) -> Encoded:
    parts, types, numbers = zip(*rows, strict=True) if rows else ((), (), ())
    return Encoded(parts, types, numbers, categories)


def next_due(subscribers: Iterable[Subscriber]) -> tuple[int, Subscriber] | None:
    """The earliest moment (elapsed microseconds) at which a subscriber has something to be sent, and whose it is.

    Of several due at one moment the subscription made first comes first.
    """
    earliest: tuple[int, Subscriber] | None = None
    for subscriber in subscribers:
        due_us = None if subscriber.ended else subscriber.buffer.due_us
        if due_us is not None and (earliest is None or due_us < earliest[0]):
            earliest = due_us, subscriber
    return earliest


def lines_pass_unchanged(view: View) -> bool:
    """A plain log line looks in this view as it was written."""
    return not view.logs_api and (view.log_format == "Text" or view.schema_version == V2022_07)


def encode_events(events: Sequence[Event], stamp: str, view: View, numbers: Numbers) -> Encoded:
    """Stamp, project and serialize events; those the view does not show are left out.

    `numbers` are the events' own; an event that becomes several keeps its number in each.
    """
    if lines_pass_unchanged(view):
        kinds = {event.type for event in events}
        if len(kinds) == 1 and kinds <= LOG_TYPES:
            records = [event.record for event in events if type(event.record) is str and event.time is None]
            if len(records) == len(events):  # the hot path: one kind of plain log line needs no projection
                kind = events[0].type
                return Encoded(encode_lines(stamp, kind, records), [kind] * len(records), numbers, frozenset(kinds))
    parts: list[bytes] = []
    types: list[str] = []
    kept: list[int] = []
    for event, number in zip(events, numbers, strict=True):
        stamped = resolve(event, event.time or stamp)
        for shown in to_logs_events(stamped, view.schema_version) if view.logs_api else [project(stamped, view)]:
            if shown is not None:
                parts.append(encode(shown))
                types.append(str(shown["type"]))
                kept.append(number)
    return Encoded(parts, types, kept, frozenset(map(category, set(types))))
