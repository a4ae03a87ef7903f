"""Making 127.0.0.1 reachable for our tests under pytest-socket, and nothing else that it forbids.

pytest-socket decides in its `pytest_runtest_setup`, before any fixture, so what we ask for has to be on the test by
then, as its own `allow_hosts` marker. Under `--disable-socket` that marker turns "no sockets at all" into "connections
to these hosts only"; hosts that a test's own marker or `--allow-hosts` names stay, and ours is added. A test that is
marked `disable_socket` itself, or asks for `socket_disabled`, has decided otherwise and is left alone.
"""

import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol

OUR_FIXTURES = frozenset({"lambda_telemetry", "async_lambda_telemetry", "lambda_telemetry_factory"})
OUR_HOST = "127.0.0.1"


class Item(Protocol):
    """What is needed of a `pytest.Item`; `Any` stands for pytest's own Config and Mark."""

    @property
    def config(self) -> Any: ...

    def get_closest_marker(self, name: str) -> Any: ...

    def add_marker(self, marker: Any, append: bool = True) -> None: ...


class Marks(Protocol):
    """What is needed of `pytest.mark`."""

    @property
    def allow_hosts(self) -> Callable[[list[str]], object]: ...


def is_guarding() -> bool:
    """It restricts the sockets of this process now: then 127.0.0.1 is the one address that is ours."""
    guarded = (socket.socket, socket.socket.connect)
    return any(getattr(one, "__module__", "") == "pytest_socket" for one in guarded)


def prepare(items: Iterable[Item], mark: Marks) -> None:
    """Allow 127.0.0.1 to the collected tests that use one of our fixtures; call it in `pytest_collection_modifyitems`.

    `mark` is `pytest.mark`. Does nothing where pytest-socket is not loaded or restricts nothing. Fixtures that are only
    asked for at run time (`request.getfixturevalue`) cannot be seen here.
    """
    for item in items:
        if OUR_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            continue
        hosts = _allowed_hosts(item)
        if hosts is not None and OUR_HOST not in hosts:
            item.add_marker(mark.allow_hosts([*hosts, OUR_HOST]), append=False)


def _allowed_hosts(item: Item) -> list[str] | None:
    """The hosts to which pytest-socket restricts this test (none under a bare `--disable-socket`); None: no limit."""
    disabled = item.config.getoption("--disable-socket", None)
    if disabled is None:  # pytest-socket is not loaded
        return None
    marker = item.get_closest_marker("allow_hosts")
    hosts = marker.args[0] if marker and marker.args else item.config.getoption("--allow-hosts", None) or None
    if hosts is None:
        return [] if disabled else None
    if isinstance(hosts, str):
        hosts = hosts.split(",")
    return [host.strip() for host in hosts] if isinstance(hosts, list) else None  # it takes a list or text, only
