"""One telemetry event, before it is stamped, projected and sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .checks import is_text, require

Record = str | float | bool | Sequence[object] | Mapping[str, object] | None
"""The `record` of an event: of a platform event an object, of a log any JSON value, as a rule a line or an object."""


@dataclass(frozen=True, slots=True)
class Event:
    """A telemetry event: `{"time": …, "type": …, "record": …}` on the wire.

    `time` is the ISO-8601 UTC string to send; None means that the event is stamped at the moment it is emitted.
    One Event may be emitted any number of times. A span whose `start` is None is resolved when the event is emitted.
    """

    type: str
    record: Record
    time: str | None = None

    def __post_init__(self) -> None:
        require(is_text(self.type), "Event.type", self.type, "a non-empty str, such as 'function'")
        require(self.time is None or isinstance(self.time, str), "Event.time", self.time, "an ISO-8601 str, or None")


Log = Record | Event
"""What a function logs: a line, an object or another JSON value, or an event of any kind."""
