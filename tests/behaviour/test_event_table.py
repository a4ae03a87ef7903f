"""Every type, in every version, under both log formats and every initialization type, as real subscribers get it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_lambda_telemetry import Event as Made, LambdaTelemetry, MisuseError, SchemaVersion, Settings, events
from pytest_lambda_telemetry.protocol.schema import InitializationType, Span
from pytest_lambda_telemetry.settings import LogFormat
from tests.support.event_schemas import TYPES, VERSIONS, event_schema
from tests.support.helpers import Listener, call, register, subscribe, subscribe_body
from tests.support.living import Event, living

KINDS: tuple[InitializationType, ...] = (
    "on-demand",
    "provisioned-concurrency",
    "snap-start",
    "lambda-managed-instances",
)
MANAGED = KINDS[-1]
START = "2026-01-01T00:00:00Z"
OBJECT: dict[str, object] = {"level": "INFO", "message": "an object", "deep": {"n": [1, 2.5, None, True]}}

Arrived = tuple[InitializationType, LogFormat, Mapping[str, list[Event]]]


def one_of_each(kind: InitializationType) -> list[Made]:
    """All fourteen types with every optional field, and log records of each form."""
    of_kind: dict[str, Any] = {"initialization_type": kind}
    error: dict[str, Any] = {"status": "error", "error_type": "Runtime.ExitError"}
    span: list[Span] = [{"name": "someSpan", "durationMs": 3.5}]
    tenant: dict[str, Any] = {"tenant_id": "tenant-1"}
    return [
        events.platform_init_start(**of_kind),
        events.platform_init_start(phase="invoke", **of_kind),
        events.platform_init_runtime_done(spans=span, **of_kind),
        events.platform_init_runtime_done(**error, **of_kind),
        events.platform_init_report(spans=span, **of_kind),
        events.platform_init_report(**error, **of_kind),
        events.platform_restore_start(),
        events.platform_restore_runtime_done(spans=span),
        events.platform_restore_runtime_done(**error),
        events.platform_restore_report(spans=span),
        events.platform_restore_report(**error),
        events.platform_start(**tenant),
        events.platform_runtime_done(**tenant),
        events.platform_runtime_done(**error),
        events.platform_runtime_done(status="timeout", duration_ms=None),
        events.platform_report(init_duration_ms=12.5, **tenant),
        events.platform_report(restore_duration_ms=80.0, billed_restore_duration_ms=80),
        events.platform_report(**error),
        events.platform_report(status="timeout", spans=None, tracing=None),
        events.platform_extension(),
        events.platform_extension(state="InitError", error_type="Extension.NoConfig"),
        events.platform_telemetry_subscription(),
        events.platform_logs_dropped(),
        *(
            log(record)
            for log in (events.function, events.extension)
            for record in ("a line", json.dumps(OBJECT), OBJECT)
        ),
    ]


def check(version: str, event: Event) -> None:
    faults = list(Draft202012Validator(event_schema(version, event["type"])).iter_errors(event))
    assert not faults, f"{version} {event}: {[fault.message for fault in faults]}"


@pytest.fixture(params=[(kind, log_format) for kind in KINDS for log_format in ("Text", "JSON")], ids="-".join)
def arrived(request: pytest.FixtureRequest) -> Iterator[Arrived]:
    """What three real subscribers, one of each version, got of the same events: {version: events}."""
    kind, log_format = request.param
    settings = Settings(initialization_type=kind, log_format=log_format, start=START, platform_events=False)
    with living() as make, LambdaTelemetry(settings) as environment:
        versions = VERSIONS[-1:] if kind == MANAGED else VERSIONS
        extensions = {version: make(version, ("SHUTDOWN",), schemaVersion=version) for version in versions}
        environment.emit(*one_of_each(kind))
        environment.flush()
        yield kind, log_format, {version: one.received for version, one in extensions.items()}
        environment.shutdown()


def test_what_arrives_is_as_published(arrived: Arrived) -> None:
    kind, _, received = arrived
    for version, seen in received.items():
        hidden = {"platform.runtimeDone"} if kind == MANAGED else set()
        assert {event["type"] for event in seen} == {*TYPES} - hidden
        for event in seen:
            check(version, event)


def test_every_version_sees_the_same_events_less_what_came_later(arrived: Arrived) -> None:
    _, _, received = arrived
    newest = received[VERSIONS[-1]]
    for version, seen in received.items():
        assert [(event["time"], event["type"]) for event in seen] == [(one["time"], one["type"]) for one in newest]
        for event, full in zip(seen, newest, strict=True):
            if isinstance(event["record"], dict):
                assert event["record"].items() <= full["record"].items() or "metrics" in event["record"], version


def test_log_records_have_the_form_of_version_and_format(arrived: Arrived) -> None:
    _, log_format, received = arrived
    expected = {
        "Text": ["a line", json.dumps(OBJECT), OBJECT],
        "JSON": ["a line", OBJECT, OBJECT],
    }[log_format]
    text = json.dumps(OBJECT, separators=(",", ":"))
    for version, seen in received.items():
        for kind in ("function", "extension"):
            records = [event["record"] for event in seen if event["type"] == kind]
            assert records == (["a line", json.dumps(OBJECT), text] if version == VERSIONS[0] else expected)


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_lambda_sends_by_itself_is_as_published(kind: InitializationType, log_format: LogFormat) -> None:
    managed = kind == MANAGED
    settings = Settings(initialization_type=kind, log_format=log_format, start=START)
    with living() as make, LambdaTelemetry(settings) as environment:
        taken = ("SHUTDOWN",) if managed else ("INVOKE", "SHUTDOWN")
        extensions = {
            version: make(version, taken, schemaVersion=version) for version in (VERSIONS[-1:] if managed else VERSIONS)
        }
        environment.invoke(logs=["a line", OBJECT], tenant_id="tenant-1")
        environment.invoke(status="error", error_type="Runtime.ExitError")
        environment.shutdown()
        for version, one in extensions.items():
            for event in one.received:
                check(version, event)
        reports = [len(one.of("platform.report")) for one in extensions.values()]
        assert reports == [2] * len(extensions)
        assert all(one.of("platform.initStart")[0]["initializationType"] == kind for one in extensions.values())


def test_two_subscribers_of_different_versions_each_see_their_own() -> None:
    with living() as make, LambdaTelemetry(Settings(start=START)) as environment:
        old, new = make("old", schemaVersion="2022-07-01"), make("new", schemaVersion="2025-01-29")
        environment.invoke(logs=[OBJECT], tenant_id="tenant-1")
        environment.shutdown()
        assert old.of("function") == [json.dumps(OBJECT, separators=(",", ":"))]
        assert new.of("function") == [OBJECT]
        assert {"functionArn", "tenantId"} & old.of("platform.start")[0].keys() == set()
        assert new.of("platform.start")[0].keys() >= {"functionArn", "tenantId"}
        assert "status" not in old.of("platform.initReport")[0]
        assert new.of("platform.initReport")[0]["status"] == "success"
        assert "functionName" not in old.of("platform.initStart")[0]
        assert new.of("platform.initStart")[0]["functionName"] == "test-function"


@pytest.mark.parametrize("version", VERSIONS[:2])
def test_managed_instances_take_the_newest_version_alone(version: SchemaVersion) -> None:
    settings = Settings(initialization_type=MANAGED, strict=False)
    with Listener() as listener, LambdaTelemetry(settings) as environment:
        answer = subscribe(register(events=("SHUTDOWN",)), subscribe_body(listener.port, schemaVersion=version))
        assert answer.status == 400
        with pytest.raises(MisuseError):
            environment.subscribe(listener.uri, schema_version=version, name="by-hand")


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
@pytest.mark.parametrize("version", VERSIONS)
def test_types_and_fields_nobody_knows_pass_through(version: str, log_format: LogFormat) -> None:
    strange: list[dict[str, object]] = [
        {"time": "2026-01-01T00:00:00.5Z", "type": "platform.somethingNew", "record": {"a": [1, {"b": None}]}},
        {"time": "2026-01-01T00:00:00Z", "type": "platform.start", "record": {"requestId": "r", "new": {"x": 1}}},
        {"time": "2026-01-01T00:00:00Z", "type": "platform.report", "record": {"metrics": {"newMs": 1}}},
        {"time": "2026-01-01T00:00:00Z", "type": "platform.odd", "record": [1, 2], "beside": {"the": "record"}},
        {"time": "2026-01-01T00:00:00Z", "type": "unheard", "record": None},
    ]
    settings = Settings(start=START, log_format=log_format, platform_events=False)
    with living() as make, LambdaTelemetry(settings) as environment:
        ext = make(schemaVersion=version, types=["platform"])
        environment.emit(*map(events.from_dict, strange))
        environment.flush()
        assert ext.received == strange
        environment.shutdown()


def test_a_type_goes_to_those_who_subscribed_to_it() -> None:
    with living() as make, LambdaTelemetry(Settings(platform_events=False)) as environment:
        made = {kind: make(kind, types=[kind]) for kind in ("platform", "function", "extension")}
        environment.emit(*one_of_each("on-demand"))
        environment.shutdown()
        for kind, one in made.items():
            assert {name.partition(".")[0] for name in one.types} == {kind}


def test_nothing_comes_in_local_testing() -> None:
    with Listener() as listener, LambdaTelemetry(Settings(local_testing=True, strict=False)) as environment:
        answer = subscribe(register(), subscribe_body(listener.port))
        assert (answer.status, answer.body["errorType"]) == (202, "Telemetry.NotSupported")
        environment.emit(*one_of_each("on-demand"))
        assert environment.flush() == ()
        assert call("GET", "/nowhere").status == 404
        assert listener.bodies == []
