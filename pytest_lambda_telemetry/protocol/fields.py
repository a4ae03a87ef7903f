"""The fields of platform records: their names on the wire, what each may hold, and how they make an event.

Source: Lambda Telemetry API event schema reference. Values that it gives only as strings (a state, a reason, a span's
name) are any text here; those that it lists are refused when they are not on the list.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Final, get_args

from ..model.checks import is_list, is_number, is_one_of, is_text, is_whole, quoted, repr_of
from ..model.errors import MisuseError
from ..model.event import Event
from .projection import moment, timestamp
from .schema import (
    REQUIRED,
    RESPONSE_SPANS,
    TRACE_TYPE,
    InitializationType,
    InitPhase,
    LifecycleEvent,
    Span,
    Status,
    TelemetryType,
)

Check = Callable[[str, object], object]
"""From an argument's name and value to the value on the wire; raises MisuseError."""


class Derived(Enum):
    """The default of an argument that is worked out from the others."""

    DERIVED = "derived"

    def __repr__(self) -> str:
        return self.name


DERIVED: Final = Derived.DERIVED

_LONGEST_MS = 2.6e14  # some 8,000 years: what is left of the dates there are
_LARGEST = 2**63 - 1


def text(name: str, value: object) -> str:
    if not is_text(value):
        raise MisuseError(f"{name}={repr_of(value)} is not a text; pass a non-empty str")
    return value


def number(name: str, value: object) -> float:
    """A duration: finite and not negative; a bool is no number."""
    if not is_number(value, 0):
        raise MisuseError(f"{name}={repr_of(value)} is not a duration in milliseconds; pass a finite number, 0 or more")
    if value > _LONGEST_MS:
        raise MisuseError(f"{name}={value!r} is a duration beyond the year 9999; pass milliseconds")
    return value


def whole(name: str, value: object) -> int:
    """A count or a size."""
    if not is_whole(value, 0) or value > _LARGEST:
        raise MisuseError(f"{name}={repr_of(value)} is not a count; pass an int, 0 or more")
    return value


def listed(valid: tuple[str, ...]) -> Check:
    """One of these values, spelled exactly so."""

    def check(name: str, value: object) -> object:
        if not is_one_of(value, valid):
            raise MisuseError(f"{name}={repr_of(value)} is not known to Lambda; the valid ones are {_quoted(valid)}")
        return value

    return check


def several(valid: tuple[str, ...]) -> Check:
    """A list of some of these values."""
    one = listed(valid)

    def check(name: str, value: object) -> object:
        if not is_list(value):
            raise MisuseError(f"{name}={repr_of(value)} is not a list; pass a list or tuple of {_quoted(valid)}")
        return [one(name, item) for item in value]

    return check


def _quoted(valid: tuple[str, ...]) -> str:
    return quoted(valid, '"')


def _object(name: str, value: object, required: set[str], optional: set[str]) -> Mapping[str, object]:
    """A mapping with these keys and no others."""
    if not isinstance(value, Mapping):
        raise MisuseError(f"{name}={repr_of(value)} is not an object; pass a dict with {sorted(required | optional)}")
    if wrong := value.keys() - required - optional:
        raise MisuseError(f"{name} has unknown {sorted(wrong, key=str)}; valid are {sorted(required | optional)}")
    if missing := required - value.keys():
        raise MisuseError(f"{name}={repr_of(dict(value))} lacks {sorted(missing)}; pass a dict with them")
    return value


def spans(name: str, value: object) -> list[dict[str, object]]:
    """Spans with their `start`, None where it is to be worked out when the event is emitted."""
    if not is_list(value):
        raise MisuseError(f'{name}={repr_of(value)} is not a list; pass a list of {{"name": …, "durationMs": …}}')
    checked: list[dict[str, object]] = []
    for index, item in enumerate(value):
        where = f"{name}[{index}]"
        span = _object(where, item, {"name", "durationMs"}, {"start"})
        checked.append(
            {
                "name": text(f"{where}.name", span["name"]),
                "start": time_of(span.get("start"), f"{where}.start"),
                "durationMs": number(f"{where}.durationMs", span["durationMs"]),
            }
        )
    return checked


def tracing(name: str, value: object) -> dict[str, object]:
    """The X-Ray context; a str is the value of the X-Amzn-Trace-Id header. The `spanId` may be null (schema)."""
    if isinstance(value, str):
        value = {"type": TRACE_TYPE, "value": value}
    context = _object(name, value, {"type", "value"}, {"spanId"})
    listed((TRACE_TYPE,))(f"{name}.type", context["type"])
    return {
        key: None if key == "spanId" and item is None else text(f"{name}.{key}", item) for key, item in context.items()
    }


