"""The tables of the wire contract: versions, limits and texts; what differs between the profiles is in profiles.py.

Each row names its source: the Lambda Telemetry API reference, the guide (accessing telemetry data), the Extensions
API, the Logs API, AWS's own emulator, or "seen": reported in public of the live service.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TypeVar

from . import profiles
from .profiles import PerApi, Profile
from .strict_json import printable

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: the text Lambda answers, and the rule behind it for a person."""

    message: str
    rule: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: `{"errorType": …, "errorMessage": …}` with a status. `faults` say more to a person.

    `compact`: without spaces, as AWS's emulator writes the answers that are known from it alone.
    """

    status: int
    error_type: str
    message: str
    faults: tuple[Fault, ...] = ()
    compact: bool = False

    @property
    def body(self) -> bytes:
        """The bytes of the answer, spaced as the reference prints them; ASCII, whatever the message holds."""
        separators = (",", ":") if self.compact else (", ", ": ")
        answer = {"errorType": self.error_type, "errorMessage": self.message}
        return json.dumps(answer, separators=separators).encode("ascii")

    def written(self, profile: Profile) -> bytes:
        """The bytes as this profile has them: the live service puts the message first and ends the line (seen)."""
        if not profiles.MESSAGE_FIRST.under(profile):
            return self.body
        answer = {"errorMessage": self.message, "errorType": self.error_type}
        return json.dumps(answer, separators=(",", ":")).encode("ascii") + b"\n"


# What a Subscribe body may say -----------------------------------------------------------------------------------

TYPES = ("platform", "function", "extension")  # reference; a single event type such as platform.runtimeDone is not one
PROTOCOLS = ("HTTP", "TCP")  # reference; case-sensitive in AWS's emulator
FIELDS = ("schemaVersion", "types", "buffering", "destination")  # seen: the order of the live service's own message
DESTINATION_FIELDS = ("protocol", "URI", "port", "method", "encoding")  # reference; AWS's emulator; AWS's Go sample
MANAGED_INSTANCES_VERSIONS = ("2025-01-29",)  # reference: the only schema version of Lambda Managed Instances

SANDBOX_HOST = "sandbox.localdomain"  # reference
SANDBOX_HOSTS = (SANDBOX_HOST, "sandbox")  # seen: many extensions name the short form
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "0.0.0.0")  # refused by the live service; a setting lets them in
RESERVED_PORT = 9001  # guide: Lambda's own, for TCP too
PORTS = range(1, 65_536)

MAX_BODY_BYTES = 1_048_576  # AWS's emulator
MAX_EXTENSIONS = 10  # Extensions API
MAX_SUBSCRIPTIONS = 1_000  # ours: AWS's emulator takes one for each extension, the live service's bound is unknown
EVENT_TYPES = ("INVOKE", "SHUTDOWN")  # Extensions API
SHUTDOWN_LIMITS_MS: Mapping[str, int] = MappingProxyType({"none": 0, "internal": 500, "external": 2_000})
"""How long extensions may take to shut down, by the kinds that are there (Extensions API)."""

MEDIA_TYPE = "application/json"  # reference

SLOW_CONSUMER = (  # AWS's emulator: the reason of platform.logsDropped
    "Some logs were dropped because the downstream consumer is slower than the logs production rate"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """The integers a `buffering` field may hold, ends included."""

    minimum: int
    maximum: int


BUFFERING_LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "maxItems": Limit(1_000, 10_000),  # reference
        "maxBytes": Limit(262_144, 1_048_576),  # reference, bytes
        "timeoutMs": Limit(25, 30_000),  # reference, milliseconds
    }
)
DEFAULT_MAX_BYTES = 262_144  # reference
DEFAULT_TIMEOUT_MS = 1_000  # reference


class Api(Enum):
    """The two APIs an extension can subscribe with, and all in which their Subscribe calls differ.

    `path` is that of the call, `default_version` what an omitted schemaVersion means (None: it is required), `prefix`
    that of an error type that is the same in both profiles, `label` the API in running text and `title` its name in the
    live service's message about using both.
    """

    TELEMETRY = (
        "Telemetry",
        "/2022-07-01/telemetry",  # reference: for every schemaVersion
        ("2025-01-29", "2022-12-13", "2022-07-01"),  # reference
        None,
    )
    LOGS = (
        "Logs",
        "/2020-08-15/logs",  # Logs API, as are all of these
        ("2020-08-15", "2021-03-18"),
        "2020-08-15",
    )

    def __init__(
        self,
        word: str,
        path: str,
        schema_versions: tuple[str, ...],
        default_version: str | None,
    ) -> None:
        self.path = path
        self.schema_versions = schema_versions
        self.default_version = default_version
        self.prefix = f"{word}."
        self.label = f"{word} API"
        self.title = f"{word}API"

    def own(self, values: PerApi[_T]) -> _T:
        """The one of these that belongs to this API."""
        return values.logs if self is Api.LOGS else values.telemetry


TELEMETRY, LOGS = Api.TELEMETRY, Api.LOGS

EXTENSIONS = "/2020-01-01/extension"  # Extensions API, as are the paths below it
REGISTER, NEXT = f"{EXTENSIONS}/register", f"{EXTENSIONS}/event/next"
INIT_ERROR, EXIT_ERROR = f"{EXTENSIONS}/init/error", f"{EXTENSIONS}/exit/error"
PATHS = (TELEMETRY.path, LOGS.path, REGISTER, NEXT, INIT_ERROR, EXIT_ERROR)
"""Every path that an extension calls."""


# How a refused body is answered ----------------------------------------------------------------------------------


class Kind(Enum):
    """What sort of fault a body has; the value says how each profile answers it."""

    UNDECODABLE = profiles.UNDECODABLE_BODY
    INVALID = profiles.INVALID_BODY
    DENIED = profiles.DENIED_DESTINATION


def refused_body(profile: Profile, api: Api, found: Sequence[tuple[Kind, Fault]]) -> Refusal:
    """The answer to a body with these faults (at least one), which are in the reference's listing order."""
    answer = found[0][0].value.under(profile)
    faults = tuple(fault for _, fault in found[: profiles.FAULTS_NAMED.under(profile)])
    message = "; ".join(fault.message for fault in faults)
    return Refusal(answer.status, api.own(answer.error_type), message, faults)


