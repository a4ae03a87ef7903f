"""sandbox.localdomain and sandbox inside this process."""

import asyncio
import http.server
import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from pytest_lambda_telemetry.host.addresses import own_address
from pytest_lambda_telemetry.host.names import NAMES, Names, is_sandbox
from pytest_lambda_telemetry.real import Real

PATCHED: tuple[tuple[Any, str], ...] = (
    (socket, "getaddrinfo"),
    (socket, "gethostbyname"),
    (socket, "gethostbyname_ex"),
    (socket, "gethostbyaddr"),
    (Real.socket, "bind"),
    (Real.socket, "connect"),
    (Real.socket, "connect_ex"),
)


def state() -> list[object]:
    return [(getattr(owner, name), name in vars(owner)) for owner, name in PATCHED]


@pytest.fixture
def active() -> Iterator[Names]:
    before = state()
    token = NAMES.install()
    yield NAMES
    NAMES.uninstall(token)
    assert state() == before


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Look-ups that answer without a resolver, and what they were asked."""
    asked: list[object] = []

    def getaddrinfo(host: object, *args: object, **kwargs: object) -> list[object]:
        asked.append(host)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "host",
    [
        "sandbox",
        "sandbox.localdomain",
        "SANDBOX",
        "Sandbox.LocalDomain.",
        "sandbox.",
        b"sandbox",
        b"SANDBOX.localdomain.",
    ],
)
def test_the_names(host: str | bytes) -> None:
    assert is_sandbox(host)


@pytest.mark.parametrize(
    "host",
    ["", ".", "sandbox..", "sandbox.local", "a.sandbox", "localhost", None, 7, b"\xff", "127.0.0.1", ("sandbox",)],
)
def test_other_hosts(host: object) -> None:
    assert not is_sandbox(host)


@pytest.mark.usefixtures("active")
@pytest.mark.parametrize("host", ["sandbox.localdomain", "Sandbox.", b"sandbox"])
def test_every_look_up_gives_the_loopback_address(host: Any) -> None:
    [(family, _, _, _, address)] = socket.getaddrinfo(host, 4243, type=socket.SOCK_STREAM)
    assert (family, address) == (socket.AF_INET, ("127.0.0.1", 4243))
    assert socket.getaddrinfo(host=host, port=1, proto=socket.IPPROTO_TCP)[0][4] == ("127.0.0.1", 1)
    assert socket.gethostbyname(host) == "127.0.0.1"
    assert socket.gethostbyname_ex(host) == ("sandbox.localdomain", ["sandbox"], ["127.0.0.1"])
    assert socket.gethostbyaddr(host) == ("sandbox.localdomain", ["sandbox"], ["127.0.0.1"])


@pytest.mark.usefixtures("active")
def test_a_look_up_for_numbers_only_takes_no_name() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("sandbox", 1, flags=socket.AI_NUMERICHOST)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("sandbox", 1, 0, 0, 0, socket.AI_NUMERICHOST)


@pytest.mark.usefixtures("active")
def test_sockets_bind_and_connect_by_name() -> None:
    with closing(socket.socket()) as server, closing(socket.socket()) as one, closing(socket.socket()) as two:
        server.bind(("sandbox.localdomain", 0))
        server.listen()
        port = server.getsockname()[1]
        one.connect(("SANDBOX", port))
        assert two.connect_ex((b"sandbox.localdomain", port)) == 0
        assert one.getpeername() == two.getpeername() == ("127.0.0.1", port)


@pytest.mark.usefixtures("active")
def test_what_is_no_name_of_ours_passes_through() -> None:
    assert socket.gethostbyname("127.0.0.1") == "127.0.0.1"
    assert socket.gethostbyname_ex("127.0.0.1")[2] == ["127.0.0.1"]
    with closing(socket.socket()) as one, pytest.raises(TypeError):
        one.connect(())
    with closing(socket.socket(socket.AF_UNIX)) as unix, pytest.raises(FileNotFoundError):
        unix.connect("/nowhere/sandbox")


@pytest.mark.usefixtures("active")
def test_the_standard_http_server_binds_by_name() -> None:
    with http.server.HTTPServer(("sandbox.localdomain", 0), http.server.BaseHTTPRequestHandler) as server:
        assert server.server_address[0] == "127.0.0.1"


@pytest.mark.usefixtures("active")
def test_asyncio_serves_and_connects_by_name() -> None:
    async def scenario() -> str:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, "sandbox.localdomain", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("sandbox", port)
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
            with closing(socket.socket()) as raw:
                raw.setblocking(False)
                await asyncio.get_running_loop().sock_connect(raw, ("sandbox", port))
        return line.decode()

    assert asyncio.run(scenario()) == "hello\n"


def test_the_last_of_several_users_restores() -> None:
    before = state()
    tokens = [NAMES.install(), NAMES.install()]
    NAMES.uninstall(tokens.pop())
    assert socket.gethostbyname("sandbox") == "127.0.0.1"
    NAMES.uninstall(tokens.pop())
    assert state() == before


@pytest.fixture
def own() -> Iterator[str]:
    """An environment with an address of its own."""
    token = NAMES.install(own_address(1))
    yield token.address
    NAMES.uninstall(token)


def test_the_names_have_the_address_that_was_given(own: str) -> None:
    assert socket.getaddrinfo("sandbox", 1, type=socket.SOCK_STREAM)[0][4] == (own, 1)
    assert socket.gethostbyname("SANDBOX") == own
    assert socket.gethostbyname_ex("sandbox") == ("sandbox.localdomain", ["sandbox"], [own])
    assert socket.gethostbyaddr("sandbox") == ("sandbox.localdomain", ["sandbox"], [own])
    with closing(socket.socket()) as server, closing(socket.socket()) as one, closing(socket.socket()) as two:
        server.bind(("sandbox.localdomain", 0))
        server.listen()
        one.connect(("sandbox", server.getsockname()[1]))
        assert two.connect_ex(("sandbox", server.getsockname()[1])) == 0
        assert (server.getsockname()[0], one.getpeername()[0], two.getpeername()[0]) == (own, own, own)


def test_the_name_of_the_address_is_known_without_asking_anybody(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`http.server` asks for it with each server it starts."""
    if own == "127.0.0.1":
        pytest.skip("the system's own hosts file knows the only address there is")
    asked: list[object] = []
    monkeypatch.setattr(socket, "gethostbyaddr", asked.append)
    token = NAMES.install()
    try:
        assert socket.gethostbyaddr(own) == ("sandbox.localdomain", ["sandbox"], [own])
        with http.server.HTTPServer((own, 0), http.server.BaseHTTPRequestHandler):
            pass
        assert asked == []
        socket.gethostbyaddr("127.0.0.1")
        assert asked == ["127.0.0.1"]
    finally:
        NAMES.uninstall(token)


ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_the_last_one_still_there_has_the_names(order: tuple[int, ...]) -> None:
    before = state()
    tokens = {number: NAMES.install(f"127.1.2.{number}") for number in range(3)}
    assert socket.gethostbyname("sandbox") == "127.1.2.2"
    for number in order:
        NAMES.uninstall(tokens.pop(number))
        if tokens:
            assert socket.gethostbyname("sandbox") == f"127.1.2.{max(tokens)}"
    assert state() == before


