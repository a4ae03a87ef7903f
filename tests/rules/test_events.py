"""The builders: what they make by default, what they refuse."""

import dataclasses
import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pytest_lambda_telemetry import events
from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.model.event import Event, Record
from pytest_lambda_telemetry.protocol import schema
from pytest_lambda_telemetry.protocol.encoding import encode
from pytest_lambda_telemetry.protocol.projection import resolve
from pytest_lambda_telemetry.protocol.schema import Status, Tracing

TIME = "2025-01-29T12:00:00.000Z"
BUILDERS = [getattr(events, name) for name in events.__all__ if name not in ("from_dict", "function_log")]


def whole(event: Event) -> Any:
    return resolve(event, TIME)["record"]


def given(event: Event) -> Any:
    return event.record


def test_there_is_one_builder_per_type() -> None:
    assert len({builder().type for builder in BUILDERS}) == 14


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_argument_has_a_default_and_is_keyword_only(builder: Callable[..., Event]) -> None:
    parameters = inspect.signature(builder).parameters.values()
    assert all(parameter.default is not inspect.Parameter.empty for parameter in parameters)
    assert {parameter.name for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY} <= {"record"}
    assert builder.__doc__


@pytest.mark.parametrize("builder", BUILDERS)
def test_two_bare_calls_make_equal_frozen_events(builder: Callable[..., Event]) -> None:
    event = builder()
    assert event == builder()
    assert event.time is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.type = "other"  # type: ignore[misc]  # this must fail


def test_a_bare_report_is_one_that_lambda_could_have_sent() -> None:
    assert whole(events.platform_report()) == {
        "requestId": "453df5a3-1deb-5489-b112-057187be5b57",
        "status": "success",
        "metrics": {"durationMs": 101.5, "billedDurationMs": 102, "memorySizeMB": 128, "maxMemoryUsedMB": 64},
        "spans": [{"name": "extensionOverhead", "start": "2025-01-29T11:59:59.998Z", "durationMs": 1.5}],
    }


@pytest.mark.parametrize("options", [{}, {"request_id": "8286a188-ba32-4475-8077-530cd35c09a9"}])
def test_the_events_of_an_invocation_agree(options: dict[str, Any]) -> None:
    records = [
        given(build(**options))
        for build in (events.platform_start, events.platform_runtime_done, events.platform_report)
    ]
    assert len({record["requestId"] for record in records}) == 1
    _, done, report = records
    overhead = report["spans"][0]["durationMs"]
    assert report["metrics"]["durationMs"] == done["metrics"]["durationMs"] + overhead


@pytest.mark.parametrize("builder", BUILDERS)
def test_no_event_has_tracing_by_default(builder: Callable[..., Event]) -> None:
    record = builder().record
    assert not isinstance(record, dict) or "tracing" not in record


def test_a_bare_init_start_is_one_that_lambda_could_have_sent() -> None:
    record = given(events.platform_init_start())
    assert re.fullmatch(r"2025/01/29/\[\$LATEST\][0-9a-f]{32}", record.pop("instanceId"))
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", record.pop("runtimeVersionArn"))
    assert record == {
        "initializationType": "on-demand",
        "phase": "init",
        "runtimeVersion": "python:3.13.v1",
        "functionName": "test-function",
        "functionVersion": "$LATEST",
        "instanceMaxMemory": 134217728,
    }


def test_what_is_derived_goes_with_what_it_is_derived_from() -> None:
    one, other = given(events.platform_init_start()), given(events.platform_init_start(function_version="7"))
    assert "/[7]" in other["instanceId"]
    assert one["instanceId"] != other["instanceId"]
    third = given(events.platform_restore_start(runtime_version="java:21.v1"))
    assert third["runtimeVersionArn"] == schema.runtime_arn("java:21.v1")
    assert third["runtimeVersionArn"] != one["runtimeVersionArn"]
    bare = given(events.platform_restore_start(instance_id=None, runtime_version=None, runtime_version_arn=None))
    assert bare.keys() == {"functionName", "functionVersion", "instanceMaxMemory"}


