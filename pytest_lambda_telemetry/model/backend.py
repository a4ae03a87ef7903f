"""What a fake backend was sent, and what became of it: the value that a test reads, and the facts it is folded from."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .errors import LambdaTelemetryError
from .headers import Headers


class Content:
    """The bytes of a request, as they came (`raw`) and unpacked (`body`); the journal lets them go when it is full."""

    __slots__ = ("body", "raw", "released")

    def __init__(self, raw: bytes, body: bytes) -> None:
        self.raw = raw
        self.body = body
        self.released = False

    @property
    def size(self) -> int:
        """How many bytes are kept for it."""
        return len(self.raw) + (0 if self.body is self.raw else len(self.body))

    def require(self) -> None:
        """Raise LambdaTelemetryError when the bytes were let go."""
        if self.released:
            raise LambdaTelemetryError(
                "the bytes of this request to a backend were let go to keep the journal within its limit;"
                " raise lambda_telemetry_journal_limit in pytest's ini file to keep more"
            )

    def release(self) -> None:
        """Forget the bytes."""
        self.raw = self.body = b""
        self.released = True


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class BackendRequest:
    """One request that a fake backend was sent.

    `path` is without the query, which is in `query` as it was sent, without its question mark. `status` is what was
    answered; None while it is held, and where there was no answer. `at` is the environment's time when it had arrived.
    """

    method: str
    path: str
    query: str
    headers: Headers
    status: int | None
    at: datetime
    content: Content = field(repr=False)

    @property
    def raw(self) -> bytes:
        """The body as it was sent, without the framing; empty where the request broke off or was too large.

        Raises LambdaTelemetryError when the journal's limit made it let the bytes go, as `body` and `json` do.
        """
        self.content.require()
        return self.content.raw

    @property
    def body(self) -> bytes:
        """The body after Content-Encoding (gzip, deflate, and zstd from Python 3.14 on), else as it was sent."""
        self.content.require()
        return self.content.body

    @property
    def json(self) -> Any:  # any JSON value: what is sent is not ours to narrow
        """The body decoded anew at each access: JSON, or the list of what NDJSON's lines hold, or None."""
        text = self.body
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
        try:
            lines = [json.loads(line) for line in text.split(b"\n") if line.strip()]
        except (ValueError, RecursionError):
            return None
        return lines or None

    def __repr__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"<BackendRequest {self.method} {self.path}{query} -> {self.status}>"


# -- facts -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackendCalled:
    """A request arrived, the `number`-th of its backend (from 1); its `status` is answered now, or None.

    `waits`: its answer comes later, as a BackendAnswered, if it comes. `fault` is what the test let go wrong with it,
    `remark` what is wrong or unusual about the request itself.
    """

    backend: str
    number: int
    request: BackendRequest
    waits: bool = False
    fault: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class BackendAnswered:
    """A request that waited is answered now, or will never be: then `why` says for what reason."""

    backend: str
    number: int
    request: BackendRequest
    why: str = ""


@dataclass(frozen=True, slots=True)
class BackendUnhandled:
    """Something arrived at a backend that is no request."""

    backend: str
    reason: str
    status: int


@dataclass(frozen=True, slots=True)
class BackendRefused:
    """A connection to a backend was refused, because the test said so."""

    backend: str


@dataclass(frozen=True, slots=True)
class BackendReset:
    """The test made a backend forget what it was sent, and what it was told to answer."""

    backend: str


BackendFact = BackendCalled | BackendAnswered | BackendUnhandled | BackendRefused | BackendReset
