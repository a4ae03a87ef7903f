"""Where the reference and the live service disagree: one table, a row per difference, a column per profile.

The code takes every such choice from here (`ROW.under(profile)`), and the README's table of them is made from here.
What both profiles do alike is in contract.py and the modules of its rules. Sources go by the
README's short names, that of `documented` before the semicolon and that of `observed` behind it.
"""

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

_T = TypeVar("_T")

Fidelity = Literal["documented", "observed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How this environment answers: the choices of a test's Settings that decide a verdict.

    `fidelity` is "documented" (the Lambda Telemetry API reference) or "observed" (the live service); what it decides
    is the table below.
    """

    fidelity: Fidelity = "documented"
    initialization_type: str = "on-demand"
    local_testing: bool = False
    allow_loopback_destination: bool = False
    internal_extensions: tuple[str, ...] = ()

    @property
    def managed_instances(self) -> bool:
        """The function runs on Lambda Managed Instances."""
        return self.initialization_type == "lambda-managed-instances"


# What a row is ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice(Generic[_T]):
    """What is done in one profile: the value that the code uses, and Markdown for a person."""

    value: _T
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Generic[_T]):
    """One row: `what` it is about, what is done in each profile, and the source."""

    key: str
    what: str
    documented: Choice[_T]
    observed: Choice[_T]
    source: str

    def under(self, profile: Profile) -> _T:
        """What is done in this profile."""
        return self.observed.value if profile.fidelity == "observed" else self.documented.value


@dataclass(frozen=True, slots=True)
class PerApi(Generic[_T]):
    """Something that each of the two APIs has of its own."""

    telemetry: _T
    logs: _T


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """How a refusal is answered: the status, and the whole error type."""

    status: int
    error_type: PerApi[str]


def _error(status: int, telemetry: str, logs: str) -> Choice[ErrorAnswer]:
    return Choice(ErrorAnswer(status, PerApi(telemetry, logs)), f"{status} `{telemetry}` (Logs API: `{logs}`)")


# The rows --------------------------------------------------------------------------------------------------------

UNDECODABLE_BODY = Difference(
    key="undecodable-body",
    what="a Subscribe body that does not decode: no JSON, or a field missing, unknown, of another kind or unlisted",
    documented=_error(400, "ValidationError", "Logs.ValidationError"),
    observed=_error(400, "Telemetry.DeserializationError", "Logs.DeserializationError"),
    source="reference; seen",
)
INVALID_BODY = Difference(
    key="invalid-body",
    what="a Subscribe body that decodes, with a value that may not be: out of bounds, empty, reserved, twice",
    documented=_error(400, "ValidationError", "Logs.ValidationError"),
    observed=_error(400, "Telemetry.ValidationError", "Logs.ValidationError"),
    source="reference; seen",
)
DENIED_DESTINATION = Difference(
    key="denied-destination",
    what="a destination with another host than the sandbox's, or with HTTP another scheme than `http`",
    documented=_error(400, "ValidationError", "Logs.ValidationError"),
    observed=_error(403, "Telemetry.AccessDenied", "Logs.AccessDenied"),
    source="reference; seen",
)
DENIED_HOST = Difference(
    key="denied-host",
    what="the message about such a host",
    documented=Choice("URI host should be sandbox.localdomain", '"URI host should be sandbox.localdomain"'),
    observed=Choice(
        "Only 'sandbox.localdomain' hostname is supported.", "\"Only 'sandbox.localdomain' hostname is supported.\""
    ),
    source="our text; seen",
)
DENIED_SCHEME = Difference(
    key="denied-scheme",
    what="the message about such a scheme",
    documented=Choice("URI scheme should be http", '"URI scheme should be http"'),
    observed=Choice("Only 'http' scheme is supported.", "\"Only 'http' scheme is supported.\""),
    source="our text; seen",
)
FAULTS_NAMED: Difference[int | None] = Difference(
    key="faults-named",
    what="several faults in one Subscribe body",
    documented=Choice(None, 'every message in one, joined with "; "'),
    observed=Choice(1, "the first alone, with its own status and error type"),
    source="reference; seen",
)
MAX_ITEMS = Difference(
    key="max-items",
    what="`maxItems` when left out",
    documented=Choice(PerApi(1_000, 10_000), "1,000 (Logs API: 10,000)"),
    observed=Choice(PerApi(10_000, 10_000), "10,000 (Logs API: 10,000)"),
    source="reference, logs; guide, emulator, seen",
)
TCP_PORT_REQUIRED = Difference(
    key="tcp-port-required",
    what="a TCP destination",
    documented=Choice(False, "`URI` or `port`; `port` wins, and alone brings a line in the journal"),
    observed=Choice(True, "`port` is required"),
    source="reference, emulator; emulator",
)
ANSWER_AGAIN = Difference(
    key="answer-again",
    what="the answer to the very same subscription, sent again by the same extension",
    documented=Choice("OK", '200 `"OK"`'),
    observed=Choice("AlreadySubscribed", '200 `"AlreadySubscribed"`'),
    source="logs; seen",
)
STATE_AGAIN: Difference[str | None] = Difference(
    key="state-again",
    what="`platform.telemetrySubscription` about such a subscription",
    documented=Choice(None, "none"),
    observed=Choice("Already subscribed", "one with the state `Already subscribed`"),
    source="logs; seen",
)
OTHER_API = Difference(
    key="other-api",
    what="Subscribe with the second API after a subscription with the first",
    documented=_error(400, "ValidationError", "Logs.ValidationError"),
    observed=_error(400, "Telemetry.AccessDenied", "Logs.AccessDenied"),
    source="guide; seen",
)
SINGLE_EVENT: Difference[str | None] = Difference(
    key="single-event",
    what="`types` that names a single event, such as `platform.runtimeDone`",
    documented=Choice(None, "as any value that is not listed; the text is ours"),
    observed=Choice("Unrecognized enum variant", "400 `Telemetry.ValidationError`, `Unrecognized enum variant`"),
    source="reference; a native probe of 2026-09-15",
)
MESSAGE_FIRST = Difference(
    key="message-first",
    what="the JSON of an error",
    documented=Choice(False, "as the reference prints it: `errorType` first, with spaces"),
    observed=Choice(True, "`errorMessage` first, compact, with a newline at the end"),
    source="reference; seen: opentelemetry-lambda pull 1452",
)
RECORD_CUT = Difference(
    key="record-cut",
    what="a `function` or `extension` record longer than the subscription's `maxBytes`",
    documented=Choice(False, "one event"),
    observed=Choice(True, "cut there, into bodies that are no JSON"),
    source="not in the reference; seen: DataDog/datadog-lambda-extension pull 1357",
)
LINE_END = Difference(
    key="line-end",
    what="a line that a process has written, as a record",
    documented=Choice("", "without its newline"),
    observed=Choice("\n", "with it"),
    source="guide, emulator; seen",
)

DIFFERENCES: tuple[Difference[Any], ...] = (
    UNDECODABLE_BODY,
    INVALID_BODY,
    DENIED_DESTINATION,
    DENIED_HOST,
    DENIED_SCHEME,
    FAULTS_NAMED,
    MAX_ITEMS,
    TCP_PORT_REQUIRED,
    ANSWER_AGAIN,
    STATE_AGAIN,
    OTHER_API,
    SINGLE_EVENT,
    MESSAGE_FIRST,
    RECORD_CUT,
    LINE_END,
)
"""The table."""
