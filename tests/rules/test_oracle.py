"""The oracle of the property tests, held against rows worked out by hand from the Lambda Telemetry API reference."""

import json
from typing import Any

import pytest

from tests.support.oracle import Subscription, Verdict, expected_defaults, verdict, verdict_of_bytes

OK = "http://sandbox.localdomain:4243/telemetry"
ACCEPTED = Verdict(True, 200)


def refusal(status: int | None, *fields: str) -> Verdict:
    return Verdict(False, status, frozenset(fields))


def body(**changes: Any) -> dict[str, Any]:
    """A minimal right body; each change sets a top-level field."""
    return {"schemaVersion": "2025-01-29", "types": ["platform"], "destination": http(), **changes}


def http(uri: Any = OK, **more: Any) -> dict[str, Any]:
    return {"protocol": "HTTP", "URI": uri, **more}


def tcp(**more: Any) -> dict[str, Any]:
    return {"protocol": "TCP", **more}


ACCEPTED_BODIES = {
    "minimal": body(),
    "short host": body(destination=http("http://sandbox:1")),
    "path and query are kept": body(destination=http("http://sandbox.localdomain:65535/a/b?c=d")),
    "fields of AWS's Go sample": body(destination=http(method="POST", encoding="JSON")),
    "unknown fields below the top": body(destination=http(uri=OK, x=1), buffering={"maxitems": None}),
    "every limit at its lowest": body(buffering={"maxItems": 1_000, "maxBytes": 262_144, "timeoutMs": 25}),
    "every limit at its highest": body(buffering={"maxItems": 10_000, "maxBytes": 1_048_576, "timeoutMs": 30_000}),
    "scheme in capitals": body(destination=http("HTTP://sandbox:1")),
    "a port beside the URI": body(destination=http(port=4243)),
    "percent escapes": body(destination=http(OK + "/a%20b?c=%2F")),
    "deep": body(destination=http(x=json.loads("[" * 126 + "]" * 126))),
    "TCP by port": body(destination=tcp(port=65_535)),
    "TCP by both": body(destination=tcp(port=1, URI="tcp://sandbox:2")),
}

REFUSED_BODIES: dict[str, tuple[Any, set[str]]] = {
    "not an object": ([body()], set()),
    "nothing given": ({}, {"schemaVersion", "types", "destination"}),
    "old Logs API version": (body(schemaVersion="2020-08-15"), {"schemaVersion"}),
    "no types": (body(types=[]), {"types"}),
    "single event type": (body(types=["platform.runtimeDone"]), {"types"}),
    "types twice": (body(types=["function", "function"]), {"types"}),
    "two faults": (body(types=[], destination=http("http://sandbox.localdomain")), {"types", "URI"}),
    "protocol in small letters": (body(destination={"protocol": "http", "URI": OK}), {"protocol"}),
    "no URI": (body(destination={"protocol": "HTTP"}), {"URI"}),
    "reserved port": (body(destination=http("http://sandbox.localdomain:9001")), {"URI"}),
    "space": (body(destination=http(OK + "/a b")), {"URI"}),
    "broken percent escape": (body(destination=http(OK + "/%2")), {"URI"}),
    "no port beside the URI": (body(destination=http(port=0)), {"port"}),
    "a text beside the URI": (body(destination=http(port="4243")), {"port"}),
    "too deep": (body(destination=http(x=json.loads("[" * 127 + "]" * 127))), set()),
    "reserved TCP port": (body(destination=tcp(port=9_001)), {"port"}),
    "true is no port": (body(destination=tcp(port=True)), {"port"}),
    "null is not left out": (body(buffering=None), {"buffering"}),
    "a float": (body(buffering={"maxItems": 1_000.0}), {"maxItems"}),
    "a string": (body(buffering={"maxBytes": "262144"}), {"maxBytes"}),
    "one too few": (body(buffering={"timeoutMs": 24}), {"timeoutMs"}),
    "three too many": (
        body(buffering={"maxItems": 10_001, "maxBytes": 1_048_577, "timeoutMs": 30_001}),
        {"maxItems", "maxBytes", "timeoutMs"},
    ),
    "unknown at the top": (body(extensionName="mine"), {"unknown"}),
}

DENIED_URIS = (
    "http://127.0.0.1:4243",
    "http://localhost:4243",
    "http://0.0.0.0:4243",
    "http://sandbox.localdomain.evil.example:80",
    "https://sandbox.localdomain:4243",
)