def test_leaving_twice_does_nothing() -> None:
    first, second = NAMES.install("127.1.2.3"), NAMES.install("127.1.2.4")
    NAMES.uninstall(second)
    NAMES.uninstall(second)
    assert socket.gethostbyname("sandbox") == "127.1.2.3"
    NAMES.uninstall(first)
    NAMES.uninstall(first)


def test_the_originals_are_those_found_when_installing(offline: list[object]) -> None:
    """A guard that another tool has put up still sees each look-up, with the address in place of the name."""
    guard = socket.getaddrinfo
    token = NAMES.install()
    socket.getaddrinfo("sandbox", 1)
    socket.getaddrinfo("example.invalid", 1)
    NAMES.uninstall(token)
    assert offline == ["127.0.0.1", "example.invalid"]
    assert socket.getaddrinfo is guard


def test_a_guard_removed_meanwhile_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-socket restores `connect` before fixtures are finalized."""
    genuine = Real.socket.connect

    def guarded(sock: socket.socket, address: Any) -> None:
        raise AssertionError(f"not allowed: {address}")

    monkeypatch.setattr(Real.socket, "connect", guarded)
    token = NAMES.install()
    with closing(socket.socket()) as one, pytest.raises(AssertionError, match="not allowed"):
        one.connect(("sandbox", 9))
    Real.socket.connect = genuine  # type: ignore[method-assign]  # as pytest-socket does it
    NAMES.uninstall(token)
    assert Real.socket.connect is genuine


def test_an_entry_of_its_own_and_an_inherited_one_are_each_restored_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-socket leaves the genuine method as an entry of the class."""
    genuine = Real.socket.connect
    for entry in (True, False, True):
        if entry:
            monkeypatch.setattr(Real.socket, "connect", genuine)
        else:
            monkeypatch.delattr(Real.socket, "connect")
        NAMES.uninstall(NAMES.install())
        assert ("connect" in vars(Real.socket), Real.socket.connect) == (entry, genuine)


def test_the_next_user_puts_back_what_another_tool_removed() -> None:
    before = state()
    genuine = socket.getaddrinfo
    tokens = [NAMES.install()]
    socket.getaddrinfo = genuine
    tokens.append(NAMES.install())
    assert socket.getaddrinfo("sandbox", 1)[0][4] == ("127.0.0.1", 1)
    for token in tokens:
        NAMES.uninstall(token)
    assert state() == before


def test_a_spy_put_over_ours_is_wrapped_and_not_called_for_ever(active: Names) -> None:
    ours = socket.getaddrinfo
    seen: list[object] = []

    def spy(host: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(host)
        return ours(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as user:
        user.setattr(socket, "getaddrinfo", spy)
        token = active.install()
        assert socket.getaddrinfo("sandbox", 1)[0][4] == ("127.0.0.1", 1)
        active.uninstall(token)
        socket.getaddrinfo = spy
    assert seen == ["127.0.0.1"]


def test_a_users_undo_after_ours_leaves_no_growing_chain() -> None:
    """`monkeypatch` requested before our fixture is undone after it, and puts our wrapper back."""
    genuine = socket.getaddrinfo
    wrappers = set()
    for _ in range(3):
        with pytest.MonkeyPatch.context() as user:
            token = NAMES.install()
            wrappers.add(socket.getaddrinfo)
            user.setattr(socket, "getaddrinfo", lambda *args: [])
            NAMES.uninstall(token)
    assert wrappers == {socket.getaddrinfo}
    NAMES.uninstall(NAMES.install())
    assert socket.getaddrinfo is genuine


def test_whoever_keeps_a_wrapper_has_the_original(offline: list[object]) -> None:
    token = NAMES.install()
    kept: Callable[..., object] = socket.getaddrinfo
    NAMES.uninstall(token)
    kept("sandbox", 1)
    assert offline == ["sandbox"]
