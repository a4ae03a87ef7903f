"""What each subscriber sees of an event."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from freezegun import freeze_time
from jsonschema import Draft202012Validator

from pytest_lambda_telemetry import events
from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.model.event import Event, Record
from pytest_lambda_telemetry.protocol.projection import View, category, moment, project, resolve, timestamp
from pytest_lambda_telemetry.protocol.schema import InitializationType, Span
from tests.support.event_schemas import TYPES, VERSIONS, event_schema

TIME = "2025-01-29T12:00:00.000Z"
NAMES = {
    "platform.initStart": "platform_init_start",
    "platform.initRuntimeDone": "platform_init_runtime_done",
    "platform.initReport": "platform_init_report",
    "platform.restoreStart": "platform_restore_start",
    "platform.restoreRuntimeDone": "platform_restore_runtime_done",
    "platform.restoreReport": "platform_restore_report",
    "platform.start": "platform_start",
    "platform.runtimeDone": "platform_runtime_done",
    "platform.report": "platform_report",
    "platform.extension": "platform_extension",
    "platform.telemetrySubscription": "platform_telemetry_subscription",
    "platform.logsDropped": "platform_logs_dropped",
    "function": "function",
    "extension": "extension",
}
OK: dict[str, Any] = {"requestId": "r", "status": "success"}
METRICS: dict[str, Any] = {"durationMs": 1, "billedDurationMs": 1, "memorySizeMB": 128, "maxMemoryUsedMB": 64}
TRACED = {"tracing": "Root=1-2"}
# every optional field there is, so that projection has something to take away
FULL: dict[str, dict[str, Any]] = {
    "platform.initStart": TRACED,
    "platform.initReport": {"status": "error", "spans": [{"name": "x", "durationMs": 1}], **TRACED},
    "platform.initRuntimeDone": {"status": "failure", "spans": [{"name": "x", "durationMs": 1}], **TRACED},
    "platform.restoreStart": TRACED,
    "platform.restoreReport": {"status": "error", "spans": [{"name": "x", "durationMs": 1}], **TRACED},
    "platform.restoreRuntimeDone": {"status": "timeout", **TRACED},
    "platform.start": {"tenant_id": "blue", **TRACED},
    "platform.runtimeDone": {"tenant_id": "blue", "status": "error", **TRACED},
    "platform.report": {
        **TRACED,
        "tenant_id": "blue",
        "init_duration_ms": 1.5,
        "restore_duration_ms": 2.5,
        "billed_restore_duration_ms": 3,
    },
    "platform.extension": {"error_type": "Extension.LaunchError"},
    "function": {"record": {"level": "INFO", "message": "m"}},
    "extension": {"record": '{"level":"INFO","message":"m"}'},
}


def seen(event: Event, version: str = "2025-01-29", log_format: str = "Text", managed: bool = False) -> Any:
    return project(resolve(event, TIME), View(version, log_format, managed))


def record(event: Event, *args: Any, **kwargs: Any) -> Any:
    return seen(event, *args, **kwargs)["record"]


# Managed Instances accept 2025-01-29 alone
KINDS = [
    (version, kind)
    for version in VERSIONS
    for kind in get_args(InitializationType)
    if version == "2025-01-29" or kind != "lambda-managed-instances"
]


@pytest.mark.parametrize(("version", "kind"), KINDS)
@pytest.mark.parametrize("log_format", ["Text", "JSON"])
@pytest.mark.parametrize("full", [False, True], ids=["bare", "full"])
@pytest.mark.parametrize("event_type", TYPES)
def test_every_event_in_every_version_is_as_published(
    event_type: str, full: bool, version: str, log_format: str, kind: InitializationType
) -> None:
    managed = kind == "lambda-managed-instances"
    options = dict(FULL.get(event_type, {})) if full else {}
    if event_type.startswith("platform.init"):
        options["initialization_type"] = kind
    stamped = resolve(getattr(events, NAMES[event_type])(**options), TIME)
    before = copy.deepcopy(stamped)
    result = project(stamped, View(version, log_format, managed))
    assert stamped == before
    if managed and event_type == "platform.runtimeDone":
        assert result is None
    else:
        Draft202012Validator(event_schema(version, event_type)).validate(result)


@pytest.mark.parametrize(
    ("event_type", "version", "gone"),
    [
        (
            "platform.initStart",
            "2022-07-01",
            {"functionName", "functionVersion", "instanceId", "instanceMaxMemory", "tracing"},
        ),
        ("platform.initRuntimeDone", "2022-07-01", {"tracing"}),
        ("platform.initReport", "2022-07-01", {"status", "errorType", "tracing"}),
        (
            "platform.restoreStart",
            "2022-07-01",
            {"functionName", "functionVersion", "instanceId", "instanceMaxMemory", "tracing"},
        ),
        ("platform.restoreRuntimeDone", "2022-07-01", {"tracing"}),
        ("platform.restoreReport", "2022-07-01", {"status", "errorType", "tracing"}),
        ("platform.extension", "2022-07-01", {"errorType"}),
        ("platform.start", "2022-12-13", {"functionArn", "tenantId"}),
        ("platform.runtimeDone", "2022-12-13", {"tenantId"}),
        ("platform.report", "2022-12-13", {"tenantId"}),
    ],
)
def test_a_version_loses_just_what_later_ones_added(event_type: str, version: str, gone: set[str]) -> None:
    event = getattr(events, NAMES[event_type])(**FULL.get(event_type, {}))
    whole, part = record(event), record(event, version)
    assert whole.keys() - part.keys() == gone
    assert {name: whole[name] for name in part} == part


def test_the_billed_restore_duration_came_with_the_second_version() -> None:
    event = events.platform_report(restore_duration_ms=2.5, billed_restore_duration_ms=3)
    assert "billedRestoreDurationMs" not in record(event, "2022-07-01")["metrics"]
    assert record(event, "2022-07-01")["metrics"]["restoreDurationMs"] == 2.5
    assert record(event, "2022-12-13")["metrics"]["billedRestoreDurationMs"] == 3


NULLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "platform.start",
        {"requestId": "r", "version": None, "functionArn": None, "tenantId": None, "tracing": None},
        {"requestId": "r"},
    ),
    ("platform.runtimeDone", {"requestId": "r", "status": "success", "metrics": None, "tenantId": None}, OK),
    (
        "platform.runtimeDone",
        {**OK, "metrics": {"durationMs": 1, "producedBytes": None}},
        {**OK, "metrics": {"durationMs": 1}},
    ),
    (
        "platform.extension",
        {"name": "e", "state": "Ready", "events": [], "errorType": None},
        {"name": "e", "state": "Ready", "events": []},
    ),
    (
        "platform.report",
        {**OK, "metrics": {**METRICS, "initDurationMs": None, "billedRestoreDurationMs": None}},
        {**OK, "metrics": METRICS},
    ),
    (
        "platform.report",
        {**OK, "metrics": METRICS, "tracing": {"type": "X-Amzn-Trace-Id", "value": "v", "spanId": None}},
        {**OK, "metrics": METRICS, "tracing": {"type": "X-Amzn-Trace-Id", "value": "v"}},
    ),
]


@pytest.mark.parametrize(("event_type", "sent", "older"), NULLS)
def test_an_explicit_null_is_of_the_newest_version(event_type: str, sent: Any, older: Any) -> None:
    event = events.from_dict({"type": event_type, "record": sent})
    before = copy.deepcopy(sent)
    assert record(event) == sent == before
    for version in VERSIONS:
        Draft202012Validator(event_schema(version, event_type)).validate(seen(event, version))
        assert version == "2025-01-29" or record(event, version) == older


def test_every_metric_of_a_report_but_the_duration_may_be_null() -> None:
    metrics = dict.fromkeys((*METRICS, "initDurationMs", "restoreDurationMs", "billedRestoreDurationMs"))
    event = events.from_dict({"type": "platform.report", "record": {**OK, "metrics": {**metrics, "durationMs": 1}}})
    Draft202012Validator(event_schema("2025-01-29", "platform.report")).validate(seen(event))
    assert record(event, "2022-12-13")["metrics"] == {"durationMs": 1}


def test_a_null_that_no_version_allows_passes_through() -> None:
    odd = events.from_dict({"type": "platform.report", "record": {"requestId": None, "metrics": {"durationMs": None}}})
    assert record(odd, "2022-07-01") == odd.record


@pytest.mark.parametrize("version", VERSIONS)
def test_what_no_version_knows_passes_through(version: str) -> None:
    future = Event("platform.future", {"tenantId": "x", "functionArn": "y"})
    assert record(future, version) == future.record
    odd = events.from_dict({"type": "platform.report", "record": {"metrics": "odd", "novel": [1]}, "source": "capture"})
    assert seen(odd, version) == {
        "time": TIME,
        "type": "platform.report",
        "record": {"metrics": "odd", "novel": [1]},
        "source": "capture",
    }
    assert record(Event("platform.fault", "a string"), version, managed=True) == "a string"


VALUES: list[Record] = [None, True, 0, -1.5, [], [1, None, {"a": []}], {}]


@pytest.mark.parametrize("make", [events.function, events.extension])
@pytest.mark.parametrize(
    ("line", "version", "log_format", "expected"),
    [
        ("plain", "2022-07-01", "Text", "plain"),
        ("plain", "2022-07-01", "JSON", "plain"),
        ("plain", "2025-01-29", "Text", "plain"),
        ("plain\n", "2022-12-13", "JSON", "plain\n"),
        ('{"a":1}', "2022-07-01", "JSON", '{"a":1}'),
        ('{"a":1}', "2025-01-29", "Text", '{"a":1}'),
        (' {"a": 1}\n', "2022-12-13", "JSON", {"a": 1}),
        ("[1]", "2025-01-29", "JSON", "[1]"),
        ("7", "2025-01-29", "JSON", "7"),
        ("null", "2025-01-29", "JSON", "null"),
        ("{broken", "2025-01-29", "JSON", "{broken"),
        ('{"a":NaN}', "2025-01-29", "JSON", '{"a":NaN}'),
        ('{"a":1} tail', "2025-01-29", "JSON", '{"a":1} tail'),
        *((value, "2022-12-13", log_format, value) for value in VALUES for log_format in ("Text", "JSON")),
        *((value, "2022-07-01", "JSON", json.dumps(value, separators=(",", ":"))) for value in VALUES),
        ({"a": "é"}, "2022-07-01", "JSON", '{"a":"é"}'),
        ({"a": "é"}, "2022-07-01", "Text", '{"a":"é"}'),
        ({"a": 1}, "2022-12-13", "Text", {"a": 1}),
        ({"a": 1}, "2025-01-29", "JSON", {"a": 1}),
    ],
)
def test_log_records(
    make: Callable[[Record], Event], line: Record, version: str, log_format: str, expected: object
) -> None:
    assert record(make(line), version, log_format) == expected


def test_the_timestamp_of_a_managed_runtimes_log_is_the_moment_at_which_it_is_emitted() -> None:
    event = events.function_log("m", "ERROR", "r-1", "root")
    expected = {"timestamp": TIME, "level": "ERROR", "message": "m", "requestId": "r-1", "logger": "root"}
    assert record(event) == expected
    assert list(record(event)) == list(expected)
    later: dict[str, Any] = resolve(event, "2025-01-29T13:00:00.000Z")
    assert later["record"]["timestamp"] == later["time"] == "2025-01-29T13:00:00.000Z", "one may be emitted again"
    assert record(event, "2022-07-01") == json.dumps(expected, separators=(",", ":"))
    given = events.function_log("m", time="2024-01-01T00:00:00.000Z")
    assert seen(given) == {
        "time": "2024-01-01T00:00:00.000Z",
        "type": "function",
        "record": {"timestamp": "2024-01-01T00:00:00.000Z", "level": "INFO", "message": "m"},
    }


def test_no_timestamp_is_put_into_an_object_of_the_functions_own() -> None:
    assert record(events.function({"timestamp": None}), log_format="JSON") == {"timestamp": None}
    assert record(events.function('{"timestamp":null}'), log_format="JSON") == {"timestamp": None}


def test_an_object_that_cannot_become_text_is_misuse() -> None:
    with pytest.raises(MisuseError, match=r"^this record cannot be sent as JSON"):
        record(events.function({"a": float("inf")}), "2022-07-01")


def test_managed_instances() -> None:
    spans: list[Span] = [
        {"name": name, "durationMs": 1} for name in ("responseLatency", "responseDuration", "extensionOverhead")
    ]
    assert seen(events.platform_runtime_done(), managed=True) is None
    report = record(events.platform_report(spans=spans, init_duration_ms=1), managed=True)
    assert report["metrics"] == {"durationMs": 101.5}
    assert [span["name"] for span in report["spans"]] == ["responseLatency", "responseDuration"]
    assert "spans" not in record(events.platform_report(), managed=True)


def test_spans_follow_one_another_and_end_with_the_event() -> None:
    spans: list[Span] = [
        {"name": "a", "durationMs": 70},
        {"name": "b", "durationMs": 20, "start": TIME},
        {"name": "c", "durationMs": 10},
    ]
    event = events.platform_runtime_done(spans=spans)
    assert [span["start"] for span in record(event)["spans"]] == [
        "2025-01-29T11:59:59.900Z",
        TIME,
        "2025-01-29T11:59:59.990Z",
    ]
    again: dict[str, Any] = resolve(event, "2025-01-29T13:00:00.000Z")
    assert again["record"]["spans"][0]["start"] == "2025-01-29T12:59:59.900Z", "one event may be emitted again"


def test_a_time_of_its_own_wins() -> None:
    event = events.platform_report(time="2024-01-01T00:00:01Z")
    stamped: dict[str, Any] = resolve(event, TIME)
    assert stamped["time"] == "2024-01-01T00:00:01Z"
    assert stamped["record"]["spans"][0]["start"] == "2024-01-01T00:00:00.998Z"


def test_spans_of_a_hand_made_event_that_cannot_be_placed() -> None:
    broken = Event("platform.report", {"spans": [{"name": "x", "start": None}]})
    with pytest.raises(MisuseError, match=r"^cannot work out where these spans start: durationMs is None"):
        resolve(broken, TIME)
    untouched = Event("platform.report", {"spans": [{"name": "x"}, "odd"]})
    assert resolve(untouched, TIME)["record"] is untouched.record


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("platform.start", "platform"),
        ("platform.novel", "platform"),
        ("function", "function"),
        ("function.novel", "function"),
        ("extension", "extension"),
        ("novel", "platform"),
    ],
)
def test_category(event_type: str, expected: str) -> None:
    assert category(event_type) == expected


def test_timestamps() -> None:
    assert timestamp(datetime(2025, 1, 29, 12, 0, 0, 999, tzinfo=UTC)) == TIME
    assert timestamp(datetime(2025, 1, 29, 14, tzinfo=timezone(timedelta(hours=2)))) == TIME
    assert moment(TIME) == datetime(2025, 1, 29, 12, tzinfo=UTC)
    with pytest.raises(MisuseError, match="has no time zone"):
        timestamp(datetime(2025, 1, 29))


def test_timestamps_in_a_freeze() -> None:
    with freeze_time("2025-01-29T12:00:00Z"):
        from datetime import datetime as frozen

        assert timestamp(frozen.now(UTC)) == TIME
