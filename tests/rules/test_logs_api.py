"""Telemetry events as a Logs API subscriber receives them."""

import copy
from typing import Any

import pytest

from pytest_lambda_telemetry.protocol.logs_api import to_logs_events

OLD, NEW = "2020-08-15", "2021-03-18"
TIME = "2025-01-29T10:00:00.000Z"
TRACING = {"type": "X-Amzn-Trace-Id", "value": "Root=1-2-3"}

Event = dict[str, Any]


def event(kind: str, record: object) -> Event:
    return {"time": TIME, "type": kind, "record": record}


def logs(kind: str, record: object, version: str = OLD) -> list[Event]:
    """The projection, which must leave its argument alone."""
    given = event(kind, record)
    before = copy.deepcopy(given)
    sent = to_logs_events(given, version)
    assert given == before
    return sent


@pytest.mark.parametrize("stage", ["init", "restore"])
@pytest.mark.parametrize("suffix", ["Start", "RuntimeDone", "Report"])
@pytest.mark.parametrize("version", [OLD, NEW])
def test_init_and_restore_events_are_not_sent(stage: str, suffix: str, version: str) -> None:
    assert logs(f"platform.{stage}{suffix}", {"status": "success"}, version) == []


def test_a_start_loses_what_the_telemetry_api_added() -> None:
    record = {"requestId": "r", "version": "$LATEST", "tracing": TRACING, "functionArn": "arn", "tenantId": "t"}
    assert logs("platform.start", record) == [event("platform.start", {"requestId": "r", "version": "$LATEST"})]


def test_the_end_comes_with_runtime_done_and_alone_before_2021_03_18() -> None:
    record = {
        "requestId": "r",
        "status": "error",
        "errorType": "Runtime.ExitError",
        "metrics": {"durationMs": 1.0},
        "spans": [],
        "tracing": TRACING,
        "tenantId": "t",
    }
    end = event("platform.end", {"requestId": "r"})
    assert logs("platform.runtimeDone", record, OLD) == [end]
    assert logs("platform.runtimeDone", record, NEW) == [
        event("platform.runtimeDone", {"requestId": "r", "status": "error"}),
        end,
    ]


def test_a_report_has_the_older_metrics() -> None:
    metrics = {
        "durationMs": 1.5,
        "billedDurationMs": 2,
        "memorySizeMB": 128,
        "maxMemoryUsedMB": 64,
        "initDurationMs": 9.5,
    }
    record = {
        "requestId": "r",
        "status": "success",
        "metrics": {**metrics, "restoreDurationMs": 1.0, "billedRestoreDurationMs": 1},
        "spans": [],
        "tracing": TRACING,
        "tenantId": "t",
    }
    assert logs("platform.report", record) == [event("platform.report", {"requestId": "r", "metrics": metrics})]


def test_the_subscription_event_has_its_own_name() -> None:
    record = {"name": "ext", "state": "Subscribed", "types": ["platform"]}
    assert logs("platform.telemetrySubscription", record) == [event("platform.logsSubscription", record)]


def test_an_extension_event_has_no_error_type() -> None:
    record = {"name": "ext", "state": "Ready", "events": ["INVOKE"]}
    assert logs("platform.extension", {**record, "errorType": "x"}) == [event("platform.extension", record)]


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("platform.fault", "RequestId: r Process exited before completing request"),
        ("platform.logsDropped", {"reason": "slow", "droppedRecords": 1, "droppedBytes": 2}),
        ("platform.end", {"requestId": "r"}),
        ("platform.somethingNew", {"status": "kept", "metrics": {"durationMs": 1}}),
        ("platform.report", {"requestId": "r", "extra": 1, "metrics": "odd"}),
        ("platform.runtimeDone", "odd"),
        ("function", "a line\n"),
        ("extension", ""),
    ],
)
def test_the_rest_passes(kind: str, record: object) -> None:
    assert logs(kind, record, NEW) == [event(kind, record)]


@pytest.mark.parametrize("kind", ["function", "extension"])
def test_log_records_are_strings(kind: str) -> None:
    assert logs(kind, {"level": "INFO", "message": "é"}) == [event(kind, '{"level":"INFO","message":"é"}')]


def test_other_fields_of_an_event_are_kept() -> None:
    captured = {**event("platform.runtimeDone", {"requestId": "r", "status": "success"}), "extra": 1}
    assert [sent["extra"] for sent in to_logs_events(captured, NEW)] == [1, 1]
