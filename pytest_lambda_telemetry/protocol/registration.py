"""The verdicts on who calls and who registers: identifier headers, the register call, error reports.

Sources: Extensions API and AWS's own emulator; every refusal is a 403. Checks run in the order of the Subscribe call:
who asks, whether it may ask now, what it says.
"""

import re
from collections.abc import Collection

from . import contract
from .contract import Refusal, single
from .profiles import Profile
from .strict_json import Body, printable, shown

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_IDENTIFIER_RULE = "send the Lambda-Extension-Identifier that the answer to register carried, a UUID"
_BODY_RULE = 'the body is a JSON object such as {"events": ["INVOKE", "SHUTDOWN"]}; the array may be empty'


def identify(header: str | None) -> str | Refusal:
    """The identifier in a Lambda-Extension-Identifier header (None: there was none), as a lower-case UUID."""
    text = (header or "").strip()
    if not text:
        return single(
            403,
            "Extension.MissingExtensionIdentifier",
            "Missing Lambda-Extension-Identifier header",
            _IDENTIFIER_RULE,
        )
    if not _UUID.fullmatch(text.lower()):
        return single(
            403,
            "Extension.InvalidExtensionIdentifier",
            "Invalid Lambda-Extension-Identifier",
            f"{_IDENTIFIER_RULE}; {shown(text)} arrived",
        )
    return text.lower()


def unknown_identifier(identifier: str) -> Refusal:
    """A well-formed identifier that no extension of this environment has."""
    return single(
        403,
        "Extension.UnknownExtensionIdentifier",
        f"Unknown extension {printable(identifier)}",
        f"{_IDENTIFIER_RULE}; one from an earlier test or environment is not known here",
    )


def validate_registration(
    *, name: str | None, body: Body, profile: Profile, taken: Collection[str], init_over: bool, internal: bool
) -> tuple[str, ...] | Refusal:
    """The events an extension registers for, each once, in the order it named them; or why it may not register.

    `name` is the Lambda-Extension-Name header, `taken` the names registered so far, `internal` says that the runtime
    started this extension. An event named twice is tolerated, and so is an empty array: such an extension is never
    woken. The `events` array itself must be there.
    """
    return _may_register(name, taken, init_over) or _events(body, profile, internal)


def _may_register(name: str | None, taken: Collection[str], init_over: bool) -> Refusal | None:
    if not (name and name.strip()):
        return single(
            403,
            "Extension.InvalidExtensionName",
            "Empty Lambda-Extension-Name header",
            "send the file name of the extension in Lambda-Extension-Name",
        )
    if init_over:
        return single(
            403,
            "Extension.RegistrationClosed",
            "Extension registration is closed already",
            "register during initialization: it ends once the runtime and every registered extension ask for an event",
        )
    if name in taken:
        return single(
            403,
            "Extension.InvalidExtensionState",
            f"Extension {printable(name)} is registered already",
            "register once, and keep the identifier",
        )
    if len(taken) >= contract.MAX_EXTENSIONS:
        return single(
            403,
            "Extension.TooManyExtensions",
            f"there are {len(taken)} extensions already",
            f"at most {contract.MAX_EXTENSIONS} extensions can register",
        )
    return None


def _events(given: Body, profile: Profile, internal: bool) -> tuple[str, ...] | Refusal:
    if given.error is not None:
        return _bad_format(given.error.message)
    body = given.value
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list):
        return _bad_format(f"the body should be an object with an array of events; {shown(body)} arrived")
    valid = [event for event in contract.EVENT_TYPES if not _barred(event, profile, internal)]
    for event in events:
        if event not in valid:
            barred = event in contract.EVENT_TYPES and _barred(event, profile, internal)
            return single(
                403,
                "Extension.InvalidEventType",
                f"invalid event type {shown(event)}" + (f": {barred}" if barred else ""),
                f"an event here is one of: {', '.join(valid) or 'none'}",
            )
    return tuple(dict.fromkeys(events))


def _barred(event: str, profile: Profile, internal: bool) -> str:
    """Why this extension may not register for an event that others may; empty where it may."""
    if event == "INVOKE" and profile.managed_instances:
        return "Lambda Managed Instances send no INVOKE"
    if event == "SHUTDOWN" and internal:
        return "internal extensions get no SHUTDOWN"
    return ""


def _bad_format(message: str) -> Refusal:
    return single(403, "InvalidRequestFormat", message, _BODY_RULE)


def error_report(header: str | None) -> str | Refusal:
    """The error type in the Lambda-Extension-Function-Error-Type header of init/error or exit/error."""
    text = (header or "").strip()
    if text:
        return text
    return single(
        403,
        "Extension.MissingHeader",
        "Missing Lambda-Extension-Function-Error-Type header",
        "say what went wrong in Lambda-Extension-Function-Error-Type, for instance Extension.ConfigInvalid",
    )
