"""HTTP/1.1 on one accepted connection: bytes to requests, responses to bytes.

The head of a request is read by the standard library; framing is stricter than there, because what a real server would
refuse must not get through here.
"""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from email import errors as defects
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from ..model.headers import Headers
from ..real import Real
from .sockets import DeadlineSocket

_LINE_LIMIT = 65536
_TRAILER_LIMIT = 100
_BLOCK = 65536
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_BAD_FIELDS = (
    defects.FirstHeaderLineIsContinuationDefect,
    defects.InvalidHeaderDefect,
    defects.MisplacedEnvelopeHeaderDefect,
    defects.MissingHeaderBodySeparatorDefect,
)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server takes. Times are in real seconds.

    `body_bytes` is the largest body of a request, `request_s` how long a request may take from its first byte to its
    last, `connections` how many are served at once. Of what is not wanted, `drain_bytes` are read, for `drain_s` at
    most, so that the client gets to see its answer.
    """

    body_bytes: int = 64 << 20
    request_s: float = 5.0
    connections: int = 256
    drain_bytes: int = 16 << 20
    drain_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What a server calls itself, in its refusals (`listener`: where it cannot listen) and in its threads' names."""

    listener: str = "the server"
    service: str = "a server"
    handler: str = "the handler"
    unattached: str = "nobody answers here now"
    too_large: str = "the request body is too large"
    threads: str = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A complete request. `target` is the path with its query, as sent (an absolute URI is reduced to its path).

    `alive()` is False when the client has closed its side; `expired()` is True once the attachment that its connection
    belongs to was detached. Both may be called from any thread and never block.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    alive: Callable[[], bool]
    expired: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """An answer. The server adds Content-Length, and Content-Type unless that is None; `close` ends the connection."""

    status: int
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


Handler = Callable[[HttpRequest], HttpResponse | None]
"""Answers a request on its connection's thread, and may block; None closes the connection without an answer."""


