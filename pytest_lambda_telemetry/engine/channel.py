"""The way from emitted events to one subscriber: filter, projection, buffer, and the record of what was sent."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..model.event import Event
from ..model.records import Attempt, Delivery, Payload, Subscription
from ..protocol.buffering import Batch, Buffer
from ..protocol.encoding import cut_record, encode, encode_lines, http_body, tcp_body
from ..protocol.logs_api import to_logs_events
from ..protocol.projection import View, category, project, resolve
from ..protocol.schema import LOG_TYPES, V2022_07, V2025_01

LOOP_LENGTH = 3
"""So many batches in a row that hold only output caused by the batch before are a feedback loop."""

_KEPT_ATTEMPTS = 1_000


class Sent:
    """A batch on its way: the changing thing whose snapshots are `Delivery` values."""

    __slots__ = ("_snapshot", "attempts", "ok", "payload", "subscription", "types")

    def __init__(self, subscription: Subscription, types: tuple[str, ...], payload: Payload) -> None:
        self.subscription = subscription
        self.types = types
        self.payload = payload
        self.attempts: deque[Attempt] = deque(maxlen=_KEPT_ATTEMPTS)
        self.ok = False
        self._snapshot: Delivery | None = None

    def attempted(self, attempt: Attempt, ok: bool) -> None:
        self.attempts.append(attempt)
        self.ok = ok
        self._snapshot = None

    @property
    def snapshot(self) -> Delivery:
        if self._snapshot is None:
            self._snapshot = Delivery(
                subscription=self.subscription,
                types=self.types,
                attempts=tuple(self.attempts),
                ok=self.ok,
                payload=self.payload,
            )
        return self._snapshot


class Channel:
    """One subscription with its buffer and its view of events."""

    def __init__(self, subscription: Subscription, view: View) -> None:
        self.subscription = subscription
        self.view = view
        self.buffer = Buffer(subscription.buffering)
        self.in_flight: Sent | None = None
        self.looping = False
        self._wanted = frozenset(subscription.types)

    def takes(self, event_type: str) -> bool:
        """The subscription's types include this event's."""
        return category(event_type) in self._wanted

    def select(self, encoded: "Encoded") -> tuple[Sequence[bytes], Sequence[str]]:
        """Of encoded events those that the subscription's types include."""
        if encoded.categories <= self._wanted:
            return encoded.parts, encoded.types
        chosen = [(part, name) for part, name in zip(encoded.parts, encoded.types, strict=True) if self.takes(name)]
        return [part for part, _ in chosen], [name for _, name in chosen]

    def body_of(self, batch: Batch) -> bytes:
        """The bytes that carry a batch over this subscription's protocol."""
        form = tcp_body if self.subscription.destination.protocol == "TCP" else http_body
        return form(batch.parts)

    def note_delivered(self, batch: Batch) -> bool:
        """Whether with this batch the subscription has just become part of a loop."""
        if batch.echo < LOOP_LENGTH or self.looping:
            return False
        self.looping = True
        return True


WHOLE = View(V2025_01, "Text")
"""Everything, as the latest schema version has it: one serialized event for each event."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Events as one view shows them: serialized, with their types and the categories among them."""

    parts: list[bytes]
    types: list[str]
    categories: frozenset[str]


def lines_pass_unchanged(view: View) -> bool:
    """A plain log line looks in this view as it was written."""
    return not view.logs_api and (view.log_format == "Text" or view.schema_version == V2022_07)


def encode_events(events: Sequence[Event], stamp: str, view: View, *, cut: bool = False) -> Encoded:
    """Stamp, project and serialize events; those the view does not show are left out.

    `cut` divides log records of more than 256 KiB, as the live service does.
    """
    if lines_pass_unchanged(view) and not cut:
        kinds = {event.type for event in events}
        if len(kinds) == 1 and kinds <= LOG_TYPES:
            records = [event.record for event in events if type(event.record) is str and event.time is None]
            if len(records) == len(events):  # the hot path: one kind of plain log line needs no projection
                kind = events[0].type
                return Encoded(encode_lines(stamp, kind, records), [kind] * len(records), frozenset(kinds))
    parts: list[bytes] = []
    types: list[str] = []
    for event in events:
        for piece in cut_event(event) if cut else (event,):
            stamped = resolve(piece, piece.time or stamp)
            for shown in to_logs_events(stamped, view.schema_version) if view.logs_api else [project(stamped, view)]:
                if shown is not None:
                    parts.append(encode(shown))
                    types.append(str(shown["type"]))
    return Encoded(parts, types, frozenset(map(category, set(types))))


def cut_event(event: Event) -> list[Event]:
    """An event whose log record is longer than the live service sends in one piece, as its pieces."""
    if event.type not in LOG_TYPES:
        return [event]
    return [replace(event, record=piece) for piece in cut_record(event.record)]
