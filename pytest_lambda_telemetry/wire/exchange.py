"""HTTP/1.1 on one accepted connection: bytes to requests, responses to bytes.

Strict, because what a real server would refuse must not get through here, and because a request that two readers
could understand differently must not bring a second one with it.
"""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from typing import Literal

from ..model.headers import Headers
from ..real import Real
from .framing import (
    LINE_LIMIT,
    TOKEN,
    BadFraming,
    Ended,
    Fields,
    Reader,
    check_field,
    connection_options,
    read_chunks,
    read_fields,
    values,
)
from .sockets import DeadlineSocket, HandshakeFailed

_METHOD = re.compile(TOKEN)
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])\r?\n" % TOKEN)
_LENGTH = re.compile(r"[0-9]{1,18}")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
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


Address = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A complete request. `target` is the path with its query, as sent (an absolute URI is reduced to its path).

    `alive()` is False when the client has closed its side; `expired()` is True once the attachment that its connection
    belongs to was detached; `addresses()` are those of the client and of the server, None where the connection has
    broken off. None of them ever blocks. All may be called from any thread; over TLS, `alive` from the handler's.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    alive: Callable[[], bool]
    expired: Callable[[], bool]
    addresses: Callable[[], tuple[Address, Address] | None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """An answer. The server adds Content-Length, and Content-Type unless that is None; `close` ends the connection.

    `missing`: so many bytes more are announced than are sent, before the connection ends.
    """

    status: int
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False
    missing: int = 0


class NoAnswer(Enum):
    """What a client gets instead of an answer."""

    RESET = "its connection is reset"


Answer = HttpResponse | Literal[NoAnswer.RESET] | None
Handler = Callable[[HttpRequest], Answer]
"""Answers a request on its connection's thread, and may block; None closes the connection without an answer."""


class Malformed(Exception):
    """What arrived is no request that can be handled: the status to answer, and why.

    `request` is what could be read of it, without a body; None where not even the head could. `cut_off`: it is only
    incomplete.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.request: HttpRequest | None = None
        self.cut_off = False


ErrorResponse = Callable[[int, str], HttpResponse]
"""Makes the answer with which a server refuses, from its status and message; it always ends the connection."""


def plain_error(status: int, message: str) -> HttpResponse:
    """The message as text."""
    text = f"{message}\n".encode(errors="replace")
    return HttpResponse(status=status, body=text, content_type="text/plain; charset=utf-8")


def render(response: HttpResponse, *, connection: str | None, head_only: bool = False) -> bytes:
    """The bytes of an answer. `connection` is that header's value, None to leave it out.

    Raises ValueError for a header that cannot be sent.
    """
    bodiless = response.status in (204, 304)
    fields: Fields = []
    if not bodiless:
        if response.content_type is not None:
            fields.append(("Content-Type", response.content_type))
        fields.append(("Content-Length", str(len(response.body) + response.missing)))
    fields += response.headers
    if connection:
        fields.append(("Connection", connection))
    for name, value in fields:
        check_field(name, value)
    lines = [f"HTTP/1.1 {response.status} {_PHRASES.get(response.status, '')}"]
    lines += [f"{name}: {value}" for name, value in fields]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if bodiless or head_only else head + response.body


class Exchange:
    """Reads requests from, and writes answers to, one connection, by one thread.

    A request must be complete `limits.request_s` after its first byte, for which `wait` waits without a limit.
    `ends` tells that the client wants the connection to end with the answer to the request that was read last.
    """

    def __init__(self, sock: DeadlineSocket, limits: Limits, wording: Wording, expired: Callable[[], bool]) -> None:
        self._sock = sock
        self._limits = limits
        self._wording = wording
        self._expired = expired
        self._reader = Reader(sock)
        self._method = ""
        self._version = ""
        self.ends = False

    @property
    def behind(self) -> bool:
        """Bytes of a next request have been read already."""
        return bool(self._reader.buffer)

    def wait(self) -> bool:
        """Wait for the next request; False when the client closed instead. Raises Malformed, or OSError."""
        self._sock.deadline = None
        try:
            self._skip_empty_lines()
            return bool(self._reader.peek(1))
        except HandshakeFailed as failed:
            raise Malformed(400, f"the TLS handshake failed: {failed}") from None

    def read(self) -> HttpRequest:
        """The request that has begun. Raises Malformed, or OSError where it broke off."""
        self._sock.deadline = Real.monotonic() + self._limits.request_s
        request = None
        try:
            target = self._read_request_line()
            fields = self._read_header()
            request = HttpRequest(
                method=self._method,
                target=target,
                headers=Headers(fields),
                body=b"",
                alive=self._alive,
                expired=self._expired,
                addresses=self._addresses,
            )
            return replace(request, body=self._read_body(fields))
        except TimeoutError:
            late = f"the request was not complete {self._limits.request_s:g} s after its first byte"
            problem = Malformed(408, late)
            problem.cut_off = True
        except Ended:
            problem = Malformed(400, "the connection ended in the middle of the request")
            problem.cut_off = True
        except BadFraming as bad:
            problem = Malformed(bad.status, str(bad))
        except Malformed as refusal:
            problem = refusal
        problem.request = request
        raise problem

    def _addresses(self) -> tuple[Address, Address] | None:
        try:
            return self._sock.getpeername(), self._sock.getsockname()
        except OSError:
            return None

    def render(self, response: HttpResponse, *, close: bool) -> bytes:
        """The bytes of an answer, which says so when the connection ends with it. Raises ValueError."""
        kept = "keep-alive" if self._version == "HTTP/1.0" else None
        return render(response, connection="close" if close else kept, head_only=self._method == "HEAD")

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

    def _alive(self) -> bool:
        return not self._sock.gone()

    def _skip_empty_lines(self) -> None:
        """Some clients end a body with an empty line that belongs to nothing."""
        while (start := self._reader.peek(1)) in (b"\r", b"\n"):
            if start == b"\r" and self._reader.peek(2) != b"\r\n":
                return
            self._reader.line()

    def _read_request_line(self) -> str:
        """Read the request line; the target, reduced to its path."""
        if not _METHOD.match(self._reader.buffer):  # before a line of it is complete: it may never be
            raise Malformed(400, f"not an HTTP request: it begins with {bytes(self._reader.buffer[:40])!r}")
        line = self._reader.line()
        if not line.endswith(b"\n"):
            raise Malformed(414, f"the request line is longer than {LINE_LIMIT} bytes")
        found = _REQUEST_LINE.fullmatch(line)
        if not found:
            raise Malformed(400, f"not an HTTP/1.1 request line: {line[:80]!r}")
        self._method, target, major, minor = (part.decode("latin-1") for part in found.groups())
        self._version = f"HTTP/{major}.{minor}"
        if major != "1":
            raise Malformed(505, f"{self._version} is not spoken here; use HTTP/1.1")
        return self._target(target)

    def _target(self, target: str) -> str:
        if self._method == "CONNECT":
            raise Malformed(405, f"CONNECT {target}: this is {self._wording.service}, not a proxy")
        if absolute := _ABSOLUTE.match(target):
            target = target[absolute.end() :]
            return target if target.startswith("/") else f"/{target}"
        if not target.startswith("/") and target != "*":
            raise Malformed(400, f"the request target {target!r} is neither a path nor a URI")
        return target

    def _read_header(self) -> Fields:
        fields = read_fields(self._reader)
        hosts = len(values(fields, "host"))
        if hosts > 1:
            raise Malformed(400, f"{hosts} Host lines were sent; send one")
        if not hosts and self._version != "HTTP/1.0":
            raise Malformed(400, f"there is no Host line, which {self._version} demands")
        options = connection_options(fields)
        self.ends = "close" in options or (self._version == "HTTP/1.0" and "keep-alive" not in options)
        return fields

    def _read_body(self, fields: Fields) -> bytes:
        encodings = values(fields, "transfer-encoding")
        lengths = values(fields, "content-length")
        if encodings and lengths:
            raise Malformed(400, "both Transfer-Encoding and Content-Length were sent; send one")
        if encodings and self._version == "HTTP/1.0":
            raise Malformed(400, "Transfer-Encoding was sent, which HTTP/1.0 does not have; send Content-Length")
        if encodings and [encoding.lower() for encoding in encodings] != ["chunked"]:
            raise Malformed(400, f"Transfer-Encoding {', '.join(encodings)!r} is unknown; chunked is the only one")
        if lengths and (len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0])):
            raise Malformed(400, f"Content-Length {', '.join(lengths)!r} is not one non-negative integer")
        length = int(lengths[0]) if lengths else 0
        expected = ", ".join(values(fields, "expect"))
        if expected.lower() == "100-continue" and self._version != "HTTP/1.0":
            if length > self._limits.body_bytes:
                raise self._too_large()
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self._gather(read_chunks(self._reader) if encodings else self._reader.counted(length))

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
        except (BadFraming, OSError):
            if size <= limits.body_bytes:
                raise
        if size > limits.body_bytes:
            raise self._too_large()
        return b"".join(kept)

    def _too_large(self) -> Malformed:
        return Malformed(413, self._wording.too_large)
