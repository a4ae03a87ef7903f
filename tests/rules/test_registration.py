"""Who may call, who may register, and for what."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lambda_telemetry.protocol.contract import Refusal
from pytest_lambda_telemetry.protocol.profiles import Profile
from pytest_lambda_telemetry.protocol.registration import (
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


@pytest.mark.parametrize("header", [ID, ID.upper(), f" {ID} "])
def test_an_identifier_is_a_uuid_in_lower_case(header: str) -> None:
    assert identify(header) == ID


@pytest.mark.parametrize("header", [None, "", "  "])
def test_a_missing_identifier(header: str | None) -> None:
    verdict = refusal(identify(header))
    assert verdict.error_type == "Extension.MissingExtensionIdentifier"
    assert verdict.message == "Missing Lambda-Extension-Identifier header"


@pytest.mark.parametrize("header", ["x", ID[:-1], f"{{{ID}}}", f"urn:uuid:{ID}", ID.replace("-", ""), f"{ID}, {ID}"])
def test_an_identifier_that_is_no_uuid(header: str) -> None:
    verdict = refusal(identify(header))
    assert verdict.error_type == "Extension.InvalidExtensionIdentifier"
    assert verdict.message == "Invalid Lambda-Extension-Identifier"


def test_an_identifier_that_nobody_has() -> None:
    verdict = refusal(unknown_identifier(ID))
    assert verdict.error_type == "Extension.UnknownExtensionIdentifier"
    assert verdict.message == f"Unknown extension {ID}"


@pytest.mark.parametrize("events", [[], ["INVOKE"], ["SHUTDOWN"], ["SHUTDOWN", "INVOKE"]])
def test_events_are_kept_in_order(events: list[str]) -> None:
    assert register(events) == tuple(events)


def test_an_event_named_twice_counts_once() -> None:
    assert register(["SHUTDOWN", "INVOKE", "SHUTDOWN"]) == ("SHUTDOWN", "INVOKE")


def test_other_fields_of_the_body_are_ignored() -> None:
    assert register(raw=b'{"events": ["INVOKE"], "configurationKeys": []}') == ("INVOKE",)


@pytest.mark.parametrize("name", [None, "", " "])
def test_a_name_is_needed(name: str | None) -> None:
    assert refusal(register(name=name)).error_type == "Extension.InvalidExtensionName"


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"{}", b'{"events": "INVOKE"}', b'{"events": null}', b"\xff"]
)
def test_a_body_needs_an_array_of_events(raw: bytes) -> None:
    assert refusal(register(raw=raw)).error_type == "InvalidRequestFormat"


@pytest.mark.parametrize("event", ["invoke", "RESTORE", "", 1, None, [], {}, "\ud800"])
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
    assert refusal(register(init_over=True)).error_type == "Extension.RegistrationClosed"


def test_ten_extensions_are_the_most() -> None:
    names = [f"ext-{number}" for number in range(10)]
    assert register(taken=names[:9]) == ("INVOKE", "SHUTDOWN")
    assert refusal(register(taken=names)).error_type == "Extension.TooManyExtensions"


def test_who_asks_comes_before_whether_it_may_and_that_before_what_it_says() -> None:
    wrong: dict[str, Any] = {"raw": b"{", "init_over": True, "taken": ("ext",)}
    assert refusal(register(name="", **wrong)).error_type == "Extension.InvalidExtensionName"
    assert refusal(register(**wrong)).error_type == "Extension.RegistrationClosed"
    assert refusal(register(raw=b"{", taken=("ext",))).error_type == "Extension.InvalidExtensionState"


@pytest.mark.parametrize("header", [None, "", " "])
def test_an_error_report_needs_its_type(header: str | None) -> None:
    verdict = refusal(error_report(header))
    assert verdict.error_type == "Extension.MissingHeader"
    assert verdict.message == "Missing Lambda-Extension-Function-Error-Type header"


def test_an_error_report_may_have_any_type() -> None:
    assert error_report(" Extension.ConfigInvalid ") == "Extension.ConfigInvalid"


@EXAMPLES
@given(header=st.none() | st.text(max_size=40), raw=st.binary(max_size=40), internal=st.booleans())
def test_any_header_and_any_bytes_get_a_verdict(header: str | None, raw: bytes, internal: bool) -> None:
    verdicts = (identify(header), error_report(header), register(name=header, raw=raw, internal=internal))
    for verdict in verdicts:
        if isinstance(verdict, Refusal):
            json.loads(verdict.body)
            verdict.message.encode()
