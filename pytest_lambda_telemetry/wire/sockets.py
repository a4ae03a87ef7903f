"""Sockets of the loopback that keep one deadline and that no patch of a test's reaches."""

import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ..real import Real

if TYPE_CHECKING:
    from socket import socket as RealSocket

    from _typeshed import ReadableBuffer, WriteableBuffer
else:
    RealSocket = Real.socket

LOOPBACK = "127.0.0.1"
_BLOCK = 65536
_DROPPED = 64


class HandshakeFailed(OSError):
    """The two sides of a connection did not agree on how to encrypt it."""


class DeadlineSocket(RealSocket):
    """A TCP socket whose connect, reads and writes together end by `deadline`, however slowly the peer trickles.

    `deadline` is in seconds of `Real.monotonic`, None for no limit; past it every operation raises TimeoutError.
    `received` tells whether a byte has come since it was last set to False, `was_reset` that `drop_input` met a reset.
    """

    __slots__ = ("deadline", "received", "was_reset")

    def __init__(self, fileno: int | None = None) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM, 0, fileno)
        self.deadline: float | None = None
        self.received = False
        self.was_reset = False
        with suppress(OSError):  # an accepted connection may be reset already
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def remaining(self) -> float | None:
        """Seconds until the deadline, None without one; TimeoutError when it has passed."""
        if self.deadline is None:
            return None
        left = self.deadline - Real.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left

    def connect(self, address: tuple[str, int]) -> None:  # type: ignore[override]  # IPv4 is all there is here
        self.settimeout(self.remaining())
        # past the class that pytest-socket and name patches put their own connect on
        super(RealSocket, self).connect(address)

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(self.remaining())
        count = super().recv_into(buffer, nbytes, flags)
        self.received |= count > 0
        return count

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        self.settimeout(self.remaining())
        super().sendall(data, flags)

    def write(self, data: bytes, on_input: Callable[[], bool]) -> bool:
        """Send `data` while heeding the peer: `on_input` is called when it has sent something or closed.

        False as soon as `on_input` says False, before all is sent; else True. Raises OSError.
        """
        rest = memoryview(data)
        while rest:
            left = self.remaining()
            self.settimeout(left)
            events = self._poll(select.POLLIN | select.POLLOUT, left)
            if events & ~select.POLLOUT and not on_input():
                return False
            if events & select.POLLOUT:
                rest = rest[self.send(rest) :]
        return True

    def readable(self, seconds: float | None = 0) -> bool:
        """The peer has sent something that was not read yet, or has closed; waited for so long, with None for ever."""
        return self._poll(select.POLLIN, seconds) != 0

    def gone(self) -> bool:
        """The peer has closed its side and every byte before that was read, or this socket is closed."""
        try:
            return self.readable() and not self.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except (OSError, ValueError):  # ValueError: closed here, so there is nothing to poll
            return True

    def drop_input(self) -> bool:
        """Read and forget what has arrived, up to a limit; False when the peer has closed. Raises TimeoutError."""
        scratch = bytearray(_BLOCK)
        try:
            for _ in range(_DROPPED):  # a peer that never stops must not keep us from what we came for
                if not self.readable():
                    break
                if not self.recv_into(scratch):
                    self.was_reset = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0  # behind the peer's end
                    return False
        except ConnectionError:
            self.was_reset = True
            return False
        return True

    def drain(self, limit: int) -> None:
        """Read and forget until the peer closes, the deadline or about `limit` bytes. Raises OSError."""
        scratch = bytearray(_BLOCK)
        while limit > 0 and (count := self.recv_into(scratch)):
            limit -= count

    def reset(self) -> None:
        """Close so that the peer sees a reset, not an orderly end."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def _poll(self, events: int, seconds: float | None) -> int:
        poller = select.poll()
        poller.register(self, events)
        found = poller.poll(None if seconds is None else seconds * 1000)
        return found[0][1] if found else 0


def connect(port: int, deadline: float | None, address: str = LOOPBACK) -> DeadlineSocket:
    """A connection to this machine's `port`. Raises OSError, with nothing left open."""
    sock = DeadlineSocket()
    sock.deadline = deadline
    try:
        sock.connect((address, port))
        if sock.getsockname() == sock.getpeername():  # Linux joins a socket to itself where nobody listens
            raise ConnectionRefusedError("nobody listens there")
    except BaseException:
        sock.close()
        raise
    return sock
