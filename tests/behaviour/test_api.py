"""Lambda's side of the Extensions, Telemetry and Logs APIs, over real sockets: every answer and every refusal."""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, ProtocolViolation, RouteName, Settings, WaitTimeout
from pytest_lambda_telemetry.wire.exchange import Malformed
from tests.support.helpers import (
    EXTENSION,
    IDENTIFIER,
    TELEMETRY,
    Answer,
    call,
    register,
    running,
    subscribe,
    subscribe_body,
)

LOGS = "/2020-08-15/logs"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
lenient = pytest.mark.lambda_telemetry(strict=False)
observed = pytest.mark.lambda_telemetry(strict=False, fidelity="observed")
managed = pytest.mark.lambda_telemetry(strict=False, initialization_type="lambda-managed-instances")


def enrol(events: Any = ("INVOKE",), name: str | None = "ext", raw: bytes | None = None, **headers: str) -> Answer:
    named = {} if name is None else {"Lambda-Extension-Name": name}
    return call("POST", f"{EXTENSION}/register", {"events": events}, {**named, **headers}, raw=raw)


def poll(identifier: str) -> Answer:
    return call("GET", f"{EXTENSION}/event/next", None, {IDENTIFIER: identifier})


def report(kind: str, identifier: str, error_type: str | None = "Extension.Broken") -> Answer:
    headers = {IDENTIFIER: identifier}
    if error_type is not None:
        headers["Lambda-Extension-Function-Error-Type"] = error_type
    return call("POST", f"{EXTENSION}/{kind}/error", {"errorMessage": "x"}, headers)


def error(answer: Answer) -> tuple[int, str]:
    assert set(answer.body) == {"errorType", "errorMessage"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body["errorMessage"]
    return answer.status, answer.body["errorType"]


# -- registration ------------------------------------------------------------------------------------------------------


def test_a_registration_is_answered_with_the_function_and_an_identifier(lambda_telemetry: LambdaTelemetry) -> None:
    answer = enrol(["INVOKE", "SHUTDOWN"])
    assert answer.status == 200
    assert answer.body == {
        "functionName": "test-function",
        "functionVersion": "$LATEST",
        "handler": "lambda_function.lambda_handler",
    }
    identifier = answer.headers[IDENTIFIER]
    assert str(UUID(identifier)) == identifier
    (extension,) = lambda_telemetry.extensions
    assert (extension.name, extension.extension_id, extension.events) == ("ext", identifier, ("INVOKE", "SHUTDOWN"))
    assert extension.headers["lambda-extension-name"] == "ext"
    assert extension.at == lambda_telemetry.now


@pytest.mark.parametrize("feature", ["accountId", "x, accountId", "accountId,y"])
def test_the_account_is_there_for_who_accepts_it(lambda_telemetry: LambdaTelemetry, feature: str) -> None:
    header: dict[str, Any] = {"Lambda-Extension-Accept-Feature": feature}
    answer = enrol(**header)
    assert answer.body["accountId"] == "123456789012"


def test_events_may_be_none_at_all(lambda_telemetry: LambdaTelemetry) -> None:
    assert enrol([]).status == 200


@lenient
@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        (lambda: enrol(name=None), "Extension.InvalidExtensionName"),
        (lambda: enrol(name=""), "Extension.InvalidExtensionName"),
        (lambda: enrol(raw=b"not json"), "InvalidRequestFormat"),
        (lambda: enrol(raw=b"[]"), "InvalidRequestFormat"),
        (lambda: enrol(["INVOKED"]), "Extension.InvalidEventType"),
        (lambda: enrol(["invoke"]), "Extension.InvalidEventType"),
        (lambda: enrol() and enrol(), "Extension.InvalidExtensionState"),
    ],
    ids=["no name", "empty name", "no JSON", "no object", "unknown event", "lower case", "twice"],
)
def test_a_bad_registration_is_refused(
    lambda_telemetry: LambdaTelemetry, attempt: Callable[[], Answer], expected: str
) -> None:
    assert error(attempt()) == (403, expected)
    assert lambda_telemetry.rejections == ()


