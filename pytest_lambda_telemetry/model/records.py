"""What was recorded: frozen values, readable for as long as the test likes.

`body` is the decoded JSON or None where the bytes were not JSON, `raw` the bytes; every `at` is an aware UTC datetime
of the environment's time. Of what is too much for the journal's limit (`lambda_telemetry_journal_limit`) bodies and
headers are let go first; reading one then raises LambdaTelemetryError.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from .errors import LambdaTelemetryError
from .headers import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffering:
    """When a batch is due: at `max_items` events, `max_bytes` bytes, or `timeout_ms` after its first event."""

    max_items: int = 1000
    max_bytes: int = 262_144
    timeout_ms: int = 1000


class BufferingOptions(TypedDict, total=False):
    """The same as a Subscribe has it: the wire's spelling."""

    maxItems: int
    maxBytes: int
    timeoutMs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where telemetry goes: `uri` as sent (None with TCP and a port alone), and its parts. `path` keeps the query."""

    protocol: str
    uri: str | None
    host: str
    port: int
    path: str = "/"


def let_go(what: str) -> LambdaTelemetryError:
    """The error of whoever reads what the journal's limit made it forget."""
    return LambdaTelemetryError(
        f"{what} were let go to keep the journal within its limit;"
        " raise lambda_telemetry_journal_limit in pytest's ini file to keep more"
    )


_BODY_BYTES, _FIELD_BYTES = 200, 250
"""About what a body, and a header field, cost beside their text."""


class Content:
    """What a call carried, and the body of its answer: shared by all that is recorded of it.

    The journal lets it go when it is full; whoever reads of it then gets a LambdaTelemetryError. `decode` makes the
    JSON of bytes, or None, anew at each access.
    """

    __slots__ = ("_decode", "_headers", "_raw", "answer", "released")

    def __init__(self, headers: Headers, raw: bytes, decode: Callable[[bytes], Any]) -> None:  # any JSON value
        self._headers = headers
        self._raw = raw
        self._decode = decode
        self.answer = b""
        self.released = False

    @property
    def headers(self) -> Headers:
        self._check()
        return self._headers

    @property
    def raw(self) -> bytes:
        self._check()
        return self._raw

    @property
    def body(self) -> Any:  # any JSON value: what an extension sends is not ours to narrow
        return self._decode(self.raw)

    @property
    def response(self) -> Any:  # any JSON value
        self._check()
        return self._decode(self.answer)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        headers = sum(len(name) + len(value) + _FIELD_BYTES for name, value in self._headers.items())
        return _BODY_BYTES + len(self._raw) + len(self.answer) + headers

    def release(self) -> None:
        """Forget all of it."""
        self._headers, self._raw, self.answer, self.released = Headers(), b"", b"", True

    def _check(self) -> None:
        if self.released:
            raise let_go("the headers and bodies of this call")


