"""One event as each subscriber sees it: stamped once, then cut to the subscriber's schema version.

Projection takes away what a later version added and turns log records into the form of the log format; types and
fields that no version knows pass through. Source: Lambda Telemetry API event schema reference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeGuard

from ..model.checks import is_number, repr_of
from ..model.errors import MisuseError
from ..model.event import Event
from .encoding import from_text, to_text
from .schema import ADDED, LOG_TYPES, NULLABLE, REQUIRED, RESPONSE_SPANS, V2022_12, V2025_01


@dataclass(frozen=True, slots=True)
class View:
    """What decides how a subscriber sees an event: its schema version and the environment's configuration."""

    schema_version: str
    log_format: str
    managed_instances: bool = False
    logs_api: bool = False


@dataclass(frozen=True, slots=True)
class Captured(Event):
    """An event with fields beside `time`, `type` and `record`, which a recording may hold and a replay must keep."""

    fields: Mapping[str, object] = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Stamped(Event):
    """A log event whose record, an object, has the moment at which it is emitted as its `timestamp`."""


def timestamp(at: datetime) -> str:
    """A moment as telemetry writes it: ISO-8601 in UTC with milliseconds and Z. Raises MisuseError without a zone."""
    if at.tzinfo is None:
        raise MisuseError(f"{at.isoformat()} has no time zone; pass an aware datetime, such as datetime.now(UTC)")
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def moment(text: str) -> datetime:
    """The moment an ISO-8601 string with a time zone names. Raises ValueError for any other string."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    return at


def category(event_type: str) -> str:
    """The subscription type that carries an event type: "platform", "function" or "extension".

    A type that no version knows goes by its prefix before the dot, and with the platform events otherwise.
    """
    prefix = event_type.partition(".")[0]
    return prefix if prefix in LOG_TYPES else "platform"


def resolve(event: Event, time: str) -> dict[str, object]:
    """The whole event as generated at `time` (which its own `time` overrides), every span with its start.

    The record is shared with the event wherever nothing had to be filled in: treat the result as read-only. In types
    that no version knows nothing is filled in.
    """
    time = time if event.time is None else event.time
    record: object = event.record
    if event.type in REQUIRED and isinstance(record, Mapping) and _unresolved(spans := record.get("spans")):
        record = {**record, "spans": _started(spans, time)}
    elif isinstance(event, Stamped) and isinstance(record, Mapping):
        record = {**record, "timestamp": time}
    stamped = {"time": time, "type": event.type, "record": record}
    return {**stamped, **event.fields} if isinstance(event, Captured) else stamped


def _unresolved(spans: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    return isinstance(spans, list | tuple) and any(
        isinstance(span, Mapping) and "start" in span and span["start"] is None for span in spans
    )


def _started(spans: Sequence[Mapping[str, object]], time: str) -> list[dict[str, object]]:
    """The spans laid one after the other, the last ending at `time`; a start that was given stays."""
    try:
        start = moment(time)
        lengths = [_length(span) for span in spans]
        started: list[dict[str, object]] = []
        for span, length in zip(reversed(spans), reversed(lengths), strict=True):
            start -= length
            started.append(dict(span) if span.get("start") is not None else {**span, "start": timestamp(start)})
    except (ValueError, OverflowError) as error:
        raise MisuseError(
            f"cannot work out where these spans start: {error}; give each span a durationMs in milliseconds and the"
            " event an ISO-8601 time, or give each span its own start"
        ) from error
    return started[::-1]


def _length(span: object) -> timedelta:
    if not isinstance(span, Mapping):
        raise ValueError(f"{repr_of(span)} is no span")
    duration_ms = span.get("durationMs")
    if not is_number(duration_ms):
        raise ValueError(f"durationMs is {repr_of(duration_ms)}")
    return timedelta(milliseconds=duration_ms)


def project(stamped: dict[str, object], view: View) -> dict[str, object] | None:
    """A resolved event as a subscriber with this view receives it; None where it is not sent at all.

    The argument is never changed, and returned itself where nothing differs.
    """
    event_type, record = stamped["type"], stamped["record"]
    if event_type in LOG_TYPES:
        seen = _log_record(record, view)
    elif view.managed_instances and event_type == "platform.runtimeDone":
        return None
    elif isinstance(record, Mapping):
        seen = _platform_record(str(event_type), record, view)
    else:
        return stamped
    return stamped if seen is record else {**stamped, "record": seen}


def _log_record(record: object, view: View) -> object:
    """Under JSON logging a line that holds an object is that object; every other line stays as it is (live capture)."""
    if view.schema_version < V2022_12:
        return record if isinstance(record, str) else to_text(record)
    if view.log_format != "JSON" or not isinstance(record, str) or not record.lstrip().startswith("{"):
        return record
    try:
        return from_text(record)
    except ValueError:
        return record  # it only looks like JSON


def _platform_record(event_type: str, record: Mapping[str, object], view: View) -> Mapping[str, object]:
    later = [
        path for version, paths in ADDED.get(event_type, {}).items() if version > view.schema_version for path in paths
    ]
    for path in later:
        record = _without(record, path)
    if view.schema_version < V2025_01:
        for path in NULLABLE.get(event_type, ()):
            record = _without(record, path, null=True)
    return _managed_report(record) if view.managed_instances and event_type == "platform.report" else record


def _without(record: Mapping[str, object], path: str, *, null: bool = False) -> Mapping[str, object]:
    """The record less the field at a dotted path; itself where it has none. `null`: only if it is that."""
    name, _, rest = path.partition(".")
    if name not in record:
        return record
    inner = record[name]
    if not rest:
        keeps = null and inner is not None
        return record if keeps else {key: value for key, value in record.items() if key != name}
    if not isinstance(inner, Mapping) or (less := _without(inner, rest, null=null)) is inner:
        return record
    return {**record, name: less}


def _managed_report(record: Mapping[str, object]) -> Mapping[str, object]:
    """On Managed Instances a report has `durationMs` alone, and of the spans only those of the response."""
    metrics, spans = record.get("metrics"), record.get("spans")
    seen = dict(record)
    if isinstance(metrics, Mapping):
        seen["metrics"] = {key: value for key, value in metrics.items() if key == "durationMs"}
    if isinstance(spans, list | tuple):
        seen["spans"] = [span for span in spans if isinstance(span, Mapping) and span.get("name") in RESPONSE_SPANS]
        if not seen["spans"]:
            del seen["spans"]
    return seen
