"""Delivers batches to listeners on this machine's loopback, over HTTP or TCP, within a real-time limit.

Whatever host a destination names, the bytes stay on this machine; no proxy is used and no redirect followed.
"""

import string
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from socket import SHUT_RDWR
from typing import Protocol
from urllib.parse import quote

from ..real import Real
from .answer import Answer, NoAnswer
from .framing import BadFraming
from .sockets import LOOPBACK, DeadlineSocket, connect

REFUSED = "connection refused"
"""The error of an attempt for which nobody was there."""
_SLOW_S = 0.1
_MOMENT_S = 0.5


class Destination(Protocol):
    """Where a batch goes: `protocol` is "HTTP" or "TCP", `host` is what the Host field says, `path` has its query."""

    @property
    def protocol(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def path(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt went. `status` is None over TCP and when no answer came, `error` says why none came.

    `duration_ms` is in real milliseconds.
    """

    ok: bool
    status: int | None
    error: str | None
    duration_ms: float
    timed_out: bool = False


class Sender:
    """Sends one batch at a time and keeps connections between batches; for one thread at a time.

    `timeout_s` is how long an attempt may take, from connecting to the end of the answer's header, in real seconds.
    `addresses_of` gives the loopback addresses at which a key's listener may be, in the order in which they are tried.
    While `on_slow` is set, it is called with the key when an answer has not come after a tenth of a second. `on_unread`
    is called with the key of a TCP connection that was reset: what was written to it before was not all read.
    """

    def __init__(
        self, timeout_s: float, addresses_of: Callable[[object], Sequence[str]] = lambda _key: (LOOPBACK,)
    ) -> None:
        self.timeout_s = timeout_s
        self.addresses_of = addresses_of
        self.on_slow: Callable[[object], None] | None = None
        self.on_unread: Callable[[object], None] = lambda _key: None
        self._idle: dict[int, tuple[object, DeadlineSocket]] = {}  # HTTP: the subscription that used a port last
        self._streams: dict[object, DeadlineSocket] = {}  # TCP: by subscription
        self._current: DeadlineSocket | None = None
        self._abandoned = False

    def send(self, destination: Destination, body: bytes, *, key: object, within_s: float | None = None) -> Outcome:
        """Deliver `body` as it is, once. `key` (hashable) tells subscriptions apart; `within_s` allows less time.

        Over HTTP it is acknowledged by a 2xx status, over TCP by having been written. Never raises for what the
        network or the listener does.
        """

        def deliver(deadline: float) -> int | None:
            if destination.protocol == "TCP":
                self._write(destination.port, body, key, deadline)
                return None
            return self._post(destination.port, _request(destination, body), key, deadline)

        return self._attempt(deliver, within_s)

    def break_off(self, destination: Destination, body: bytes, *, key: object) -> Outcome:
        """Send what `send` would, but only half of the body, then reset the connection."""
        half = len(body) // 2

        def deliver(deadline: float) -> None:
            self.forget(key)
            self._take_idle(destination.port, key)
            sock = self._connect(destination.port, key, deadline)
            try:
                whole = body if destination.protocol == "TCP" else _request(destination, body)
                sock.sendall(whole[: len(whole) - half])
            finally:
                sock.reset()
            raise ConnectionResetError

        return self._attempt(deliver)

    def hang_up(self, destination: Destination, body: bytes, *, key: object) -> Outcome:
        """Send what `send` would, whole, and close without having waited for the answer, as after a time-out.

        The listener has a moment to take it in before it finds itself alone.
        """

        def deliver(deadline: float) -> None:
            if destination.protocol == "TCP":
                self._write(destination.port, body, key, deadline)
                self.forget(key)
                raise TimeoutError
            self.forget(key)
            self._take_idle(destination.port, key)
            with self._connect(destination.port, key, deadline) as sock:
                self._current = sock
                sock.sendall(_request(destination, body))
                sock.readable(min(self.timeout_s, _MOMENT_S))
                sock.drop_input()  # or the close would be a reset
            raise TimeoutError

        return self._attempt(deliver)

    def abandon(self) -> None:
        """Give up the attempt that another thread is making: it fails now."""
        self._abandoned = True
        if (sock := self._current) is not None:
            with suppress(OSError):
                sock.shutdown(SHUT_RDWR)

    def end_call(self) -> None:
        """Close every kept HTTP connection: an idle one blocks a single-threaded listener. TCP ones stay open."""
        for _, sock in self._idle.values():
            sock.close()
        self._idle.clear()

    def forget(self, key: object) -> None:
        """Close what is kept for a subscription."""
        stream = self._streams.pop(key, None)
        if stream:
            stream.close()
        for port in [port for port, (owner, _) in self._idle.items() if owner == key]:
            self._idle.pop(port)[1].close()

    def close(self) -> None:
        """Close everything. The sender may be used again."""
        self.end_call()
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()

    def _connect(self, port: int, key: object, deadline: float) -> DeadlineSocket:
        *others, last = self.addresses_of(key)
        for address in others:
            with suppress(ConnectionRefusedError):
                return connect(port, deadline, address)
        return connect(port, deadline, last)

    def _attempt(self, deliver: Callable[[float], int | None], within_s: float | None = None) -> Outcome:
        started = Real.monotonic()
        status = error = None
        timed_out = self._abandoned = False
        limit_s = self.timeout_s if within_s is None else min(within_s, self.timeout_s)
        try:
            status = deliver(started + limit_s)
        except (OSError, BadFraming) as failure:
            timed_out = isinstance(failure, TimeoutError) and not self._abandoned
            error = "given up: the call was cancelled" if self._abandoned else self._in_words(failure)
        finally:
            self._current = None
        ok = error is None and (status is None or 200 <= status < 300)
        return Outcome(ok, status, error, (Real.monotonic() - started) * 1000, timed_out)

    def _in_words(self, failure: OSError | BadFraming) -> str:
        return next(words(self, failure) for kind, words in _WORDS if isinstance(failure, kind))

    def _post(self, port: int, request: bytes, key: object, deadline: float) -> int:
        kept = self._take_idle(port, key)
        if kept:
            kept.received = False
            try:
                return self._exchange(kept, port, request, key, deadline)
            except ConnectionError:
                if kept.received or self._abandoned:
                    raise
                # the listener closed an idle connection just as we used it: that is no failed attempt
        return self._exchange(self._connect(port, key, deadline), port, request, key, deadline)

    def _take_idle(self, port: int, key: object) -> DeadlineSocket | None:
        """The connection kept for `port` if it is `key`'s and still open; any other one there is closed."""
        owner, sock = self._idle.pop(port, (None, None))
        if sock is None:
            return None
        if owner == key and not sock.readable():
            return sock
        sock.close()
        return None

    def _exchange(self, sock: DeadlineSocket, port: int, request: bytes, key: object, deadline: float) -> int:
        """Send a request and read the answer; the connection is kept when both went through to their ends."""
        sock.deadline, self._current = deadline, sock
        answer = Answer(sock)
        keep = whole = False
        try:
            with suppress(ConnectionError, TimeoutError):  # there may be an answer all the same
                whole = sock.write(request, on_input=answer.take_early)
            if self.on_slow is not None and not sock.readable(_SLOW_S):
                self.on_slow(key)
            answer.read_head()
            keep = answer.read_body() and whole
            return answer.status
        finally:
            if keep:
                self._idle[port] = key, sock
            else:
                sock.close()

    def _write(self, port: int, body: bytes, key: object, deadline: float) -> None:
        stream = self._streams.pop(key, None)
        try:
            if stream is not None:
                stream.deadline = deadline
                if not stream.drop_input():
                    if stream.was_reset:
                        self.on_unread(key)
                    stream.close()
                    stream = None
            if stream is None:
                stream = self._connect(port, key, deadline)
            self._current = stream
            if not stream.write(body, on_input=stream.drop_input):
                raise ConnectionResetError("the listener closed the connection")
        except BaseException:
            if stream is not None:
                stream.close()
            raise
        self._streams[key] = stream


def _request(destination: Destination, body: bytes) -> bytes:
    """The bytes of a POST: one piece, because some listeners read only once."""
    fields = {
        "Host": f"{destination.host}:{destination.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    lines = [f"POST {quote(destination.path, safe=string.punctuation)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


_WORDS: tuple[tuple[type[Exception], Callable[[Sender, Exception], str]], ...] = (
    (ConnectionRefusedError, lambda sender, failure: REFUSED),
    (NoAnswer, lambda sender, failure: "connection closed without an answer"),
    (ConnectionError, lambda sender, failure: "connection reset"),
    (TimeoutError, lambda sender, failure: f"timed out after {sender.timeout_s} s"),
    (BadFraming, lambda sender, failure: f"not an HTTP answer: {failure}"),
    (OSError, lambda sender, failure: str(failure)),
)
"""What each failure is called; the first kind that fits."""
