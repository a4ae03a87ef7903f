"""What belongs to the whole process, not to one environment.

Here: the server that the fixtures share, and the identifiers of the past. Elsewhere, because another room owns it:
`host.environ.ENVIRON` (os.environ), `host.names.NAMES` (how the sandbox's names resolve), `integrations.passthrough`
(which mocking libraries are covered), `integrations.freezegun` and `integrations.time_machine` (who is told of their
moves), `engine.turns` (in which worker call this code runs), `host.child_names` (how children resolve names).
"""

import threading
from collections import Counter, OrderedDict
from itertools import count
from uuid import NAMESPACE_URL, UUID, uuid5

from ..api.dialect import runtime_server
from ..wire.server import Server

_NAMESPACE = uuid5(NAMESPACE_URL, "pytest-lambda-telemetry")
_REMEMBERED = 100_000
"""Identifiers of the past, and seeds: a session of more tests keeps no more."""


class SharedServer:
    """The one listening socket of this process: made on first use, at the same address until the process ends."""

    def __init__(self) -> None:
        self.port = 0
        self._lock = threading.Lock()
        self._server: Server | None = None

    def get(self) -> Server:
        """The server, which is nobody's to close but `close`'s."""
        with self._lock:
            if self._server is None:
                self._server = runtime_server(self.port)
            return self._server

    def close(self) -> None:
        """Give the shared address up."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.close()


class Identifiers:
    """Identifiers made of a seed and a counter, and those of environments that are closed, or suspended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._retired: OrderedDict[str, None] = OrderedDict()
        self._counters: Counter[str] = Counter()

    def new(self, seed: str) -> str:
        """The next identifier for a seed (a test's node id): the same sequence in every run.

        The counter runs on within a process, so that a rerun does not take its first attempt's strays for its own.
        """
        with self._lock:
            self._counters[seed] += 1
            if len(self._counters) > _REMEMBERED:
                del self._counters[next(iter(self._counters))]
            return str(uuid5(_NAMESPACE, f"{seed}#{self._counters[seed]}"))

    def retire(self, identifiers: list[str]) -> None:
        """These extensions belong to an environment that is closed, or suspended."""
        with self._lock:
            self._retired.update(dict.fromkeys(identifiers))
            while len(self._retired) > _REMEMBERED:
                self._retired.popitem(last=False)

    def restore(self, identifiers: list[str]) -> None:
        """Their environment goes on after all."""
        with self._lock:
            for identifier in identifiers:
                self._retired.pop(identifier, None)

    def is_retired(self, identifier: str) -> bool:
        """An extension of an earlier environment has this identifier."""
        return identifier in self._retired


ENVIRONMENT_NUMBERS = count(1)
"""Numbers the environments of this process: each has a loopback address of its own."""
SHARED_SERVER = SharedServer()
IDENTIFIERS = Identifiers()


def request_id(seed: str, number: int) -> UUID:
    """The request id of the n-th invocation of an environment."""
    return uuid5(_NAMESPACE, f"{seed}/invocation/{number}")
