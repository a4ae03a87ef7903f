"""What a call is answered, purely: (call, where its caller and the environment stand, profile) → verdict."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import pytest

from pytest_lambda_telemetry.model.headers import Headers
from pytest_lambda_telemetry.protocol import calls
from pytest_lambda_telemetry.protocol.calls import Caller, Denied, Environment, LetIn, Reports, Subscribes, Waits
from pytest_lambda_telemetry.protocol.contract import LOGS, MAX_SUBSCRIPTIONS, TELEMETRY, Api
from pytest_lambda_telemetry.protocol.profiles import Fidelity, Profile
from pytest_lambda_telemetry.protocol.states import Call, ExtensionState
from pytest_lambda_telemetry.protocol.strict_json import Body, read

IDENTIFIER = "00000000-0000-4000-8000-000000000001"
BODY = {
    "schemaVersion": "2025-01-29",
    "types": ["platform"],
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243"},
}


def caller(**changes: Any) -> Caller:
    return Caller(**{"name": "ext", "state": ExtensionState.REGISTERED, **changes})


def environment(known: Caller | None = None, **changes: Any) -> Environment:
    callers: Mapping[str, Caller] = {IDENTIFIER: known or caller()}
    standing = {"profile": Profile(), "init_over": False, "names": (), "subscription_count": 0, "find": callers.get}
    return Environment(**{**standing, **changes})


def headers(identifier: str | None = IDENTIFIER, **more: str) -> Headers:
    named = {} if identifier is None else {calls.IDENTIFIER: identifier}
    return Headers({**named, "Content-Type": "application/json", **more}.items())


def body(value: object) -> Body:
    return read(json.dumps(value).encode())


def error(verdict: object) -> tuple[int, str]:
    assert isinstance(verdict, Denied), verdict
    return verdict.refusal.status, verdict.refusal.error_type


def subscribe(value: object = BODY, api: Api = TELEMETRY, *, sent: Headers | None = None, **scene: Any) -> object:
    return calls.subscribe(api, sent or headers(), body(value), environment(**scene))


def test_register_lets_in_with_what_it_is_to_be_told() -> None:
    sent = Headers([(calls.NAME, "ext"), (calls.ACCEPT_FEATURE, "other, accountId")])
    verdict = calls.register(sent, body({"events": ["INVOKE"]}), environment())
    assert verdict == LetIn(name="ext", events=("INVOKE",), internal=False, account_id=True)
    assert isinstance(verdict, LetIn)
    assert calls.registered_answer(verdict, {"functionName": "f"}, "1") == {"functionName": "f", "accountId": "1"}


def test_next_is_asked_by_who_is_known_and_does_not_wait_already() -> None:
    assert calls.ask_for_next(headers(), environment()) == Waits(caller(), ExtensionState.READY)
    waiting = caller(state=ExtensionState.READY)
    assert error(calls.ask_for_next(headers(), environment(waiting))) == (403, "Extension.InvalidExtensionState")
    assert error(calls.ask_for_next(headers(None), environment())) == (403, "Extension.MissingExtensionIdentifier")


def test_a_report_of_an_error_moves_its_caller() -> None:
    sent = headers(**{calls.ERROR_TYPE: "Extension.Broken"})
    verdict = calls.report_error(Call.EXIT_ERROR, sent, environment())
    assert verdict == Reports(caller(), ExtensionState.EXIT_ERROR, "Extension.Broken")


def test_a_report_is_checked_for_its_identifier_its_type_and_only_then_for_who_sent_it() -> None:
    nobody = environment(find=lambda _: None)

    def report(sent: Headers, where: Environment = nobody) -> tuple[int, str]:
        return error(calls.report_error(Call.INIT_ERROR, sent, where))

    assert report(headers("garbage")) == (403, "Extension.InvalidExtensionIdentifier")
    assert report(headers()) == (403, "Extension.MissingHeader")
    assert report(headers(**{calls.ERROR_TYPE: "E"})) == (403, "Extension.UnknownExtensionIdentifier")
    running = environment(caller(state=ExtensionState.RUNNING))
    assert report(headers(**{calls.ERROR_TYPE: "E"}), running) == (403, "Extension.InvalidExtensionState")


@pytest.mark.parametrize(
    ("call", "reported"),
    [(Call.INIT_ERROR, "Extension.InitError"), (Call.EXIT_ERROR, "Extension.ExitError")],
)
def test_a_report_with_another_sort_of_type_has_that_of_its_call(call: Call, reported: str) -> None:
    verdict = calls.report_error(call, headers(**{calls.ERROR_TYPE: "Broken"}), environment())
    assert isinstance(verdict, Reports)
    assert verdict.error_type == reported
    assert '"Broken" does not look like Extension.Name' in verdict.remark


@pytest.mark.parametrize(
    ("call", "state"),
    [(Call.INIT_ERROR, ExtensionState.INIT_ERROR), (Call.EXIT_ERROR, ExtensionState.EXIT_ERROR)],
)
def test_the_same_report_again_changes_nothing(call: Call, state: ExtensionState) -> None:
    sent = headers(**{calls.ERROR_TYPE: "Extension.Broken"})
    first = calls.report_error(call, sent, environment())
    assert isinstance(first, Reports)
    assert (first.state, first.again) == (state, False)
    failed = caller(state=state)
    assert calls.report_error(call, sent, environment(failed)) == Reports(failed, state, "Extension.Broken", again=True)
    other = Call.EXIT_ERROR if call is Call.INIT_ERROR else Call.INIT_ERROR
    assert error(calls.report_error(other, sent, environment(failed))) == (403, "Extension.InvalidExtensionState")


@pytest.mark.parametrize("form", ["{{{}}}".format, "urn:uuid:{}".format, lambda uuid: uuid.replace("-", "").upper()])
def test_an_extension_is_found_by_any_form_of_its_identifier(form: Callable[[str], str]) -> None:
    sent = headers(form(IDENTIFIER))
    assert calls.sender_id(sent) == IDENTIFIER
    assert calls.ask_for_next(sent, environment()) == Waits(caller(), ExtensionState.READY)


def test_invoke_is_handed_over_with_an_identifier_always_the_same() -> None:
    event = {"eventType": "INVOKE", "requestId": "r-1"}
    (name, identifier), *more = calls.event_headers(IDENTIFIER, event).items()
    assert (name, more) == ("Lambda-Extension-Event-Identifier", [])
    assert str(UUID(identifier)) == identifier
    assert calls.event_headers(IDENTIFIER, event) == {name: identifier}
    assert calls.event_headers(IDENTIFIER, {**event, "requestId": "r-2"}) != {name: identifier}
    assert calls.event_headers(IDENTIFIER, {"eventType": "SHUTDOWN"}) == {}


def test_a_body_that_is_too_large_is_refused_where_it_would_be_looked_at() -> None:
    def send(sent: Headers, **scene: Any) -> tuple[int, str]:
        return error(calls.subscribe(TELEMETRY, sent, Body(b"", too_large=True), environment(**scene)))

    assert send(headers("garbage")) == (403, "Extension.InvalidExtensionIdentifier")
    assert send(headers(), init_over=True) == (403, "Telemetry.SubscriptionClosed")
    assert send(headers()) == (413, "RequestEntityTooLarge")
    nameless = calls.register(headers(), Body(b"", too_large=True), environment())
    assert error(nameless) == (403, "Extension.InvalidExtensionName")
    named = calls.register(headers(**{calls.NAME: "new"}), Body(b"", too_large=True), environment())
    assert error(named) == (413, "RequestEntityTooLarge")


def test_there_is_no_logs_api_on_managed_instances() -> None:
    managed = Profile(initialization_type="lambda-managed-instances")
    assert error(subscribe({}, LOGS, profile=managed)) == (403, "Logs.NotSupported")
    assert error(subscribe({}, LOGS, init_over=True, profile=managed)) == (403, "Logs.SubscriptionClosed")
    assert isinstance(subscribe(BODY, TELEMETRY, profile=managed), Subscribes)
    assert isinstance(subscribe({**BODY, "schemaVersion": "2021-03-18"}, LOGS), Subscribes)


def test_the_checks_of_subscribe_come_in_this_order() -> None:
    """Local testing, identifier, state, phase, which API, body, how many there are."""
    wrong_body: dict[str, object] = {}
    local = environment(profile=Profile(local_testing=True))
    unsupported = calls.subscribe(TELEMETRY, headers("garbage"), body(wrong_body), local)
    assert isinstance(unsupported, calls.Unsupported)
    assert unsupported.answer.status == 202
    assert error(subscribe(wrong_body, sent=headers("garbage"), init_over=True)) == (
        403,
        "Extension.InvalidExtensionIdentifier",
    )
    failed = caller(state=ExtensionState.INIT_ERROR)
    assert error(subscribe(wrong_body, known=failed, init_over=True)) == (403, "Extension.InvalidExtensionState")
    other = caller(api=LOGS)
    assert error(subscribe(wrong_body, known=other, init_over=True)) == (403, "Telemetry.SubscriptionClosed")
    assert error(subscribe(wrong_body, known=other)) == (400, "ValidationError")
    assert error(subscribe(wrong_body, subscription_count=MAX_SUBSCRIPTIONS)) == (400, "ValidationError")
    full = subscribe(BODY, subscription_count=MAX_SUBSCRIPTIONS)
    assert error(full) == (403, "Telemetry.TooManySubscriptions")


@pytest.mark.parametrize(("fidelity", "word"), [("documented", "OK"), ("observed", "AlreadySubscribed")])
def test_the_very_same_body_again_changes_nothing(fidelity: Fidelity, word: str) -> None:
    first = subscribe(BODY)
    assert isinstance(first, Subscribes)
    assert not first.again
    reordered = dict(reversed(BODY.items()))
    again = subscribe(reordered, known=caller(api=TELEMETRY, subscribed={first.fingerprint}))
    assert isinstance(again, Subscribes)
    assert again.again
    assert calls.subscribed_answer(again, Profile(fidelity=fidelity)) == word
    assert calls.subscribed_answer(first, Profile(fidelity=fidelity)) == "OK"


def test_the_same_words_to_the_other_api_are_another_body() -> None:
    logs = {**BODY, "schemaVersion": "2021-03-18"}
    verdict = subscribe(logs, LOGS)
    assert isinstance(verdict, Subscribes)
    assert verdict.fingerprint.startswith("LOGS ")
