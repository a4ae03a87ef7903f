"""The verdicts on who calls and who registers: identifier headers, the register call, error reports.

Sources: Extensions API and AWS's own emulator, which has the order of checks; every refusal is a 403.
"""

import re
from collections.abc import Collection
from uuid import UUID

from . import contract
from .contract import Refusal, single
from .profiles import Profile
from .strict_json import Body, printable, shown

_DASHED = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UUID = re.compile(rf"(?:urn:uuid:)?{_DASHED}|\{{{_DASHED}\}}|[0-9a-f]{{32}}")  # the forms that AWS's emulator reads
_ERROR_TYPE = re.compile(r"Extension\.[A-Z][A-Za-z]+")  # AWS's emulator; any other is replaced

_IDENTIFIER_RULE = "send the Lambda-Extension-Identifier that the answer to register carried, a UUID"
_BODY_RULE = 'the body is a JSON object such as {"events": ["INVOKE", "SHUTDOWN"]}; without events it is {}'
_DEPRECATED = "configurationKeys"
_DEPRECATED_RULE = "leave configurationKeys out: the function's environment variables are the extension's too"


def canonical(header: str | None) -> str:
    """The UUID in a Lambda-Extension-Identifier header, however it is written, with dashes in lower case.

    Empty where there is none. This is how identifiers are compared.
    """
    text = (header or "").strip().lower()
    return str(UUID(text)) if _UUID.fullmatch(text) else ""


def identify(header: str | None) -> str | Refusal:
    """The identifier in a Lambda-Extension-Identifier header (None: there was none), in canonical form."""
    text = (header or "").strip()
    if not text:
        return single(
            403,
            "Extension.MissingExtensionIdentifier",
            "Missing Lambda-Extension-Identifier header",
            _IDENTIFIER_RULE,
        )
    return canonical(text) or single(
        403,
        "Extension.InvalidExtensionIdentifier",
        "Invalid Lambda-Extension-Identifier",
        f"{_IDENTIFIER_RULE}; {shown(text)} arrived",
    )


def unknown_identifier(identifier: str) -> Refusal:
    """A well-formed identifier that no extension of this environment has."""
    return single(
        403,
        "Extension.UnknownExtensionIdentifier",
        f"Unknown extension {printable(identifier)}",
        f"{_IDENTIFIER_RULE}; one from an earlier test or environment is not known here",
    )


def validate_registration(
    *,
    name: str | None,
    body: Body,
    profile: Profile,
    taken: Collection[str],
    init_over: bool,
    internal: bool,
    file_name: str | None = None,
) -> tuple[str, ...] | Refusal:
    """The events an extension registers for, each once, in the order it named them; or why it may not register.

    `name` is the Lambda-Extension-Name header, `taken` the names registered so far, `internal` says that the runtime
    started this extension, `file_name` is that of the file from which Lambda started it, None where that is not known.
    The order of checks is that of AWS's emulator: name, body, events, then whether the name is the file's (Extensions
    API), whether it is taken, whether registration is closed, and how many there are. An event named twice is
    tolerated. `events` may be empty, null or left out (Extensions API: it is not required): such an extension is never
    woken.
    """
    if not (name and name.strip()):
        return single(
            403,
            "Extension.InvalidExtensionName",
            "Empty extension name",
            "send the file name of the extension in Lambda-Extension-Name",
        )
    events = _events(body, profile, internal)
    if isinstance(events, Refusal):
        return events
    if file_name is not None and file_name != name and not internal:
        return single(
            403,
            "Extension.InvalidExtensionName",
            f"Extension name {printable(name)} differs from its file name {printable(file_name)}",
            "send the file name of the extension in Lambda-Extension-Name (Extensions API); in a test,"
            " run_extension(..., name=...) says how the file is called on Lambda",
        )
    return _may_register(name, taken, init_over) or events


def _may_register(name: str, taken: Collection[str], init_over: bool) -> Refusal | None:
    if name in taken:
        return single(
            403,
            "Extension.InvalidExtensionState",
            f"Extension {printable(name)} is registered already",
            "register once, and keep the identifier",
        )
    if init_over:
        return single(
            403,
            "Extension.RegistrationClosed",
            "Extension registration closed already",
            "register during initialization: it ends once the runtime and every registered extension ask for an event;"
            " in a test, wait_for_extension() lets the first invocation wait for one that is still starting",
        )
    if len(taken) >= contract.MAX_EXTENSIONS:
        return single(
            403,
            "Extension.TooManyExtensions",
            f"Extension limit ({contract.MAX_EXTENSIONS}) reached",
            f"at most {contract.MAX_EXTENSIONS} extensions can register",
        )
    return None


def _events(given: Body, profile: Profile, internal: bool) -> tuple[str, ...] | Refusal:
    if given.too_large:
        return contract.too_large()
    if given.error is not None:
        return _bad_format(given.error.message)
    if not isinstance(given.value, dict):
        return _bad_format(f"the body should be an object; {shown(given.value)} arrived")
    fields = {key.lower(): value for key, value in given.value.items()}  # the last of several spellings counts
    keys = fields.get(_DEPRECATED.lower())
    if keys is not None and keys != []:
        return _bad_format(f"{_DEPRECATED} is deprecated; {shown(keys)} arrived", _DEPRECATED_RULE)
    events = fields.get("events")
    if events is None:
        return ()
    if not isinstance(events, list) or not all(isinstance(event, str | None) for event in events):
        return _bad_format(f"events should be an array of strings; {shown(events)} arrived")
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


def _bad_format(message: str, rule: str = _BODY_RULE) -> Refusal:
    return single(403, "InvalidRequestFormat", message, rule)


def error_report(header: str | None, default: str) -> str | Refusal:
    """The error type that Lambda reports, from the Lambda-Extension-Function-Error-Type header of an error report.

    `default` stands for one that does not look like `Extension.Name` (AWS's emulator).
    """
    text = (header or "").strip()
    if text:
        return text if _ERROR_TYPE.fullmatch(text) else default
    return single(
        403,
        "Extension.MissingHeader",
        "Lambda-Extension-Function-Error-Type not found",
        "say what went wrong in Lambda-Extension-Function-Error-Type, for instance Extension.ConfigInvalid",
    )


def replaced(given: str, reported: str) -> str:
    """What the journal says of an error type that Lambda does not report."""
    return (
        f"the error type {shown(given)} does not look like Extension.Name, such as Extension.ConfigInvalid:"
        f" Lambda reports {reported}"
    )
