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


SPANS = {"type": "array", "items": _object({"name": TEXT, "start": TIME, "durationMs": MS})}
TRACING = _object({"type": {"const": "X-Amzn-Trace-Id"}, "value": TEXT}, {"spanId": TEXT})
TRACED = {"tracing": TRACING}
OUTCOME = {"status": STATUS, "errorType": TEXT}
TENANT = {"tenantId": TEXT}
# an error type goes with an error or a failure
ERRORS_ONLY = {
    "if": {"required": ["errorType"]},
    "then": {"properties": {"status": {"enum": ["error", "failure"]}}, "required": ["status"]},
}
RUNTIME = {"runtimeVersion": TEXT, "runtimeVersionArn": TEXT}
ENVIRONMENT = {"functionName": TEXT, "functionVersion": TEXT, "instanceId": TEXT, "instanceMaxMemory": COUNT, **TRACED}
DURATION = _object({"durationMs": MS})


def record_schemas(version: str) -> dict[str, Schema]:
    """The schema of each type's record in one version."""
    second, third = version >= "2022-12-13", version >= "2025-01-29"
    kinds = ["on-demand", "provisioned-concurrency", "snap-start", *(["lambda-managed-instances"] if third else [])]
    init = {"initializationType": {"enum": kinds}, "phase": {"enum": ["init", "invoke"]}}
    environment = ENVIRONMENT if second else {}
    traced = TRACED if second else {}
    tenant = TENANT if third else {}
    required_status = {"status": STATUS} if second else {}
    outcome = OUTCOME if second else {}
    full = _object(
        {"durationMs": MS, "billedDurationMs": COUNT, "memorySizeMB": COUNT, "maxMemoryUsedMB": COUNT},
        {
            "initDurationMs": MS,
            "restoreDurationMs": MS,
            **({"billedRestoreDurationMs": COUNT} if second else {}),
        },
    )
    log: Schema = {} if second else {"type": "string"}  # any JSON value
    names = {"type": "array", "items": TEXT}
    return {
        "platform.initStart": _object(init, {**RUNTIME, **environment}),
        "platform.initRuntimeDone": _object({**init, "status": STATUS}, {"errorType": TEXT, "spans": SPANS, **traced})
        | ERRORS_ONLY,
        "platform.initReport": _object(
            {**init, **required_status, "metrics": DURATION}, {"spans": SPANS, **outcome, **traced}
        )
        | ERRORS_ONLY,
        "platform.restoreStart": _object({}, {**RUNTIME, **environment}),
        "platform.restoreRuntimeDone": _object({"status": STATUS}, {"errorType": TEXT, "spans": SPANS, **traced})
        | ERRORS_ONLY,
        "platform.restoreReport": _object(
            {**required_status, "metrics": DURATION}, {"spans": SPANS, **outcome, **traced}
        )
        | ERRORS_ONLY,
        "platform.start": _object(
            {"requestId": TEXT},
            {"version": TEXT, **TRACED, **({"functionArn": TEXT} if third else {}), **tenant},
        ),
        "platform.runtimeDone": _object(
            {"requestId": TEXT, "status": STATUS},
            {
                "errorType": TEXT,
                "metrics": _object({"durationMs": MS}, {"producedBytes": COUNT}),
                "spans": SPANS,
                **TRACED,
                **tenant,
            },
        )
        | ERRORS_ONLY,
        "platform.report": _object(
            {"requestId": TEXT, "metrics": {"anyOf": [full, DURATION]} if third else full, **required_status},
            {**OUTCOME, "spans": SPANS, **TRACED, **tenant},
        )
        | ERRORS_ONLY,
        "platform.extension": _object(
            {"name": TEXT, "state": TEXT, "events": names}, {"errorType": TEXT} if second else {}
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
