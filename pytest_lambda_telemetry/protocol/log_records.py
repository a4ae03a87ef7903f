"""Log events and events of any kind, as a test writes them.

Sources: the event schema reference (a log record is any JSON value, null too); AWS's guide to log formats for what the
logging of managed runtimes writes, which is a record that a function makes: the platform wraps nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from ..model.checks import is_json, repr_of
from ..model.errors import MisuseError
from ..model.event import Event, Record
from .encoding import copied
from .fields import text, time_of
from .projection import Captured, Stamped

Time = str | datetime | None


def function(record: Record = "Hello from the function", *, time: Time = None) -> Event:
    """`function`: a line of the function's log, an object when it logs in JSON, or any other JSON value."""
    return _log("function", record, time)


def extension(record: Record = "Hello from the extension", *, time: Time = None) -> Event:
    """`extension`: a line of an extension's output, an object when it logs in JSON, or any other JSON value."""
    return _log("extension", record, time)


def function_log(
    message: Record,
    level: str = "INFO",
    request_id: str | None = None,
    logger: str | None = None,
    *,
    time: Time = None,
) -> Event:
    """`function`, with the object that the logging of a managed runtime writes under the JSON log format.

    It has `timestamp`, `level` and `message`; `requestId` and `logger` where they are given. The timestamp is the
    event's `time`, or the moment at which it is emitted.
    """
    at = time_of(time)
    record: dict[str, object] = {
        "timestamp": at,
        "level": text("level", level),
        "message": _checked("message", message),
    }
    for name, field, value in (("request_id", "requestId", request_id), ("logger", "logger", logger)):
        if value is not None:
            record[field] = text(name, value)
    return Event("function", record, at) if at is not None else Stamped("function", record)


def _log(event_type: str, record: Record, time: Time) -> Event:
    return Event(event_type, _checked(event_type, record), time_of(time))


def _checked(name: str, record: Record) -> Record:
    if not is_json(record):
        raise MisuseError(
            f"{name}({repr_of(record)}): a log record is a line, an object or another JSON value; pass a str, a dict,"
            " a list, a number, a bool or None"
        )
    return copied(record)


def from_dict(event: Mapping[str, object]) -> Event:
    """Any event as the wire has it, whether its type and fields are known or not.

    Only the shape is checked: `type` is a text, there is a `record`, `time` is a text where there is one. Everything
    else is kept as it is. Raises MisuseError.
    """
    if not isinstance(event, Mapping):
        raise MisuseError(
            f'{repr_of(event)} is not an event; pass a dict such as {{"type": "function", "record": "a line"}}'
        )
    event_type, time = event.get("type"), event.get("time")
    if not isinstance(event_type, str) or not event_type:
        raise MisuseError(f'an event\'s "type" is a non-empty str, not {repr_of(event_type)}, in {repr_of(event)}')
    if "record" not in event:
        raise MisuseError(f'this {event_type!r} event has no "record": {repr_of(event)}')
    if time is not None and not isinstance(time, str):
        raise MisuseError(
            f'the "time" of this {event_type!r} event is {repr_of(time)}; pass an ISO-8601 str, or leave it out'
        )
    record = copied(cast(Record, event["record"]))  # an unknown type may have any JSON value
    others = {name: value for name, value in event.items() if name not in ("type", "record", "time")}
    return Captured(event_type, record, time, fields=others) if others else Event(event_type, record, time)
