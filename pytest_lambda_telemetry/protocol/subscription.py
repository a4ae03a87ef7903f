"""The verdict on a Subscribe body: accepted, with its defaults filled in, or refused, with every fault named.

Rules and texts are those of the Lambda Telemetry API reference and of what was seen of the live service (contract.py
and profiles.py have the tables). Faults are collected in the reference's listing order: schemaVersion, destination,
protocol, URI (and port), types, buffering, maxItems, maxBytes, timeoutMs, then unknown fields.
"""

import difflib
import re
import string
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

from ..model.checks import is_a
from ..model.records import Buffering, Destination
from . import contract, profiles
from .contract import TELEMETRY, Api, Fault, Kind, Refusal
from .profiles import Difference, Profile
from .strict_json import Body, printable, read, shown

_T = TypeVar("_T")

_KINDS: Mapping[type, str] = {str: "a string", int: "an integer", list: "an array", dict: "an object"}

# Scheme, user, host, port, path with query, fragment. Every text matches: each part may be missing or empty.
_URI = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(?:([^/?#]*)@)?(\[[^\]/?#]*\]|[^:/?#]*)(?::([^/?#]*))?([^#]*)(#.*)?"
)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # \s: every Unicode space

_LONGEST_NAME = 60  # of a field that is not known, cut there in what is told of it
_NAMED_UNKNOWN = 20
"""Unknown fields of one object that get a warning each."""

_BODY_RULE = "the body of Subscribe is one JSON object in UTF-8: no expressions, no NaN, no key twice"
_DESTINATION_RULE = (
    'destination is an object such as {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/path"}'
)
_PROTOCOL_RULE = "protocol is `HTTP` or `TCP`, in capitals"
_URI_RULE = "URI has the form http://sandbox.localdomain:PORT[/PATH]"
_PORT_RULE = f"a port is an integer from 1 to 65535 other than {contract.RESERVED_PORT}, which Lambda uses itself"
_PORT_BESIDE_RULE = (
    "a port beside an HTTP URI is an integer from 1 to 65535, or is left out: the port of the URI counts"
)
_TYPES_RULE = (
    "types is an array of one or more of `platform`, `function` and `extension`, each at most once;"
    " a single event type such as `platform.runtimeDone` cannot be subscribed to"
)
_BUFFERING_RULE = "buffering is an object with any of `maxItems`, `maxBytes` and `timeoutMs`, or is left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A Subscribe body that Lambda takes.

    `types` are as sent; `buffering` has the defaults of the profile filled in; `warnings` are lines for the journal
    about what Lambda lets pass, and `ignored` about fields that have no effect; `body` is the decoded JSON.
    """

    schema_version: str
    types: tuple[str, ...]
    destination: Destination
    buffering: Buffering
    warnings: tuple[str, ...]
    ignored: tuple[str, ...]
    body: object


def validate(
    raw: bytes,
    profile: Profile,
    *,
    api: Api = TELEMETRY,
    content_type: str | None = contract.MEDIA_TYPE,
    loopback_allowed: bool = False,
) -> Accepted | Refusal:
    """The verdict on the body of a Subscribe call; never raises, whatever the bytes. See `validate_body`."""
    return validate_body(read(raw), profile, api=api, content_type=content_type, loopback_allowed=loopback_allowed)


def validate_body(
    given: Body, profile: Profile, *, api: Api, content_type: str | None, loopback_allowed: bool
) -> Accepted | Refusal:
    """The verdict on a body that was read already.

    `content_type` is the header as it came, None where there was none: it can only bring a warning.
    `loopback_allowed` lets 127.0.0.1, localhost and 0.0.0.0 in as destination hosts, as the profile's
    `allow_loopback_destination` does.
    """
    if given.too_large:
        return contract.too_large()
    if given.error is not None:
        return contract.refused_body(profile, api, [(Kind.UNDECODABLE, Fault(given.error.message, _BODY_RULE))])
    body = given.value
    if not isinstance(body, dict):
        fault = Fault("the body should be an object", f"{_BODY_RULE}; {shown(body)} arrived")
        return contract.refused_body(profile, api, [(Kind.UNDECODABLE, fault)])
    reading = _Reading(profile, api, loopback_allowed or profile.allow_loopback_destination)
    reading.content_type(content_type)
    schema_version = reading.schema_version(body)
    destination = reading.destination(body)
    types = reading.types(body)
    buffering = reading.buffering(body)
    reading.unknown_fields(body)
    if reading.found or destination is None:
        return contract.refused_body(profile, api, reading.found)
    return Accepted(
        schema_version=schema_version,
        types=types,
        destination=destination,
        buffering=buffering,
        warnings=tuple(reading.warnings),
        ignored=tuple(reading.ignored),
        body=body,
    )


@dataclass(slots=True)
class _Reading:
    """One body being read. A part that has a fault reads as an empty value, and the fault is in `found`."""

    profile: Profile
    api: Api
    loopback: bool
    found: list[tuple[Kind, Fault]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def fault(self, kind: Kind, message: str, rule: str) -> None:
        self.found.append((kind, Fault(message, rule)))

    def read(
        self, holder: Mapping[str, object], name: str, kind: type[_T], rule: str, *, required: bool = True
    ) -> _T | None:
        """The field's value, or None where it is absent or of another kind."""
        if name not in holder:
            if required:
                close = [key for key in holder if key.lower() == name.lower()]
                spelling = f"; `{close[0]}` is there, but names are case-sensitive" if close else ""
                self.fault(Kind.UNDECODABLE, f"{name} is not provided", rule + spelling)
            return None
        value = holder[name]
        if is_a(value, kind):
            return value
        self.fault(Kind.UNDECODABLE, f"{name} should be {_KINDS[kind]}", f"{rule}; {shown(value)} arrived")
        return None

    def choice(
        self, holder: Mapping[str, object], name: str, valid: Collection[str], rule: str, *, required: bool = True
    ) -> str | None:
        """A string field that has one of the `valid` values."""
        value = self.read(holder, name, str, rule, required=required)
        if value is None or value in valid:
            return value
        self.fault(Kind.UNDECODABLE, f"{name} should be {_one_of(valid)}", f"{rule}; {shown(value)} arrived")
        return None

    def note_unknown(self, holder: Mapping[str, object], name: str, known: Collection[str]) -> None:
        unknown = [key for key in holder if key not in known]
        self.ignored += [
            f"{name} has the unknown field `{printable(key[:_LONGEST_NAME])}`, which Lambda ignores"
            f"{_nearest(key, known)}; it knows {_listed(known)}"
            for key in unknown[:_NAMED_UNKNOWN]
        ]
        if len(unknown) > _NAMED_UNKNOWN:
            self.ignored.append(f"{name} has {len(unknown) - _NAMED_UNKNOWN} more unknown fields")

    def content_type(self, value: str | None) -> None:
        if value is None:
            self.warnings.append(f"Subscribe came without a Content-Type; the reference lists {contract.MEDIA_TYPE}")
        elif value.partition(";")[0].strip().lower() != contract.MEDIA_TYPE:
            self.warnings.append(
                f"Subscribe came with Content-Type {shown(value)}; the reference lists {contract.MEDIA_TYPE}"
            )

    def schema_version(self, body: Mapping[str, object]) -> str:
        valid, where = self.api.schema_versions, f"in the {self.api.label}"
        if self.profile.managed_instances and self.api is TELEMETRY:
            valid, where = contract.MANAGED_INSTANCES_VERSIONS, "on Lambda Managed Instances"
        default = self.api.default_version
        rule = f"schemaVersion is {_one_of(valid)} {where}"
        return self.choice(body, "schemaVersion", valid, rule, required=default is None) or default or ""

    def destination(self, body: Mapping[str, object]) -> Destination | None:
        given = self.read(body, "destination", dict, _DESTINATION_RULE)
        if given is None:
            return None
        self.note_unknown(given, "destination", contract.DESTINATION_FIELDS)
        protocol = self.choice(given, "protocol", contract.PROTOCOLS, _PROTOCOL_RULE)
        http, tcp = protocol == "HTTP", protocol == "TCP"  # neither: only what is wrong with both is a fault
        port_required = profiles.TCP_PORT_REQUIRED.under(self.profile)
        by_port = not http and ("port" in given or (tcp and port_required))
        uri = self.read(given, "URI", str, _URI_RULE, required=not by_port)
        parts = None if uri is None else self.uri(uri, http=http, needs_port=not by_port)
        host, port, path = parts or (contract.SANDBOX_HOST, None, "/")
        if tcp and by_port:
            port = self.port(given)
        if by_port and "URI" not in given and not port_required:
            self.warnings.append("destination has a port and no URI; the reference lists URI for TCP as well")
        if http and "port" in given:
            self.port_beside_uri(given)
        if protocol is None or port is None:
            return None
        return Destination(protocol=protocol, uri=uri, host=host, port=port, path=path)

    def port(self, given: Mapping[str, object]) -> int | None:
        number = self.read(given, "port", int, f"with TCP, {_PORT_RULE}")
        return None if number is None else self.usable_port(number, "port", shown(number))

    def port_beside_uri(self, given: Mapping[str, object]) -> None:
        """With HTTP the port of the URI counts; one beside it must be a port all the same (AWS's emulator)."""
        number = self.read(given, "port", int, _PORT_BESIDE_RULE)
        if number is not None and number not in contract.PORTS:
            message = "port should be between 1 and 65535"
            self.fault(Kind.INVALID, message, f"{_PORT_BESIDE_RULE}; {shown(number)} arrived")
        elif number is not None:
            self.warnings.append("destination has a port, which Lambda reads with TCP only; the port of the URI counts")

    def usable_port(self, number: int, name: str, arrived: str) -> int | None:
        if number not in contract.PORTS:
            self.fault(Kind.INVALID, f"{name} should be between 1 and 65535", f"{_PORT_RULE}; {arrived} arrived")
            return None
        if number == contract.RESERVED_PORT:
            self.fault(Kind.INVALID, f"{name} {number} is reserved", _PORT_RULE)
            return None
        return number

    def uri(self, uri: str, *, http: bool, needs_port: bool) -> tuple[str, int | None, str] | None:
        """Host, port (None where it is not needed or faulty) and path of a destination URI."""
        arrived = f"{_URI_RULE}; {shown(uri)} arrived"
        if not uri:
            self.fault(Kind.INVALID, "URI should not be empty", _URI_RULE)
            return None
        if _UNPRINTABLE.search(uri):
            self.fault(Kind.INVALID, "URI should not contain spaces or control characters", arrived)
            return None
        if _BROKEN_ESCAPE.search(uri):
            self.fault(Kind.INVALID, "URI should not contain a % without two hexadecimal digits behind it", arrived)
            return None
        match = _URI.fullmatch(uri)
        assert match is not None  # every text matches
        scheme, user, host, port, path, fragment = match.groups()
        if http and (scheme or "").lower() != "http":  # in any case (RFC 3986)
            self.denied(profiles.DENIED_SCHEME, arrived)
        if user is not None:
            self.fault(Kind.INVALID, "URI should not contain a user name", arrived)
        self.host(host, arrived)
        number = self.uri_port(port, arrived) if needs_port else None
        if fragment is not None:
            self.fault(Kind.INVALID, "URI should not contain a fragment", arrived)
        path = path if path.startswith("/") else f"/{path}"
        return host, number, quote(path, safe=string.punctuation)

    def host(self, host: str, arrived: str) -> None:
        if host in contract.SANDBOX_HOSTS or (self.loopback and host in contract.LOOPBACK_HOSTS):
            return
        way_out = "; the setting allow_loopback_destination lets it in" if host in contract.LOOPBACK_HOSTS else ""
        self.denied(profiles.DENIED_HOST, arrived + way_out)

    def denied(self, message: Difference[str], rule: str) -> None:
        """A place telemetry may not go to."""
        self.fault(Kind.DENIED, message.under(self.profile), rule)

    def uri_port(self, digits: str | None, arrived: str) -> int | None:
        if not digits:
            self.fault(Kind.INVALID, "URI port is not provided", arrived)
            return None
        if not (digits.isascii() and digits.isdecimal()):
            self.fault(Kind.INVALID, "URI port should be a number", arrived)
            return None
        # Six digits are out of range already; more might not be convertible.
        return self.usable_port(int(digits.lstrip("0")[:6] or "0"), "URI port", shown(digits))

    def types(self, body: Mapping[str, object]) -> tuple[str, ...]:
        given = self.read(body, "types", list, _TYPES_RULE)
        if given is None:
            return ()
        if not given:
            self.fault(Kind.INVALID, "types should not be empty", _TYPES_RULE)
        strange = [item for item in given if item not in contract.TYPES]
        if strange:
            kind, message = Kind.UNDECODABLE, f"types should contain only {_listed(contract.TYPES)}"
            single = profiles.SINGLE_EVENT.under(self.profile)
            if single is not None and self.api is TELEMETRY and _is_single_event(strange[0]):
                kind, message = Kind.INVALID, single
            self.fault(kind, message, f"{_TYPES_RULE}; {shown(strange[0])} arrived")
        names = [item for item in given if isinstance(item, str)]
        if len(set(names)) < len(names):
            self.fault(Kind.INVALID, "types should be unique", _TYPES_RULE)
        return tuple(names)

    def buffering(self, body: Mapping[str, object]) -> Buffering:
        given = self.read(body, "buffering", dict, _BUFFERING_RULE, required=False) or {}
        self.note_unknown(given, "buffering", contract.BUFFERING_LIMITS)
        max_items = self.api.own(profiles.MAX_ITEMS.under(self.profile))
        return Buffering(
            max_items=self.limited(given, "maxItems", max_items),
            max_bytes=self.limited(given, "maxBytes", contract.DEFAULT_MAX_BYTES),
            timeout_ms=self.limited(given, "timeoutMs", contract.DEFAULT_TIMEOUT_MS),
        )

    def limited(self, given: Mapping[str, object], name: str, default: int) -> int:
        limit = contract.BUFFERING_LIMITS[name]
        bounds = f"between {limit.minimum} and {limit.maximum}"
        rule = f"{name} is an integer {bounds}, {default} when left out"
        number = self.read(given, name, int, rule, required=False)
        if number is None:
            return default
        if not limit.minimum <= number <= limit.maximum:
            self.fault(Kind.INVALID, f"{name} should be {bounds}", f"{rule}; {shown(number)} arrived")
        return number

    def unknown_fields(self, body: Mapping[str, object]) -> None:
        for name in body:
            if name not in contract.FIELDS:
                self.fault(
                    Kind.UNDECODABLE,
                    f"unknown field `{printable(name)}`, expected one of {_listed(contract.FIELDS)}",
                    f"remove {shown(name)}: Lambda refuses a body with any field it does not know",
                )


def _is_single_event(value: object) -> bool:
    return isinstance(value, str) and value.startswith("platform.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _nearest(key: str, known: Iterable[str]) -> str:
    """The field that a misspelt one was probably meant to be: timeoutMs for timeout_ms."""
    plain = {name.lower(): name for name in known}
    near = difflib.get_close_matches(key.replace("_", "").lower()[:_LONGEST_NAME], plain, n=1)
    return f" (did you mean `{plain[near[0]]}`?)" if near else ""


def _one_of(valid: Collection[str]) -> str:
    return f"one of {_listed(valid)}" if len(valid) > 1 else _listed(valid)
