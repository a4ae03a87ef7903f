"""`sandbox.localdomain` and `sandbox`, resolved to an environment's loopback address inside this process.

Extensions bind and advertise these names, which resolve on Lambda and nowhere else. Look-ups in C never come back to
Python, so both are patched: the functions that ask, and the socket methods that take a name.
"""

import socket
import threading
from collections.abc import Callable
from typing import Any

from ..real import Real
from .addresses import LOOPBACK as LOOPBACK
from .clients import CLIENTS

SANDBOX_NAMES = ("sandbox.localdomain", "sandbox")

_NAMES = frozenset(SANDBOX_NAMES)
_FLAGS = 4  # place of `flags` among getaddrinfo's arguments after the host

_Found = Callable[..., Any]
_Wrap = Callable[["Names", _Found], _Found]


def is_sandbox(host: object) -> bool:
    """Whether this is one of the two names: str or bytes, in any case, with or without the root's dot."""
    if isinstance(host, bytes):
        host = host.decode("latin-1")
    return isinstance(host, str) and host.lower().removesuffix(".") in _NAMES


def _entry(address: str) -> tuple[str, list[str], list[str]]:
    return SANDBOX_NAMES[0], [SANDBOX_NAMES[1]], [address]


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


class User:
    """One environment's hold on the names: the address they have for it."""

    __slots__ = ("address",)

    def __init__(self, address: str) -> None:
        self.address = address


class Names:
    """The two names' resolution in this process, from the first `install` to the last `uninstall`.

    They have the address of whoever came last; when it leaves, in whatever order, that of the last one still there.
    A wrapper passes everything on to what it found when it was made, so another tool's guards keep their say; it does
    nothing else while no environment is active, for whoever has kept it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: tuple[User, ...] = ()  # oldest first; replaced and never changed, for whoever looks something up
        self._made: dict[_Found, _Patch] = {}
        self._latest: list[_Patch | None] = [None] * len(_TARGETS)

    def install(self, address: str = LOOPBACK) -> User:
        """Make the names resolve to this address; also where another tool has removed a patch of ours meanwhile.

        Returns the token for `uninstall`.
        """
        user = User(address)
        with self._lock:
            self._users += (user,)
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
        return user

    def uninstall(self, user: User) -> None:
        """One user less; the last one's leaving restores what is still ours. Leaving twice does nothing."""
        with self._lock:
            self._users = tuple(other for other in self._users if other is not user)
            if not self._users:
                for patch in reversed(self._made.values()):
                    patch.take_back()
                self._made.clear()

    def _resolved(self, host: object) -> str | None:
        """The address of this host, if it is one of the names and anybody uses them."""
        users = self._users
        return users[-1].address if users and is_sandbox(host) else None

    def _getaddrinfo(self, found: _Found) -> _Found:
        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            if address := self._resolved(host):
                flags = kwargs.get("flags", args[_FLAGS] if len(args) > _FLAGS else 0)
                if not flags & socket.AI_NUMERICHOST:
                    host = address
            return found(host, *args, **kwargs)

        return getaddrinfo

    def _gethostbyname(self, found: _Found) -> _Found:
        def gethostbyname(host: Any, /) -> Any:
            return self._resolved(host) or found(host)

        return gethostbyname

    def _gethostbyname_ex(self, found: _Found) -> _Found:
        def gethostbyname_ex(host: Any, /) -> Any:
            address = self._resolved(host)
            return _entry(address) if address else found(host)

        return gethostbyname_ex

    def _gethostbyaddr(self, found: _Found) -> _Found:
        """Also asked the other way round, by every `http.server`: a name server would be, and might never answer."""

        def gethostbyaddr(host: Any, /) -> Any:
            address = self._resolved(host) or next(
                (user.address for user in self._users if user.address == host != LOOPBACK), None
            )
            return _entry(address) if address else found(host)

        return gethostbyaddr

    def _method(self, found: _Found) -> _Found:
        def method(sock: Any, address: Any, /) -> Any:
            if type(address) is tuple and address and (resolved := self._resolved(address[0])):
                address = (resolved, *address[1:])
            return found(sock, address)

        return method

    def _connecting(self, found: _Found) -> _Found:
        method = self._method(found)

        def connect(sock: Any, address: Any, /) -> Any:
            try:
                return method(sock, address)
            finally:
                if self._users and sock.family == socket.AF_INET:
                    CLIENTS.opened(sock)

        return connect


_TARGETS: tuple[tuple[Any, str, _Wrap], ...] = (
    (socket, "getaddrinfo", Names._getaddrinfo),
    (socket, "gethostbyname", Names._gethostbyname),
    (socket, "gethostbyname_ex", Names._gethostbyname_ex),
    (socket, "gethostbyaddr", Names._gethostbyaddr),
    (Real.socket, "bind", Names._method),
    (Real.socket, "connect", Names._connecting),
    (Real.socket, "connect_ex", Names._connecting),
)

NAMES = Names()
"""The one instance: what is patched belongs to the process."""
