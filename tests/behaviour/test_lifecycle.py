"""The life of an environment, as real extensions over HTTP see it."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from pytest_lambda_telemetry import (
    BufferingOptions,
    LambdaTelemetry,
    LambdaTelemetryWarning,
    MisuseError,
    ProtocolViolation,
    Retry,
    Script,
    Settings,
    events,
)
from pytest_lambda_telemetry.protocol.schema import InitializationType, ShutdownReason
from tests.support.helpers import EXTENSION, IDENTIFIER, Listener, call, register, running, subscribe, subscribe_body
from tests.support.living import Event, Living, Make, living
from tests.support.programs import program

START = "2026-01-01T00:00:00Z"
QUICK: BufferingOptions = {"timeoutMs": 100}
COLD = [
    "platform.initStart",
    "platform.telemetrySubscription",
    "platform.initRuntimeDone",
    "platform.extension",
    "platform.initReport",
]
RUN = ["platform.start", "function", "platform.runtimeDone"]


@pytest.fixture
def extension() -> Iterator[Make]:
    with living() as make:
        yield make


def ms(delta: timedelta) -> float:
    return delta / timedelta(milliseconds=1)


# -- what an invocation is ---------------------------------------------------------------------------------------------


def test_invoke_carries_what_lambda_sends(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    with freeze_time(START):
        ext = extension()
        lambda_telemetry.wait_until_ready()
        invocation = lambda_telemetry.invoke()
        assert ext.told == [
            {
                "eventType": "INVOKE",
                "deadlineMs": round(invocation.deadline.timestamp() * 1000),
                "requestId": invocation.request_id,
                "invokedFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:test-function",
                "tracing": ext.told[0]["tracing"],
            }
        ]
        assert invocation.deadline.isoformat() == "2026-01-01T00:00:03.100000+00:00"  # init took 100 ms of it
        assert ext.told[0]["tracing"]["type"] == "X-Amzn-Trace-Id"
        assert ext.told[0]["tracing"]["value"].startswith("Root=1-")
        lambda_telemetry.shutdown()


@pytest.mark.lambda_telemetry(
    function_name="orders", function_version="7", account_id="111122223333", region="eu-west-1", memory_mb=512
)
def test_an_invocation_speaks_of_the_function_of_the_settings(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension(schemaVersion="2025-01-29")
    lambda_telemetry.invoke(request_id="r-1")
    lambda_telemetry.shutdown()
    arn = "arn:aws:lambda:eu-west-1:111122223333:function:orders"
    ext.join()
    assert (ext.told[0]["invokedFunctionArn"], ext.told[0]["requestId"]) == (arn, "r-1")
    (start,) = ext.of("platform.start")
    assert (start["functionArn"], start["version"], start["requestId"]) == (arn, "7", "r-1")
    assert ext.of("platform.initStart")[0]["instanceMaxMemory"] == 512 * 1024 * 1024
    assert ext.of("platform.report")[0]["metrics"]["memorySizeMB"] == 512


def test_a_cold_start_comes_by_itself_in_lambdas_order(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    invocation = lambda_telemetry.invoke(logs=["a line"])
    assert ext.types == COLD + RUN
    assert invocation.outcome == "completed"
    assert [list(delivery.types) for delivery in invocation.deliveries] == [COLD + RUN]


def test_log_lines_of_init_stand_before_its_end(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.emit(events.function("booting"), events.extension("up"))
    lambda_telemetry.end_init()
    lambda_telemetry.flush()
    assert ext.types == [*COLD[:2], "function", "extension", *COLD[2:]]


def test_the_report_arrives_with_the_next_invocation(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    first = lambda_telemetry.invoke(logs=["one"])
    assert "platform.report" not in ext.types
    second = lambda_telemetry.invoke(logs=["two"])
    assert ext.types == [*COLD, *RUN, "platform.report", *RUN]
    assert [record["requestId"] for record in ext.of("platform.report")] == [first.request_id]
    assert first.request_id != second.request_id


def test_the_last_report_arrives_at_shutdown(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.invoke(logs=["one"])
    (delivery,) = lambda_telemetry.shutdown()
    ext.join()
    assert delivery.types == ("platform.report",)
    assert ext.types == [*COLD, *RUN, "platform.report"]
    assert [event["eventType"] for event in ext.told] == ["INVOKE", "SHUTDOWN"]


def test_nothing_is_delivered_while_the_environment_is_frozen(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension(buffering=QUICK)
    lambda_telemetry.invoke()
    before, elapsed, now = ext.types, lambda_telemetry.elapsed, lambda_telemetry.now
    assert lambda_telemetry.advance(seconds=60) == ()
    assert (ext.types, lambda_telemetry.elapsed) == (before, elapsed)
    assert lambda_telemetry.now - now == timedelta(seconds=60)
    lambda_telemetry.thaw()
    (delivery,) = lambda_telemetry.advance(ms=100)
    assert delivery.types == ("platform.report",)


def test_a_test_may_act_while_the_function_runs(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    gate = threading.Event()
    ext = extension(on_event=lambda event: gate.wait(10))
    with lambda_telemetry.invocation() as invocation:
        assert lambda_telemetry.extensions[0].state == "Running"
        assert (invocation.status, invocation.outcome) == ("success", "completed")
        invocation.log("a line", {"an": "object"})
        lambda_telemetry.flush()
        assert ext.of("function") == ["a line", {"an": "object"}]
        gate.set()
        lambda_telemetry.wait_until_ready("ext")
    assert invocation.ready_before_runtime_done == ("ext",)


def test_lines_after_the_end_are_a_misuse(lambda_telemetry: LambdaTelemetry) -> None:
    invocation = lambda_telemetry.invoke()
    with pytest.raises(MisuseError, match="is over: its function can't log any more"):
        invocation.log("late")


@pytest.mark.parametrize("record", ["a line", {"an": "object"}], ids=str)
def test_one_record_may_be_given_without_a_list(
    extension: Make, lambda_telemetry: LambdaTelemetry, record: Any
) -> None:
    ext = extension()
    lambda_telemetry.invoke(logs=record)
    assert ext.of("function") == [record]


@pytest.mark.lambda_telemetry(tracing=True)
@pytest.mark.parametrize("tracing", [None, "Root=1-5e1b4151-43a0913a12345678;Sampled=0"])
@pytest.mark.parametrize("tenant_id", [None, "tenant-1"])
def test_all_that_concerns_an_invocation_agrees(
    extension: Make, lambda_telemetry: LambdaTelemetry, tracing: str | None, tenant_id: str | None
) -> None:
    ext = extension(schemaVersion="2025-01-29")
    lambda_telemetry.invoke(duration_ms=40, tenant_id=tenant_id, tracing=tracing)
    lambda_telemetry.shutdown()
    ext.join()
    records = [*ext.of("platform.start"), *ext.of("platform.runtimeDone"), *ext.of("platform.report")]
    assert len(records) == 3
    assert {record["requestId"] for record in records} == {ext.told[0]["requestId"]}
    assert {record["tracing"]["value"] for record in records} == {ext.told[0]["tracing"]["value"]}
    assert len({record["tracing"]["spanId"] for record in records}) == 1
    assert [record.get("tenantId") for record in records] == [tenant_id] * 3
    assert tracing is None or records[0]["tracing"]["value"] == tracing
    done, report = records[1:]
    assert done["metrics"]["durationMs"] == 40
    (overhead,) = report["spans"]
    assert overhead["name"] == "extensionOverhead"
    assert report["metrics"]["durationMs"] == pytest.approx(40 + overhead["durationMs"])
    assert sum(span["durationMs"] for span in done["spans"]) == pytest.approx(40)


def test_a_function_may_log_any_json_value(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    values: list[Any] = [None, 0, False, 1.5, [1, {"a": None}], {"b": 2}]
    lambda_telemetry.invoke(logs=[*values, events.function_log("m", request_id="r-1")])
    *seen, managed = ext.of("function")
    assert seen == values
    assert managed == {"timestamp": managed["timestamp"], "level": "INFO", "message": "m", "requestId": "r-1"}
    assert managed["timestamp"].endswith("Z")
    with pytest.raises(MisuseError, match=r"logs\[0\]=b'x' is not valid"):
        lambda_telemetry.invoke(logs=[b"x"])


@pytest.mark.parametrize("tracing", [False, True])
def test_events_have_tracing_only_where_the_function_is_traced(extension: Make, tracing: bool) -> None:
    with LambdaTelemetry(Settings(tracing=tracing)) as environment:
        ext = extension(schemaVersion="2025-01-29")
        environment.invoke()
        environment.shutdown()
        ext.join()
    assert ext.told[0]["tracing"]["value"]
    for name in ("initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"):
        (record,) = ext.of(f"platform.{name}")
        assert ("tracing" in record) == tracing


def test_one_invocation_can_be_traced(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.invoke(tracing="Root=1-2")
    lambda_telemetry.shutdown()
    assert ext.of("platform.report")[0]["tracing"]["value"] == "Root=1-2"
    assert "tracing" not in ext.of("platform.initReport")[0]


def test_each_execution_environment_is_an_instance_of_its_own(lambda_telemetry: LambdaTelemetry) -> None:
    with living() as make:
        before = make("before")
        lambda_telemetry.invoke()
        lambda_telemetry.restart()
        after = make("after")
        lambda_telemetry.invoke()
        lambda_telemetry.shutdown()
        (first,), (second,) = before.of("platform.initStart"), after.of("platform.initStart")
    assert first["instanceId"] != second["instanceId"]


@pytest.mark.lambda_telemetry(
    function_name="orders",
    function_version="7",
    region="eu-west-1",
    memory_mb=512,
    runtime="provided.al2023",
    start="2026-07-28T23:00:00Z",
)
def test_a_cold_start_holds_what_the_live_service_sends(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension(schemaVersion="2025-01-29", types=["platform", "function", "extension"])
    lambda_telemetry.invoke(request_id="r-1")
    lambda_telemetry.shutdown()
    ext.join()
    (started,) = ext.of("platform.initStart")
    assert re.fullmatch(r"2026/07/28/\[7\][0-9a-f]{32}", started.pop("instanceId"))
    assert re.fullmatch(r"arn:aws:lambda:eu-west-1::runtime:[0-9a-f]{64}", started.pop("runtimeVersionArn"))
    assert started == {
        "initializationType": "on-demand",
        "phase": "init",
        "runtimeVersion": "provided:al2023.v1",
        "functionName": "orders",
        "functionVersion": "7",
        "instanceMaxMemory": 512 * 1024 * 1024,
    }
    assert ext.of("platform.telemetrySubscription") == [
        {"name": "ext", "state": "Subscribed", "types": ["extension", "function", "platform"]}
    ]
    assert ext.of("platform.initRuntimeDone") == [
        {"initializationType": "on-demand", "phase": "init", "status": "success"}
    ]
    fields = {name: set(ext.of(f"platform.{name}")[0]) for name in ("initReport", "start", "runtimeDone", "report")}
    assert fields == {
        "initReport": {"initializationType", "phase", "status", "metrics"},
        "start": {"requestId", "version", "functionArn"},
        "runtimeDone": {"requestId", "status", "metrics", "spans"},
        "report": {"requestId", "status", "metrics", "spans"},
    }
    assert set(ext.of("platform.runtimeDone")[0]["metrics"]) == {"durationMs", "producedBytes"}
    assert set(ext.of("platform.report")[0]["metrics"]) == {
        *("durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs")
    }


# -- time --------------------------------------------------------------------------------------------------------------


def test_time_goes_on_after_runtime_done_until_it_is_delivered(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension(buffering=QUICK)
    lambda_telemetry.end_init()
    lambda_telemetry.flush()
    begun = lambda_telemetry.elapsed
    lambda_telemetry.invoke(duration_ms=250)
    # start waits 100 ms; runtimeDone comes at 250 ms and waits 100 ms more
    assert ms(lambda_telemetry.elapsed - begun) == 350
    assert ext.types[-1] == "platform.runtimeDone"
    lambda_telemetry.shutdown()
    (report,) = ext.of("platform.report")
    # it had asked by then: what passes for delivery alone is in no metric
    assert report["metrics"]["durationMs"] == 250
    assert report["spans"][0]["durationMs"] == 0


@pytest.mark.lambda_telemetry(start=START, timeout_s=1.0)
def test_time_goes_on_to_the_deadline_at_most(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension(buffering={"timeoutMs": 30_000})
    lambda_telemetry.end_init()
    invocation = lambda_telemetry.invoke(duration_ms=50)
    assert lambda_telemetry.now == invocation.deadline
    assert (invocation.status, invocation.outcome, invocation.deliveries) == ("success", "completed", ())
    assert ext.types == []


def test_overhead_ms_cuts_it_short(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.end_init()
    lambda_telemetry.flush()
    begun = lambda_telemetry.elapsed
    with pytest.warns(LambdaTelemetryWarning, match="and 2 events for it were still buffered"):
        lambda_telemetry.invoke(duration_ms=50, overhead_ms=20)
    assert ms(lambda_telemetry.elapsed - begun) == 70
    assert ext.types == COLD
    lambda_telemetry.shutdown()
    assert ext.types == [*COLD, "platform.start", "platform.runtimeDone", "platform.report"]
    assert ext.of("platform.report")[0]["spans"][0]["durationMs"] == 0


@pytest.mark.parametrize("buffering", [QUICK, {"timeoutMs": 25}, {}], ids=str)
def test_with_no_overhead_runtime_done_comes_with_the_next_invocation(
    extension: Make, lambda_telemetry: LambdaTelemetry, buffering: dict[str, int]
) -> None:
    ext = extension(buffering=buffering)
    lambda_telemetry.end_init()
    lambda_telemetry.flush()
    with pytest.warns(LambdaTelemetryWarning, match="asked for its next event before platform.runtimeDone"):
        first = lambda_telemetry.invoke(duration_ms=10, overhead_ms=0)
    assert first.ready_before_runtime_done == ("ext",)
    assert "platform.runtimeDone" not in ext.types
    lambda_telemetry.invoke(duration_ms=10)
    assert ext.types == [
        *COLD,
        "platform.start",
        "platform.runtimeDone",
        "platform.report",
        "platform.start",
        "platform.runtimeDone",
    ]
    assert [record["requestId"] for record in ext.of("platform.report")] == [first.request_id]
    (span,) = ext.of("platform.report")[0]["spans"]
    assert (span["name"], span["durationMs"]) == ("extensionOverhead", 0)  # nobody took longer than the function


def test_advance_inside_lengthens_the_invocation_and_duration_ms_is_the_least(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    with lambda_telemetry.invocation(duration_ms=30):
        lambda_telemetry.advance(ms=200)
    with lambda_telemetry.invocation(duration_ms=30):
        lambda_telemetry.advance(ms=10)
    lambda_telemetry.shutdown()
    assert [record["metrics"]["durationMs"] for record in ext.of("platform.runtimeDone")] == [200, 30]


def test_what_is_due_inside_is_delivered_inside(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension(buffering=QUICK)
    lambda_telemetry.end_init()
    lambda_telemetry.flush()
    with lambda_telemetry.invocation() as invocation:
        invocation.log("a line")
        assert lambda_telemetry.advance(ms=99) == ()
        lambda_telemetry.advance(ms=1)
        assert ext.types == [*COLD, "platform.start", "function"]
    assert [delivery.types for delivery in invocation.deliveries] == [
        ("platform.start", "function"),
        ("platform.runtimeDone",),
    ]


# -- outcomes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [{"duration_ms": 500}, {"duration_ms": 9_000}, {"status": "timeout"}],
    ids=str,
)
@pytest.mark.lambda_telemetry(start=START, timeout_s=0.5)
def test_virtual_time_that_reaches_the_limit_is_the_functions_timeout(
    extension: Make, lambda_telemetry: LambdaTelemetry, how: dict[str, Any]
) -> None:
    ext = extension()
    invocation = lambda_telemetry.invoke(**how)
    assert (invocation.status, invocation.outcome) == ("timeout", "function-timeout")
    assert lambda_telemetry.now == invocation.deadline
    lambda_telemetry.shutdown("timeout")
    ext.join()
    for kind in ("platform.runtimeDone", "platform.report"):
        (record,) = ext.of(kind)
        assert (record["status"], record["metrics"]["durationMs"], "errorType" in record) == ("timeout", 500, False)
    assert ext.told[-1]["shutdownReason"] == "timeout"


def test_advancing_beyond_the_limit_is_the_functions_timeout_too(lambda_telemetry: LambdaTelemetry) -> None:
    with lambda_telemetry.invocation() as invocation:
        lambda_telemetry.advance(seconds=10)
    assert (invocation.status, invocation.outcome) == ("timeout", "function-timeout")


@pytest.mark.lambda_telemetry(extension_timeout_s=0.2, start=START)
def test_an_extension_that_never_asks_again_is_named(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    gate = threading.Event()
    ext = extension("slow", on_event=lambda event: gate.wait(10))
    extension("quick", subscribes=False)
    invocation = lambda_telemetry.invoke(duration_ms=50)
    assert (invocation.status, invocation.outcome) == ("timeout", "extension-timeout")
    assert invocation.ready_before_runtime_done in ((), ("quick",))
    assert lambda_telemetry.now == invocation.deadline
    with pytest.raises(
        ProtocolViolation, match=r"extension-timeout: extension 'slow' .* within 0\.2 s \(real\)"
    ) as caught:
        lambda_telemetry.check()
    assert invocation.request_id in str(caught.value)
    assert "quick" not in str(caught.value)
    gate.set()
    lambda_telemetry.wait_until_ready("slow")
    lambda_telemetry.shutdown("timeout")
    assert [record["status"] for record in ext.of("platform.runtimeDone")] == ["success"]
    (report,) = ext.of("platform.report")
    assert (report["status"], report["metrics"]["durationMs"]) == ("timeout", 3000)


@pytest.mark.lambda_telemetry(extension_timeout_s=0.1, strict=False)
def test_without_strict_it_is_an_outcome_alone(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    extension(asks=False)
    invocation = lambda_telemetry.invoke()
    assert invocation.outcome == "extension-timeout"
    assert "skipped: it is Registered" in lambda_telemetry.timeline()


@pytest.mark.parametrize("overhead_ms", [0, 5, None])
def test_one_that_waits_for_runtime_done_is_served_whatever_the_overhead(
    extension: Make, lambda_telemetry: LambdaTelemetry, overhead_ms: float | None
) -> None:
    made: list[Living] = []

    def wait(event: dict[str, Any]) -> None:
        if event["eventType"] == "INVOKE":
            made[0].wait_for("platform.runtimeDone")

    ext = extension(on_event=wait)
    made.append(ext)
    invocation = lambda_telemetry.invoke(overhead_ms=overhead_ms, duration_ms=10)
    assert (invocation.outcome, invocation.ready_before_runtime_done) == ("completed", ())
    lambda_telemetry.shutdown()
    (report,) = ext.of("platform.report")
    (overhead,) = report["spans"]  # the batch opened with platform.start, and was due a second later
    assert overhead["durationMs"] == pytest.approx(990, abs=101)
    assert report["metrics"]["durationMs"] == pytest.approx(10 + overhead["durationMs"])


def test_an_extension_that_waits_for_runtime_done_is_not_too_early(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    def careful(event: Event) -> None:
        ext.wait_for("platform.runtimeDone")

    ext = extension(on_event=careful)
    invocation = lambda_telemetry.invoke()
    assert (invocation.outcome, invocation.ready_before_runtime_done) == ("completed", ())


def test_only_those_that_take_part_in_invocations_can_be_too_early(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    extension("watcher", ("SHUTDOWN",))
    lambda_telemetry.register("by-hand")
    assert lambda_telemetry.invoke().ready_before_runtime_done == ()
    assert lambda_telemetry.extensions[0].state == "Ready"


def test_an_exception_inside_ends_it_with_an_error_and_propagates(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    with pytest.raises(ZeroDivisionError), lambda_telemetry.invocation() as invocation:
        raise ZeroDivisionError
    assert (invocation.status, invocation.outcome) == ("error", "completed")
    lambda_telemetry.invoke()
    for kind in ("platform.runtimeDone", "platform.report"):
        record = ext.of(kind)[0]
        assert (record["status"], record["errorType"]) == ("error", "Function.ZeroDivisionError")


def test_a_status_and_an_error_type_can_be_chosen(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.invoke(status="failure", error_type="Runtime.ExitError")
    lambda_telemetry.shutdown("failure")
    for kind in ("platform.runtimeDone", "platform.report"):
        (record,) = ext.of(kind)
        assert (record["status"], record["errorType"]) == ("failure", "Runtime.ExitError")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"status": "succes"}, "'success', 'error', 'failure', 'timeout'"),
        ({"error_type": "Oops"}, "it goes with 'error' and 'failure' only"),
        ({"duration_ms": -1}, "duration_ms=-1 is not valid"),
        ({"overhead_ms": "1"}, "overhead_ms='1' is not valid"),
        ({"max_memory_used_mb": -1}, "max_memory_used_mb=-1 is not valid"),
        ({"max_memory_used_mb": 1.5}, "max_memory_used_mb=1.5 is not valid: it must be a whole number"),
        ({"logs": 7}, "logs=7 is not valid: it must be a list of lines"),
        ({"logs": b"raw"}, "logs=b'raw' is not valid"),
        ({"logs": ["a line", b"x"]}, r"logs\[1\]=b'x' is not valid: it must be a line"),
        ({"request_id": ""}, "request_id='' is not valid"),
        ({"tenant_id": 7}, "tenant_id=7 is not valid"),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused_before_anything_happens(
    lambda_telemetry: LambdaTelemetry, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(MisuseError, match=message):
        lambda_telemetry.invoke(**options)
    assert lambda_telemetry.elapsed == timedelta(0)
    assert lambda_telemetry.register().state == "Registered"  # init goes on


def test_an_invocation_inside_another_is_a_misuse(lambda_telemetry: LambdaTelemetry) -> None:
    with lambda_telemetry.invocation():
        with pytest.raises(MisuseError, match="an invocation is running: let it end first"):
            lambda_telemetry.invoke()
        with pytest.raises(MisuseError, match="an invocation is running"):
            lambda_telemetry.end_init()
    assert lambda_telemetry.invoke().outcome == "completed"


# -- init --------------------------------------------------------------------------------------------------------------


def test_asking_for_next_does_not_end_init(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    extension("first")
    lambda_telemetry.wait_until_ready("first")
    second = extension("second")  # registers and subscribes: nothing is refused
    lambda_telemetry.invoke()
    assert len(second.told) == 1
    assert {record["name"] for record in second.of("platform.extension")} == {"first", "second"}


ENDINGS = {
    "end_init": lambda environment: environment.end_init(),
    "invoke": lambda environment: environment.invoke(),
    "a script": lambda environment: environment.play(Script.invocation()),
    "a script of init": lambda environment: environment.play(Script.initialization()),
}


@pytest.mark.lambda_telemetry(strict=False)
@pytest.mark.parametrize("end", ENDINGS.values(), ids=ENDINGS)
def test_after_init_register_and_subscribe_are_refused(
    extension: Make, lambda_telemetry: LambdaTelemetry, end: Callable[[LambdaTelemetry], object]
) -> None:
    ext = extension()
    end(lambda_telemetry)
    late = call("POST", f"{EXTENSION}/register", {"events": []}, {"Lambda-Extension-Name": "late"})
    assert (late.status, late.body["errorType"]) == (403, "Extension.RegistrationClosed")
    refused = subscribe(ext.identifier, subscribe_body(ext.listener.port, types=["function"]))
    assert (refused.status, refused.body) == (
        403,
        {
            "errorType": "Telemetry.SubscriptionClosed",
            "errorMessage": "Telemetry API subscription is closed already",
        },
    )
    with pytest.raises(MisuseError):
        lambda_telemetry.register("late")


def test_events_alone_do_not_end_init(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    extension()
    lambda_telemetry.play(Script([(0, events.platform_start()), (10, events.function("x"))]))
    lambda_telemetry.emit(events.platform_report())
    extension("second")
    assert len(lambda_telemetry.subscriptions) == 2


def test_init_can_end_only_once(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.end_init()
    with pytest.raises(MisuseError, match="cannot end init: init is over"):
        lambda_telemetry.end_init()


def test_end_init_takes_time_only_where_init_took_none(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.advance(ms=30)
    lambda_telemetry.end_init(init_duration_ms=70)
    assert ms(lambda_telemetry.elapsed) == 30
    lambda_telemetry.flush()
    assert ext.of("platform.initReport")[0]["metrics"] == {"durationMs": 30}


def test_end_init_takes_as_long_as_it_is_told(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.end_init(init_duration_ms=70)
    lambda_telemetry.invoke()
    lambda_telemetry.shutdown()
    assert ext.of("platform.initReport")[0]["metrics"] == {"durationMs": 70}
    metrics = ext.of("platform.report")[0]["metrics"]
    assert metrics["initDurationMs"] == 70
    assert metrics["billedDurationMs"] == -(-(metrics["durationMs"] + 70) // 1)


@pytest.mark.parametrize("platform_events", [True, False])
@pytest.mark.parametrize("kind", ["on-demand", "provisioned-concurrency", "snap-start"])
def test_only_the_first_report_of_an_on_demand_function_has_the_init_duration(
    extension: Make, kind: InitializationType, platform_events: bool
) -> None:
    settings = Settings(initialization_type=kind, platform_events=platform_events)
    with LambdaTelemetry(settings) as environment:
        ext = extension()
        environment.invoke()
        environment.invoke()
        environment.shutdown()
        expected = [True, False] if kind == "on-demand" else [False, False]
        assert ["initDurationMs" in record["metrics"] for record in ext.of("platform.report")] == expected
        if platform_events:
            kinds = [record["initializationType"] for record in ext.of("platform.initReport")]
            assert kinds == [kind]


@pytest.mark.lambda_telemetry(platform_events=False)
def test_without_platform_events_an_invocation_still_has_its_own(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension()
    lambda_telemetry.invoke(logs=["a line"])
    lambda_telemetry.shutdown()
    assert ext.types == [*RUN, "platform.report"]


@pytest.mark.lambda_telemetry(extension_timeout_s=0.2)
def test_an_extension_that_never_asks_is_named_at_the_end_of_init(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    extension("silent", asks=False)
    lambda_telemetry.end_init()
    with pytest.raises(ProtocolViolation, match=r"extension 'silent' did not ask for its next event .* of\s+init"):
        lambda_telemetry.check()


@pytest.mark.parametrize("route", ["init", "exit"])
def test_an_extension_that_reported_an_error_holds_nobody_up(
    extension: Make, lambda_telemetry: LambdaTelemetry, route: str
) -> None:
    witness = extension("witness")
    ext = extension("broken", asks=False, subscribes=False)
    headers = {IDENTIFIER: ext.identifier, "Lambda-Extension-Function-Error-Type": "Extension.NoConfig"}
    assert call("POST", f"{EXTENSION}/{route}/error", {}, headers).status == 202
    assert lambda_telemetry.invoke().outcome == "completed"
    state = {"init": "InitError", "exit": "ExitError"}[route]
    seen = {record["name"]: record for record in witness.of("platform.extension")}
    assert (seen["broken"]["state"], seen["broken"]["errorType"]) == (state, "Extension.NoConfig")
    assert (seen["witness"]["state"], "errorType" in seen["witness"]) == ("Ready", False)
    for name in ("initRuntimeDone", "initReport"):
        (record,) = witness.of(f"platform.{name}")
        assert (record["status"], record["errorType"]) == ("error", "Extension.NoConfig")


# -- shutdown ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["spindown", "timeout", "failure"])
def test_shutdown_thaws_flushes_and_says_why_and_until_when(extension: Make, reason: ShutdownReason) -> None:
    with freeze_time(START), LambdaTelemetry() as environment:
        ext = extension()
        environment.invoke()
        environment.shutdown(reason)
        ext.join()
        deadline = round(environment.now.timestamp() * 1000) + 2000
        assert ext.told[-1] == {"eventType": "SHUTDOWN", "deadlineMs": deadline, "shutdownReason": reason}
        assert ext.types[-1] == "platform.report"
        assert environment.extensions[0].state == "ShuttingDown"


def test_internal_extensions_have_half_a_second_and_no_shutdown_event(extension: Make) -> None:
    with freeze_time(START), LambdaTelemetry(Settings(internal_extensions=("ext",))) as environment:
        ext = extension(events=("INVOKE",))
        environment.invoke()
        environment.shutdown()
        assert [event["eventType"] for event in ext.told] == ["INVOKE"]
        assert ext.types[-1] == "platform.report"


@pytest.mark.parametrize("reason", ["spinup", "", None, "Spindown"])
def test_a_reason_lambda_does_not_know_is_refused_with_the_valid_ones(
    lambda_telemetry: LambdaTelemetry, reason: Any
) -> None:
    for _ in range(2):
        with pytest.raises(MisuseError, match="'spindown', 'timeout', 'failure'"):
            lambda_telemetry.shutdown(reason)
        lambda_telemetry.invoke()
    lambda_telemetry.shutdown()
    with pytest.raises(MisuseError, match="'spindown', 'timeout', 'failure'"):
        lambda_telemetry.shutdown(reason)


def test_after_shutdown_nothing_runs_any_more(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    lambda_telemetry.invoke()
    lambda_telemetry.shutdown()
    assert lambda_telemetry.shutdown() == ()
    with pytest.raises(MisuseError, match=r"has shut down: restart\(\) begins a new one"):
        lambda_telemetry.invoke()
    assert [event["eventType"] for event in ext.told].count("SHUTDOWN") <= 1


def test_shutdown_inside_an_invocation_ends_it(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    ext = extension()
    with lambda_telemetry.invocation() as invocation:
        invocation.log("the last line")
        lambda_telemetry.shutdown("failure")
    ext.join()
    assert ext.types == [*COLD, "platform.start", "function"]
    assert ext.told[-1]["shutdownReason"] == "failure"


def test_shutdown_waits_for_an_extension_that_still_works(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    gate = threading.Event()
    ext = extension(on_event=lambda event: gate.wait(10))
    with lambda_telemetry.invocation():
        lambda_telemetry.shutdown()
        assert "waits for its next poll" in lambda_telemetry.timeline()
        gate.set()
        ext.join()
    assert [event["eventType"] for event in ext.told] == ["INVOKE", "SHUTDOWN"]


# -- Managed Instances -------------------------------------------------------------------------------------------------


@pytest.mark.lambda_telemetry(initialization_type="lambda-managed-instances")
def test_managed_instances_have_no_invoke_no_runtime_done_and_no_freeze(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    ext = extension(events=("SHUTDOWN",), schemaVersion="2025-01-29")
    for line in ("one", "two"):
        invocation = lambda_telemetry.invoke(logs=[line], duration_ms=20)
        assert (invocation.outcome, invocation.ready_before_runtime_done) == ("completed", ())
    run = ["platform.start", "function", "platform.report"]
    assert ext.types == [*COLD, *run, *run]
    for report in ext.of("platform.report"):
        assert report["metrics"] == {"durationMs": 20}
        assert {span["name"] for span in report["spans"]} == {"responseLatency", "responseDuration"}
    assert ext.of("platform.initStart")[0]["initializationType"] == "lambda-managed-instances"
    elapsed = lambda_telemetry.elapsed
    lambda_telemetry.emit(events.function("between invocations"))
    lambda_telemetry.advance(seconds=1)
    assert ext.types[-1] == "function"
    assert lambda_telemetry.elapsed - elapsed == timedelta(seconds=1)
    lambda_telemetry.shutdown()
    ext.join()
    assert [event["eventType"] for event in ext.told] == ["SHUTDOWN"]


@pytest.mark.lambda_telemetry(initialization_type="lambda-managed-instances", strict=False)
def test_on_managed_instances_invoke_cannot_be_registered_for(lambda_telemetry: LambdaTelemetry) -> None:
    answer = call("POST", f"{EXTENSION}/register", {"events": ["INVOKE"]}, {"Lambda-Extension-Name": "ext"})
    assert (answer.status, answer.body["errorType"]) == (403, "Extension.InvalidEventType")


@pytest.mark.lambda_telemetry(timeout_s=60)
def test_shutdown_does_not_wait_for_one_that_got_it_during_the_last_delivery(lambda_telemetry: LambdaTelemetry) -> None:
    told, returned = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def answer(_number: int) -> int:
        return 200 if not invoked or told.wait(30) else 500

    invoked: list[str] = []
    with Listener(answer) as listener:
        identifier = register()
        subscribe(identifier, subscribe_body(listener.port, buffering={"timeoutMs": 100}))

        def run() -> None:
            while (
                call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: identifier}).body["eventType"] == "INVOKE"
            ):
                pass
            told.set()
            in_time.append(returned.wait(8))

        with running(run):
            lambda_telemetry.wait_until_ready()
            lambda_telemetry.invoke()
            invoked.append("once")
            lambda_telemetry.shutdown()
            returned.set()
    assert in_time == [True]


@pytest.mark.lambda_telemetry(timeout_s=60, extension_timeout_s=0.1)
def test_shutdown_does_not_wait_again_for_one_that_was_waited_for(
    lambda_telemetry: LambdaTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned = threading.Event()
    in_time: list[bool] = []
    identifier = register()

    def run() -> None:
        call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: identifier})
        invoked.wait(30)
        in_time.append(returned.wait(8))

    invoked = threading.Event()
    with running(run):
        lambda_telemetry.wait_until_ready()
        monkeypatch.setattr("pytest_lambda_telemetry.sandbox.stage._LONGEST_S", 0.1)
        lambda_telemetry.invoke()
        monkeypatch.undo()
        invoked.set()
        lambda_telemetry.shutdown()
        returned.set()
    assert in_time == [True]
    with pytest.raises(ProtocolViolation, match="extension-timeout: extension 'ext' did not ask"):
        lambda_telemetry.check()


# -- telemetry of init before the first next ---------------------------------------------------------------------------


@pytest.mark.lambda_telemetry(extension_timeout_s=20.0)
@pytest.mark.parametrize("ending", [LambdaTelemetry.end_init, LambdaTelemetry.invoke])
def test_one_that_waits_for_telemetry_of_init_before_it_asks_gets_it(
    extension: Make, lambda_telemetry: LambdaTelemetry, ending: Callable[[LambdaTelemetry], object]
) -> None:
    ext = extension(asks=False, buffering={"timeoutMs": 300})

    def ask() -> None:
        ext.wait_for("platform.telemetrySubscription")
        while ext.next().body["eventType"] != "SHUTDOWN":
            pass

    with running(ask):
        ending(lambda_telemetry)
        lambda_telemetry.shutdown()
    (report,) = ext.of("platform.initReport")
    assert report["metrics"] == {"durationMs": 300}


@pytest.mark.lambda_telemetry(extension_timeout_s=0.2, strict=False)
def test_virtual_time_does_not_move_for_one_that_has_nothing_to_wait_for(
    extension: Make, lambda_telemetry: LambdaTelemetry
) -> None:
    extension("subscribed", asks=False, types=["function"])
    extension("not subscribed", asks=False, subscribes=False)
    lambda_telemetry.end_init()
    assert lambda_telemetry.elapsed == timedelta(milliseconds=100)


@pytest.mark.lambda_telemetry(extension_timeout_s=0.2, strict=False, retry=Retry(initial_ms=3000, factor=1.0))
def test_it_moves_within_the_limit_of_init(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    extension(asks=False, buffering={"timeoutMs": 1000})
    lambda_telemetry.fail_next_delivery(503, times=9)
    lambda_telemetry.end_init()
    assert lambda_telemetry.elapsed == timedelta(seconds=10)


# -- the same in every run ---------------------------------------------------------------------------------------------


def a_listeners_life(port: int) -> str:
    with LambdaTelemetry(Settings(start=START)) as environment:
        environment.subscribe(f"http://sandbox.localdomain:{port}")
        environment.invoke(logs=["one"])
        environment.play(Script.cold_start() + Script.invocation(logs=["x"]) * 2 + Script.crash())
        return environment.timeline()


def test_two_runs_by_hand_have_the_same_timeline() -> None:
    with Listener() as listener:
        assert a_listeners_life(listener.port) == a_listeners_life(listener.port)
        half = len(listener.bodies) // 2
        assert listener.bodies[:half] == listener.bodies[half:]


def a_life(extension: Make) -> tuple[list[tuple[object, ...]], str]:
    with LambdaTelemetry(Settings(start=START)) as environment:

        def careful(event: Event) -> None:
            ext.wait_for("platform.runtimeDone", len(ext.told))

        ext = extension(on_event=careful)
        environment.wait_until_ready()
        for line in ("one", "two"):
            environment.invoke(logs=[line], duration_ms=12.5)
        environment.shutdown()
        ext.join()
        # when in real time the extension asks is its own affair; all else has its place
        story = [(one.elapsed, one.who, one.what, one.verdict) for one in environment.journal]
        return [line for line in story if line[2] != "asks for its next event"], json.dumps(ext.received)


def test_two_runs_have_the_same_journal(extension: Make) -> None:
    first, second = a_life(extension), a_life(extension)
    assert first == second


def test_the_subscriptions_of_one_environment_are_bounded(lambda_telemetry: LambdaTelemetry) -> None:
    for timeout_ms in range(25, 1025):
        lambda_telemetry.subscribe("http://sandbox.localdomain:4243", buffering={"timeoutMs": timeout_ms})
    assert len(lambda_telemetry.subscriptions) == 1000
    first = lambda_telemetry.subscribe("http://sandbox.localdomain:4243", buffering={"timeoutMs": 25})
    assert first is lambda_telemetry.subscriptions[0]
    with pytest.raises(MisuseError, match=r"403 Telemetry.TooManySubscriptions: Subscription limit \(1000\) reached"):
        lambda_telemetry.subscribe("http://sandbox.localdomain:4243", buffering={"timeoutMs": 2000})


@pytest.mark.lambda_telemetry(timeout_s=900, extension_timeout_s=0.05, strict=False)
def test_a_distant_deadline_does_not_let_a_call_wait_for_it(
    extension: Make, lambda_telemetry: LambdaTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_lambda_telemetry.sandbox.stage._LONGEST_S", 0.1)
    gate = threading.Event()
    extension(on_event=lambda event: gate.wait(600))
    assert lambda_telemetry.invoke().outcome == "extension-timeout"
    lambda_telemetry.shutdown("timeout")
    gate.set()


# -- a new environment -------------------------------------------------------------------------------------------------


def test_restart_begins_a_new_environment_in_the_same_test(extension: Make, lambda_telemetry: LambdaTelemetry) -> None:
    first = extension(buffering=QUICK)
    lambda_telemetry.invoke(logs=["one"])
    lambda_telemetry.restart()
    first.join()
    assert (lambda_telemetry.extensions, lambda_telemetry.subscriptions) == ((), ())
    second = extension(buffering=QUICK)
    lambda_telemetry.invoke(logs=["two"])
    assert (first.of("function"), second.of("function")) == (["one"], ["two"])
    assert second.types[:2] == ["platform.initStart", "platform.telemetrySubscription"]
    assert first.identifier != second.identifier
    lambda_telemetry.shutdown()
    (report,) = second.of("platform.report")
    assert "initDurationMs" in report["metrics"]


def test_restart_leaves_no_process_that_was_started_after_the_shutdown(
    lambda_telemetry: LambdaTelemetry, tmp_path: Path
) -> None:
    lambda_telemetry.shutdown()
    late = lambda_telemetry.run_extension(program(tmp_path, 'until_shutdown(register("ext.py"))'))
    lambda_telemetry.restart()
    assert late.returncode is not None
    lambda_telemetry.wait_until_ready("ext.py", timeout=60)


@pytest.mark.parametrize("how", ["restart", "shutdown"])
def test_after_a_time_out_the_next_invocation_needs_a_new_environment(
    extension: Make, lambda_telemetry: LambdaTelemetry, how: str
) -> None:
    extension()
    assert lambda_telemetry.invoke(status="timeout").outcome == "function-timeout"
    with pytest.raises(MisuseError, match=r"ended with a time-out, .*; call shutdown\('timeout'\) or restart\(\)"):
        lambda_telemetry.invoke()
    if how == "shutdown":
        lambda_telemetry.shutdown("timeout")
        with pytest.raises(MisuseError, match="has shut down"):
            lambda_telemetry.invoke()
    lambda_telemetry.restart()
    assert lambda_telemetry.invoke().outcome == "completed"


@pytest.mark.parametrize(
    "error",
    [MisuseError("no"), ProtocolViolation("no"), LambdaTelemetryWarning("no")],
    ids=lambda error: type(error).__name__,
)
def test_the_tests_own_mistake_is_no_error_of_the_function(
    extension: Make, lambda_telemetry: LambdaTelemetry, error: Exception
) -> None:
    ext = extension(buffering=QUICK)
    with pytest.raises(type(error)), lambda_telemetry.invocation():
        raise error
    assert [record["status"] for record in ext.of("platform.runtimeDone")] == ["success"]


# -- Managed Instances -------------------------------------------------------------------------------------------------

MANAGED = pytest.mark.lambda_telemetry(initialization_type="lambda-managed-instances")


@MANAGED
def test_managed_instances_run_invocations_at_the_same_time(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, buffering=QUICK)
        with lambda_telemetry.invocation(duration_ms=30) as a, lambda_telemetry.invocation(duration_ms=20) as b:
            a.log("a")
            b.log("b")
            a.log("a again")
        lambda_telemetry.shutdown()
        events = [event for batch in listener.batches for event in batch]
        assert [event["record"] for event in events if event["type"] == "function"] == ["a", "b", "a again"]
        reported = [event["record"]["requestId"] for event in events if event["type"] == "platform.report"]
        assert reported == [b.request_id, a.request_id]


@MANAGED
def test_invoke_takes_how_many_at_the_same_time(lambda_telemetry: LambdaTelemetry) -> None:
    with Listener() as listener:
        lambda_telemetry.subscribe(listener.uri, buffering=QUICK)
        made = lambda_telemetry.invoke(logs=["one", "two"], concurrent=3)
        assert len({one.request_id for one in made}) == 3
        lambda_telemetry.shutdown()
        records = [event["record"] for batch in listener.batches for event in batch if event["type"] == "function"]
        assert records == ["one"] * 3 + ["two"] * 3


def test_elsewhere_one_invocation_runs_at_a_time(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(MisuseError, match=r"concurrent=2: .* only on Lambda Managed Instances"):
        lambda_telemetry.invoke(concurrent=2)
    with lambda_telemetry.invocation(), pytest.raises(MisuseError, match="an invocation is running"):
        with lambda_telemetry.invocation():
            pass


@MANAGED
def test_managed_instances_do_not_shut_down_for_a_time_out(lambda_telemetry: LambdaTelemetry) -> None:
    with pytest.raises(MisuseError, match="must be one of 'spindown', 'failure'"):
        lambda_telemetry.shutdown("timeout")