def time_of(value: object, name: str = "time") -> str | None:
    """A moment as the wire has it: a string stays as it is, a datetime is written in UTC with milliseconds."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return timestamp(value)
    try:
        moment(text(name, value))
    except ValueError as error:
        raise MisuseError(
            f"{name}={value!r} is not a moment: {error}; pass an aware datetime or ISO-8601 with a zone, such as"
            ' "2025-01-29T12:00:00.000Z"'
        ) from error
    return str(value)


STATUSES: Final[tuple[str, ...]] = get_args(Status)
_INITIALIZATION_TYPE = listed(get_args(InitializationType))

FIELDS: Final[Mapping[str, tuple[str, Check]]] = MappingProxyType(
    {
        "initialization_type": ("initializationType", _INITIALIZATION_TYPE),
        "phase": ("phase", listed(get_args(InitPhase))),
        "status": ("status", listed(STATUSES)),
        "error_type": ("errorType", text),
        "request_id": ("requestId", text),
        "version": ("version", text),
        "function_arn": ("functionArn", text),
        "tenant_id": ("tenantId", text),
        "runtime_version": ("runtimeVersion", text),
        "runtime_version_arn": ("runtimeVersionArn", text),
        "function_name": ("functionName", text),
        "function_version": ("functionVersion", text),
        "instance_id": ("instanceId", text),
        "instance_max_memory": ("instanceMaxMemory", whole),
        "duration_ms": ("metrics.durationMs", number),
        "billed_duration_ms": ("metrics.billedDurationMs", whole),
        "memory_size_mb": ("metrics.memorySizeMB", whole),
        "max_memory_used_mb": ("metrics.maxMemoryUsedMB", whole),
        "init_duration_ms": ("metrics.initDurationMs", number),
        "restore_duration_ms": ("metrics.restoreDurationMs", number),
        "billed_restore_duration_ms": ("metrics.billedRestoreDurationMs", whole),
        "produced_bytes": ("metrics.producedBytes", whole),
        "spans": ("spans", spans),
        "tracing": ("tracing", tracing),
        "name": ("name", text),
        "state": ("state", text),
        "events": ("events", several(get_args(LifecycleEvent))),
        "types": ("types", several(get_args(TelemetryType))),
        "reason": ("reason", text),
        "dropped_records": ("droppedRecords", whole),
        "dropped_bytes": ("droppedBytes", whole),
    }
)
"""Per builder argument: where its value goes in the record, and its check."""

_NO_ERROR_TYPE = {"success", "timeout"}


def build(event_type: str, time: str | datetime | None, **arguments: object) -> Event:
    """The event of these arguments, in their order; one that is None is left out. Raises MisuseError."""
    record: dict[str, object] = {}
    metrics: dict[str, object] = {}
    for name, value in arguments.items():
        path, check = FIELDS[name]
        if value is not None:
            within, _, field = path.rpartition(".")
            (metrics if within else record)[field] = check(name, value)
        elif path in REQUIRED[event_type]:
            raise MisuseError(f"{name}=None: no {event_type} lacks it; leave the argument out for a realistic value")
    if record.get("status") in _NO_ERROR_TYPE and "errorType" in record:
        raise MisuseError(
            f"error_type={record['errorType']!r} with status={record['status']!r}: an error type goes with"
            ' status="error" or "failure"; use events.from_dict for an event that Lambda would not send'
        )
    if metrics:
        record["metrics"] = metrics
    return Event(event_type, record, time_of(time))


def runtime_spans(duration_ms: float) -> list[Span]:
    """The three spans of an answered invocation, which together last as long as it did. Raises MisuseError."""
    duration_ms = number("duration_ms", duration_ms)
    answering, overhead = round(duration_ms * 0.01, 3), round(duration_ms * 0.02, 3)
    return [
        {"name": "responseLatency", "durationMs": round(duration_ms - answering - overhead, 3)},
        {"name": "responseDuration", "durationMs": answering},
        {"name": "runtimeOverhead", "durationMs": overhead},
    ]


def response_spans(duration_ms: float) -> list[Span]:
    """Those of them that a report on Managed Instances has, where no runtimeDone holds them."""
    return [span for span in runtime_spans(duration_ms) if span["name"] in RESPONSE_SPANS]


def overhead_spans(overhead_ms: float) -> list[Span]:
    """The span of a report: how long extensions went on after the runtime was done. Raises MisuseError."""
    return [{"name": "extensionOverhead", "durationMs": number("overhead_ms", overhead_ms)}]
