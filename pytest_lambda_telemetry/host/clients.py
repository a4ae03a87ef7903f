"""Which thread of this process has opened a connection, and in which environment that thread was started.

An extension's thread that outlives its test may call in a later test, at the same address. Who is at the other end of
a connection shows only here, where `connect` is called; of other processes, and of clients that connect without
Python's socket class, nothing is known.
"""

import socket
import threading
import weakref
from contextlib import suppress

_KEPT = 256
"""Connections that are remembered, the newest: as many as are served at once."""

_POOLS = ("anyio", "asyncio", "concurrent", "trio")
"""Packages whose threads work for whoever asks."""


class Clients:
    """Of the process. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[int, tuple[weakref.ref[socket.socket], int]] = {}
        self._left: weakref.WeakKeyDictionary[threading.Thread, str] = weakref.WeakKeyDictionary()

    def opened(self, sock: socket.socket) -> None:
        """The thread that calls this has connected a socket, or has begun to."""
        with suppress(OSError, TypeError):  # not connected after all; a socket that cannot be referred to
            port = sock.getsockname()[1]
            with self._lock:
                self._opened.pop(port, None)
                # not current_thread(), which makes a Thread for ever of one that Python has not started
                self._opened[port] = weakref.ref(sock), threading.get_ident()
                if len(self._opened) > _KEPT:
                    del self._opened[next(iter(self._opened))]

    def thread(self, port: int) -> threading.Thread | None:
        """The thread that opened the connection from this local port, where that is one of this process and open."""
        with self._lock:
            sock_of, ident = self._opened.get(port, (None, None))
        sock = sock_of() if sock_of else None
        try:
            if sock is None or sock.getsockname()[1] != port:
                return None
        except OSError:  # it was closed: another process may have the port by now
            return None
        return next((one for one in threading.enumerate() if one.ident == ident), None)

    def left_behind(self, before: frozenset[threading.Thread], environment: str) -> None:
        """An environment ends: what runs now and did not run `before` it was started in it."""
        with self._lock:
            for thread in set(threading.enumerate()) - before:
                if not _serves_many(thread):
                    self._left.setdefault(thread, environment)

    def started_in(self, thread: threading.Thread) -> str | None:
        """The environment that has ended and in which this thread was started."""
        with self._lock:
            return self._left.get(thread)


def _serves_many(thread: threading.Thread) -> bool:
    """It belongs to a pool or an event loop: what it does for a later test is that test's."""
    target = getattr(thread, "_target", None)  # not public; without it such a thread is taken for the test's own
    modules = (type(thread).__module__, getattr(target, "__module__", None) or "")
    return any(name.partition(".")[0] in _POOLS for name in modules)


CLIENTS = Clients()
"""The one instance: threads and ports belong to the process."""


class Lifetime:
    """Of one environment: from its start to `end`."""

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self._before = frozenset(threading.enumerate())

    def outlived(self, thread: threading.Thread | None) -> str:
        """A thread that an earlier environment has left behind, for a person; nothing where it is not one."""
        earlier = CLIENTS.started_in(thread) if thread in self._before else None
        return f"thread {thread.name!r}, which was started during {earlier}" if thread and earlier else ""

    def end(self) -> None:
        """The environment ends."""
        CLIENTS.left_behind(self._before, self._environment)
        self._before = frozenset()
