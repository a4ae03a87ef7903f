"""What each event type may hold in each schema version, as JSON Schema: our own reading of AWS's published rules.

Source: Lambda Telemetry API event schema reference. Nothing beyond the listed fields is allowed, so that a field which
a version does not have cannot slip through.
"""

from collections.abc import Mapping
from typing import Any

VERSIONS = ("2022-07-01", "2022-12-13", "2025-01-29")
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
TEXT = {"type": "string", "minLength": 1}
MS = {"type": "number", "minimum": 0}
COUNT = {"type": "integer", "minimum": 0}
STATUS = {"enum": ["success", "error", "failure", "timeout"]}

Schema = dict[str, Any]


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _nullable(schema: Schema) -> Schema:
    """Null is valid too: from 2025-01-29 on, for some fields."""
    return {"anyOf": [schema, {"type": "null"}]}


SPANS = {"type": "array", "items": _object({"name": TEXT, "start": TIME, "durationMs": MS})}
TRACING = _object({"type": {"const": "X-Amzn-Trace-Id"}, "value": TEXT}, {"spanId": TEXT})
OUTCOME = {"status": STATUS, "errorType": TEXT}
# an error type goes with an error or a failure
ERRORS_ONLY = {
    "if": {"required": ["errorType"]},
    "then": {"properties": {"status": {"enum": ["error", "failure"]}}, "required": ["status"]},
}
RUNTIME = {"runtimeVersion": TEXT, "runtimeVersionArn": TEXT}
ENVIRONMENT = {"functionName": TEXT, "functionVersion": TEXT, "instanceId": TEXT, "instanceMaxMemory": COUNT}
DURATION = _object({"durationMs": MS})


def record_schemas(version: str) -> dict[str, Schema]:
    """The schema of each type's record in one version."""
    second, third = version >= "2022-12-13", version >= "2025-01-29"
    kinds = ["on-demand", "provisioned-concurrency", "snap-start", *(["lambda-managed-instances"] if third else [])]
    init = {"initializationType": {"enum": kinds}, "phase": {"enum": ["init", "invoke"]}}
    environment = ENVIRONMENT if second else {}
    tracing = (
        _nullable(TRACING | {"properties": {**TRACING["properties"], "spanId": _nullable(TEXT)}}) if third else TRACING
    )
    always_traced = {"tracing": tracing}
    traced = always_traced if second else {}
    tenant = {"tenantId": _nullable(TEXT)} if third else {}
    text, count, ms = (_nullable(one) if third else one for one in (TEXT, COUNT, MS))
    required_status = {"status": STATUS} if second else {}
    outcome = OUTCOME if second else {}
    full = _object(
        {"durationMs": MS, "billedDurationMs": count, "memorySizeMB": count, "maxMemoryUsedMB": count},
        {
            "initDurationMs": ms,
            "restoreDurationMs": ms,
            **({"billedRestoreDurationMs": count} if second else {}),
        },
    )
    run = _object({"durationMs": MS}, {"producedBytes": count})
    log: Schema = {} if second else {"type": "string"}  # any JSON value
    names = {"type": "array", "items": TEXT}
    return {
        "platform.initStart": _object(init, {**RUNTIME, **environment, **traced}),
        "platform.initRuntimeDone": _object({**init, "status": STATUS}, {"errorType": TEXT, "spans": SPANS, **traced})
        | ERRORS_ONLY,
        "platform.initReport": _object(
            {**init, **required_status, "metrics": DURATION}, {"spans": SPANS, **outcome, **traced}
        )
        | ERRORS_ONLY,
        "platform.restoreStart": _object({}, {**RUNTIME, **environment, **traced}),
        "platform.restoreRuntimeDone": _object({"status": STATUS}, {"errorType": TEXT, "spans": SPANS, **traced})
        | ERRORS_ONLY,
        "platform.restoreReport": _object(
            {**required_status, "metrics": DURATION}, {"spans": SPANS, **outcome, **traced}
        )
        | ERRORS_ONLY,
        "platform.start": _object(
            {"requestId": TEXT},
            {"version": text, **always_traced, **({"functionArn": text} if third else {}), **tenant},
        ),
        "platform.runtimeDone": _object(
            {"requestId": TEXT, "status": STATUS},
            {
                "errorType": TEXT,
                "metrics": _nullable(run) if third else run,
                "spans": SPANS,
                **always_traced,
                **tenant,
            },
        )
        | ERRORS_ONLY,
        "platform.report": _object(
            {"requestId": TEXT, "metrics": {"anyOf": [full, DURATION]} if third else full, **required_status},
            {**OUTCOME, "spans": SPANS, **always_traced, **tenant},
        )
        | ERRORS_ONLY,
        "platform.extension": _object(
            {"name": TEXT, "state": TEXT, "events": names}, {"errorType": text} if second else {}
        ),
        "platform.telemetrySubscription": _object({"name": TEXT, "state": TEXT, "types": names}),
        "platform.logsDropped": _object({"reason": TEXT, "droppedRecords": COUNT, "droppedBytes": COUNT}),
        "function": log,
        "extension": log,
    }


def event_schema(version: str, event_type: str) -> Schema:
    """The schema of a whole event of one type, as one version sends it."""
    return _object({"time": TIME, "type": {"const": event_type}, "record": record_schemas(version)[event_type]})


TYPES = tuple(record_schemas("2025-01-29"))