class _Carried:
    """The properties of what shows a call's content."""

    __slots__ = ()
    content: Content

    @property
    def headers(self) -> Headers:
        """Its header fields. Raises LambdaTelemetryError when the journal's limit made it let them go."""
        return self.content.headers

    @property
    def body(self) -> Any:  # any JSON value
        """Its decoded JSON, anew at each access; None where it is none.

        Raises LambdaTelemetryError when the journal's limit made it let it go.
        """
        return self.content.body

    @property
    def raw(self) -> bytes:
        """The bytes of its body. Raises LambdaTelemetryError when the journal's limit made it let them go."""
        return self.content.raw


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Request(_Carried):
    """One request an extension made, with what it was answered. `path` keeps the query."""

    method: str
    path: str
    status: int
    at: datetime
    content: Content

    @property
    def response(self) -> Any:  # any JSON value
        """The decoded JSON of the answer, None where it is none.

        Raises LambdaTelemetryError when the journal's limit made it let it go.
        """
        return self.content.response

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path} -> {self.status}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Extension:
    """An extension that registered. `state` is where it stands in Lambda's life cycle, `errors` what it reported."""

    name: str
    extension_id: str
    events: tuple[str, ...]
    headers: Headers
    state: str
    errors: tuple[str, ...]
    at: datetime

    def __repr__(self) -> str:
        return f"<Extension {self.name} {self.state} events={','.join(self.events)}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Subscription(_Carried):
    """An accepted Subscribe request. `types` and `body` are as sent; `buffering` has the defaults filled in."""

    extension_name: str
    extension_id: str
    schema_version: str
    types: tuple[str, ...]
    destination: Destination
    buffering: Buffering
    at: datetime
    content: Content

    def __repr__(self) -> str:
        where = self.destination.uri or f"port {self.destination.port}"
        return f"<Subscription {self.extension_name} {self.schema_version} {','.join(self.types)} to {where}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Rejection(_Carried):
    """A call that was refused. `faults` holds each message of its own, `message` what was answered.

    `rejections` has those of Subscribe, `expect_rejection` those of the route that it is about.
    """

    extension_name: str | None
    status: int
    error_type: str
    message: str
    faults: tuple[str, ...]
    at: datetime
    content: Content

    def __repr__(self) -> str:
        return f"<Rejection {self.extension_name} {self.status} {self.error_type}: {self.message}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at sending a batch. `status` is None when no HTTP answer came; `duration_ms` is in real milliseconds.

    `timed_out`: the listener took too long. `injected`: the test's own `fail_next_delivery` made it fail.
    """

    at: datetime
    status: int | None
    error: str | None
    duration_ms: float
    timed_out: bool = False
    injected: bool = False


class Payload:
    """The bytes of a batch, shared by a delivery's snapshots, which the journal lets go first when it is full."""

    __slots__ = ("body", "released")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.released = False

    @property
    def kept(self) -> bytes:
        """The bytes. Raises LambdaTelemetryError when they were let go."""
        if self.released:
            raise let_go("the bytes of this delivery")
        return self.body

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.body) + _BODY_BYTES

    def release(self) -> None:
        """Forget the bytes."""
        self.body, self.released = b"", True


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Delivery:
    """A batch and the attempts at sending it, as it stood when this value was taken.

    `attempt_count` is how many attempts there were, `attempts` holds them, of more than 1,000 the last.
    """

    subscription: Subscription
    types: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    attempt_count: int
    ok: bool
    payload: Payload = field(repr=False)

    @property
    def body(self) -> bytes:
        """The exact bytes sent: a JSON array over HTTP, one event a line over TCP.

        Raises LambdaTelemetryError when the journal's limit made it let the bytes go.
        """
        return self.payload.kept

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events as sent, decoded anew at each access.

        Raises LambdaTelemetryError where a record that was longer than the subscription's maxBytes was cut, as the live
        service does: such a body is no JSON.
        """
        return decoded(self.payload, self.subscription.destination.protocol)

    @property
    def status(self) -> int | None:
        """The status of the last attempt; None over TCP, or when no answer came."""
        return self.attempts[-1].status if self.attempts else None

    @property
    def at(self) -> datetime:
        """When the last attempt was made."""
        return self.attempts[-1].at

    def __repr__(self) -> str:
        how = "ok" if self.ok else "failed"
        return f"<Delivery to {self.subscription.extension_name} {how} [{summary(self.types)}]>"


def decoded(payload: Payload, protocol: str) -> list[dict[str, Any]]:
    """The events that the bytes of a batch carry over a protocol.

    Raises LambdaTelemetryError when they were let go, and where a record longer than maxBytes was cut in them.
    """
    body = payload.kept
    try:
        if protocol == "TCP":
            return [json.loads(line) for line in body.splitlines()]
        events: list[dict[str, Any]] = json.loads(body)
    except ValueError as error:
        raise LambdaTelemetryError(
            f"the body of this delivery is no JSON ({error}): a record longer than the subscription's maxBytes was cut"
            " in it, as the live service does; read .body, or subscribe with a larger maxBytes"
        ) from error
    return events


def summary(types: Sequence[str]) -> str:
    """Event types for a person: `platform.start, function ×3`."""
    if len(types) == 1:
        return types[0]
    return in_words(Counter(types))


def in_words(counts: Mapping[str, int]) -> str:
    """Event types with how many of each, for a person."""
    return ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in counts.items())