UNDETERMINED_BODIES = {
    "user information": body(destination=http("http://me@sandbox:4243")),
    "host in capitals": body(destination=http("http://SANDBOX:4243")),
    "trailing dot": body(destination=http("http://sandbox.localdomain.:4243")),
    "zeros before the port": body(destination=http("http://sandbox:04243")),
    "fragment": body(destination=http(OK + "#part")),
    "the reserved port beside the URI": body(destination=http(port=9001)),
    "another method": body(destination=http(method="PUT")),
    "TCP port beside a wrong URI": body(destination=tcp(port=4243, URI="nonsense")),
}

RAW_BODIES = {
    "empty": b"",
    "a product": b'{"buffering": {"maxBytes": 256*1024}}',
    "NaN": b'{"maxItems": NaN}',
    "a key twice": b'{"types": [], "types": []}',
    "a BOM": b"\xef\xbb\xbf" + json.dumps(body()).encode(),
    "not UTF-8": b'{"types": "\xff"}',
    "deep": b"[" * 50_000 + b"]" * 50_000,
}


@pytest.mark.parametrize("fidelity", ["documented", "observed"])
@pytest.mark.parametrize("name", ACCEPTED_BODIES)
def test_accepted(name: str, fidelity: str) -> None:
    assert verdict(ACCEPTED_BODIES[name], fidelity=fidelity) == ACCEPTED


@pytest.mark.parametrize("fidelity", ["documented", "observed"])
@pytest.mark.parametrize("name", REFUSED_BODIES)
def test_refused(name: str, fidelity: str) -> None:
    refused, fields = REFUSED_BODIES[name]
    assert verdict(refused, fidelity=fidelity) == refusal(400, *fields)


@pytest.mark.parametrize(("fidelity", "status"), [("documented", 400), ("observed", 403)])
@pytest.mark.parametrize("uri", DENIED_URIS)
def test_denied_destination(uri: str, fidelity: str, status: int) -> None:
    assert verdict(body(destination=http(uri)), fidelity=fidelity) == refusal(status, "URI")


def test_the_observed_status_of_a_denied_destination_beside_another_fault_is_open() -> None:
    both = body(destination=http("https://sandbox.localdomain:4243"), types=[])
    assert verdict(both, fidelity="observed") == refusal(None, "URI", "types")


def test_user_information_does_not_hide_another_host() -> None:
    disguised = body(destination=http("http://sandbox.localdomain:4243@evil.example:80/"))
    assert verdict(disguised) == refusal(400, "URI")
    assert verdict(disguised, fidelity="observed") == refusal(None, "URI")


@pytest.mark.parametrize("name", UNDETERMINED_BODIES)
def test_undetermined(name: str) -> None:
    assert verdict(UNDETERMINED_BODIES[name]) is None


@pytest.mark.parametrize("name", RAW_BODIES)
def test_not_json(name: str) -> None:
    assert verdict_of_bytes(RAW_BODIES[name]) == refusal(400)


def test_tcp_by_uri_alone_is_accepted_as_documented_only() -> None:
    by_uri = body(destination=tcp(URI="sandbox.localdomain:4243"))
    assert verdict(by_uri) == ACCEPTED
    assert verdict(by_uri, fidelity="observed") == refusal(400, "port")


def test_managed_instances_take_the_newest_version_only() -> None:
    old = body(schemaVersion="2022-12-13")
    assert verdict(body(), managed_instances=True) == ACCEPTED
    assert verdict(old, managed_instances=True) == refusal(400, "schemaVersion")


def test_loopback_is_a_destination_when_allowed() -> None:
    assert verdict(body(destination=http("http://127.0.0.1:4243")), allow_loopback=True) == ACCEPTED
    assert verdict(body(destination=http("http://evil.example:80")), allow_loopback=True) == refusal(400, "URI")


def test_defaults() -> None:
    assert expected_defaults(body()) == Subscription("HTTP", 4243, "/telemetry", 1_000, 262_144, 1_000)
    assert expected_defaults(body(), fidelity="observed").max_items == 10_000
    both = body(destination=tcp(port=1, URI="tcp://sandbox:2"), buffering={"timeoutMs": 25})
    assert expected_defaults(both) == Subscription("TCP", 1, "", 1_000, 262_144, 25)
