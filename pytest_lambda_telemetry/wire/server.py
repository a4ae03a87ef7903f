"""A listening socket on the loopback, and a thread for each connection to it.

One server outlives many tests: a test attaches its handler, and detaching ends every connection that was accepted
for it. Nothing here reads a clock that a test can freeze, or makes a socket that a test can forbid.
"""

import itertools
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ..model.errors import MisuseError
from ..real import Real
from . import sockets
from .exchange import (
    Answer,
    ErrorResponse,
    Exchange,
    Handler,
    HttpRequest,
    HttpResponse,
    Limits,
    Malformed,
    NoAnswer,
    Wording,
    plain_error,
    render,
)
from .sockets import LOOPBACK, DeadlineSocket

if TYPE_CHECKING:
    from ssl import SSLContext

_BACKLOG = 512  # an overflow costs the client a second: 150 connections at once do it to 128
_TURNED_AWAY = 64
_RECOVER_S = 0.05

OnMalformed = Callable[[Malformed], HttpResponse | None]
"""Told, before the answer goes out, of what was refused before it was handled, and of a handler that failed (500).

Returns the answer to give, None for the server's own."""


class _Attachment:
    """A handler, to which the connections belong that are accepted while it is the latest."""

    def __init__(self, handler: Handler, on_malformed: OnMalformed | None = None) -> None:
        self.handler = handler
        self.on_malformed = on_malformed
        self.detached = False

    def is_detached(self) -> bool:
        return self.detached


class _Connection:
    """An accepted socket with the thread that serves it.

    It is busy from the moment a request is complete until its answer is out; only then does expiring leave it alone.
    It is idle while no byte of a next request has come.
    """

    def __init__(self, server: "Server", sock: DeadlineSocket, attachment: _Attachment, number: int) -> None:
        self._server = server
        self._sock = sock
        self.attachment = attachment
        self._lock = threading.Lock()
        self._busy = self._expired = self._dropped = self._silent = self._resets = False
        self._idle = True
        name = f"{server.wording.threads}-connection-{number}"
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def expire(self) -> bool:
        """End the connection: now when it is idle or in the middle of a request, else after the answer.

        Whether it was idle: its thread then ends at once.
        """
        with self._lock:
            self._expired = True
            if not self._busy:
                self._shutdown(socket.SHUT_RD)  # its thread reads the end of the stream
            return self._idle

    def abort(self) -> None:
        """Cut the connection off, whatever it is doing."""
        with self._lock:
            self._shutdown(socket.SHUT_RDWR)

    def drop_if_idle(self, *, silently: bool) -> None:
        """Forget an idle connection, as a peer does that was away for long: what comes next on it is met by a reset.

        `silently`: nobody answers it at all.
        """
        with self._lock:
            if self._idle and not self._sock.readable():
                self._dropped, self._silent = True, silently

    def _run(self) -> None:
        exchange = Exchange(self._sock, self._server.limits, self._server.wording, self.attachment.is_detached)
        try:
            self._converse(exchange)
        except BaseException:
            # an OSError: the client went away, which is its right; anything else comes out of on_malformed, and there
            # is nobody left to tell
            pass
        finally:
            with self._lock:
                self._idle = False
                if self._resets:
                    self._sock.reset()
                else:
                    self._sock.close()

    def _converse(self, exchange: Exchange) -> None:
        try:
            while self._next(exchange):
                request = exchange.read()
                if not self._begin():
                    return
                try:
                    stays = self._answer(exchange, request)
                finally:
                    self._end()
                if not stays:
                    if not self._resets and self._sock.readable():
                        exchange.linger()
                    return
        except Malformed as problem:
            if self._expired:
                return
            exchange.write(self._refusal(exchange, problem))
            exchange.linger()

    def _next(self, exchange: Exchange) -> bool:
        """Wait until a request begins; False where none comes, or none is wanted any more."""
        if not exchange.behind:
            self._sock.readable(None)
        with self._lock:  # before a byte is read: until then it shows that something has come
            self._idle, self._resets = False, self._dropped and not self._silent
        while self._silent and self._sock.readable(None) and self._sock.drop_input():
            pass
        return not self._dropped and exchange.wait()

    def _answer(self, exchange: Exchange, request: HttpRequest) -> bool:
        """Whether the connection stays open."""
        try:
            response: Answer = self.attachment.handler(request)
            self._resets = response is NoAnswer.RESET
            if response is None or response is NoAnswer.RESET:
                return False
            close = response.close or response.missing > 0 or exchange.ends or self._expired
            data = exchange.render(response, close=close)
        except BaseException as error:  # pytest's own outcomes are no Exceptions
            problem = Malformed(500, f"{type(error).__name__} in {self._server.wording.handler}: {error}")
            problem.request = request
            data, close = self._refusal(exchange, problem), True
        with self._lock:  # before the client can see its answer
            self._idle = not exchange.behind
        exchange.write(data)
        return not close

    def _refusal(self, exchange: Exchange, problem: Malformed) -> bytes:
        response = self.attachment.on_malformed(problem) if self.attachment.on_malformed else None
        response = response or self._server.error_response(problem.status, problem.reason)
        return exchange.render(response, close=True)

    def _begin(self) -> bool:
        """A request is complete; False when it must not be handled any more."""
        with self._lock:
            self._busy = not self._expired
            return self._busy

    def _end(self) -> None:
        with self._lock:
            self._busy = False
            if self._expired:
                self._shutdown(socket.SHUT_RD)

    def _shutdown(self, how: int) -> None:
        with suppress(OSError):
            self._sock.shutdown(how)


