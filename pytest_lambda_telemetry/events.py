"""One builder per telemetry event type, for `lambda_telemetry.emit`, `push` and `Script`.

Arguments are the fields of the published schema in snake case, metrics flat among them. Each has a realistic default,
so that a bare call is an event that Lambda could have sent; within an invocation the defaults agree with one another.
None leaves an optional field out; a default shown as DERIVED is worked out from the other arguments. A value that
Lambda would never send is a MisuseError naming the valid ones; `from_dict` takes what the builders refuse.

`time` is an aware datetime or an ISO-8601 string with a zone; without it the event is stamped when it is emitted, and
a span without `start` is placed then, so that the spans follow one another and end at the event's time.

Source: Lambda Telemetry API event schema reference.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import cast

from .model.checks import is_text, repr_of
from .model.errors import MisuseError
from .model.event import Event, Record
from .protocol import schema
from .protocol.contract import SLOW_CONSUMER
from .protocol.encoding import copied
from .protocol.fields import DERIVED, Derived, build, number, overhead_spans, runtime_spans, time_of
from .protocol.projection import Captured
from .protocol.schema import (
    InitializationType,
    InitPhase,
    LifecycleEvent,
    Span,
    Status,
    TelemetryType,
    Tracing,
)

__all__ = [
    "extension",
    "from_dict",
    "function",
    "platform_extension",
    "platform_init_report",
    "platform_init_runtime_done",
    "platform_init_start",
    "platform_logs_dropped",
    "platform_report",
    "platform_restore_report",
    "platform_restore_runtime_done",
    "platform_restore_start",
    "platform_runtime_done",
    "platform_start",
    "platform_telemetry_subscription",
]

_REQUEST_ID = schema.request_id()
_FUNCTION = "test-function"
_ARN = schema.function_arn(_FUNCTION)
_RUNTIME = "python:3.13.v64"
_RUNTIME_ARN = f"arn:aws:lambda:us-east-1::runtime:{'0123456789abcdef' * 4}"
_INSTANCE = "d2b6f0c4-8a51-5e0f-9f43-6f0f5f1c7a10"
_INIT_MS = 100.0
_RESTORE_MS = 80.0
_RUN_MS = 100.0
_OVERHEAD_MS = 1.5
_ERROR_TYPES: Mapping[str, str] = {"error": "Function.Unknown", "failure": "Sandbox.Failure"}

Time = str | datetime | None


def _error(status: object, given: str | Derived | None) -> str | None:
    return (_ERROR_TYPES.get(status) if is_text(status) else None) if given is DERIVED else given


def _trace(of: object, given: Tracing | str | Derived | None) -> Tracing | str | None:
    return (schema.tracing(of) if is_text(of) else None) if given is DERIVED else given


def platform_init_start(
    *,
    initialization_type: InitializationType = "on-demand",
    phase: InitPhase = "init",
    runtime_version: str | None = _RUNTIME,
    runtime_version_arn: str | None = _RUNTIME_ARN,
    function_name: str | None = _FUNCTION,
    function_version: str | None = "$LATEST",
    instance_id: str | None = _INSTANCE,
    instance_max_memory: int | None = 128 * 1024 * 1024,
    tracing: Tracing | str | Derived | None = DERIVED,
    time: Time = None,
) -> Event:
    """`platform.initStart`: initialization began. `phase` "invoke" is the repetition after a suppressed init;
    `instance_max_memory` is in bytes."""
    return build(
        "platform.initStart",
        time,
        initialization_type=initialization_type,
        phase=phase,
        runtime_version=runtime_version,
        runtime_version_arn=runtime_version_arn,
        function_name=function_name,
        function_version=function_version,
        instance_id=instance_id,
        instance_max_memory=instance_max_memory,
        tracing=_trace("init", tracing),
    )


def platform_init_runtime_done(
    *,
    initialization_type: InitializationType = "on-demand",
    phase: InitPhase = "init",
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    spans: Sequence[Span] | None = None,
    tracing: Tracing | str | Derived | None = DERIVED,
    time: Time = None,
) -> Event:
    """`platform.initRuntimeDone`: the runtime is initialized. `error_type` goes with "error" and "failure"."""
    return build(
        "platform.initRuntimeDone",
        time,
        initialization_type=initialization_type,
        phase=phase,
        status=status,
        error_type=_error(status, error_type),
        spans=spans,
        tracing=_trace("init", tracing),
    )


def platform_init_report(
    *,
    initialization_type: InitializationType = "on-demand",
    phase: InitPhase = "init",
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    duration_ms: float = _INIT_MS,
    spans: Sequence[Span] | None = None,
    tracing: Tracing | str | Derived | None = DERIVED,
    time: Time = None,
) -> Event:
    """`platform.initReport`: the report of an initialization that took `duration_ms`."""
    return build(
        "platform.initReport",
        time,
        initialization_type=initialization_type,
        phase=phase,
        status=status,
        error_type=_error(status, error_type),
        duration_ms=duration_ms,
        spans=spans,
        tracing=_trace("init", tracing),
    )


def platform_restore_start(
    *,
    runtime_version: str | None = _RUNTIME,
    runtime_version_arn: str | None = _RUNTIME_ARN,
    function_name: str | None = _FUNCTION,
    function_version: str | None = "1",
    instance_id: str | None = _INSTANCE,
    instance_max_memory: int | None = 128 * 1024 * 1024,
    tracing: Tracing | str | Derived | None = DERIVED,
    time: Time = None,
) -> Event:
    """`platform.restoreStart`: restoring a SnapStart snapshot began. Snapshots exist of published versions only."""
    return build(
        "platform.restoreStart",
        time,
        runtime_version=runtime_version,
        runtime_version_arn=runtime_version_arn,
        function_name=function_name,
        function_version=function_version,
        instance_id=instance_id,
        instance_max_memory=instance_max_memory,
        tracing=_trace("restore", tracing),
    )


def platform_restore_runtime_done(
    *,
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    spans: Sequence[Span] | None = None,
    tracing: Tracing | str | Derived | None = DERIVED,
    time: Time = None,
) -> Event:
    """`platform.restoreRuntimeDone`: the runtime is restored."""
    return build(
        "platform.restoreRuntimeDone",
        time,
        status=status,
        error_type=_error(status, error_type),
        spans=spans,
        tracing=_trace("restore", tracing),
    )


def platform_restore_report(
    *,
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    duration_ms: float = _RESTORE_MS,
    spans: Sequence[Span] | None = None,
    tracing: Tracing | str | Derived | None = DERIVED,
    time: Time = None,
) -> Event:
    """`platform.restoreReport`: the report of a restore that took `duration_ms`."""
    return build(
        "platform.restoreReport",
        time,
        status=status,
        error_type=_error(status, error_type),
        duration_ms=duration_ms,
        spans=spans,
        tracing=_trace("restore", tracing),
    )


def platform_start(
    *,
    request_id: str = _REQUEST_ID,
    version: str | None = "$LATEST",
    function_arn: str | None = _ARN,
    tenant_id: str | None = None,
    tracing: Tracing | str | Derived | None = DERIVED,
    time: Time = None,
) -> Event:
    """`platform.start`: an invocation began."""
    return build(
        "platform.start",
        time,
        request_id=request_id,
        version=version,
        function_arn=function_arn,
        tenant_id=tenant_id,
        tracing=_trace(request_id, tracing),
    )


def platform_runtime_done(
    *,
    request_id: str = _REQUEST_ID,
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    duration_ms: float | None = _RUN_MS,
    produced_bytes: int | Derived | None = DERIVED,
    spans: Sequence[Span] | Derived | None = DERIVED,
    tenant_id: str | None = None,
    tracing: Tracing | str | Derived | None = DERIVED,
    time: Time = None,
) -> Event:
    """`platform.runtimeDone`: the runtime answered the invocation, or never will.

    By default a success has the three response spans, which add up to `duration_ms`, and a response of 16 bytes;
    any other outcome has neither. Without `duration_ms` there are no metrics and no default spans.
    """
    answered = status == "success" and duration_ms is not None
    if spans is DERIVED:
        spans = runtime_spans(number("duration_ms", duration_ms)) if answered else None
    if produced_bytes is DERIVED:
        produced_bytes = 16 if answered else None
    if duration_ms is None and produced_bytes is not None:
        raise MisuseError("produced_bytes without duration_ms: Lambda's metrics always have the duration; pass both")
    return build(
        "platform.runtimeDone",
        time,
        request_id=request_id,
        status=status,
        error_type=_error(status, error_type),
        duration_ms=duration_ms,
        produced_bytes=produced_bytes,
        spans=spans,
        tenant_id=tenant_id,
        tracing=_trace(request_id, tracing),
    )


def platform_report(
    *,
    request_id: str = _REQUEST_ID,
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    duration_ms: float = _RUN_MS + _OVERHEAD_MS,
    billed_duration_ms: int | Derived | None = DERIVED,
    memory_size_mb: int | None = 128,
    max_memory_used_mb: int | None = 64,
    init_duration_ms: float | None = None,
    restore_duration_ms: float | None = None,
    billed_restore_duration_ms: int | None = None,
    spans: Sequence[Span] | Derived | None = DERIVED,
    tenant_id: str | None = None,
    tracing: Tracing | str | Derived | None = DERIVED,
    time: Time = None,
) -> Event:
    """`platform.report`: the report of an invocation.

    `duration_ms` covers the extensions' overhead too, by default the 1.5 ms of the one span. The billed duration is
    what was used, the initialization with it, in whole milliseconds upward. `init_duration_ms` belongs to the report of
    the invocation that caused the initialization. None for the other metrics is for 2025-01-29 alone.
    """
    ran = number("duration_ms", duration_ms)
    init = 0.0 if init_duration_ms is None else number("init_duration_ms", init_duration_ms)
    if billed_duration_ms is DERIVED:
        billed_duration_ms = ceil(ran + init)
    if spans is DERIVED:
        spans = overhead_spans(min(_OVERHEAD_MS, ran))
    return build(
        "platform.report",
        time,
        request_id=request_id,
        status=status,
        error_type=_error(status, error_type),
        duration_ms=duration_ms,
        billed_duration_ms=billed_duration_ms,
        memory_size_mb=memory_size_mb,
        max_memory_used_mb=max_memory_used_mb,
        init_duration_ms=init_duration_ms,
        restore_duration_ms=restore_duration_ms,
        billed_restore_duration_ms=billed_restore_duration_ms,
        spans=spans,
        tenant_id=tenant_id,
        tracing=_trace(request_id, tracing),
    )


def platform_extension(
    *,
    name: str = "test-extension",
    state: str = "Ready",
    events: Sequence[LifecycleEvent] = ("INVOKE", "SHUTDOWN"),
    error_type: str | None = None,
    time: Time = None,
) -> Event:
    """`platform.extension`: where an extension stands at the end of initialization."""
    return build("platform.extension", time, name=name, state=state, events=events, error_type=error_type)


def platform_telemetry_subscription(
    *,
    name: str = "test-extension",
    state: str = "Subscribed",
    types: Sequence[TelemetryType] = ("platform", "function", "extension"),
    time: Time = None,
) -> Event:
    """`platform.telemetrySubscription`: an extension subscribed; `state` may be "Already subscribed" too."""
    return build("platform.telemetrySubscription", time, name=name, state=state, types=types)


def platform_logs_dropped(
    *, reason: str = SLOW_CONSUMER, dropped_records: int = 20, dropped_bytes: int = 2048, time: Time = None
) -> Event:
    """`platform.logsDropped`: events that could not be delivered were given up."""
    return build(
        "platform.logsDropped", time, reason=reason, dropped_records=dropped_records, dropped_bytes=dropped_bytes
    )


def function(record: Record = "Hello from the function", *, time: Time = None) -> Event:
    """`function`: a line of the function's log, or an object when it logs in JSON."""
    return _log("function", record, time)


def extension(record: Record = "Hello from the extension", *, time: Time = None) -> Event:
    """`extension`: a line of an extension's output, or an object when it logs in JSON."""
    return _log("extension", record, time)


def _log(event_type: str, record: Record, time: Time) -> Event:
    if not isinstance(record, (str, Mapping)):
        raise MisuseError(f"{event_type}({repr_of(record)}): a log record is a line or an object; pass a str or a dict")
    return Event(event_type, copied(record), time_of(time))


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
    if not is_text(event_type):
        raise MisuseError(
            f'an event\'s "type" is a non-empty str, not {repr_of(event_type)}, in {repr_of(dict(event))}'
        )
    if "record" not in event:
        raise MisuseError(f'this {event_type!r} event has no "record": {repr_of(dict(event))}')
    if time is not None and not isinstance(time, str):
        raise MisuseError(
            f'the "time" of this {event_type!r} event is {repr_of(time)}; pass an ISO-8601 str, or leave it out'
        )
    record = copied(cast(Record, event["record"]))  # an unknown type may have any JSON value
    others = {name: value for name, value in event.items() if name not in ("type", "record", "time")}
    return Captured(event_type, record, time, fields=others) if others else Event(event_type, record, time)
