"""What a call is answered, purely: (call, where its caller and the environment stand, profile) → verdict."""

import json
from collections.abc import Mapping
from typing import Any

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


def test_the_checks_of_subscribe_come_in_this_order() -> None:
    """Local testing, identifier, state, phase, the other API, body, how many there are."""
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