@pytest.mark.parametrize("duration_ms", [0, 0.7, 100, 2999.999])
def test_response_spans_last_as_long_as_the_invocation(duration_ms: float) -> None:
    record = given(events.platform_runtime_done(duration_ms=duration_ms))
    assert [span["name"] for span in record["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert sum(span["durationMs"] for span in record["spans"]) == pytest.approx(duration_ms)


@pytest.mark.parametrize(
    ("status", "error_type"), [("error", "Function.Unknown"), ("failure", "Sandbox.Failure"), ("timeout", None)]
)
def test_an_invocation_that_was_not_answered(status: Status, error_type: str | None) -> None:
    record = given(events.platform_runtime_done(status=status))
    assert record.get("errorType") == error_type
    assert "spans" not in record
    assert record["metrics"] == {"durationMs": 100.0}


def test_none_leaves_an_optional_field_out() -> None:
    event = events.platform_start(version=None, function_arn=None, tracing=None)
    assert given(event).keys() == {"requestId"}
    assert given(events.platform_runtime_done(duration_ms=None, tracing=None, status="error", error_type=None)) == {
        "requestId": given(event)["requestId"],
        "status": "error",
    }


def test_the_billed_duration_covers_the_initialization_it_caused() -> None:
    metrics = given(events.platform_report(duration_ms=5000, init_duration_ms=578.07))["metrics"]
    assert metrics["billedDurationMs"] == 5579
    assert given(events.platform_report(duration_ms=0.1, init_duration_ms=0.9))["metrics"]["billedDurationMs"] == 1
    assert given(events.platform_report(duration_ms=4.35 * 100))["metrics"]["billedDurationMs"] == 435
    assert given(events.platform_report(billed_duration_ms=1))["metrics"]["billedDurationMs"] == 1


def test_metrics_of_managed_instances_can_be_had() -> None:
    event = events.platform_report(billed_duration_ms=None, memory_size_mb=None, max_memory_used_mb=None)
    assert given(event)["metrics"] == {"durationMs": 101.5}


def test_tracing_from_a_header_value_or_whole() -> None:
    assert given(events.platform_start(tracing="Root=1-2"))["tracing"] == {
        "type": "X-Amzn-Trace-Id",
        "value": "Root=1-2",
    }
    for span in ("ab", None):
        context: Tracing = {"type": "X-Amzn-Trace-Id", "value": "Root=1-2", "spanId": span}
        assert given(events.platform_start(tracing=context))["tracing"] == context


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2025-01-29T12:00:00.123456789Z", "2025-01-29T12:00:00.123456789Z"),
        (datetime(2025, 1, 29, 12, tzinfo=UTC), TIME),
        (datetime(2025, 1, 29, 13, 0, 0, 999, tzinfo=timezone(timedelta(hours=1))), TIME),
    ],
)
def test_a_time_of_its_own(time: str | datetime, expected: str) -> None:
    assert events.function("x", time=time).time == expected
    assert events.platform_start(time=time).time == expected


def test_log_records() -> None:
    fields = {"level": "INFO"}
    event = events.function(fields)
    fields["level"] = "changed later"
    assert event == Event("function", {"level": "INFO"})
    assert events.extension(record="a line\n") == Event("extension", "a line\n")


@pytest.mark.parametrize("value", [None, True, False, 0, 1.5, "", [], [None, {"a": 1}], {}])
@pytest.mark.parametrize("make", [events.function, events.extension])
def test_a_log_record_is_any_json_value(make: Callable[[Record], Event], value: Record) -> None:
    event = make(value)
    assert event.record == value
    assert type(event.record) is type(value)


def test_a_log_of_a_managed_runtime() -> None:
    event = events.function_log({"deep": 1}, level="WARN")
    assert event.type == "function"
    assert given(event) == {"timestamp": None, "level": "WARN", "message": {"deep": 1}}
    assert event == events.function_log({"deep": 1}, "WARN")
    for arguments in ({"message": b"x"}, {"message": "x", "level": ""}, {"message": "x", "logger": 3}):
        with pytest.raises(MisuseError):
            events.function_log(**arguments)


@pytest.mark.parametrize("make", [events.function, lambda record: events.from_dict({"type": "x", "record": record})])
def test_an_event_does_not_follow_what_its_record_was_made_of(make: Callable[[object], Event]) -> None:
    record = {"user": {"id": 1}}
    event = make(record)
    record["user"]["id"] = 2
    assert given(event) == {"user": {"id": 1}}


@pytest.mark.parametrize("value", [object(), float("nan"), b"bytes"])
def test_a_record_that_is_not_json_is_refused_when_it_is_sent(value: object) -> None:
    event = events.function({"value": value})
    with pytest.raises(MisuseError, match="the record of this 'function' event cannot be sent as JSON"):
        encode(resolve(event, TIME))


STATUSES = '"success", "error", "failure", "timeout"'
SPAN = {"name": "x", "durationMs": 1}