class Malformed(Exception):
    """What arrived is no request that can be handled: the status to answer, and why.

    `request` is what could be read of it, without a body; None where not even the head could.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.request: HttpRequest | None = None


ErrorResponse = Callable[[int, str], HttpResponse]
"""Makes the answer with which a server refuses, from its status and message; it always ends the connection."""


def plain_error(status: int, message: str) -> HttpResponse:
    """The message as text."""
    text = f"{message}\n".encode(errors="replace")
    return HttpResponse(status=status, body=text, content_type="text/plain; charset=utf-8")


def render(response: HttpResponse, *, connection: str | None, head_only: bool = False) -> bytes:
    """The bytes of an answer. `connection` is that header's value, None to leave it out.

    Raises UnicodeEncodeError for a header that is not Latin-1.
    """
    lines = [f"HTTP/1.1 {response.status} {_PHRASES.get(response.status, '')}"]
    bodiless = response.status in (204, 304)
    if not bodiless:
        if response.content_type is not None:
            lines.append(f"Content-Type: {response.content_type}")
        lines.append(f"Content-Length: {len(response.body)}")
    lines += [f"{name}: {value}" for name, value in response.headers]
    if connection:
        lines.append(f"Connection: {connection}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if bodiless or head_only else head + response.body


class Exchange(BaseHTTPRequestHandler):
    """Reads requests from, and writes answers to, one connection, by one thread.

    A request must be complete `limits.request_s` after its first byte; between requests there is no limit.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, sock: DeadlineSocket, limits: Limits, wording: Wording, expired: Callable[[], bool]) -> None:
        # the base class's constructor would serve at once, with calls of its own in between
        self._sock = sock
        self._limits = limits
        self._wording = wording
        self._expired = expired
        self.rfile = self._reader = sock.makefile("rb")
        self.command = ""
        self.request_version = ""
        self.close_connection = False

    def read(self) -> HttpRequest | None:
        """The next request; None when the client closed instead. Raises Malformed, or OSError where it broke off."""
        self._sock.deadline = None
        while (first := self._reader.peek(1)[:1]) in (b"\r", b"\n"):  # some clients end a body with an empty line
            self._reader.read(1)
        if not first:
            return None
        self._sock.deadline = Real.monotonic() + self._limits.request_s
        request = None
        try:
            target = self._read_head()
            request = HttpRequest(
                method=self.command,
                target=target,
                headers=Headers((name, value.strip(" \t")) for name, value in self.headers.items()),
                body=b"",
                alive=self._alive,
                expired=self._expired,
            )
            return replace(request, body=self._read_body())
        except TimeoutError:
            late = f"the request was not complete {self._limits.request_s:g} s after its first byte"
            raise Malformed(408, late) from None
        except Malformed as problem:
            problem.request = request
            raise

    def render(self, response: HttpResponse, *, close: bool) -> bytes:
        """The bytes of an answer, which says so when the connection ends with it. Raises UnicodeEncodeError."""
        kept = "keep-alive" if self.request_version == "HTTP/1.0" else None
        return render(response, connection="close" if close else kept, head_only=self.command == "HEAD")

    def write(self, data: bytes) -> None:
        """Write an answer. Raises OSError."""
        self._sock.deadline = Real.monotonic() + self._limits.request_s
        self._sock.sendall(data)

    def linger(self) -> None:
        """Let the client read the last answer: closing over unread bytes would reset the connection under it."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.deadline = Real.monotonic() + self._limits.drain_s
            self._sock.drain(self._limits.drain_bytes)

    def close(self) -> None:
        """Let go of the connection; the socket itself is its owner's to close."""
        self._reader.close()

    def _alive(self) -> bool:
        return not self._sock.gone()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """How the standard library's parser reports what it does not accept."""
        raise Malformed(int(code), explain or message or HTTPStatus(code).phrase)

    def handle_expect_100(self) -> bool:
        """Put off until the length of the body is known: a body too large is better not sent at all."""
        return True

    def _read_head(self) -> str:
        """Read the request line and the header fields; the target, reduced to its path."""
        start = self._reader.peek(1)
        if not _TOKEN.match(start):
            raise Malformed(400, f"not an HTTP request: it begins with {start[:40]!r}")
        line = self.raw_requestline = self._reader.readline(_LINE_LIMIT + 1)
        if len(line) > _LINE_LIMIT:
            raise Malformed(414, f"the request line is longer than {_LINE_LIMIT} bytes")
        self._check_complete()
        if len(line.split()) != 3:
            raise Malformed(400, f"not an HTTP/1.1 request line: {line[:80]!r}")
        self.parse_request()
        self._check_complete()
        if not self.request_version.startswith("HTTP/1."):
            raise Malformed(505, f"{self.request_version} is not spoken here; use HTTP/1.1")
        if any(isinstance(defect, _BAD_FIELDS) for defect in self.headers.defects):
            raise Malformed(400, "a header line is malformed: each has the form Name: value, in printable characters")
        folded = [name for name, value in self.headers.items() if "\n" in value or "\r" in value]
        if folded:
            raise Malformed(400, f"header {folded[0]} is folded over several lines, which HTTP/1.1 forbids")
        return self._target(self.requestline.split()[1])

    def _target(self, target: str) -> str:
        if self.command == "CONNECT":
            raise Malformed(405, f"CONNECT {target}: this is {self._wording.service}, not a proxy")
        if absolute := _ABSOLUTE.match(target):
            target = target[absolute.end() :]
            return target if target.startswith("/") else f"/{target}"
        if not target.startswith("/") and target != "*":
            raise Malformed(400, f"the request target {target!r} is neither a path nor a URI")
        return target

    def _check_complete(self) -> None:
        # the parser takes the end of the stream for the end of the header
        if self._sock.ended:
            raise Malformed(400, "the connection ended in the middle of the request")

    def _read_body(self) -> bytes:
        encodings = self.headers.get_all("Transfer-Encoding", [])
        lengths = self.headers.get_all("Content-Length", [])
        if encodings and lengths:
            raise Malformed(400, "both Transfer-Encoding and Content-Length were sent; send one")
        if encodings and [encoding.strip().lower() for encoding in encodings] != ["chunked"]:
            raise Malformed(400, f"Transfer-Encoding {', '.join(encodings)!r} is unknown; chunked is the only one")
        if lengths and (len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0].strip())):
            raise Malformed(400, f"Content-Length {', '.join(lengths)!r} is not one non-negative integer")
        length = int(lengths[0]) if lengths else 0
        if self.headers.get("Expect", "").lower() == "100-continue" and self.request_version != "HTTP/1.0":
            if length > self._limits.body_bytes:
                raise self._too_large()
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self._gather(self._chunks() if encodings else self._counted(length))

    def _gather(self, pieces: Iterator[bytes]) -> bytes:
        """Join a body; one that is too large is read on for a while, so that the client gets to see the refusal."""
        limits = self._limits
        kept: list[bytes] = []
        size = 0
        try:
            for piece in pieces:
                fitted, size = size <= limits.body_bytes, size + len(piece)
                if size <= limits.body_bytes:
                    kept.append(piece)
                elif fitted:
                    kept.clear()
                    self._sock.deadline = Real.monotonic() + limits.drain_s
                elif size > limits.drain_bytes:
                    break
        except (Malformed, OSError):
            if size <= limits.body_bytes:
                raise
        if size > limits.body_bytes:
            raise self._too_large()
        return b"".join(kept)

    def _too_large(self) -> Malformed:
        return Malformed(413, self._wording.too_large)

    def _counted(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self._reader.read(min(length, _BLOCK))
            if not piece:
                raise Malformed(400, f"the connection ended {length} bytes before the Content-Length was reached")
            length -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self._reader.readline(_LINE_LIMIT)
            self._check_complete()
            size = _CHUNK.fullmatch(line)
            if not size:
                raise Malformed(400, f"bad chunk: expected its size in hexadecimal, got {line[:40]!r}")
            length = int(size[1], 16)
            if not length:
                break
            yield from self._counted(length)
            if (end := self._reader.read(2)) != b"\r\n":
                raise Malformed(400, f"bad chunk: expected a line end after {length} bytes, got {end!r}")
        for _ in range(_TRAILER_LIMIT):
            line = self._reader.readline(_LINE_LIMIT)
            self._check_complete()
            if line in (b"\r\n", b"\n"):
                return
        raise Malformed(431, f"more than {_TRAILER_LIMIT} trailer lines follow the body")
