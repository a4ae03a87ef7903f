"""The tables of the event schemas: types, values, and which schema version added which field.

Source of every table: Lambda Telemetry API event schema reference and its published schemas of the three versions.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Final, Literal, NotRequired, TypedDict, get_args
from uuid import UUID, uuid5

Status = Literal["success", "error", "failure", "timeout"]
InitializationType = Literal["on-demand", "provisioned-concurrency", "snap-start", "lambda-managed-instances"]
InitPhase = Literal["init", "invoke"]
LifecycleEvent = Literal["INVOKE", "SHUTDOWN"]
TelemetryType = Literal["platform", "function", "extension"]
ShutdownReason = Literal["spindown", "timeout", "failure"]
SchemaVersion = Literal["2022-07-01", "2022-12-13", "2025-01-29"]


class Span(TypedDict):
    """A stretch of time inside a record, in the wire's spelling.

    `start` is an ISO-8601 UTC string; left out or None, it is worked out when the event is emitted, so that the
    spans lie one after the other and the last one ends at the event's time.
    """

    name: str
    durationMs: float
    start: NotRequired[str | None]


class Tracing(TypedDict):
    """The X-Ray context of a record, in the wire's spelling."""

    type: str
    value: str
    spanId: NotRequired[str | None]


V2022_07: Final = "2022-07-01"
V2022_12: Final = "2022-12-13"
V2025_01: Final = "2025-01-29"
"""The schema versions; as ISO dates they compare as strings."""

SHUTDOWN_REASONS: Final[tuple[str, ...]] = get_args(ShutdownReason)
TRACE_TYPE: Final = "X-Amzn-Trace-Id"
LOG_TYPES: Final = frozenset({"function", "extension"})
RESPONSE_SPANS: Final = frozenset({"responseLatency", "responseDuration"})

RUNTIME: Final = re.compile(r"([a-z]+)(?:\.?([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*))?")
"""A Lambda runtime's identifier, such as `python3.13`, `provided.al2023` or `nodejs22.x`: language, version."""

_ENVIRONMENT = ("functionName", "functionVersion", "instanceId", "instanceMaxMemory", "tracing")
_REPORT_STATUS = ("status", "errorType", "tracing")

ADDED: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "platform.initStart": {V2022_12: _ENVIRONMENT},
        "platform.initRuntimeDone": {V2022_12: ("tracing",)},
        "platform.initReport": {V2022_12: _REPORT_STATUS},
        "platform.restoreStart": {V2022_12: _ENVIRONMENT},
        "platform.restoreRuntimeDone": {V2022_12: ("tracing",)},
        "platform.restoreReport": {V2022_12: _REPORT_STATUS},
        "platform.start": {V2025_01: ("functionArn", "tenantId")},
        "platform.runtimeDone": {V2025_01: ("tenantId",)},
        "platform.report": {V2022_12: ("metrics.billedRestoreDurationMs",), V2025_01: ("tenantId",)},
        "platform.extension": {V2022_12: ("errorType",)},
    }
)
"""Per event type, the fields of its record that each version added; a dot leads into an object."""

_TRACING = ("tracing", "tracing.spanId")

NULLABLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **{
            f"platform.{of}{what}": _TRACING
            for of in ("init", "restore")
            for what in ("Start", "RuntimeDone", "Report")
        },
        "platform.start": (*_TRACING, "version", "functionArn", "tenantId"),
        "platform.runtimeDone": (*_TRACING, "tenantId", "metrics", "metrics.producedBytes"),
        "platform.report": (
            *_TRACING,
            "tenantId",
            "metrics.billedDurationMs",
            "metrics.memorySizeMB",
            "metrics.maxMemoryUsedMB",
            "metrics.initDurationMs",
            "metrics.restoreDurationMs",
            "metrics.billedRestoreDurationMs",
        ),
        "platform.extension": ("errorType",),
    }
)
"""Per event type, the fields that may be null from 2025-01-29 on; an older version does not have them then."""

REQUIRED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "platform.initStart": frozenset({"initializationType", "phase"}),
        "platform.initRuntimeDone": frozenset({"initializationType", "phase", "status"}),
        "platform.initReport": frozenset({"initializationType", "phase", "status", "metrics.durationMs"}),
        "platform.restoreStart": frozenset(),
        "platform.restoreRuntimeDone": frozenset({"status"}),
        "platform.restoreReport": frozenset({"status", "metrics.durationMs"}),
        "platform.start": frozenset({"requestId"}),
        "platform.runtimeDone": frozenset({"requestId", "status"}),
        "platform.report": frozenset({"requestId", "status", "metrics.durationMs"}),
        "platform.extension": frozenset({"name", "state", "events"}),
        "platform.telemetrySubscription": frozenset({"name", "state", "types"}),
        "platform.logsDropped": frozenset({"reason", "droppedRecords", "droppedBytes"}),
    }
)
"""Per platform event type, the fields that no record lacks (`status` of the reports: from 2022-12-13 on)."""

_NAMESPACE = UUID("8f0c3f0e-3c8e-5d55-9d0c-5a3f5c7d9b11")


def function_arn(name: str, *, region: str = "us-east-1", account_id: str = "123456789012") -> str:
    """The unqualified ARN of a function."""
    return f"arn:aws:lambda:{region}:{account_id}:function:{name}"


def runtime_version(identifier: str) -> str:
    """The `runtimeVersion` of a Lambda runtime, such as `python:3.13.v1` of `python3.13`.

    A suffix stays, as in `python:3.14.DurableFunction.v1` (seen: DataDog/datadog-lambda-extension).
    """
    match = RUNTIME.fullmatch(identifier)
    assert match is not None, "whoever takes an identifier checks it"
    language, version = match.groups()
    return f"{language}.v1" if version is None else f"{language}:{version.replace('.x', '', 1)}.v1"  # nodejs22.x


def runtime_arn(version: str, region: str = "us-east-1") -> str:
    """The `runtimeVersionArn` of a `runtimeVersion`, which may be any text: always the same one."""
    return f"arn:aws:lambda:{region}::runtime:{sha256(_plain(version).encode()).hexdigest()}"


def instance_id(function_version: str, date: str = "2025/01/29", of: str = "") -> str:
    """An `instanceId`, which is shaped like a log stream's name (live capture); `of` is what tells one from another."""
    seed = _plain(f"instance {of} {function_version}")
    return f"{date}/[{function_version}]{uuid5(_NAMESPACE, seed).hex}"


def request_id(number: int = 0) -> str:
    """The request id of the invocation with this number: always the same one, in every run."""
    return str(uuid5(_NAMESPACE, f"invocation {number}"))


def _digits(what: str, request_id: str) -> str:
    """Hexadecimal digits, always the same ones for a request id; it may be any text."""
    return uuid5(_NAMESPACE, _plain(f"{what} {request_id}")).hex


def _plain(text: str) -> str:
    """A text that UTF-8 can write: a lone surrogate of what a test passes in becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def trace_header(request_id: str) -> str:
    """The value of the X-Amzn-Trace-Id header that belongs to a request id."""
    digits = _digits("trace", request_id)
    parent = _digits("parent", request_id)[:16]
    return f"Root=1-62e900b2-{digits[:24]};Parent={parent};Sampled=1"


def tracing(request_id: str) -> Tracing:
    """The `tracing` of the platform events that belong to a request id."""
    span = _digits("span", request_id)[:16]
    return {"spanId": span, "type": TRACE_TYPE, "value": trace_header(request_id)}
