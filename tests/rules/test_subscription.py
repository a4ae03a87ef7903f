"""The verdict on a Subscribe body, rule by rule, with the exact texts."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pytest_lambda_telemetry.model.records import Buffering, Destination
from pytest_lambda_telemetry.protocol import contract
from pytest_lambda_telemetry.protocol.contract import LOGS, TELEMETRY, Api, Refusal
from pytest_lambda_telemetry.protocol.profiles import Profile
from pytest_lambda_telemetry.protocol.subscription import Accepted, validate

DOCUMENTED, OBSERVED = Profile(), Profile(fidelity="observed")
MANAGED = Profile(initialization_type="lambda-managed-instances")
URI = "http://sandbox.localdomain:8080"
EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True, database=None)

Body = dict[str, Any]


def body(**changes: Any) -> Body:
    """A right body with some fields changed; `...` takes a field out."""
    fields = {
        "schemaVersion": "2025-01-29",
        "types": ["platform", "function"],
        "destination": {"protocol": "HTTP", "URI": URI},
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def to(uri: object, **more: Any) -> Body:
    return body(destination={"protocol": "HTTP", "URI": uri, **more})


def tcp(**fields: Any) -> Body:
    return body(destination={"protocol": "TCP", **fields})


def judge(value: object, profile: Profile = DOCUMENTED, **options: Any) -> Accepted | Refusal:
    return validate(json.dumps(value).encode(), profile, **options)


def accepted(value: object, profile: Profile = DOCUMENTED, **options: Any) -> Accepted:
    verdict = judge(value, profile, **options)
    assert isinstance(verdict, Accepted), verdict
    return verdict


def refused(value: object, profile: Profile = DOCUMENTED, **options: Any) -> Refusal:
    verdict = judge(value, profile, **options)
    assert isinstance(verdict, Refusal), verdict
    return verdict


def messages(value: object, profile: Profile = DOCUMENTED, **options: Any) -> list[str]:
    return [fault.message for fault in refused(value, profile, **options).faults]


# What is accepted


def test_a_small_body_gets_the_defaults() -> None:
    sent = body()
    assert accepted(sent) == Accepted(
        schema_version="2025-01-29",
        types=("platform", "function"),
        destination=Destination(protocol="HTTP", uri=URI, host="sandbox.localdomain", port=8080, path="/"),
        buffering=Buffering(max_items=1000, max_bytes=262_144, timeout_ms=1000),
        warnings=(),
        ignored=(),
        body=sent,
    )


def test_a_full_body_is_taken_as_it_is() -> None:
    verdict = accepted(
        body(
            schemaVersion="2022-07-01",
            types=["extension", "platform", "function"],
            destination={
                "protocol": "HTTP",
                "URI": "http://sandbox:1/a%20b?c=/d",
                "method": "POST",
                "encoding": "JSON",
            },
            buffering={"maxItems": 10_000, "maxBytes": 1_048_576, "timeoutMs": 30_000},
        )
    )
    assert verdict.schema_version == "2022-07-01"
    assert verdict.types == ("extension", "platform", "function")
    assert (verdict.destination.host, verdict.destination.port) == ("sandbox", 1)
    assert verdict.destination.path == "/a%20b?c=/d"
    assert verdict.buffering == Buffering(max_items=10_000, max_bytes=1_048_576, timeout_ms=30_000)
    assert verdict.warnings == ()


@pytest.mark.parametrize(
    ("profile", "api", "max_items"),
    [
        (DOCUMENTED, TELEMETRY, 1_000),
        (OBSERVED, TELEMETRY, 10_000),
        (DOCUMENTED, LOGS, 10_000),
        (OBSERVED, LOGS, 10_000),
    ],
)
def test_the_default_of_max_items_goes_by_profile_and_api(profile: Profile, api: Api, max_items: int) -> None:
    version = api.schema_versions[0]
    assert accepted(body(schemaVersion=version, buffering={}), profile, api=api).buffering.max_items == max_items


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        (URI, "/"),
        (f"{URI}/", "/"),
        (f"{URI}/a/b", "/a/b"),
        (f"{URI}//twice", "//twice"),
        (f"{URI}?x=1", "/?x=1"),
        (f"{URI}/a?x=http://b:1/@c", "/a?x=http://b:1/@c"),
        (f"{URI}/%7e%7E[]|\\^", "/%7e%7E[]|\\^"),
        (f"{URI}/a?b=%20", "/a?b=%20"),
        ("HTTP://sandbox.localdomain:8080/A", "/A"),
        ("hTTp://sandbox:8080", "/"),
        (f"{URI}/é", "/%C3%A9"),
    ],
)
def test_path_and_query_are_kept(uri: str, path: str) -> None:
    assert accepted(to(uri)).destination.path == path


def test_a_port_may_have_leading_zeros() -> None:
    assert accepted(to("http://sandbox:" + "0" * 9000 + "8080")).destination.port == 8080


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_loopback_hosts_need_leave(host: str) -> None:
    sent = to(f"http://{host}:8080/")
    assert messages(sent) == ["URI host should be sandbox.localdomain"]
    assert "allow_loopback_destination" in refused(sent).faults[0].rule
    assert accepted(sent, loopback_allowed=True).destination.host == host
    assert accepted(sent, Profile(allow_loopback_destination=True)).destination.host == host


# TCP


@pytest.mark.parametrize("uri", ["sandbox:8080", "tcp://sandbox:8080", "TCP://sandbox:8080/x", "http://sandbox:8080"])
def test_tcp_takes_a_uri_with_any_scheme_or_none(uri: str) -> None:
    destination = accepted(tcp(URI=uri)).destination
    assert (destination.protocol, destination.uri, destination.port) == ("TCP", uri, 8080)


def test_tcp_takes_a_port_alone_with_a_warning_as_documented_and_without_as_observed() -> None:
    expected = Destination(protocol="TCP", uri=None, host="sandbox.localdomain", port=8080, path="/")
    documented, observed = accepted(tcp(port=8080)), accepted(tcp(port=8080), OBSERVED)
    assert documented.destination == observed.destination == expected
    assert documented.warnings == ("destination has a port and no URI; the reference lists URI for TCP as well",)
    assert observed.warnings == ()


@pytest.mark.parametrize("uri", ["sandbox:1", "sandbox", "tcp://sandbox:9001", "sandbox:abc"])
def test_with_tcp_the_port_field_wins(uri: str) -> None:
    destination = accepted(tcp(URI=uri, port=8080)).destination
    assert (destination.host, destination.port, destination.uri) == ("sandbox", 8080, uri)


def test_tcp_needs_a_uri_as_documented_and_a_port_as_observed() -> None:
    assert messages(tcp()) == ["URI is not provided"]
    assert messages(tcp(), OBSERVED) == ["port is not provided"]
    assert messages(tcp(URI="sandbox:8080"), OBSERVED) == ["port is not provided"]


def test_with_tcp_hosts_are_checked_too() -> None:
    assert messages(tcp(URI="tcp://example.com:8080")) == ["URI host should be sandbox.localdomain"]
    assert messages(tcp(URI="example.com", port=8080)) == ["URI host should be sandbox.localdomain"]
    assert accepted(tcp(URI="localhost:8080"), loopback_allowed=True).destination.host == "localhost"


@pytest.mark.parametrize(
    ("port", "message"),
    [
        (0, "port should be between 1 and 65535"),
        (-1, "port should be between 1 and 65535"),
        (65_536, "port should be between 1 and 65535"),
        (10**400, "port should be between 1 and 65535"),
        (9001, "port 9001 is reserved"),
        ("8080", "port should be an integer"),
        (8080.0, "port should be an integer"),
        (True, "port should be an integer"),
        (None, "port should be an integer"),
    ],
)
@pytest.mark.parametrize("profile", [DOCUMENTED, OBSERVED])
def test_a_tcp_port_is_a_free_port_number(port: object, message: str, profile: Profile) -> None:
    assert messages(tcp(port=port), profile) == [message]


@pytest.mark.parametrize("port", [1, 8080, 9001, 65_535])
def test_the_port_of_the_uri_counts_with_http(port: int) -> None:
    verdict = accepted(to(URI, port=port))
    assert verdict.destination.port == 8080
    assert verdict.warnings == ("destination has a port, which Lambda reads with TCP only; the port of the URI counts",)


@pytest.mark.parametrize(
    ("port", "message"),
    [
        (0, "port should be between 1 and 65535"),
        (65_536, "port should be between 1 and 65535"),
        ("8080", "port should be an integer"),
        (None, "port should be an integer"),
        (True, "port should be an integer"),
    ],
)
def test_a_port_beside_http_must_be_a_port_too(port: object, message: str) -> None:
    assert messages(to(URI, port=port)) == [message]
    assert messages(to("http://sandbox", port=port)) == [NO_PORT, message]


# URIs that are refused

SCHEME = "URI scheme should be http"
HOST = "URI host should be sandbox.localdomain"
NO_PORT = "URI port is not provided"
NO_NUMBER = "URI port should be a number"
OUT_OF_RANGE = "URI port should be between 1 and 65535"
USER = "URI should not contain a user name"
FRAGMENT = "URI should not contain a fragment"
ESCAPE = "URI should not contain a % without two hexadecimal digits behind it"
SPACES = "URI should not contain spaces or control characters"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://sandbox.localdomain", [NO_PORT]),
        ("http://sandbox.localdomain:/a", [NO_PORT]),
        ("http://sandbox.localdomain/a:80", [NO_PORT]),
        ("http://sandbox:9001", ["URI port 9001 is reserved"]),
        ("http://sandbox:09001/", ["URI port 9001 is reserved"]),
        ("http://sandbox:0", [OUT_OF_RANGE]),
        ("http://sandbox:65536", [OUT_OF_RANGE]),
        ("http://sandbox:" + "9" * 5000, [OUT_OF_RANGE]),
        ("http://sandbox:+80", [NO_NUMBER]),
        ("http://sandbox:-80", [NO_NUMBER]),
        ("http://sandbox:8_0", [NO_NUMBER]),
        ("http://sandbox:80:80", [NO_NUMBER]),
        ("http://sandbox:\u0668\u0660", [NO_NUMBER]),
        ("http://sandbox:\u00b2", [NO_NUMBER]),
        ("http://user:pw@sandbox:80", [USER]),
        ("http://@sandbox:80", [USER]),
        ("http://sandbox:80/#a", [FRAGMENT]),
        ("http://sandbox:80#", [FRAGMENT]),
        ("https://sandbox:80", [SCHEME]),
        ("HTTPS://sandbox:80", [SCHEME]),
        ("tcp://sandbox:80", [SCHEME]),
        ("sandbox:80", [SCHEME]),
        ("//sandbox:80", [SCHEME, HOST, NO_PORT]),
        ("http://example.com:80", [HOST]),
        ("http://SANDBOX:80", [HOST]),
        ("http://sandbox.localdomain.:80", [HOST]),
        ("http://:80", [HOST]),
        ("http://[::1]:80", [HOST]),
        ("http://[::1", [HOST, NO_NUMBER]),
        ("http://sandbox:80@example.com:81", [USER, HOST]),
        ("ftp://example.com", [SCHEME, HOST, NO_PORT]),
        ("", ["URI should not be empty"]),
        (" ", [SPACES]),
        (f"{URI}/a b", [SPACES]),
        (f"{URI}\n", [SPACES]),
        (f"{URI}/\x00", [SPACES]),
        (f"{URI}/\x7f", [SPACES]),
        (f"{URI}/\u00a0", [SPACES]),
        (f"{URI}/\u2028", [SPACES]),
        (f"{URI}/\ud800", [SPACES]),
        (f"{URI}/%", [ESCAPE]),
        (f"{URI}/%2", [ESCAPE]),
        (f"{URI}/%zz", [ESCAPE]),
        (f"{URI}/a?b=%2g", [ESCAPE]),
        ("http://sand%box:80", [ESCAPE]),
        (None, ["URI should be a string"]),
        (8080, ["URI should be a string"]),
        ([URI], ["URI should be a string"]),
    ],
)
def test_a_uri_has_one_form(uri: object, expected: list[str]) -> None:
    assert messages(to(uri)) == expected


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("https://example.com:80", "Only 'http' scheme is supported."),
        ("http://example.com:80", "Only 'sandbox.localdomain' hostname is supported."),
    ],
)
def test_the_live_service_denies_other_places(uri: str, message: str) -> None:
    refusal = refused(to(uri), OBSERVED)
    assert (refusal.status, refusal.error_type, refusal.message) == (403, "Telemetry.AccessDenied", message)


# Every other field


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schemaVersion": ...}, "schemaVersion is not provided"),
        ({"schemaVersion": None}, "schemaVersion should be a string"),
        ({"schemaVersion": 20250129}, "schemaVersion should be a string"),
        (
            {"schemaVersion": "2025年01月29日"},
            "schemaVersion should be one of `2025-01-29`, `2022-12-13`, `2022-07-01`",
        ),
        ({"destination": ...}, "destination is not provided"),
        ({"destination": URI}, "destination should be an object"),
        ({"destination": None}, "destination should be an object"),
        ({"destination": {"URI": URI}}, "protocol is not provided"),
        ({"destination": {"protocol": "http", "URI": URI}}, "protocol should be one of `HTTP`, `TCP`"),
        ({"destination": {"protocol": "tcp", "URI": "tcp://sandbox:80"}}, "protocol should be one of `HTTP`, `TCP`"),
        ({"destination": {"protocol": "tcp", "port": 80}}, "protocol should be one of `HTTP`, `TCP`"),
        ({"destination": {"protocol": None, "URI": URI}}, "protocol should be a string"),
        ({"destination": {"protocol": "HTTP"}}, "URI is not provided"),
        ({"types": ...}, "types is not provided"),
        ({"types": None}, "types should be an array"),
        ({"types": "platform"}, "types should be an array"),
        ({"types": []}, "types should not be empty"),
        ({"types": ["function", "function"]}, "types should be unique"),
        ({"types": ["Platform"]}, "types should contain only `platform`, `function`, `extension`"),
        ({"types": [[], {}, 1, None]}, "types should contain only `platform`, `function`, `extension`"),
        ({"buffering": None}, "buffering should be an object"),
        ({"buffering": []}, "buffering should be an object"),
        ({"buffering": {"maxItems": 999}}, "maxItems should be between 1000 and 10000"),
        ({"buffering": {"maxItems": 10_001}}, "maxItems should be between 1000 and 10000"),
        ({"buffering": {"maxItems": 10**400}}, "maxItems should be between 1000 and 10000"),
        ({"buffering": {"maxItems": 1000.0}}, "maxItems should be an integer"),
        ({"buffering": {"maxItems": "1000"}}, "maxItems should be an integer"),
        ({"buffering": {"maxItems": None}}, "maxItems should be an integer"),
        ({"buffering": {"maxBytes": 262_143}}, "maxBytes should be between 262144 and 1048576"),
        ({"buffering": {"maxBytes": 1_048_577}}, "maxBytes should be between 262144 and 1048576"),
        ({"buffering": {"timeoutMs": 24}}, "timeoutMs should be between 25 and 30000"),
        ({"buffering": {"timeoutMs": 30_001}}, "timeoutMs should be between 25 and 30000"),
        ({"buffering": {"timeoutMs": True}}, "timeoutMs should be an integer"),
        (
            {"extensionName": "x"},
            "unknown field `extensionName`, expected one of `schemaVersion`, `types`, `buffering`, `destination`",
        ),
    ],
)
@pytest.mark.parametrize("profile", [DOCUMENTED, OBSERVED])
def test_each_fault_has_one_message(changed: Body, message: str, profile: Profile) -> None:
    refusal = refused(body(**changed), profile)
    assert refusal.message == message
    assert [fault.message for fault in refusal.faults] == [message]


@pytest.mark.parametrize("name", ["platform.runtimeDone", "platform.start", "platform.novel"])
def test_a_single_event_cannot_be_subscribed_to(name: str) -> None:
    sent = body(types=["function", name])
    documented, observed = refused(sent), refused(sent, OBSERVED)
    assert (documented.error_type, documented.message) == (
        "ValidationError",
        "types should contain only `platform`, `function`, `extension`",
    )
    assert (observed.status, observed.error_type) == (400, "Telemetry.ValidationError")
    assert observed.message == "Unrecognized enum variant"
    assert "a single event type" in observed.faults[0].rule


def test_nesting_up_to_serdes_limit_is_decoded() -> None:
    def nested(levels: int) -> Accepted | Refusal:
        deep = "[" * (levels - 2) + "]" * (levels - 2)
        raw = json.dumps(body()).replace('"HTTP"', f'"HTTP", "x": {deep}')
        return validate(raw.encode(), DOCUMENTED)

    assert isinstance(nested(128), Accepted)
    deeper = nested(129)
    assert isinstance(deeper, Refusal)
    assert deeper.message == "the body is nested deeper than 128 levels"


def test_a_rule_says_what_arrived_and_what_would_do() -> None:
    fault = refused(body(buffering={"maxItems": 5})).faults[0]
    assert fault.rule == "maxItems is an integer between 1000 and 10000, 1000 when left out; 5 arrived"
    fault = refused(body(destination={"protocol": "HTTP", "uri": URI})).faults[0]
    assert fault.rule == (
        "URI has the form http://sandbox.localdomain:PORT[/PATH]; `uri` is there, but names are case-sensitive"
    )


def test_managed_instances_take_the_newest_schema_alone() -> None:
    assert accepted(body(), MANAGED).schema_version == "2025-01-29"
    refusal = refused(body(schemaVersion="2022-12-13"), MANAGED)
    assert refusal.message == "schemaVersion should be `2025-01-29`"
    assert "on Lambda Managed Instances" in refusal.faults[0].rule


@pytest.mark.parametrize(
    ("faulty", "error_type"),
    [
        (body(types=...), "Telemetry.DeserializationError"),
        (body(types="platform"), "Telemetry.DeserializationError"),
        (body(types=["log"]), "Telemetry.DeserializationError"),
        (body(extra=1), "Telemetry.DeserializationError"),
        ([], "Telemetry.DeserializationError"),
        (body(types=[]), "Telemetry.ValidationError"),
        (body(buffering={"maxItems": 1}), "Telemetry.ValidationError"),
        (to("http://sandbox"), "Telemetry.ValidationError"),
    ],
)
def test_what_does_not_decode_has_a_type_of_its_own_on_the_live_service(faulty: object, error_type: str) -> None:
    assert (refused(faulty).status, refused(faulty).error_type) == (400, "ValidationError")
    observed = refused(faulty, OBSERVED)
    assert (observed.status, observed.error_type) == (400, error_type)


# Several faults


def test_the_references_own_example_comes_out_to_the_byte() -> None:
    refusal = refused(to("http://sandbox.localdomain") | {"types": []})
    assert refusal.body == (
        b'{"errorType": "ValidationError", "errorMessage": "URI port is not provided; types should not be empty"}'
    )


def test_faults_come_in_the_references_order() -> None:
    faulty = {
        "zebra": 1,
        "buffering": {"timeoutMs": 1, "maxBytes": 1, "maxItems": 1},
        "types": ["log", "function", "function"],
        "destination": {"URI": "http://sandbox", "protocol": "UDP"},
        "apple": 1,
    }
    expected = [
        "schemaVersion is not provided",
        "protocol should be one of `HTTP`, `TCP`",
        "URI port is not provided",
        "types should contain only `platform`, `function`, `extension`",
        "types should be unique",
        "maxItems should be between 1000 and 10000",
        "maxBytes should be between 262144 and 1048576",
        "timeoutMs should be between 25 and 30000",
        "unknown field `zebra`, expected one of `schemaVersion`, `types`, `buffering`, `destination`",
        "unknown field `apple`, expected one of `schemaVersion`, `types`, `buffering`, `destination`",
    ]
    assert messages(faulty) == expected
    assert refused(faulty).message == "; ".join(expected)
    assert messages(faulty, OBSERVED) == expected[:1]
    assert refused(faulty, OBSERVED).message == expected[0]


@pytest.mark.parametrize("raw", [b"", b"\xff", b"{", b'{"maxBytes": 256*1024}', b"[" * 200, b'{"types":1,"types":1}'])
def test_a_body_that_does_not_decode_is_one_fault(raw: bytes) -> None:
    documented, observed = validate(raw, DOCUMENTED), validate(raw, OBSERVED)
    assert isinstance(documented, Refusal)
    assert isinstance(observed, Refusal)
    assert (documented.status, documented.error_type, len(documented.faults)) == (400, "ValidationError", 1)
    assert (observed.status, observed.error_type) == (400, "Telemetry.DeserializationError")
    assert documented.message.startswith("the body ")


@pytest.mark.parametrize("value", [None, True, 1, "x", [], [body()]])
def test_a_body_that_is_no_object_is_one_fault(value: object) -> None:
    assert messages(value) == ["the body should be an object"]


# Warnings


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", ()),
        ("Application/JSON ; charset=utf-8", ()),
        (None, ("Subscribe came without a Content-Type; the reference lists application/json",)),
        ("text/plain", ('Subscribe came with Content-Type "text/plain"; the reference lists application/json',)),
    ],
)
def test_another_content_type_is_a_warning(content_type: str | None, expected: tuple[str, ...]) -> None:
    assert accepted(body(), content_type=content_type).warnings == expected


def test_unknown_fields_inside_an_object_are_ignored_and_told() -> None:
    buffering = {"timeout_ms": 25, "maxIttems": 1, "x" * 1_000_000: 1, "size": 2}
    verdict = accepted(to(URI, Port=1) | {"buffering": buffering})
    assert verdict.warnings == ()
    known = "it knows `maxItems`, `maxBytes`, `timeoutMs`"
    told = [line for line in verdict.ignored if "xxx" not in line]
    assert len(told) == len(verdict.ignored) - 1
    assert max(map(len, verdict.ignored)) < 200
    assert told == [
        "destination has the unknown field `Port`, which Lambda ignores (did you mean `port`?);"
        " it knows `protocol`, `URI`, `port`, `method`, `encoding`",
        f"buffering has the unknown field `timeout_ms`, which Lambda ignores (did you mean `timeoutMs`?); {known}",
        f"buffering has the unknown field `maxIttems`, which Lambda ignores (did you mean `maxItems`?); {known}",
        f"buffering has the unknown field `size`, which Lambda ignores; {known}",
    ]


# The Logs API


def test_the_logs_api_has_versions_of_its_own_and_a_default() -> None:
    assert accepted(body(schemaVersion=...), api=LOGS).schema_version == "2020-08-15"
    assert accepted(body(schemaVersion="2021-03-18"), api=LOGS).schema_version == "2021-03-18"
    assert messages(body(), api=LOGS) == ["schemaVersion should be one of `2020-08-15`, `2021-03-18`"]
    assert messages(body(schemaVersion=None), api=LOGS) == ["schemaVersion should be a string"]


def test_the_logs_api_has_error_types_of_its_own() -> None:
    faulty = body(schemaVersion=..., types=[])
    assert refused(faulty, api=LOGS).error_type == "Logs.ValidationError"
    assert refused(faulty, OBSERVED, api=LOGS).error_type == "Logs.ValidationError"
    assert refused([], api=LOGS).error_type == "Logs.ValidationError"
    assert refused([], OBSERVED, api=LOGS).error_type == "Logs.DeserializationError"
    elsewhere = to("http://example.com:80") | {"schemaVersion": "2020-08-15"}
    assert refused(elsewhere, OBSERVED, api=LOGS).error_type == "Logs.AccessDenied"


# The other refusals


@pytest.mark.parametrize(
    ("refusal", "status", "error_type", "message"),
    [
        (
            contract.subscription_closed(TELEMETRY),
            403,
            "Telemetry.SubscriptionClosed",
            "Telemetry API subscription is closed already",
        ),
        (contract.subscription_closed(LOGS), 403, "Logs.SubscriptionClosed", "Logs API subscription is closed already"),
        (contract.not_supported(TELEMETRY), 202, "Telemetry.NotSupported", "Telemetry API is not supported"),
        (contract.not_supported(LOGS), 202, "Logs.NotSupported", "Logs API is not supported"),
        (contract.too_large(), 413, "RequestEntityTooLarge", "the request body is larger than 1048576 bytes"),
        (contract.method_not_allowed("PUT"), 405, "MethodNotAllowed", "this path answers PUT only"),
        (contract.no_logs_api(), 403, "Logs.NotSupported", "Logs API is not supported"),
        (contract.not_found("/\udcff"), 404, "NotFound", "there is nothing at /\\udcff"),
    ],
)
def test_the_other_refusals(refusal: Refusal, status: int, error_type: str, message: str) -> None:
    assert (refusal.status, refusal.error_type, refusal.message) == (status, error_type, message)
    assert json.loads(refusal.body) == {"errorType": error_type, "errorMessage": message}
    assert [fault.message for fault in refusal.faults] == [message]


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("/2025-01-29/telemetry", "/2022-07-01/telemetry"),
        ("/2022-07-02/telemetry?x=1", "/2022-07-01/telemetry"),
        ("/telemetry", "/2022-07-01/telemetry"),
        ("/2022-07-01/Telemetry/", "/2022-07-01/telemetry"),
        ("/2022-07-01/telemtry", "/2022-07-01/telemetry"),
        ("/2020-08-15/logs/", "/2020-08-15/logs"),
        ("/2022-07-01/logs", "/2020-08-15/logs"),
        ("/2020-01-01/extension/register/", "/2020-01-01/extension/register"),
        ("/2022-07-01/extension/register", "/2020-01-01/extension/register"),
        ("/2020-01-01/extension/events/next", "/2020-01-01/extension/event/next"),
        ("/extension/init/error", "/2020-01-01/extension/init/error"),
    ],
)
def test_an_unknown_path_is_told_the_one_that_was_probably_meant(target: str, meant: str) -> None:
    assert contract.path_meant(target) == meant
    assert contract.not_found(target).faults[0].rule.startswith(f"did you mean {meant}?")


@pytest.mark.parametrize("target", ["/", "", "/2018-06-01/runtime/invocation/next", "/health", "/2022-07-01"])
def test_a_path_that_resembles_none_is_told_what_there_is(target: str) -> None:
    assert contract.path_meant(target) is None
    assert "/2022-07-01/telemetry" in contract.not_found(target).faults[0].rule


def test_the_live_service_writes_errors_compact_with_the_message_first_and_a_final_newline() -> None:
    refusal = refused(body(types=[]), OBSERVED)
    expected = b'{"errorMessage":"types should not be empty","errorType":"Telemetry.ValidationError"}\n'
    assert refusal.written(OBSERVED) == expected
    assert refusal.written(DOCUMENTED) == refusal.body


@pytest.mark.parametrize(
    ("profile", "api", "error_type", "first"),
    [
        (DOCUMENTED, TELEMETRY, "ValidationError", "LogsAPI"),
        (DOCUMENTED, LOGS, "Logs.ValidationError", "TelemetryAPI"),
        (OBSERVED, TELEMETRY, "Telemetry.AccessDenied", "LogsAPI"),
        (OBSERVED, LOGS, "Logs.AccessDenied", "TelemetryAPI"),
    ],
)
def test_the_second_api_is_refused(profile: Profile, api: Api, error_type: str, first: str) -> None:
    refusal = contract.already_subscribed_elsewhere(profile, extension_name="ext", api=api)
    assert (refusal.status, refusal.error_type) == (400, error_type)
    assert refusal.message == (
        f"The extension ext is already subscribed to the {first}."
        " You must either subscribe to the LogsAPI or the TelemetryAPI"
    )


# Anything at all

NAMES = st.sampled_from(
    [
        "schemaVersion",
        "types",
        "destination",
        "buffering",
        "protocol",
        "URI",
        "port",
        "maxItems",
        "maxBytes",
        "timeoutMs",
    ]
)
SCALARS = st.sampled_from(
    [
        "2025-01-29",
        "platform",
        "function",
        "HTTP",
        "TCP",
        URI,
        "http://",
        "://@[:#",
        "\ud800",
        8080,
        1000,
        True,
        None,
        1.5,
    ]
)
TEXT = st.text(st.characters(), max_size=8)  # with lone surrogates
ANY_JSON = st.recursive(
    SCALARS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXT, inner, max_size=5),
    max_leaves=12,
)
PROFILES = st.builds(
    Profile,
    fidelity=st.sampled_from(["documented", "observed"]),
    initialization_type=st.sampled_from(["on-demand", "lambda-managed-instances"]),
    allow_loopback_destination=st.booleans(),
)
APIS = st.sampled_from(Api)


def check_verdict(raw: bytes, profile: Profile, api: Api) -> None:
    """There is a verdict, it holds together, and nothing in it fails to be written."""
    verdict = validate(raw, profile, api=api)
    if isinstance(verdict, Refusal):
        assert verdict.status in (400, 403)
        assert verdict.faults
        assert verdict.message == "; ".join(fault.message for fault in verdict.faults)
        assert json.loads(verdict.body)["errorMessage"] == verdict.message
        for fault in verdict.faults:
            f"{fault.message}: {fault.rule}".encode()
        return
    "".join([*verdict.warnings, *verdict.ignored]).encode()
    assert verdict.schema_version in api.schema_versions
    assert set(verdict.types) <= set(contract.TYPES)
    assert verdict.destination.port in contract.PORTS
    assert verdict.destination.path.isascii()
    assert verdict.destination.path.startswith("/")


@EXAMPLES
@given(raw=st.binary(max_size=80), profile=PROFILES, api=APIS)
def test_any_bytes_get_a_verdict(raw: bytes, profile: Profile, api: Api) -> None:
    check_verdict(raw, profile, api)


@EXAMPLES
@given(value=ANY_JSON, profile=PROFILES, api=APIS)
def test_any_json_gets_a_verdict(value: object, profile: Profile, api: Api) -> None:
    check_verdict(json.dumps(value).encode(), profile, api)


@EXAMPLES
@given(changes=st.dictionaries(NAMES | TEXT, ANY_JSON, max_size=3), profile=PROFILES, api=APIS)
def test_nearly_right_bodies_get_a_verdict(changes: Body, profile: Profile, api: Api) -> None:
    check_verdict(json.dumps(body(schemaVersion=api.schema_versions[0]) | changes).encode(), profile, api)


@EXAMPLES
@given(changes=st.dictionaries(NAMES | TEXT, ANY_JSON, max_size=3), profile=PROFILES, api=APIS)
def test_nearly_right_destinations_get_a_verdict(changes: Body, profile: Profile, api: Api) -> None:
    destination = {"protocol": "HTTP", "URI": URI, **changes}
    sent = body(schemaVersion=api.schema_versions[0], destination=destination)
    check_verdict(json.dumps(sent).encode(), profile, api)


@EXAMPLES
@given(
    uri=st.lists(
        st.sampled_from(
            ["http://", "sandbox", ".localdomain", ":", "8080", "/", "?", "#", "@", "[", "]", "\\", "%", "é"]
        )
        | TEXT,
        max_size=8,
    ).map("".join),
    protocol=st.sampled_from(["HTTP", "TCP", "http"]),
    profile=PROFILES,
)
def test_any_uri_gets_a_verdict(uri: str, protocol: str, profile: Profile) -> None:
    sent = body(destination={"protocol": protocol, "URI": uri})
    check_verdict(json.dumps(sent).encode(), profile, TELEMETRY)
