"""pytest-socket: our tests reach 127.0.0.1, and nothing else is loosened."""

from collections.abc import Callable

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
import contextlib, socket, threading
import pytest
from pytest_lambda_telemetry.integrations import pytest_socket

def pytest_collection_modifyitems(items):
    pytest_socket.prepare(items, pytest.mark)

@pytest.fixture
def lambda_telemetry():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()

@pytest.fixture
def async_lambda_telemetry(lambda_telemetry):
    return lambda_telemetry

@pytest.fixture(scope="session")
def lambda_telemetry_factory():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()

@pytest.fixture(scope="session")
def through_a_fixture_of_its_own(lambda_telemetry_factory):
    return lambda_telemetry_factory
"""

PREAMBLE = """
import socket
import pytest
import pytest_socket as library

def reach(address):
    socket.create_connection(address, timeout=5).close()

def blocked(address):
    with pytest.raises(library.SocketConnectBlockedError):
        reach(address)
"""


QUIET = "ignore:A test tried to use"  # pytest-socket 0.8 warns before it raises

Run = Callable[..., None]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # every other plugin would be imported anew in each test

    def run(body: str, *options: str, plugin: str = "pytest_socket") -> None:
        pytester.makeconftest(CONFTEST)
        pytester.makepyfile(PREAMBLE + body)
        result = pytester.runpytest_inprocess("-p", plugin, "-W", QUIET, "--strict-markers", *options)
        assert result.ret == pytest.ExitCode.OK

    return run


@pytest.mark.parametrize(
    "fixture",
    ["lambda_telemetry", "async_lambda_telemetry", "lambda_telemetry_factory", "through_a_fixture_of_its_own"],
)
def test_disable_socket_leaves_our_tests_loopback_alone(run: Run, fixture: str) -> None:
    run(
        f"""
def test_ours({fixture}):
    reach({fixture})
    blocked(("127.0.0.2", 9))

def test_another():
    with pytest.raises(library.SocketBlockedError):
        socket.socket()
""",
        "--disable-socket",
    )


def test_allowed_hosts_of_the_command_line_stay_and_ours_is_added(run: Run) -> None:
    run(
        """
def test_ours(lambda_telemetry):
    reach(lambda_telemetry)
    with pytest.raises(ConnectionRefusedError):
        reach(("127.0.0.2", 9))
    blocked(("127.0.0.3", 9))

def test_another():
    blocked(("127.0.0.1", 9))
""",
        "--allow-hosts=127.0.0.2, 127.0.0.4",
    )


@pytest.mark.parametrize("hosts", ['["127.0.0.2"]', '"127.0.0.4,127.0.0.2"', '["127.0.0.2", "127.0.0.1"]'])
@pytest.mark.parametrize("options", [(), ("--disable-socket",), ("--allow-hosts=127.0.0.3",)])
def test_allowed_hosts_of_a_marker_stay_and_ours_is_added(run: Run, hosts: str, options: tuple[str, ...]) -> None:
    run(
        f"""
@pytest.mark.allow_hosts({hosts})
def test_ours(lambda_telemetry):
    reach(lambda_telemetry)
    with pytest.raises(ConnectionRefusedError):
        reach(("127.0.0.2", 9))
    blocked(("127.0.0.3", 9))
""",
        *options,
    )


def test_an_empty_marker_allows_ours_only(run: Run) -> None:
    run(
        """
@pytest.mark.allow_hosts([])
def test_ours(lambda_telemetry):
    reach(lambda_telemetry)
    blocked(("127.0.0.2", 9))
"""
    )


@pytest.mark.parametrize("options", [(), ("--allow-hosts=",), ("--disable-socket", "--force-enable-socket")])
def test_where_nothing_is_restricted_nothing_becomes_restricted(run: Run, options: tuple[str, ...]) -> None:
    run(
        """
def test_ours(lambda_telemetry):
    reach(lambda_telemetry)
    with pytest.raises(ConnectionRefusedError):
        reach(("127.0.0.2", 9))
""",
        *options,
    )


def test_a_test_that_enables_sockets_keeps_them_all(run: Run) -> None:
    run(
        """
@pytest.mark.enable_socket
def test_ours(lambda_telemetry):
    with pytest.raises(ConnectionRefusedError):
        reach(("127.0.0.2", 9))
""",
        "--disable-socket",
    )


def test_a_test_that_disables_sockets_itself_keeps_them_disabled(run: Run) -> None:
    run(
        """
@pytest.mark.disable_socket
# passes only if the block holds
@pytest.mark.xfail(raises=library.SocketBlockedError, strict=True)
def test_ours(lambda_telemetry):
    reach(lambda_telemetry)
"""
    )


def test_without_pytest_socket_nothing_happens(run: Run) -> None:
    run(
        """
def test_ours(lambda_telemetry, request):
    assert request.node.get_closest_marker("allow_hosts") is None
    reach(lambda_telemetry)
""",
        plugin="no:pytest_socket",
    )