def test_a_name_cannot_command_the_terminal_that_shows_the_timeline(lambda_telemetry: LambdaTelemetry) -> None:
    register("a\x9b31mb")
    assert "a\\x9b31mb" in lambda_telemetry.timeline()
    assert "\x9b" not in lambda_telemetry.timeline()


@lenient
def test_a_control_character_in_a_header_is_refused(lambda_telemetry: LambdaTelemetry) -> None:
    assert error(enrol(name="a\x1b[31mb")) == (400, "BadRequest")
    assert "\x1b" not in lambda_telemetry.timeline()


@lenient
def test_a_registration_after_init_is_refused(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.end_init()
    assert error(enrol()) == (403, "Extension.RegistrationClosed")


@lenient
def test_the_eleventh_extension_is_refused(lambda_telemetry: LambdaTelemetry) -> None:
    assert [enrol(name=f"ext-{number}").status for number in range(10)] == [200] * 10
    assert error(enrol(name="ext-10")) == (403, "Extension.TooManyExtensions")
    assert len(lambda_telemetry.extensions) == 10


@managed
def test_managed_instances_have_no_invoke(lambda_telemetry: LambdaTelemetry) -> None:
    assert error(enrol(["INVOKE"])) == (403, "Extension.InvalidEventType")
    assert enrol(["SHUTDOWN"]).status == 200
    assert error(subscribe(lambda_telemetry.extensions[0].extension_id, subscribe_body(4243))) == (
        400,
        "ValidationError",
    )
    body = subscribe_body(4243, schemaVersion="2025-01-29")
    assert subscribe(lambda_telemetry.extensions[0].extension_id, body).status == 200


@pytest.mark.lambda_telemetry(strict=False, internal_extensions=("inner",))
def test_an_internal_extension_may_not_have_shutdown(lambda_telemetry: LambdaTelemetry) -> None:
    assert error(enrol(["SHUTDOWN"], name="inner"))[0] == 403
    assert enrol(["INVOKE"], name="inner").status == 200
    assert enrol(["SHUTDOWN"], name="outer").status == 200


# -- identifiers, methods, paths ---------------------------------------------------------------------------------------

BROKEN = {"Lambda-Extension-Function-Error-Type": "Extension.Broken"}
CALLS: dict[str, Callable[[dict[str, str]], Answer]] = {
    "subscribe": lambda headers: call("PUT", TELEMETRY, subscribe_body(4243), headers),
    "logs": lambda headers: call("PUT", LOGS, subscribe_body(4243), headers),
    "next": lambda headers: call("GET", f"{EXTENSION}/event/next", None, headers),
    "init error": lambda headers: call("POST", f"{EXTENSION}/init/error", {}, {**headers, **BROKEN}),
    "exit error": lambda headers: call("POST", f"{EXTENSION}/exit/error", {}, {**headers, **BROKEN}),
}


@lenient
@pytest.mark.parametrize("which", CALLS)
@pytest.mark.parametrize(
    ("headers", "expected", "message"),
    [
        ({}, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
        ({IDENTIFIER: "me"}, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"),
        ({IDENTIFIER: UNKNOWN}, "Extension.UnknownExtensionIdentifier", f"Unknown extension {UNKNOWN}"),
    ],
    ids=["missing", "invalid", "unknown"],
)
def test_without_a_good_identifier_nothing_goes(
    lambda_telemetry: LambdaTelemetry, which: str, headers: dict[str, str], expected: str, message: str
) -> None:
    answer = CALLS[which](headers)
    assert error(answer) == (403, expected)
    assert answer.body["errorMessage"] == message


@lenient
@pytest.mark.parametrize(
    "form", [str.upper, "{{{}}}".format, "urn:uuid:{}".format, lambda identifier: identifier.replace("-", "")]
)
def test_an_identifier_may_be_written_in_any_form_of_a_uuid(
    lambda_telemetry: LambdaTelemetry, form: Callable[[str], str]
) -> None:
    identifier = form(register())
    assert subscribe(identifier, subscribe_body(4243)).status == 200
    assert report("exit", identifier).status == 202
    assert poll(identifier).body["errorMessage"] == "Extension ext is ExitError: next is not allowed"


def test_a_poll_finds_its_extension_by_any_form_of_its_identifier(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    thread = threading.Thread(target=poll, args=(f"urn:uuid:{identifier.upper()}",))
    thread.start()
    lambda_telemetry.wait_until_ready("ext")
    assert lambda_telemetry.extensions[0].state == "Ready"
    lambda_telemetry.shutdown()
    thread.join()


@lenient
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", f"{EXTENSION}/register", "POST"),
        ("POST", f"{EXTENSION}/event/next", "GET"),
        ("PUT", f"{EXTENSION}/init/error", "POST"),
        ("GET", f"{EXTENSION}/exit/error", "POST"),
        ("POST", TELEMETRY, "PUT"),
        ("DELETE", LOGS, "PUT"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(
    lambda_telemetry: LambdaTelemetry, method: str, path: str, allowed: str
) -> None:
    answer = call(method, path)
    assert error(answer)[0] == 405
    assert answer.headers["Allow"] == allowed


@lenient
@pytest.mark.parametrize("path", ["/", "/2022-07-02/telemetry", "/2022年07月01日/telemetry".encode().decode("latin-1")])
def test_an_unknown_path_is_not_found(lambda_telemetry: LambdaTelemetry, path: str) -> None:
    with socket.create_connection(("127.0.0.1", int(lambda_telemetry.runtime_api.partition(":")[2])), 20) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode("latin-1"))
        assert sock.makefile("rb").readline().split()[1] == b"404"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{EXTENSION}/register/"),
        ("GET", f"{EXTENSION}/event/next/"),
        ("POST", f"{EXTENSION}/init/error/"),
        ("POST", f"{EXTENSION}/exit/error/"),
        ("PUT", f"{LOGS}/"),
        ("PUT", f"{TELEMETRY}//"),
        ("PUT", "/2025-01-29/telemetry"),
    ],
)
@lenient
def test_a_trailing_slash_anywhere_else_and_another_version_are_not_found(
    lambda_telemetry: LambdaTelemetry, method: str, path: str
) -> None:
    assert error(call(method, path, {}, {IDENTIFIER: register(), **BROKEN}))[0] == 404


@pytest.mark.lambda_telemetry(strict=False, fidelity="observed")
def test_the_live_service_writes_every_error_in_its_own_way(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    lambda_telemetry.reject_next("next", 500)
    answers = [
        subscribe(identifier, {}),
        call("PUT", "/nothing"),
        call("POST", TELEMETRY),
        subscribe("me", {}),
        enrol(["NONE"]),
        poll(identifier),
        call("PUT", TELEMETRY, headers={IDENTIFIER: identifier}, raw=b" " * 2_000_000),
    ]
    assert [answer.status for answer in answers] == [400, 404, 405, 403, 403, 500, 413]
    for answer in answers:
        assert list(answer.body) == ["errorMessage", "errorType"]
        assert answer.raw == json.dumps(answer.body, separators=(",", ":")).encode() + b"\n"


def test_a_trailing_slash_and_a_query_are_tolerated(lambda_telemetry: LambdaTelemetry) -> None:
    answer = call("PUT", f"{TELEMETRY}/?a=b", subscribe_body(4243), {IDENTIFIER: register()})
    assert (answer.status, answer.raw) == (200, b'"OK"')
    assert lambda_telemetry.requests[-1].path == f"{TELEMETRY}/?a=b"


# -- subscriptions -----------------------------------------------------------------------------------------------------


def test_a_subscription_is_answered_ok_and_recorded(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    body = subscribe_body(4243, buffering={"timeoutMs": 100})
    answer = subscribe(identifier, body)
    assert (answer.status, answer.raw, answer.headers["Content-Type"]) == (200, b'"OK"', "application/json")
    (subscription,) = lambda_telemetry.subscriptions
    assert subscription.extension_name == "ext"
    assert subscription.extension_id == identifier
    assert subscription.body == body
    assert json.loads(subscription.raw) == body
    assert subscription.headers["lambda-extension-identifier"] == identifier
    request = lambda_telemetry.requests[-1]
    assert (request.method, request.path, request.status, request.response) == ("PUT", TELEMETRY, 200, "OK")


@lenient
def test_the_phase_is_checked_before_the_body_and_the_identifier_before_the_phase(
    lambda_telemetry: LambdaTelemetry,
) -> None:
    identifier = register()
    with running(lambda: poll(identifier)):
        lambda_telemetry.wait_until_ready()
        lambda_telemetry.end_init()
        answer = call("PUT", TELEMETRY, None, {IDENTIFIER: identifier}, raw=b"not json")
        assert error(answer) == (403, "Telemetry.SubscriptionClosed")
        assert answer.body["errorMessage"] == "Telemetry API subscription is closed already"
        assert error(call("PUT", TELEMETRY, None, {IDENTIFIER: UNKNOWN}))[1] == "Extension.UnknownExtensionIdentifier"
        lambda_telemetry.shutdown()
    assert [rejection.error_type for rejection in lambda_telemetry.rejections] == [
        "Telemetry.SubscriptionClosed",
        "Extension.UnknownExtensionIdentifier",
    ]


def two_faults_and_no_json() -> tuple[Answer, Answer]:
    identifier = register()
    faulty = subscribe_body(4243, types=[], buffering={"maxItems": 1})
    return subscribe(identifier, faulty), call("PUT", TELEMETRY, None, {IDENTIFIER: identifier}, raw=b"{")


@lenient
def test_the_documented_service_names_every_fault(lambda_telemetry: LambdaTelemetry) -> None:
    two_faults, no_json = two_faults_and_no_json()
    assert error(two_faults) == (400, "ValidationError")
    assert two_faults.body["errorMessage"].count("; ") == 1
    assert error(no_json) == (400, "ValidationError")
    assert [len(rejection.faults) for rejection in lambda_telemetry.rejections] == [2, 1]


@observed
def test_the_live_service_names_the_first_fault(lambda_telemetry: LambdaTelemetry) -> None:
    two_faults, no_json = two_faults_and_no_json()
    assert error(two_faults) == (400, "Telemetry.ValidationError")
    assert "; " not in two_faults.body["errorMessage"]
    assert error(no_json) == (400, "Telemetry.DeserializationError")


def test_the_very_same_subscription_again_changes_nothing(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    body = subscribe_body(4243)
    assert subscribe(identifier, body).body == "OK"
    assert subscribe(identifier, dict(reversed(body.items()))).body == "OK"
    assert len(lambda_telemetry.subscriptions) == 1
    assert announced(lambda_telemetry) == ["Subscribed"]


@pytest.mark.lambda_telemetry(fidelity="observed")
def test_the_live_service_says_that_it_knows_it(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    assert subscribe(identifier, subscribe_body(4243)).body == "OK"
    again = subscribe(identifier, subscribe_body(4243))
    assert (again.status, again.body) == (200, "AlreadySubscribed")
    assert len(lambda_telemetry.subscriptions) == 1
    assert announced(lambda_telemetry) == ["Subscribed", "Already subscribed"]


def announced(lambda_telemetry: LambdaTelemetry) -> list[str]:
    """The states of the telemetrySubscription events that wait for delivery."""
    lambda_telemetry.fail_next_delivery(200)
    lambda_telemetry.flush()
    return [
        event["record"]["state"]
        for delivery in lambda_telemetry.deliveries
        for event in delivery.events
        if event["type"] == "platform.telemetrySubscription"
    ]


def test_a_different_subscription_stands_beside_the_first(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    assert subscribe(identifier, subscribe_body(4243)).body == "OK"
    assert subscribe(identifier, subscribe_body(4244)).body == "OK"
    assert [one.destination.port for one in lambda_telemetry.subscriptions] == [4243, 4244]


@pytest.mark.parametrize(
    ("first", "second", "documented", "seen"),
    [
        (TELEMETRY, LOGS, "Logs.ValidationError", "Logs.AccessDenied"),
        (LOGS, TELEMETRY, "ValidationError", "Telemetry.AccessDenied"),
    ],
)
@pytest.mark.parametrize("fidelity", ["documented", "observed"])
def test_an_extension_uses_one_api_or_the_other(
    first: str, second: str, documented: str, seen: str, fidelity: Any
) -> None:
    def put(path: str) -> Answer:
        version = {"schemaVersion": "2020-08-15"} if path == LOGS else {}
        return call("PUT", path, subscribe_body(4243, **version), {IDENTIFIER: identifier})

    with LambdaTelemetry(Settings(strict=False, fidelity=fidelity)) as lambda_telemetry:
        identifier = register()
        assert put(first).status == 200
        refused = put(second)
        assert error(refused) == (400, documented if fidelity == "documented" else seen)
        assert len(lambda_telemetry.subscriptions) == 1
        other = register("other")
        identifier = other
        assert put(second).status == 200


@pytest.mark.lambda_telemetry(local_testing=True)
@pytest.mark.parametrize(("path", "prefix"), [(TELEMETRY, "Telemetry"), (LOGS, "Logs")])
def test_in_local_testing_any_subscription_is_answered_202(
    lambda_telemetry: LambdaTelemetry, path: str, prefix: str
) -> None:
    answer = call("PUT", path, None, {IDENTIFIER: register()}, raw=b"whatever")
    assert error(answer) == (202, f"{prefix}.NotSupported")
    assert answer.raw == (
        f'{{"errorType":"{prefix}.NotSupported","errorMessage":"{prefix} API is not supported"}}'.encode()
    )
    assert (lambda_telemetry.subscriptions, lambda_telemetry.rejections) == ((), ())


# -- the long poll -----------------------------------------------------------------------------------------------------


def test_an_invocation_and_a_shutdown_reach_the_poll(lambda_telemetry: LambdaTelemetry) -> None:
    received: list[Any] = []
    identifiers: list[str | None] = []

    def life() -> None:
        identifier = register()
        while not received or received[-1]["eventType"] != "SHUTDOWN":
            answer = poll(identifier)
            received.append(answer.body)
            identifiers.append(answer.headers["Lambda-Extension-Event-Identifier"])

    with running(life):
        lambda_telemetry.wait_until_ready()
        invocation = lambda_telemetry.invoke()
        lambda_telemetry.shutdown("timeout")
    invoke, shutdown = received
    of_invoke, of_shutdown = identifiers
    assert str(UUID(of_invoke)) == of_invoke
    assert of_shutdown is None
    assert set(invoke) == {"eventType", "deadlineMs", "requestId", "invokedFunctionArn", "tracing"}
    assert invoke["requestId"] == invocation.request_id
    assert invoke["invokedFunctionArn"] == "arn:aws:lambda:us-east-1:123456789012:function:test-function"
    assert invoke["tracing"]["type"] == "X-Amzn-Trace-Id"
    assert isinstance(invoke["deadlineMs"], int)
    assert set(shutdown) == {"eventType", "deadlineMs", "shutdownReason"}
    assert shutdown["shutdownReason"] == "timeout"


@lenient
def test_a_second_poll_beside_the_first_is_refused(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    with running(lambda: poll(identifier)):
        lambda_telemetry.wait_until_ready()
        assert error(poll(identifier)) == (403, "Extension.InvalidExtensionState")
        lambda_telemetry.shutdown()


def test_a_client_that_gave_its_poll_up_may_poll_again(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    port = int(lambda_telemetry.runtime_api.partition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"GET {EXTENSION}/event/next HTTP/1.1\r\nHost: x\r\n{IDENTIFIER}: {identifier}\r\n\r\n".encode())
        lambda_telemetry.wait_until_ready()
    answers: list[Answer] = []
    with running(lambda: answers.append(poll(identifier))):
        polls = 2
        lambda_telemetry.wait_until(lambda: lambda_telemetry.timeline().count("asks for its next event") == polls)
        lambda_telemetry.shutdown()
    assert answers[0].body["eventType"] == "SHUTDOWN"


def test_an_extension_whose_client_has_gone_is_not_ready(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    port = int(lambda_telemetry.runtime_api.partition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"GET {EXTENSION}/event/next HTTP/1.1\r\nHost: x\r\n{IDENTIFIER}: {identifier}\r\n\r\n".encode())
        lambda_telemetry.wait_until_ready()
    with pytest.raises(WaitTimeout, match="'ext' is Ready, but it closed the connection of its poll"):
        lambda_telemetry.wait_until_ready(timeout=0.01)


def test_a_poll_is_recorded_once_it_is_answered(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    with running(lambda: poll(identifier)):
        lambda_telemetry.wait_until_ready()
        assert len(lambda_telemetry.requests) == 1
        lambda_telemetry.shutdown()
    assert [request.path for request in lambda_telemetry.requests][-1] == f"{EXTENSION}/event/next"
    assert lambda_telemetry.requests[-1].response["eventType"] == "SHUTDOWN"


def test_an_event_that_came_before_the_poll_waits_for_it(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    lambda_telemetry.shutdown()
    assert poll(identifier).body["eventType"] == "SHUTDOWN"


def test_many_extensions_wait_at_once(lambda_telemetry: LambdaTelemetry) -> None:
    answers: list[str] = []

    def life(number: int) -> None:
        answers.append(poll(register(f"ext-{number}")).body["eventType"])

    threads = [threading.Thread(target=life, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    lambda_telemetry.wait_until(lambda: len(lambda_telemetry.extensions) == 10)
    lambda_telemetry.wait_until_ready()
    lambda_telemetry.shutdown()
    for thread in threads:
        thread.join(30)
    assert answers == ["SHUTDOWN"] * 10


# -- errors an extension reports ---------------------------------------------------------------------------------------


@lenient
@pytest.mark.parametrize("kind", ["init", "exit"])
def test_a_reported_error_is_accepted_and_ends_the_extension(lambda_telemetry: LambdaTelemetry, kind: str) -> None:
    identifier = register()
    answer = report(kind, identifier)
    assert (answer.status, answer.raw) == (202, b'{"status":"OK"}')
    (extension,) = lambda_telemetry.extensions
    assert extension.errors == ("Extension.Broken",)
    for refused in (
        poll(identifier),
        report("exit" if kind == "init" else "init", identifier),
        subscribe(identifier, subscribe_body(4243)),
    ):
        assert error(refused) == (403, "Extension.InvalidExtensionState")
    again = report(kind, identifier, "Extension.Other")
    assert (again.status, again.raw) == (202, b'{"status":"OK"}')
    assert lambda_telemetry.extensions == (extension,)


@pytest.mark.parametrize(("kind", "reported"), [("init", "Extension.InitError"), ("exit", "Extension.ExitError")])
def test_an_error_type_of_another_form_is_replaced(lambda_telemetry: LambdaTelemetry, kind: str, reported: str) -> None:
    assert report(kind, register(), "ConfigInvalid").status == 202
    assert lambda_telemetry.extensions[0].errors == (reported,)
    assert 'the error type "ConfigInvalid" does not look like Extension.Name' in lambda_telemetry.timeline()


@lenient
@pytest.mark.parametrize("kind", ["init", "exit"])
def test_a_reported_error_has_a_type(lambda_telemetry: LambdaTelemetry, kind: str) -> None:
    identifier = register()
    for sender in (identifier, UNKNOWN):  # looked at before the sender is looked up
        assert error(report(kind, sender, None)) == (403, "Extension.MissingHeader")
    assert error(report(kind, "me", None)) == (403, "Extension.InvalidExtensionIdentifier")
    assert report(kind, identifier).status == 202


# -- answers the test makes up -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "attempt"),
    [
        ("register", lambda _: enrol(name="new")),
        ("next", poll),
        ("subscribe", lambda identifier: subscribe(identifier, subscribe_body(4243))),
        ("init_error", lambda identifier: report("init", identifier)),
        ("exit_error", lambda identifier: report("exit", identifier)),
    ],
)
def test_any_route_can_be_made_to_fail(
    lambda_telemetry: LambdaTelemetry, route: RouteName, attempt: Callable[[str], Answer]
) -> None:
    identifier = register()
    lambda_telemetry.reject_next(route, times=2)
    lambda_telemetry.reject_next(route, 429, "Throttled", "slow down")
    for _ in range(2):
        answer = attempt(identifier)
        assert (answer.status, answer.body) == (
            500,
            {"errorType": "InternalServerError", "errorMessage": "Internal Server Error"},
        )
    answer = attempt(identifier)
    assert (answer.status, answer.body) == (429, {"errorType": "Throttled", "errorMessage": "slow down"})
    lambda_telemetry.check()
    if route != "next":
        assert attempt(identifier).status in (200, 202)
    assert len(lambda_telemetry.rejections) == (3 if route == "subscribe" else 0)


def test_a_subscribe_whose_body_is_too_large_is_a_rejection_too(lambda_telemetry: LambdaTelemetry) -> None:
    identifier = register()
    with lambda_telemetry.expect_rejection("RequestEntityTooLarge") as expected:
        answer = call("PUT", TELEMETRY, headers={IDENTIFIER: identifier}, raw=b" " * 2_000_000)
    assert (answer.status, answer.body["errorType"]) == (413, "RequestEntityTooLarge")
    assert (expected.rejection.status, expected.rejection.extension_name) == (413, "ext")
    assert [request.status for request in lambda_telemetry.requests] == [200, 413]


@lenient
def test_what_comes_before_the_body_is_checked_although_the_body_is_too_large(
    lambda_telemetry: LambdaTelemetry,
) -> None:
    def send(method: str, path: str, **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return error(call(method, path, headers=named, raw=b" " * 2_000_000))

    identifier = register()
    too_large = (413, "RequestEntityTooLarge")
    assert send("PUT", TELEMETRY) == (403, "Extension.MissingExtensionIdentifier")
    assert send("PUT", TELEMETRY, Lambda_Extension_Identifier="me") == (403, "Extension.InvalidExtensionIdentifier")
    assert send("PUT", TELEMETRY, Lambda_Extension_Identifier=UNKNOWN)[1] == "Extension.UnknownExtensionIdentifier"
    assert send("PUT", TELEMETRY, Lambda_Extension_Identifier=identifier) == too_large
    assert send("POST", f"{EXTENSION}/register") == (403, "Extension.InvalidExtensionName")
    assert send("POST", f"{EXTENSION}/register", Lambda_Extension_Name="new") == too_large
    assert send("GET", f"{EXTENSION}/event/next", Lambda_Extension_Identifier=identifier) == too_large
    assert send("POST", f"{EXTENSION}/exit/error", Lambda_Extension_Identifier=identifier) == too_large
    assert report("exit", identifier).status == 202
    assert send("PUT", TELEMETRY, Lambda_Extension_Identifier=identifier) == (403, "Extension.InvalidExtensionState")
    assert [rejection.status for rejection in lambda_telemetry.rejections] == [403, 403, 403, 413, 403]


def test_a_failure_of_our_own_fails_the_test_and_is_in_the_journal() -> None:
    with (
        pytest.raises(
            ProtocolViolation, match="pytest-lambda-telemetry itself failed while it answered a request: bug"
        ),
        LambdaTelemetry() as environment,
    ):
        environment._sandbox.desk.malformed(Malformed(500, "bug"))
    assert environment.journal[0].what == "not handled: bug"