@pytest.mark.parametrize(
    ("builder", "arguments", "message"),
    [
        (
            "platform_report",
            {"status": "succes"},
            f"status='succes' is not known to Lambda; the valid ones are {STATUSES}",
        ),
        (
            "platform_report",
            {"status": ["error"]},
            f"status=['error'] is not known to Lambda; the valid ones are {STATUSES}",
        ),
        (
            "platform_init_start",
            {"phase": "snap-start"},
            'phase=\'snap-start\' is not known to Lambda; the valid ones are "init", "invoke"',
        ),
        ("platform_init_start", {"initialization_type": "ondemand"}, "initialization_type='ondemand' is not known"),
        (
            "platform_report",
            {"duration_ms": -1},
            "duration_ms=-1 is not a duration in milliseconds; pass a finite number, 0 or more",
        ),
        ("platform_report", {"duration_ms": True}, "duration_ms=True is not a duration"),
        ("platform_report", {"duration_ms": None}, "duration_ms=None is not a duration"),
        ("platform_report", {"init_duration_ms": "5"}, "init_duration_ms='5' is not a duration"),
        ("platform_runtime_done", {"duration_ms": float("nan")}, "duration_ms=nan is not a duration"),
        ("platform_report", {"memory_size_mb": 128.0}, "memory_size_mb=128.0 is not a count; pass an int, 0 or more"),
        ("platform_logs_dropped", {"dropped_records": False}, "dropped_records=False is not a count"),
        ("platform_start", {"request_id": ""}, "request_id='' is not a text; pass a non-empty str"),
        ("platform_start", {"request_id": None}, "request_id=None: no platform.start lacks it; leave the argument out"),
        ("platform_init_report", {"duration_ms": None}, "duration_ms=None: no platform.initReport lacks it"),
        (
            "platform_runtime_done",
            {"error_type": "Oops"},
            "error_type='Oops' with status='success': an error type goes with",
        ),
        ("platform_report", {"status": "timeout", "error_type": "Oops"}, "error_type='Oops' with status='timeout'"),
        ("platform_runtime_done", {"duration_ms": None, "produced_bytes": 3}, "produced_bytes without duration_ms"),
        ("platform_report", {"spans": SPAN}, "is not a list; pass a list of"),
        ("platform_report", {"spans": [SPAN, "x"]}, "spans[1]='x' is not an object; pass a dict with"),
        ("platform_report", {"spans": [{"name": "x"}]}, "spans[0]={'name': 'x'} lacks ['durationMs']"),
        (
            "platform_report",
            {"spans": [{**SPAN, "duration_ms": 1}]},
            "spans[0] has unknown ['duration_ms']; valid are ['durationMs', 'name', 'start']",
        ),
        ("platform_report", {"spans": [{**SPAN, "durationMs": -1}]}, "spans[0].durationMs=-1 is not a duration"),
        ("platform_report", {"spans": [{**SPAN, "start": "soon"}]}, "spans[0].start='soon' is not a moment"),
        ("platform_start", {"tracing": {"value": "x"}}, "tracing={'value': 'x'} lacks ['type']"),
        ("platform_start", {"tracing": {"type": "b3", "value": "x"}}, "tracing.type='b3' is not known"),
        (
            "platform_extension",
            {"events": "INVOKE"},
            'events=\'INVOKE\' is not a list; pass a list or tuple of "INVOKE", "SHUTDOWN"',
        ),
        ("platform_extension", {"events": ["STOP"]}, "events='STOP' is not known"),
        ("platform_telemetry_subscription", {"types": ["platform.start"]}, "types='platform.start' is not known"),
        ("function", {"record": b"x"}, "function(b'x'): a log record is a line, an object or another JSON value; pass"),
        ("extension", {"record": {1, 2}}, "extension({1, 2}): a log record is a line, an object or another JSON value"),
        ("extension", {"time": "yesterday"}, "time='yesterday' is not a moment: "),
        ("platform_start", {"time": "2025-01-29T12:00:00"}, "time='2025-01-29T12:00:00' is not a moment: no time zone"),
        ("platform_start", {"time": datetime(2025, 1, 29)}, "2025-01-29T00:00:00 has no time zone"),
        ("platform_start", {"time": 5}, "time=5 is not a text"),
    ],
)
def test_what_lambda_would_not_send_is_refused(builder: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(MisuseError) as caught:
        getattr(events, builder)(**arguments)
    assert message in str(caught.value)


def test_from_dict_takes_what_the_builders_refuse() -> None:
    made = events.from_dict(
        {"type": "platform.report", "record": {"status": "odd", "errorType": 3}, "time": "whenever"}
    )
    assert made == Event("platform.report", {"status": "odd", "errorType": 3}, "whenever")
    assert given(events.from_dict({"type": "novel", "record": None})) is None


def test_from_dict_keeps_fields_beside_the_record() -> None:
    source = {"time": TIME, "type": "platform.start", "record": {"a": 1}, "novel": {"b": 2}}
    assert resolve(events.from_dict(source), "unused") == source


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("function", "'function' is not an event; pass a dict such as"),
        ({"record": "x"}, 'an event\'s "type" is a non-empty str, not None'),
        ({"type": 3, "record": "x"}, 'an event\'s "type" is a non-empty str, not 3'),
        ({"type": "function"}, "this 'function' event has no \"record\""),
        ({"type": "function", "record": "x", "time": 5}, "the \"time\" of this 'function' event is 5"),
    ],
)
def test_from_dict_checks_the_shape(source: Any, message: str) -> None:
    with pytest.raises(MisuseError) as caught:
        events.from_dict(source)
    assert str(caught.value).startswith(message)