class Server:
    """Listens on 127.0.0.1 from construction to `close`; serves from the first `attach` on.

    `port` 0 lets the system choose. `error_response` makes the answers to what never reaches a handler, and to what a
    handler raises. `tls` encrypts every connection. A connection for which `admits` is False is reset before a byte of
    it is read. Raises MisuseError when the port cannot be used. Safe to use from any thread.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        limits: Limits | None = None,
        wording: Wording | None = None,
        error_response: ErrorResponse = plain_error,
        tls: "SSLContext | None" = None,
        admits: Callable[[], bool] = lambda: True,
    ) -> None:
        self.limits = limits or Limits()
        self.wording = wording or Wording()
        self.error_response = error_response
        self._tls = tls
        self._admits = admits
        self._listener = self._listen(port)
        self.port: int = self._listener.getsockname()[1]
        self.address = f"{LOOPBACK}:{self.port}"
        self._lock = threading.Lock()
        self._nobody = self._current = _Attachment(self._unattached)
        self._attachments: dict[Handler, _Attachment] = {}
        self._numbers = itertools.count(1)
        self._turned_away: deque[DeadlineSocket] = deque()
        self._acceptor: threading.Thread | None = None
        self._connections: list[_Connection] = []  # until their threads have ended
        self._closed = False

    def _listen(self, port: int) -> socket.socket:
        listener = Real.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((LOOPBACK, port))
            listener.listen(_BACKLOG)
            listener.settimeout(None)  # whatever socket.setdefaulttimeout says
        except (OSError, OverflowError) as error:
            listener.close()
            raise MisuseError(
                f"{self.wording.listener} cannot listen on {LOOPBACK}:{port}: {error};"
                " end the process that uses the port, or let the system choose one (port 0)"
            ) from error
        return listener

    def attach(self, handler: Handler, on_malformed: OnMalformed | None = None) -> None:
        """Connections accepted from now on belong to `handler`; earlier ones stay with theirs.

        Attaching a handler again, after another took its place, takes it up with the connections it still has.
        Raises MisuseError when the server is closed.
        """
        with self._lock:
            if self._closed:
                raise MisuseError(f"the server on {self.address} is closed; make a new one")
            self._current = self._attachments.setdefault(handler, _Attachment(handler))
            self._current.on_malformed = on_malformed
            strangers = self._connections_of(self._nobody)
            if self._acceptor is None:
                name = f"{self.wording.threads}-server"
                self._acceptor = threading.Thread(target=self._accept, name=name, daemon=True)
                self._acceptor.start()
        for connection in strangers:  # opened between two tests: its owner's next request must not meet a 503
            connection.expire()

    def detach(self, handler: Handler, timeout: float = 2.0) -> None:
        """End every connection of `handler`, and wait until they have ended, at most `timeout` real seconds.

        Idle ones end at once, those being answered after the answer, those still busy at the time-out are cut off.
        Until the next `attach`, requests are answered 503. A handler that is not attached is no error.
        """
        with self._lock:
            attachment = self._attachments.pop(handler, None)
            if attachment is None:
                return
            attachment.detached = True
            if self._current is attachment:
                self._current = self._nobody
            connections = self._connections_of(attachment)
            turned_away = self._take_turned_away()
        _end(connections, timeout)
        for sock in turned_away:
            sock.close()

    def move_on(self, handler: Handler, timeout: float = 2.0) -> None:
        """The clients of `handler`, in whose place another was attached, are to connect anew, and reach that one.

        Its connections end as in `detach`, but it stays attached, and only idle ones are waited for: what it answers
        may take as long as it likes.
        """
        with self._lock:
            attachment = self._attachments.get(handler)
            connections = [one for one in self._connections if one.attachment is attachment]
        _join([one for one in connections if one.expire()], timeout)

    def drop_idle(self, *, silently: bool = False) -> None:
        """Every connection that is idle now is dead, and its client finds that out at its next request.

        By a reset, or because nobody ever answers (`silently`).
        """
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.drop_if_idle(silently=silently)

    def close(self) -> None:
        """Stop listening, end every connection and wait for the threads, at most a few real seconds. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._acceptor:
            with suppress(OSError):  # a connection is what the acceptor wakes up for
                sockets.connect(self.port, Real.monotonic() + 1).close()
            self._acceptor.join(2.0)
        self._listener.close()
        with self._lock:
            for attachment in self._attachments.values():
                attachment.detached = True
            connections = list(self._connections)
            turned_away = self._take_turned_away()
        _end(connections, 2.0)
        for sock in turned_away:
            sock.close()

    def _unattached(self, _request: HttpRequest) -> HttpResponse:
        return replace(self.error_response(503, self.wording.unattached), close=True)

    def _connections_of(self, attachment: _Attachment) -> list[_Connection]:
        return [connection for connection in self._connections if connection.attachment is attachment]

    def _accept(self) -> None:
        while not self._closed:
            try:
                # accept() would make a socket.socket, which a test may have forbidden
                fileno, _ = self._listener._accept()  # type: ignore[attr-defined]  # what accept() itself calls
            except OSError:
                if not self._closed:
                    Real.sleep(_RECOVER_S)  # out of descriptors, most likely: some come free
                continue
            self._serve(self._socket(fileno))

    def _socket(self, fileno: int) -> DeadlineSocket:
        if self._tls is None:
            return DeadlineSocket(fileno)
        from .tls import TlsSocket  # ssl costs more than all the rest, and few ask for it

        return TlsSocket(fileno, self._tls)

    def _serve(self, sock: DeadlineSocket) -> None:
        if not (self._closed or self._admits()):
            sock.reset()
            return
        with self._lock:
            if self._closed:
                sock.close()
                return
            attachment = self._current
            why_not = self._begin(sock, attachment)
            if why_not is not None:
                self._turn_away(sock, why_not)
        if why_not is not None and attachment.on_malformed:
            attachment.on_malformed(Malformed(503, why_not))

    def _begin(self, sock: DeadlineSocket, attachment: _Attachment) -> str | None:
        """Give a connection its thread; or the reason why it cannot be served."""
        self._connections = [connection for connection in self._connections if connection.thread.is_alive()]
        if len(self._connections) >= self.limits.connections:
            return f"{self.limits.connections} connections are open already; close some"
        connection = _Connection(self, sock, attachment, next(self._numbers))
        try:
            connection.thread.start()
        except RuntimeError as error:  # the system has no thread left
            return str(error)
        self._connections.append(connection)
        return None

    def _turn_away(self, sock: DeadlineSocket, message: str) -> None:
        """Answer 503 without a thread. The socket stays open a while: closing over an unread request would reset it."""
        with suppress(OSError):
            sock.settimeout(0)
            sock.send(render(self.error_response(503, message), connection="close"))
            sock.shutdown(socket.SHUT_WR)
        self._turned_away.append(sock)
        if len(self._turned_away) > _TURNED_AWAY:
            self._turned_away.popleft().close()

    def _take_turned_away(self) -> list[DeadlineSocket]:
        taken = list(self._turned_away)
        self._turned_away.clear()
        return taken


def _end(connections: list[_Connection], timeout: float) -> None:
    for connection in connections:
        connection.expire()
    _join(connections, timeout)


def _join(connections: list[_Connection], timeout: float) -> None:
    deadline = Real.monotonic() + timeout
    for connection in connections:
        if connection.thread is not threading.current_thread():  # a handler may detach itself
            connection.thread.join(max(0.0, deadline - Real.monotonic()))
            connection.abort()
