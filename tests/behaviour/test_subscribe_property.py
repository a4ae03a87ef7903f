"""Whatever is sent to the Subscribe endpoint, the answer is the one that the oracle names, over a real connection.

One environment and one registered extension serve all the examples of a test.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection
from typing import Any, NamedTuple, Protocol

import pytest
from hypothesis import HealthCheck, given, settings

from pytest_lambda_telemetry import Settings
from pytest_lambda_telemetry.strategies import Body, Json, json_values, subscribe_bodies
from tests.support import strategies
from tests.support.oracle import Verdict, verdict, verdict_of_bytes


class Environment(Protocol):
    """The part of the fixture's environment that these tests need."""

    @property
    def runtime_api(self) -> str: ...


class Answer(NamedTuple):
    status: int
    reason: str
    body: Any


class Subscriber:
    """A registered extension that subscribes over one connection, and the rules its environment follows."""

    def __init__(self, connection: HTTPConnection, **rules: Any) -> None:
        self.connection = connection
        self.rules = rules
        self.observed = rules["fidelity"] == "observed"
        connection.request(
            "POST", "/2020-01-01/extension/register", '{"events": []}', {"Lambda-Extension-Name": "property-test"}
        )
        registered = connection.getresponse()
        registered.read()
        assert registered.status == 200
        self.identifier = registered.headers["Lambda-Extension-Identifier"]

    def subscribe(self, raw: bytes) -> Answer:
        headers = {"Lambda-Extension-Identifier": self.identifier, "Content-Type": "application/json"}
        self.connection.request("PUT", "/2022-07-01/telemetry", raw, headers)
        response = self.connection.getresponse()
        return Answer(response.status, response.reason, json.loads(response.read().decode("utf-8")))


# what the environment is told, and what the oracle is told
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "documented": ({"fidelity": "documented"}, {"fidelity": "documented"}),
    "observed": ({"fidelity": "observed"}, {"fidelity": "observed"}),
    "loopback": (
        {"fidelity": "documented", "allow_loopback_destination": True},
        {"fidelity": "documented", "allow_loopback": True},
    ),
}

# the forms a refusal may take, as documented and as observed
REFUSALS = {
    False: {(400, "Bad Request", "ValidationError")},
    True: {
        (400, "Bad Request", "Telemetry.ValidationError"),
        (400, "Bad Request", "Telemetry.DeserializationError"),
        (403, "Forbidden", "Telemetry.AccessDenied"),
    },
}


def examples(count: int) -> settings:
    """The same examples on every run, few enough for the whole file to take seconds."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture(params=CASES)
def subscriber(
    request: pytest.FixtureRequest, lambda_telemetry_factory: Callable[..., AbstractContextManager[Environment]]
) -> Iterator[Subscriber]:
    told, rules = CASES[request.param]
    with lambda_telemetry_factory(strict=False, **told) as environment:
        with closing(HTTPConnection(environment.runtime_api, timeout=30)) as connection:
            yield Subscriber(connection, **rules)


def test_every_near_miss_is_judged_by_the_rules(subscriber: Subscriber) -> None:
    for body in strategies.every_near_miss():
        agree(subscriber, encoded(body), verdict(body, **subscriber.rules))


def test_every_damaged_body_is_judged_by_the_rules(subscriber: Subscriber) -> None:
    body = {"schemaVersion": "2025-01-29", "types": ["function"], "destination": {"protocol": "TCP", "port": 4243}}
    for raw in strategies.every_damage(body):
        agree(subscriber, raw, verdict_of_bytes(raw, **subscriber.rules))


@examples(40)
@given(raw=subscribe_bodies(encoded=True))
def test_a_right_body_is_accepted(subscriber: Subscriber, raw: bytes) -> None:
    agree(subscriber, raw, Verdict(True, 200))


@examples(60)
@given(raw=subscribe_bodies(valid=False, encoded=True, settings=Settings(allow_loopback_destination=True)))
def test_a_wrong_body_is_refused(subscriber: Subscriber, raw: bytes) -> None:
    judged = verdict_of_bytes(raw, **subscriber.rules)
    assert judged is not None
    assert not judged.accepted
    agree(subscriber, raw, judged)


@examples(80)
@given(body=strategies.mutated_subscribe_bodies())
def test_a_mutated_body_is_judged_by_the_rules(subscriber: Subscriber, body: Body) -> None:
    agree(subscriber, encoded(body), verdict(body, **subscriber.rules))


@examples(80)
@given(uri=strategies.near_valid_uris())
def test_a_nearly_right_uri_is_judged_by_the_rules(subscriber: Subscriber, uri: str) -> None:
    body = {"schemaVersion": "2025-01-29", "types": ["function"], "destination": {"protocol": "HTTP", "URI": uri}}
    agree(subscriber, encoded(body), verdict(body, **subscriber.rules))


@examples(30)
@given(body=json_values())
def test_any_json_gets_an_answer(subscriber: Subscriber, body: Json) -> None:
    agree(subscriber, encoded(body), verdict(body, **subscriber.rules))


@examples(60)
@given(raw=strategies.raw_subscribe_bodies())
def test_any_bytes_get_an_answer(subscriber: Subscriber, raw: bytes) -> None:
    agree(subscriber, raw, verdict_of_bytes(raw, **subscriber.rules))


def agree(subscriber: Subscriber, raw: bytes, expected: Verdict | None) -> None:
    """Send a body and hold the answer against the verdict; without one, only the form of the answer is checked."""
    answer = subscriber.subscribe(raw)
    story = f"{raw[:500]!r} was answered with {answer}; the rules say {expected}"
    if expected is not None:
        assert (answer.status == 200) == expected.accepted, story
        assert expected.status in (answer.status, None), story
    if answer.status == 200:
        assert answer.body == "OK" or (subscriber.observed and answer.body == "AlreadySubscribed"), story
        return
    assert set(answer.body) == {"errorType", "errorMessage"}, story
    assert (answer.status, answer.reason, answer.body["errorType"]) in REFUSALS[subscriber.observed], story
    if expected is not None and not subscriber.observed:
        unsaid = [field for field in sorted(expected.fields) if not mentions(answer.body["errorMessage"], field)]
        assert not unsaid, f"nothing is said of {unsaid}: {story}"


def mentions(message: str, field: str) -> bool:
    """Whether a message names a field, beyond the list of fields that it would have known."""
    return re.search(rf"\b{field}\b", re.sub(r"expected one of[^;]*", "", message), re.IGNORECASE) is not None


def encoded(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
