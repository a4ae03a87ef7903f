"""`sandbox.localdomain` and `sandbox`, resolved to the loopback address inside this process.

Extensions bind and advertise these names, which resolve on Lambda and nowhere else. Look-ups in C never come back to
Python, so both are patched: the functions that ask, and the socket methods that take a name.
"""

import socket
import threading
from collections.abc import Callable
from typing import Any

from ..real import Real

SANDBOX_NAMES = ("sandbox.localdomain", "sandbox")
LOOPBACK = "127.0.0.1"

_NAMES = frozenset(SANDBOX_NAMES)
_FLAGS = 4  # place of `flags` among getaddrinfo's arguments after the host
_HOST_ENTRY = (SANDBOX_NAMES[0], [SANDBOX_NAMES[1]], [LOOPBACK])

_Found = Callable[..., Any]
_Wrap = Callable[["Names", _Found], _Found]


def is_sandbox(host: object) -> bool:
    """Whether this is one of the two names: str or bytes, in any case, with or without the root's dot."""
    if isinstance(host, bytes):
        host = host.decode("latin-1")
    return isinstance(host, str) and host.lower().removesuffix(".") in _NAMES


class _Patch:
    """One replacement: what was found, what stands in its place, and whether the owner had an entry of its own."""

    __slots__ = ("found", "inherited", "name", "owner", "wrapper")

    def __init__(self, owner: Any, name: str, found: _Found, wrapper: _Found) -> None:
        self.owner, self.name, self.found, self.wrapper = owner, name, found, wrapper
        self.inherited = False

    def put(self) -> None:
        self.inherited = self.name not in vars(self.owner)
        setattr(self.owner, self.name, self.wrapper)

    def take_back(self) -> None:
        """Restore what was found, if what stands there is still ours: a guard removed meanwhile must not return."""
        if getattr(self.owner, self.name) is not self.wrapper:
            return
        if self.inherited:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.found)


class Names:
    """The two names' resolution in this process, counted: active from the first `install` to the last `uninstall`.

    A wrapper passes everything on to what it found when it was made, so another tool's guards keep their say; it does
    nothing else while no environment is active, for whoever has kept it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._made: dict[_Found, _Patch] = {}
        self._latest: list[_Patch | None] = [None] * len(_TARGETS)

    def install(self) -> None:
        """Make the names resolve, for one more user; also where another tool has removed a patch of ours meanwhile."""
        with self._lock:
            self._users += 1
            for place, (owner, name, wrap) in enumerate(_TARGETS):
                found = getattr(owner, name)
                latest = self._latest[place]
                if latest is not None and found is latest.wrapper:  # put back by another tool's undo
                    self._made[found] = latest
                elif found not in self._made:
                    if latest is None or latest.found is not found:
                        latest = self._latest[place] = _Patch(owner, name, found, wrap(self, found))
                    self._made[latest.wrapper] = latest
                    latest.put()

    def uninstall(self) -> None:
        """One user less; the last one's leaving restores what is still ours."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for patch in reversed(self._made.values()):
                    patch.take_back()
                self._made.clear()

    def _resolves(self, host: object) -> bool:
        return self._users > 0 and is_sandbox(host)

    def _getaddrinfo(self, found: _Found) -> _Found:
        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            if self._resolves(host):
                flags = kwargs.get("flags", args[_FLAGS] if len(args) > _FLAGS else 0)
                if not flags & socket.AI_NUMERICHOST:
                    host = LOOPBACK
            return found(host, *args, **kwargs)

        return getaddrinfo

    def _gethostbyname(self, found: _Found) -> _Found:
        def gethostbyname(host: Any, /) -> Any:
            return LOOPBACK if self._resolves(host) else found(host)

        return gethostbyname

    def _gethostby(self, found: _Found) -> _Found:
        def gethostby(host: Any, /) -> Any:
            if not self._resolves(host):
                return found(host)
            name, aliases, addresses = _HOST_ENTRY
            return name, list(aliases), list(addresses)

        return gethostby

    def _method(self, found: _Found) -> _Found:
        def method(sock: Any, address: Any, /) -> Any:
            if type(address) is tuple and address and self._resolves(address[0]):
                address = (LOOPBACK, *address[1:])
            return found(sock, address)

        return method


_TARGETS: tuple[tuple[Any, str, _Wrap], ...] = (
    (socket, "getaddrinfo", Names._getaddrinfo),
    (socket, "gethostbyname", Names._gethostbyname),
    (socket, "gethostbyname_ex", Names._gethostby),
    (socket, "gethostbyaddr", Names._gethostby),
    (Real.socket, "bind", Names._method),
    (Real.socket, "connect", Names._method),
    (Real.socket, "connect_ex", Names._method),
)

NAMES = Names()
"""The one instance: what is patched belongs to the process."""
