"""Who may call, who may register, and for what."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pytest_lambda_telemetry.protocol.contract import Refusal
from pytest_lambda_telemetry.protocol.profiles import Profile
from pytest_lambda_telemetry.protocol.registration import (
    canonical,
    error_report,
    identify,
    unknown_identifier,
    validate_registration,
)
from pytest_lambda_telemetry.protocol.strict_json import read

ID = "8d0f1a2b-0000-4abc-9def-0123456789ab"
EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def register(events: object = ("INVOKE", "SHUTDOWN"), **changes: Any) -> tuple[str, ...] | Refusal:
    raw = changes.pop("raw", json.dumps({"events": events}).encode())
    asked = {
        "name": "ext",
        "body": read(raw),
        "profile": Profile(),
        "taken": (),
        "init_over": False,
        "internal": False,
    }
    return validate_registration(**{**asked, **changes})


def refusal(verdict: object) -> Refusal:
    assert isinstance(verdict, Refusal), verdict
    assert verdict.status == 403
    assert [fault.message for fault in verdict.faults] == [verdict.message]
    return verdict


FORMS = [ID, ID.upper(), f" {ID} ", f"{{{ID}}}", f"urn:uuid:{ID}", f"URN:UUID:{ID.upper()}", ID.replace("-", "")]


@pytest.mark.parametrize("header", FORMS)
def test_an_identifier_is_a_uuid_in_any_of_its_forms(header: str) -> None:
    assert identify(header) == canonical(header) == ID


@pytest.mark.parametrize("header", [None, "", "  "])
def test_a_missing_identifier(header: str | None) -> None:
    verdict = refusal(identify(header))
    assert verdict.error_type == "Extension.MissingExtensionIdentifier"
    assert verdict.message == "Missing Lambda-Extension-Identifier header"


@pytest.mark.parametrize(
    "header",
    [
        *("x", ID[:-1], f"{ID}0", f"{ID}, {ID}", ID.replace("8", "g"), ID.replace("-", "", 1)),
        *(f"{{{ID}", f"{ID}}}", f"({ID})", f"uuid:{ID}", f"urn:uuid:{{{ID}}}", f"urn:uuid:{ID.replace('-', '')}"),
        f"{{{ID.replace('-', '')}}}",
    ],
)
def test_an_identifier_that_is_no_uuid(header: str) -> None:
    verdict = refusal(identify(header))
    assert verdict.error_type == "Extension.InvalidExtensionIdentifier"
    assert verdict.message == "Invalid Lambda-Extension-Identifier"
    assert canonical(header) == ""


def test_an_identifier_that_nobody_has() -> None:
    verdict = refusal(unknown_identifier(ID))
    assert verdict.error_type == "Extension.UnknownExtensionIdentifier"
    assert verdict.message == f"Unknown extension {ID}"


@pytest.mark.parametrize("events", [[], ["INVOKE"], ["SHUTDOWN"], ["SHUTDOWN", "INVOKE"]])
def test_events_are_kept_in_order(events: list[str]) -> None:
    assert register(events) == tuple(events)


def test_an_event_named_twice_counts_once() -> None:
    assert register(["SHUTDOWN", "INVOKE", "SHUTDOWN"]) == ("SHUTDOWN", "INVOKE")


@pytest.mark.parametrize("raw", [b"{}", b'{"events": null}', b'{"events": []}', b'{"configurationKeys": []}'])
def test_events_may_be_left_out(raw: bytes) -> None:
    assert register(raw=raw) == ()


@pytest.mark.parametrize("key", ["events", "Events", "EVENTS", "eVents"])
def test_the_name_of_events_is_matched_without_regard_to_case(key: str) -> None:
    assert register(raw=json.dumps({key: ["SHUTDOWN"]}).encode()) == ("SHUTDOWN",)


def test_other_fields_of_the_body_are_ignored() -> None:
    raw = b'{"events": ["INVOKE"], "configurationKeys": null, "event": ["SHUTDOWN"]}'
    assert register(raw=raw) == ("INVOKE",)


@pytest.mark.parametrize("raw", [b'{"configurationKeys": ["A"]}', b'{"events": [], "ConfigurationKeys": "A"}'])
def test_configuration_keys_are_deprecated(raw: bytes) -> None:
    verdict = refusal(register(raw=raw))
    assert verdict.error_type == "InvalidRequestFormat"
    assert verdict.message.startswith("configurationKeys is deprecated")
    assert "environment variables" in verdict.faults[0].rule


@pytest.mark.parametrize("name", [None, "", " "])
def test_a_name_is_needed(name: str | None) -> None:
    verdict = refusal(register(name=name))
    assert (verdict.error_type, verdict.message) == ("Extension.InvalidExtensionName", "Empty extension name")


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"[]", b"null", b'"INVOKE"', b"\xff"),
        *(b'{"events": "INVOKE"}', b'{"events": false}', b'{"events": {}}', b'{"events": ["INVOKE", 1]}'),
    ],
)
def test_a_body_is_an_object_whose_events_are_an_array_of_strings(raw: bytes) -> None:
    assert refusal(register(raw=raw)).error_type == "InvalidRequestFormat"


@pytest.mark.parametrize("event", ["invoke", "RESTORE", "", None, "\ud800"])
def test_events_that_do_not_exist(event: object) -> None:
    verdict = refusal(register(["INVOKE", event]))
    assert verdict.error_type == "Extension.InvalidEventType"
    assert verdict.message == f"invalid event type {json.dumps(event)}"
    assert verdict.faults[0].rule == "an event here is one of: INVOKE, SHUTDOWN"


def test_managed_instances_send_no_invoke() -> None:
    profile = Profile(initialization_type="lambda-managed-instances")
    assert register(["SHUTDOWN"], profile=profile) == ("SHUTDOWN",)
    verdict = refusal(register(["INVOKE"], profile=profile))
    assert verdict.error_type == "Extension.InvalidEventType"
    assert verdict.message == 'invalid event type "INVOKE": Lambda Managed Instances send no INVOKE'
    assert verdict.faults[0].rule == "an event here is one of: SHUTDOWN"


def test_internal_extensions_get_no_shutdown() -> None:
    assert register(["INVOKE"], internal=True) == ("INVOKE",)
    verdict = refusal(register(["SHUTDOWN"], internal=True))
    assert verdict.error_type == "Extension.InvalidEventType"
    assert verdict.message == 'invalid event type "SHUTDOWN": internal extensions get no SHUTDOWN'


def test_an_internal_extension_of_managed_instances_can_register_for_nothing() -> None:
    profile = Profile(initialization_type="lambda-managed-instances")
    assert register([], profile=profile, internal=True) == ()
    assert (
        refusal(register(["INVOKE"], profile=profile, internal=True)).faults[0].rule == "an event here is one of: none"
    )


def test_a_name_registers_once() -> None:
    verdict = refusal(register(taken=("ext",)))
    assert (verdict.error_type, verdict.message) == (
        "Extension.InvalidExtensionState",
        "Extension ext is registered already",
    )


def test_init_ends_registration() -> None:
    verdict = refusal(register(init_over=True))
    assert verdict.error_type == "Extension.RegistrationClosed"
    assert verdict.message == "Extension registration closed already"


def test_ten_extensions_are_the_most() -> None:
    names = [f"ext-{number}" for number in range(10)]
    assert register(taken=names[:9]) == ("INVOKE", "SHUTDOWN")
    verdict = refusal(register(taken=names))
    assert (verdict.error_type, verdict.message) == (
        "Extension.TooManyExtensions",
        "Extension limit (10) reached",
    )


def test_the_order_of_checks_is_name_body_events_taken_closed_limit() -> None:
    names = ["ext", *(f"ext-{number}" for number in range(9))]
    wrong: dict[str, Any] = {"init_over": True, "taken": names}
    expected: list[tuple[dict[str, Any], str]] = [
        ({"name": "", "raw": b"{"}, "Extension.InvalidExtensionName"),
        ({"raw": b"{"}, "InvalidRequestFormat"),
        ({"events": ["NONE"]}, "Extension.InvalidEventType"),
        ({}, "Extension.InvalidExtensionState"),
        ({"name": "other"}, "Extension.RegistrationClosed"),
        ({"name": "other", "init_over": False}, "Extension.TooManyExtensions"),
    ]
    assert [refusal(register(**{**wrong, **changes})).error_type for changes, _ in expected] == [
        error_type for _, error_type in expected
    ]


@pytest.mark.parametrize("header", [None, "", " "])
def test_an_error_report_needs_its_type(header: str | None) -> None:
    verdict = refusal(error_report(header, "Extension.InitError"))
    assert verdict.error_type == "Extension.MissingHeader"
    assert verdict.message == "Lambda-Extension-Function-Error-Type not found"


@pytest.mark.parametrize("header", ["Extension.ConfigInvalid", " Extension.Az ", "Extension.AA"])
def test_an_error_type_of_the_right_form_is_reported(header: str) -> None:
    assert error_report(header, "Extension.InitError") == header.strip()


@pytest.mark.parametrize(
    "header",
    [
        *("Failed", "Runtime.ExitError", "extension.Failed", "Extension.", "Extension.A", "Extension.failed"),
        *("Extension.Config2", "Extension.Bad-Config", "My.Extension.Failed", "Extension.Bad Config", "Extension.A.B"),
    ],
)
def test_another_error_type_is_reported_as_the_default(header: str) -> None:
    assert error_report(header, "Extension.ExitError") == "Extension.ExitError"


@EXAMPLES
@given(header=st.none() | st.text(max_size=40), raw=st.binary(max_size=40), internal=st.booleans())
def test_any_header_and_any_bytes_get_a_verdict(header: str | None, raw: bytes, internal: bool) -> None:
    verdicts = (
        identify(header),
        error_report(header, "Extension.InitError"),
        register(name=header, raw=raw, internal=internal),
    )
    for verdict in verdicts:
        if isinstance(verdict, Refusal):
            json.loads(verdict.body)
            verdict.message.encode()


def test_the_name_is_the_files_where_that_is_known() -> None:
    verdict = refusal(register(name="a", file_name="b"))
    assert verdict.error_type == "Extension.InvalidExtensionName"
    assert verdict.message == "Extension name a differs from its file name b"
    assert refusal(register(["NONE"], name="a", file_name="b")).error_type == "Extension.InvalidEventType"
    assert refusal(register(name="a", file_name="b", taken=["a"], init_over=True)) == verdict


@pytest.mark.parametrize("sound", [{"file_name": "a"}, {"file_name": None}, {"file_name": "b", "internal": True}])
def test_a_name_that_may_differ_or_does_not(sound: dict[str, Any]) -> None:
    assert register(["INVOKE"], name="a", **sound) == ("INVOKE",)
