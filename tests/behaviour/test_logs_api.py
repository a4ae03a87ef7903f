"""The Logs API, the Telemetry API's older twin, over real sockets."""

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation, Settings, events
from pytest_lambda_telemetry.protocol.profiles import Fidelity
from tests.support.helpers import (
    EXTENSION,
    IDENTIFIER,
    Answer,
    Listener,
    call,
    register,
    running,
    subscribe,
    subscribe_body,
)

LOGS = "/2020-08-15/logs"
TYPES = ["platform", "function", "extension"]


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as made:
        yield made


def subscribe_logs(identifier: str, port: int, **changes: Any) -> Answer:
    body = {
        "types": TYPES,
        "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}/logs"},
        **changes,
    }
    return call("PUT", LOGS, body, {IDENTIFIER: identifier})


def test_a_subscription_without_a_version_has_the_defaults(
    lambda_telemetry: LambdaTelemetry, listener: Listener
) -> None:
    answer = subscribe_logs(register(), listener.port)
    assert (answer.status, answer.body) == (200, "OK")
    subscription = lambda_telemetry.assert_subscribed(
        "ext", schema_version="2020-08-15", buffering={"max_items": 10_000, "max_bytes": 262_144, "timeout_ms": 1000}
    )
    assert subscription.destination.path == "/logs"


@pytest.mark.parametrize("version", ["2020-08-15", "2021-03-18"])
def test_both_versions_are_accepted(lambda_telemetry: LambdaTelemetry, listener: Listener, version: str) -> None:
    assert subscribe_logs(register(), listener.port, schemaVersion=version).status == 200
    lambda_telemetry.assert_subscribed(schema_version=version)


@pytest.mark.parametrize(
    ("version", "runtime_done"),
    [("2020-08-15", []), ("2021-03-18", ["platform.runtimeDone"])],
)
def test_an_invocation_in_the_events_of_this_api(
    lambda_telemetry: LambdaTelemetry, listener: Listener, version: str, runtime_done: list[str]
) -> None:
    identifier = register(events=["SHUTDOWN"])
    subscribe_logs(identifier, listener.port, schemaVersion=version)
    call("POST", f"{EXTENSION}/init/error", None, {IDENTIFIER: identifier, "Lambda-Extension-Function-Error-Type": "E"})
    with lambda_telemetry.invocation(duration_ms=20, request_id="r-1") as invocation:
        invocation.log("a line", {"level": "INFO", "message": "structured"})
    lambda_telemetry.flush()
    received = [event for batch in listener.batches for event in batch]
    assert [event["type"] for event in received] == [
        "platform.logsSubscription",
        "platform.extension",
        "platform.start",
        "function",
        "function",
        *runtime_done,
        "platform.end",
        "platform.report",
    ]
    by_type = {event["type"]: event["record"] for event in received}
    assert by_type["platform.logsSubscription"] == {"name": "ext", "state": "Subscribed", "types": sorted(TYPES)}
    assert by_type["platform.extension"] == {"name": "ext", "state": "InitError", "events": ["SHUTDOWN"]}
    assert by_type["platform.start"] == {"requestId": "r-1", "version": "$LATEST"}
    assert by_type["platform.end"] == {"requestId": "r-1"}
    assert by_type.get("platform.runtimeDone", {"requestId": "r-1", "status": "success"}) == {
        "requestId": "r-1",
        "status": "success",
    }
    report = by_type["platform.report"]
    assert report.keys() == {"requestId", "metrics"}
    assert report["metrics"].keys() == {
        "durationMs",
        "billedDurationMs",
        "memorySizeMB",
        "maxMemoryUsedMB",
        "initDurationMs",
    }
    lines = [event["record"] for event in received if event["type"] == "function"]
    assert lines[0] == "a line"
    assert isinstance(lines[1], str)
    assert '"structured"' in lines[1]


