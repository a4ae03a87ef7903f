"""The Logs API, the Telemetry API's older twin: what its subscribers receive instead.

Its versions, defaults and error types are in contract.Api.LOGS; destination and buffering are those of the Telemetry
API. Source: Logs API.
"""

from collections.abc import Mapping
from types import MappingProxyType

from .encoding import to_text

RUNTIME_DONE_SINCE = "2021-03-18"
"""The first schema version with `platform.runtimeDone`; as ISO dates versions compare as strings."""

TYPES = ("platform.end", "platform.fault", "platform.logsSubscription")
"""The event types of the Logs API that the Telemetry API does not have."""

_UNKNOWN_TYPES = frozenset(
    {
        "platform.initStart",
        "platform.initRuntimeDone",
        "platform.initReport",
        "platform.restoreStart",
        "platform.restoreRuntimeDone",
        "platform.restoreReport",
    }
)

_RENAMED: Mapping[str, str] = MappingProxyType({"platform.telemetrySubscription": "platform.logsSubscription"})

# What the Telemetry API added to the records of both; a field that neither knows passes, as in a replayed capture.
_ADDED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "platform.start": frozenset({"tracing", "functionArn", "tenantId"}),
        "platform.runtimeDone": frozenset({"errorType", "metrics", "spans", "tracing", "tenantId"}),
        "platform.report": frozenset({"status", "errorType", "spans", "tracing", "tenantId"}),
        "platform.extension": frozenset({"errorType"}),
    }
)
_ADDED_METRICS = frozenset({"restoreDurationMs", "billedRestoreDurationMs"})


def to_logs_events(event: dict[str, object], schema_version: str) -> list[dict[str, object]]:
    """A Telemetry API event, stamped, as a Logs API subscriber of this schema version receives it: 0, 1 or 2 events.

    `platform.end` accompanies `platform.runtimeDone`, and stands alone before 2021-03-18; init and restore events
    are not sent; log records are strings; types the Logs API shares, or that neither API knows, pass. The argument
    is not changed, and may be part of the result.
    """
    kind, record = str(event["type"]), event["record"]
    if kind in _UNKNOWN_TYPES:
        return []
    if kind in ("function", "extension"):
        return [event if isinstance(record, str) else {**event, "record": to_text(record)}]
    if not isinstance(record, Mapping):
        return [event]
    kept = {name: value for name, value in record.items() if name not in _ADDED.get(kind, ())}
    metrics = kept.get("metrics")
    if isinstance(metrics, Mapping):
        kept["metrics"] = {name: value for name, value in metrics.items() if name not in _ADDED_METRICS}
    sent = [{**event, "type": _RENAMED.get(kind, kind), "record": kept}]
    if kind != "platform.runtimeDone":
        return sent
    end = {**event, "type": "platform.end", "record": {"requestId": record.get("requestId")}}
    return [*sent, end] if schema_version >= RUNTIME_DONE_SINCE else [end]
