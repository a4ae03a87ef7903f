"""The way from emitted events to one subscriber: filter, projection, buffer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..model.event import Event
from ..model.facts import Numbers, SentBatch
from ..model.records import Subscription
from ..protocol.buffering import Batch, Buffer
from ..protocol.encoding import cut_record, encode, encode_lines, http_body, tcp_body
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
    """One subscription with its buffer and its view of events."""

    def __init__(self, subscription: Subscription, view: View) -> None:
        self.subscription = subscription
        self.view = view
        self.buffer = Buffer(subscription.buffering)
        self.in_flight: SentBatch | None = None
        self._wanted = frozenset(subscription.types)

    @property
    def name(self) -> str:
        """The extension's."""
        return self.subscription.extension_name

    def takes(self, event_type: str) -> bool:
        """The subscription's types include this event's."""
        return category(event_type) in self._wanted

    def select(self, encoded: Encoded) -> Encoded:
        """Of encoded events those that the subscription's types include."""
        if encoded.categories <= self._wanted:
            return encoded
        rows = zip(encoded.parts, encoded.types, encoded.numbers, strict=True)
        chosen = [row for row in rows if self.takes(row[1])]
        parts, types, numbers = zip(*chosen, strict=True) if chosen else ((), (), ())
        return Encoded(parts, types, numbers, encoded.categories & self._wanted)

    def body_of(self, batch: Batch) -> bytes:
        """The bytes that carry a batch over this subscription's protocol."""
        form = tcp_body if self.subscription.destination.protocol == "TCP" else http_body
        return form(batch.parts)


def next_due(subscribers: Iterable[Subscriber]) -> tuple[int, Subscriber] | None:
    """The earliest moment (elapsed microseconds) at which a subscriber has something to be sent, and whose it is.

    Of several due at one moment the subscription made first comes first.
    """
    earliest: tuple[int, Subscriber] | None = None
    for subscriber in subscribers:
        due_us = subscriber.buffer.due_us
        if due_us is not None and (earliest is None or due_us < earliest[0]):
            earliest = due_us, subscriber
    return earliest


def lines_pass_unchanged(view: View) -> bool:
    """A plain log line looks in this view as it was written."""
    return not view.logs_api and (view.log_format == "Text" or view.schema_version == V2022_07)


def encode_events(
    events: Sequence[Event], stamp: str, view: View, numbers: Numbers, record_limit: int | None = None
) -> Encoded:
    """Stamp, project and serialize events; those the view does not show are left out.

    `numbers` are the events' own; an event that becomes several keeps its number in each. Log records of more
    than `record_limit` bytes are cut.
    """
    if record_limit is None and lines_pass_unchanged(view):
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
        for piece in (event,) if record_limit is None else cut_event(event, record_limit):
            stamped = resolve(piece, piece.time or stamp)
            for shown in to_logs_events(stamped, view.schema_version) if view.logs_api else [project(stamped, view)]:
                if shown is not None:
                    parts.append(encode(shown))
                    types.append(str(shown["type"]))
                    kept.append(number)
    return Encoded(parts, types, kept, frozenset(map(category, set(types))))


def cut_event(event: Event, record_limit: int) -> list[Event]:
    """An event whose log record is too long to be sent in one piece, as its pieces."""
    if event.type not in LOG_TYPES:
        return [event]
    return [replace(event, record=piece) for piece in cut_record(event.record, record_limit)]