def test_types_select_here_too(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    subscribe_logs(register(), listener.port, types=["function"])
    lambda_telemetry.emit(events.function("f"), events.extension("e"), events.platform_start())
    [delivery] = lambda_telemetry.advance(seconds=1)
    assert delivery.types == ("function",)


def test_a_fault_is_a_string_and_a_loss_is_announced(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    subscribe_logs(register(), listener.port, types=["platform"])
    lambda_telemetry.flush()
    fault = events.from_dict({"type": "platform.fault", "record": "RequestId: 1 Error: Runtime exited"})
    lambda_telemetry.emit(fault, events.platform_logs_dropped(reason="slow", dropped_records=2, dropped_bytes=9))
    [delivery] = lambda_telemetry.flush()
    assert [(event["type"], event["record"]) for event in delivery.events] == [
        ("platform.fault", "RequestId: 1 Error: Runtime exited"),
        ("platform.logsDropped", {"reason": "slow", "droppedRecords": 2, "droppedBytes": 9}),
    ]


def test_under_json_logging_records_are_strings_still(listener: Listener) -> None:
    with LambdaTelemetry(Settings(log_format="JSON")) as environment:
        subscribe_logs(register(), listener.port, types=["function"])
        environment.emit(events.function("plain"), events.function('{"a": 1}'))
        [delivery] = environment.flush()
        assert [event["record"] for event in delivery.events] == ["plain", '{"a": 1}']


def test_the_same_subscription_again_is_no_second_one(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    identifier = register()
    for _ in range(2):
        assert subscribe_logs(identifier, listener.port).body == "OK"
    assert len(lambda_telemetry.subscriptions) == 1


# -- one of the two APIs -----------------------------------------------------------------------------------------------

EITHER = "You must either subscribe to the LogsAPI or the TelemetryAPI"


@pytest.mark.parametrize(
    ("fidelity", "telemetry_type", "logs_type"),
    [
        ("documented", "ValidationError", "Logs.ValidationError"),
        ("observed", "Telemetry.AccessDenied", "Logs.AccessDenied"),
    ],
)
def test_the_two_apis_exclude_one_another(
    listener: Listener, fidelity: Fidelity, telemetry_type: str, logs_type: str
) -> None:
    with LambdaTelemetry(Settings(fidelity=fidelity)) as environment:
        telemetry, logs = register("telemetry-first"), register("logs-first")
        assert subscribe(telemetry, subscribe_body(listener.port)).status == 200
        assert subscribe_logs(logs, listener.port).status == 200
        with environment.expect_rejection("already subscribed") as refused:
            second = subscribe_logs(telemetry, listener.port)
            third = subscribe(logs, subscribe_body(listener.port))
        assert (second.status, second.body) == (
            400,
            {
                "errorType": logs_type,
                "errorMessage": f"The extension telemetry-first is already subscribed to the TelemetryAPI. {EITHER}",
            },
        )
        assert (third.status, third.body) == (
            400,
            {
                "errorType": telemetry_type,
                "errorMessage": f"The extension logs-first is already subscribed to the LogsAPI. {EITHER}",
            },
        )
        assert [one.extension_name for one in refused.rejections] == ["telemetry-first", "logs-first"]
        assert len(environment.subscriptions) == 2


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "observed"),
    [
        ({"schemaVersion": "2022-07-01"}, "Logs.DeserializationError"),
        ({"types": []}, "Logs.ValidationError"),
        ({"types": ["platform.start"]}, "Logs.DeserializationError"),
        ({"buffering": {"maxItems": 999}}, "Logs.ValidationError"),
        ({"extra": 1}, "Logs.DeserializationError"),
    ],
)
@pytest.mark.parametrize("fidelity", ["documented", "observed"])
def test_error_types_have_the_prefix(listener: Listener, fidelity: Fidelity, changes: Any, observed: str) -> None:
    with LambdaTelemetry(Settings(fidelity=fidelity)) as environment:
        with environment.expect_rejection():
            answer = subscribe_logs(register(), listener.port, **changes)
        expected = observed if fidelity == "observed" else "Logs.ValidationError"
        assert (answer.status, answer.body["errorType"]) == (400, expected)


def test_observed_prefixes_of_the_other_kinds(listener: Listener) -> None:
    with LambdaTelemetry(Settings(fidelity="observed")) as environment:
        identifier = register()
        with environment.expect_rejection():
            undecodable = call("PUT", LOGS, headers={IDENTIFIER: identifier}, raw=b"{")
            denied = subscribe_logs(
                identifier, 1, destination={"protocol": "HTTP", "URI": f"http://127.0.0.1:{listener.port}"}
            )
        assert (undecodable.status, undecodable.body["errorType"]) == (400, "Logs.DeserializationError")
        assert (denied.status, denied.body["errorType"]) == (403, "Logs.AccessDenied")


def test_after_init_it_is_closed(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    identifier = register()
    with running(lambda: call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: identifier})):
        lambda_telemetry.wait_until_ready()
        lambda_telemetry.end_init()
        with lambda_telemetry.expect_rejection() as refused:
            answer = subscribe_logs(identifier, listener.port)
        lambda_telemetry.shutdown()
    assert (answer.status, answer.body) == (
        403,
        {"errorType": "Logs.SubscriptionClosed", "errorMessage": "Logs API subscription is closed already"},
    )
    assert refused.rejection.error_type == "Logs.SubscriptionClosed"


@pytest.mark.lambda_telemetry(local_testing=True)
def test_in_local_testing_it_is_not_supported(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    answer = subscribe_logs(register(), listener.port, types=[])
    assert (answer.status, answer.body) == (
        202,
        {"errorType": "Logs.NotSupported", "errorMessage": "Logs API is not supported"},
    )


@pytest.mark.lambda_telemetry(initialization_type="lambda-managed-instances")
def test_managed_instances_have_none(lambda_telemetry: LambdaTelemetry, listener: Listener) -> None:
    identifier = register(events=["SHUTDOWN"])
    with lambda_telemetry.expect_rejection("Logs API is not supported") as expected:
        answer = subscribe_logs(identifier, listener.port, types=[])
    assert (answer.status, answer.body["errorType"]) == (403, "Logs.NotSupported")
    assert expected.rejection.extension_name == "ext"
    body = subscribe_body(listener.port, schemaVersion="2025-01-29")
    assert subscribe(identifier, body).status == 200


def test_an_unexpected_refusal_is_a_violation(listener: Listener) -> None:
    with pytest.raises(ProtocolViolation, match=r"was refused: 400 Logs\.ValidationError"), LambdaTelemetry():
        subscribe_logs(register(), listener.port, types=["everything"])


@pytest.mark.lambda_telemetry(strict=False)
def test_without_an_identifier_the_types_are_those_of_extensions(
    lambda_telemetry: LambdaTelemetry, listener: Listener
) -> None:
    with lambda_telemetry.expect_rejection():
        answer = call("PUT", LOGS, {})
    assert (answer.status, answer.body["errorType"]) == (403, "Extension.MissingExtensionIdentifier")
    answer = call("POST", LOGS, {})
    assert (answer.status, answer.headers["Allow"]) == (405, "PUT")