# Every other refusal ---------------------------------------------------------------------------------------------


def single(status: int, error_type: str, message: str, rule: str, *, compact: bool = False) -> Refusal:
    """A refusal with one fault."""
    return Refusal(status, error_type, message, (Fault(message, rule),), compact)


def already_subscribed_elsewhere(profile: Profile, *, extension_name: str, api: Api) -> Refusal:
    """`api` is refused, because the extension has subscribed with the other one (guide; the text as seen)."""
    other = LOGS if api is TELEMETRY else TELEMETRY
    answer = profiles.OTHER_API.under(profile)
    return single(
        answer.status,
        api.own(answer.error_type),
        f"The extension {printable(extension_name)} is already subscribed to the {other.title}."
        " You must either subscribe to the LogsAPI or the TelemetryAPI",
        f"an extension uses one of the two APIs: drop its subscription with the {other.label} or this one",
    )


def subscription_closed(api: Api) -> Refusal:
    """Init is over (seen)."""
    return single(
        403,
        f"{api.prefix}SubscriptionClosed",
        f"{api.label} subscription is closed already",
        "subscribe during initialization, before asking for the next event:"
        " init is over once the runtime and every registered extension have asked",
    )


def too_many_subscriptions(api: Api) -> Refusal:
    """One environment's extensions have made more different subscriptions than memory should hold (ours)."""
    return single(
        403,
        f"{api.prefix}TooManySubscriptions",
        f"Subscription limit ({MAX_SUBSCRIPTIONS}) reached",
        "subscribe once, and send the very same body when you do it again",
    )


def not_supported(api: Api) -> Refusal:
    """The 202 of a local testing environment: no error, but nothing will ever be delivered (reference; emulator)."""
    return single(
        202,
        f"{api.prefix}NotSupported",
        f"{api.label} is not supported",
        "an extension must cope with 202: local testing environments have no telemetry",
        compact=True,
    )


def no_logs_api() -> Refusal:
    """The Logs API on Lambda Managed Instances, which have none (seen; the error is our choice)."""
    return single(
        403,
        f"{LOGS.prefix}NotSupported",
        f"{LOGS.label} is not supported",
        f"Lambda Managed Instances have the {TELEMETRY.label} alone: PUT {TELEMETRY.path} with a schemaVersion of"
        f" {MANAGED_INSTANCES_VERSIONS[0]}",
    )


def too_large() -> Refusal:
    """A request body over MAX_BODY_BYTES (AWS's emulator)."""
    return single(
        413,
        "RequestEntityTooLarge",
        f"the request body is larger than {MAX_BODY_BYTES} bytes",
        f"a request body holds at most {MAX_BODY_BYTES} bytes",
    )


def method_not_allowed(allow: str) -> Refusal:
    """A known path, asked with another method than `allow`, the value of the Allow header (AWS's emulator)."""
    return single(405, "MethodNotAllowed", f"this path answers {allow} only", f"use {allow}")


def not_found(target: str) -> Refusal:
    """A path that no API of the execution environment has (AWS's emulator); the rule names the one that was meant."""
    meant = path_meant(target)
    if meant is None:
        rule = f"subscribe at {TELEMETRY.path} or {LOGS.path}; the Extensions API is below {EXTENSIONS}/"
    elif meant == TELEMETRY.path:
        rule = f"did you mean {meant}? It is this path for every schemaVersion"
    else:
        rule = f"did you mean {meant}?"
    return single(404, "NotFound", f"there is nothing at {printable(target)}", rule)


def path_meant(target: str) -> str | None:
    """The path that a request for one that does not exist was probably meant for.

    A trailing slash, a missing or another version (seen: the schema version, newrelic-lambda-extension-rust), other
    letter case, or a slip of a letter or two.
    """
    path = target.partition("?")[0].strip("/").lower()
    for known in PATHS:
        rest = known[1:].partition("/")[2]
        if path in (known[1:], rest) or path.partition("/")[2] == rest:
            return known
    close = difflib.get_close_matches(f"/{path}", PATHS, n=1, cutoff=0.8)
    return close[0] if close else None
