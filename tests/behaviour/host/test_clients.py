"""Which thread is at the other end of a connection, as far as this process knows."""

import asyncio
import gc
import socket
import threading

import pytest

from pytest_lambda_telemetry.host.clients import CLIENTS, Clients, Lifetime
from pytest_lambda_telemetry.host.names import NAMES
from tests.support.helpers import free_port


def test_a_connection_is_its_threads_until_it_is_closed() -> None:
    user = NAMES.install()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            found: list[tuple[socket.socket, int, threading.Thread | None]] = []

            def connect() -> None:
                client = socket.create_connection(server.getsockname())
                local = client.getsockname()[1]
                found.append((client, local, CLIENTS.thread(local)))

            thread = threading.Thread(target=connect)
            thread.start()
            thread.join()
            ((client, local, whose),) = found
            assert whose is thread
            assert CLIENTS.thread(local) is None  # it has ended
            client.close()

            def reconnect() -> None:
                with socket.create_connection(server.getsockname()) as again:
                    port = again.getsockname()[1]
                assert CLIENTS.thread(port) is None  # it was closed: another process may have the port by now

            reconnect()
    finally:
        NAMES.uninstall(user)


def test_a_connection_that_an_event_loop_opens_is_its_threads() -> None:
    async def connect(address: tuple[str, int]) -> threading.Thread | None:
        _, writer = await asyncio.open_connection(*address)
        local = writer.get_extra_info("sockname")[1]
        thread = CLIENTS.thread(local)
        writer.close()
        await writer.wait_closed()
        return thread

    user = NAMES.install()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            assert asyncio.run(connect(server.getsockname())) is threading.current_thread()
    finally:
        NAMES.uninstall(user)


def test_a_refused_connection_and_unknown_ports_are_nobodys() -> None:
    user = NAMES.install()
    try:
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", free_port()))
        assert CLIENTS.thread(0) is None
        assert CLIENTS.thread(1) is None
    finally:
        NAMES.uninstall(user)


def test_no_more_than_the_newest_connections_are_remembered() -> None:
    clients = Clients()
    socks = [socket.socket() for _ in range(3)]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        for _ in range(1_000):
            for sock in socks:
                clients.opened(sock)
        assert len(clients._opened) == 3
    finally:
        for sock in socks:
            sock.close()


def test_a_thread_is_of_the_environment_that_it_was_started_in_and_is_not_kept() -> None:
    go = threading.Event()
    first = Lifetime("first")
    thread = threading.Thread(target=go.wait, args=(30,), name="late")
    thread.start()
    assert first.outlived(thread) == ""
    first.end()
    second = Lifetime("second")
    assert second.outlived(thread) == "thread 'late', which was started during first"
    assert second.outlived(threading.current_thread()) == second.outlived(None) == ""
    second.end()
    assert CLIENTS.started_in(thread) == "first"
    go.set()
    thread.join()
    del thread
    gc.collect()
    assert not [one for one in CLIENTS._left if one.name == "late"]
