"""One builder per telemetry event type, for `lambda_telemetry.emit`, `push` and `Script`.

Arguments are the fields of the published schema in snake case, metrics flat among them. Each has a realistic default,
so that a bare call is an event that Lambda could have sent; within an invocation the defaults agree with one another.
None leaves an optional field out, as is `tracing` unless it is given: events have it only where a function is traced. A
default shown as DERIVED is worked out from the other arguments. A value that Lambda would never send is a MisuseError
naming the valid ones; `from_dict` takes what the builders refuse, explicit nulls too. `function_log` is what the
logging of managed runtimes writes under the JSON log format.

`time` is an aware datetime or an ISO-8601 string with a zone; without it the event is stamped when it is emitted, and
a span without `start` is placed then, so that the spans follow one another and end at the event's time.

Source: Lambda Telemetry API event schema reference.
"""

from collections.abc import Mapping, Sequence
from math import ceil

from .model.checks import is_text
from .model.errors import MisuseError
from .model.event import Event
from .protocol import schema
from .protocol.contract import SLOW_CONSUMER
from .protocol.fields import DERIVED, Derived, build, number, overhead_spans, runtime_spans
from .protocol.log_records import Time, extension, from_dict, function, function_log
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
    "function_log",
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
_RUNTIME = schema.runtime_version("python3.13")
_INIT_MS = 100.0
_RESTORE_MS = 80.0
_RUN_MS = 100.0
_OVERHEAD_MS = 1.5
_ERROR_TYPES: Mapping[str, str] = {"error": "Function.Unknown", "failure": "Sandbox.Failure"}


def _error(status: object, given: str | Derived | None) -> str | None:
    return (_ERROR_TYPES.get(status) if is_text(status) else None) if given is DERIVED else given


def _runtime_arn(version: str | None, given: str | Derived | None) -> str | None:
    return schema.runtime_arn(version if is_text(version) else _RUNTIME) if given is DERIVED else given


def _instance(version: str | None, given: str | Derived | None) -> str | None:
    return schema.instance_id(version if is_text(version) else "$LATEST") if given is DERIVED else given


def platform_init_start(
    *,
    initialization_type: InitializationType = "on-demand",
    phase: InitPhase = "init",
    runtime_version: str | None = _RUNTIME,
    runtime_version_arn: str | Derived | None = DERIVED,
    function_name: str | None = _FUNCTION,
    function_version: str | None = "$LATEST",
    instance_id: str | Derived | None = DERIVED,
    instance_max_memory: int | None = 128 * 1024 * 1024,
    tracing: Tracing | str | None = None,
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
        runtime_version_arn=_runtime_arn(runtime_version, runtime_version_arn),
        function_name=function_name,
        function_version=function_version,
        instance_id=_instance(function_version, instance_id),
        instance_max_memory=instance_max_memory,
        tracing=tracing,
    )


def platform_init_runtime_done(
    *,
    initialization_type: InitializationType = "on-demand",
    phase: InitPhase = "init",
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    spans: Sequence[Span] | None = None,
    tracing: Tracing | str | None = None,
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
        tracing=tracing,
    )


def platform_init_report(
    *,
    initialization_type: InitializationType = "on-demand",
    phase: InitPhase = "init",
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    duration_ms: float = _INIT_MS,
    spans: Sequence[Span] | None = None,
    tracing: Tracing | str | None = None,
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
        tracing=tracing,
    )


def platform_restore_start(
    *,
    runtime_version: str | None = _RUNTIME,
    runtime_version_arn: str | Derived | None = DERIVED,
    function_name: str | None = _FUNCTION,
    function_version: str | None = "1",
    instance_id: str | Derived | None = DERIVED,
    instance_max_memory: int | None = 128 * 1024 * 1024,
    tracing: Tracing | str | None = None,
    time: Time = None,
) -> Event:
    """`platform.restoreStart`: restoring a SnapStart snapshot began. Snapshots exist of published versions only."""
    return build(
        "platform.restoreStart",
        time,
        runtime_version=runtime_version,
        runtime_version_arn=_runtime_arn(runtime_version, runtime_version_arn),
        function_name=function_name,
        function_version=function_version,
        instance_id=_instance(function_version, instance_id),
        instance_max_memory=instance_max_memory,
        tracing=tracing,
    )


def platform_restore_runtime_done(
    *,
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    spans: Sequence[Span] | None = None,
    tracing: Tracing | str | None = None,
    time: Time = None,
) -> Event:
    """`platform.restoreRuntimeDone`: the runtime is restored."""
    return build(
        "platform.restoreRuntimeDone",
        time,
        status=status,
        error_type=_error(status, error_type),
        spans=spans,
        tracing=tracing,
    )


def platform_restore_report(
    *,
    status: Status = "success",
    error_type: str | Derived | None = DERIVED,
    duration_ms: float = _RESTORE_MS,
    spans: Sequence[Span] | None = None,
    tracing: Tracing | str | None = None,
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
        tracing=tracing,
    )


def platform_start(
    *,
    request_id: str = _REQUEST_ID,
    version: str | None = "$LATEST",
    function_arn: str | None = _ARN,
    tenant_id: str | None = None,
    tracing: Tracing | str | None = None,
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
        tracing=tracing,
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
    tracing: Tracing | str | None = None,
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
        tracing=tracing,
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
    tracing: Tracing | str | None = None,
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
        billed_duration_ms = ceil(round(ran + init, 6))  # 0.1 + 0.2 is a little more than 0.3
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
        tracing=tracing,
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
    types: Sequence[TelemetryType] = ("extension", "function", "platform"),
    time: Time = None,
) -> Event:
    """`platform.telemetrySubscription`: an extension subscribed; `state` may be "Already subscribed" too.

    Lambda sorts the `types`, whatever their order in the subscription.
    """
    return build("platform.telemetrySubscription", time, name=name, state=state, types=types)


def platform_logs_dropped(
    *, reason: str = SLOW_CONSUMER, dropped_records: int = 20, dropped_bytes: int = 2048, time: Time = None
) -> Event:
    """`platform.logsDropped`: events that could not be delivered were given up."""
    return build(
        "platform.logsDropped", time, reason=reason, dropped_records=dropped_records, dropped_bytes=dropped_bytes
    )
