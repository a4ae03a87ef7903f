"""The server's side of an encrypted connection, over a socket that keeps its deadline and that no test can replace."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from .sockets import DeadlineSocket, HandshakeFailed

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

T = TypeVar("T")
_BLOCK = 65536
_MOST_BLOCKS = 64


class TlsSocket(DeadlineSocket):
    """A DeadlineSocket whose reads and writes are of what is encrypted on the wire; for one thread.

    The first read shakes hands, within its deadline; HandshakeFailed says why that failed. (It is no ssl.SSLSocket: one
    is made of whatever class of sockets there was when ssl was imported.)
    """

    __slots__ = ("_incoming", "_outgoing", "_scratch", "_shaken", "_tls")

    def __init__(self, fileno: int, context: ssl.SSLContext) -> None:
        super().__init__(fileno)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._scratch = memoryview(bytearray(_BLOCK))
        self._shaken = False

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        view = memoryview(buffer)
        if not self._shake_hands():
            return 0
        try:
            data = self._carried(lambda: self._tls.read(nbytes or len(view)))
        except ssl.SSLError:  # the peer has closed, with a word or without
            return 0
        view[: len(data)] = data
        return len(data)

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        if not self._shaken:
            raise OSError("there is nothing to encrypt with")
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK):
            self._write(view[start : start + _BLOCK])

    def gone(self) -> bool:
        try:
            for _ in range(_MOST_BLOCKS):
                if not self.readable():
                    return False
                if not self._fill():
                    return True
        except (OSError, ValueError):
            return True
        return False

    def shutdown(self, how: int) -> None:
        if how == socket.SHUT_WR:
            self._take_leave()
        super().shutdown(how)

    def close(self) -> None:
        self._take_leave()
        super().close()

    def reset(self) -> None:
        self._shaken = False
        super().reset()

    def _take_leave(self) -> None:
        """Tell the peer that this end was meant, as far as that can be done at once."""
        if not self._shaken:
            return
        self._shaken = False
        with suppress(OSError):
            with suppress(ssl.SSLError):
                self._tls.unwrap()
            self.settimeout(0)
            self.send(self._outgoing.read())

    def _shake_hands(self) -> bool:
        """False when the peer has closed before it sent anything."""
        if self._shaken:
            return True
        try:
            self._carried(self._tls.do_handshake)
        except ssl.SSLError as error:
            if not self.received:
                return False
            with suppress(OSError):
                self._flush()  # the alert that tells the peer
            raise HandshakeFailed(_reason(error)) from None
        self._shaken = True
        return True

    def _write(self, piece: memoryview) -> None:
        self._carried(lambda: self._tls.write(piece))

    def _carried(self, step: Callable[[], T]) -> T:
        """Do something with what is encrypted, moving bytes to and fro until it is done."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            super().sendall(self._outgoing.read())

    def _fill(self) -> bool:
        """Wait for encrypted bytes; False at the end of the stream."""
        count = super().recv_into(self._scratch)
        if count:
            self._incoming.write(self._scratch[:count])
        else:
            self._incoming.write_eof()
        return count > 0


def _reason(error: ssl.SSLError) -> str:
    reason = error.reason or "the connection ended"
    if reason == "HTTP_REQUEST":
        return "plain HTTP was sent where TLS is spoken; use https://"
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        return "the client does not trust the certificate; give it the certificate of its authority"
    if isinstance(error, ssl.SSLEOFError):
        return "the client closed the connection in the middle of it, as some do that do not trust the certificate"
    return reason.replace("_", " ").lower()
