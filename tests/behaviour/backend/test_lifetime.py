"""A backend belongs to its environment: one for each name, through freezes and restarts, and gone with it."""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import requests
import requests_mock
import responses
import respx
import time_machine
from freezegun import freeze_time

from pytest_lambda_telemetry import Backend, LambdaTelemetry, MisuseError, Settings
from tests.support.clients import ask, connect, connection, post

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("lambda-telemetry-backend")]


def test_there_is_one_for_each_name(lambda_telemetry: LambdaTelemetry, lambda_telemetry_backend: Backend) -> None:
    first, again, other = lambda_telemetry.backend(), lambda_telemetry.backend("backend"), lambda_telemetry.backend("b")
    post(first, "/x")
    assert first.url == again.url == lambda_telemetry_backend.url != other.url
    assert again.requests == lambda_telemetry_backend.requests == first.requests
    assert other.requests == ()
    again.drop_idle_on_freeze = False
    assert first.drop_idle_on_freeze is False
    assert other.drop_idle_on_freeze is True
    assert (first.name, first.host, first.url) == ("backend", "127.0.0.1", f"http://127.0.0.1:{first.port}")
    assert first.ca_file is None


def test_asking_with_another_tls_is_a_mistake(lambda_telemetry: LambdaTelemetry) -> None:
    lambda_telemetry.backend("a")
    with pytest.raises(MisuseError) as caught:
        lambda_telemetry.backend("a", tls=True)
    assert str(caught.value) == (
        "backend 'a' was made with tls=False, and there is one of each name; ask for it with tls=False, or give the"
        " other one a name of its own"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("",), "name='' is not valid: it must be a non-empty str"),
        ((3,), "name=3 is not valid: it must be a non-empty str"),
    ],
)
def test_a_name_is_a_text(lambda_telemetry: LambdaTelemetry, arguments: tuple[Any, ...], told: str) -> None:
    with pytest.raises(MisuseError) as caught:
        lambda_telemetry.backend(*arguments)
    assert str(caught.value) == told
    with pytest.raises(MisuseError, match="tls=1 is not valid: it must be True or False"):
        lambda_telemetry.backend(tls=1)  # type: ignore[arg-type]  # must fail


def test_when_the_environment_is_closed_requests_stay_readable_and_nothing_else_works() -> None:
    with LambdaTelemetry() as fake:
        backend = fake.backend()
        post(backend, "/x", b'{"a": 1}')
    assert [(one.path, one.json, one.status) for one in backend.requests] == [("/x", {"a": 1}, 200)]
    assert backend.url in repr(backend)
    calls: tuple[Callable[[], object], ...] = (
        backend.respond,
        lambda: backend.fail_next(503),
        backend.hold,
        backend.release,
        backend.reset,
        backend.wait_for,
        lambda: setattr(backend, "drop_idle_on_freeze", True),
    )
    for call in calls:
        with pytest.raises(MisuseError) as caught:
            call()
        assert str(caught.value) == (
            "backend 'backend' is closed, with its environment: the test is over; its requests can still be read"
        )
    with pytest.raises(ConnectionRefusedError):
        connect(backend)
    with pytest.raises(MisuseError, match="this environment is closed"):
        fake.backend()
    with pytest.raises(MisuseError, match="there is no backend any more"):
        fake._sandbox.backends.get("late", False)  # as a thread may that has looked before it closed


def test_nothing_is_left_when_it_closes_whatever_its_clients_do() -> None:
    before = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
    with LambdaTelemetry() as fake:
        held, other = fake.backend(), fake.backend("other")
        held.hold()
        other.fail_next("timeout")
        other.fail_next("slow", delay_ms=600_000)
        waiting = [connect(held), connect(other), connect(other)]
        for sock in waiting:
            sock.sendall(POST)
        half, idle = connect(other), connect(other)
        half.sendall(POST[:30])
        held.wait_for(timeout=30)
        other.wait_for(2, timeout=30)
    for sock in [*waiting, half, idle]:
        with suppress(ConnectionResetError):
            assert sock.recv(100) == b""
        sock.close()
    assert threads() == []
    if before:
        assert set(os.listdir("/proc/self/fd")) <= before


def test_a_held_request_does_not_keep_an_environment_from_closing() -> None:
    with LambdaTelemetry() as fake:
        backend = fake.backend()
        backend.hold()
        sock = connect(backend)
        sock.sendall(POST)
        backend.wait_for(timeout=30)
        fake.shutdown()
    assert sock.recv(100) == b""
    sock.close()
    assert [one.status for one in backend.requests] == [None]


def test_it_stays_when_a_new_execution_environment_begins(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    backend.respond(201)
    post(backend, "/before")
    lambda_telemetry.invoke()
    lambda_telemetry.restart()
    assert post(backend, "/after")[0] == 201
    assert lambda_telemetry.backend().requests == backend.requests
    assert [one.path for one in backend.requests] == ["/before", "/after"]


# -- freeze ------------------------------------------------------------------------------------------------------------


def test_kept_idle_connections_are_dead_after_a_thaw(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    with connection(backend) as used, connection(backend) as other:
        assert ask(used, "/1")[0] == 200
        assert ask(other, "/2")[0] == 200
        lambda_telemetry.freeze()
        lambda_telemetry.thaw()
        for made in (used, other):
            assert made.sock is not None
            made.sock.settimeout(0.05)  # nothing tells the client before it asks
            with pytest.raises(TimeoutError):
                made.sock.recv(1)
            made.sock.settimeout(30)
            with pytest.raises(ConnectionResetError):
                ask(made, "/lost")
    assert post(backend, "/3")[0] == 200
    assert [one.path for one in backend.requests] == ["/1", "/2", "/3"]


def test_each_invocation_ends_with_a_freeze(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    with connection(backend) as made:
        ask(made)
        lambda_telemetry.invoke()
        with pytest.raises(ConnectionResetError):
            ask(made)


def test_kept_connections_live_on_where_the_test_says_so(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    backend.drop_idle_on_freeze = False
    with connection(backend) as made:
        ask(made)
        lambda_telemetry.invoke()
        assert ask(made)[0] == 200


def test_connections_that_are_busy_at_the_freeze_live_on(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    backend.hold()
    with connect(backend) as held, connect(backend) as half:
        held.sendall(POST)
        half.sendall(POST[:-2])
        backend.wait_for(timeout=30)
        lambda_telemetry.freeze()
        lambda_telemetry.thaw()
        backend.release()
        half.sendall(POST[-2:])
        assert held.recv(100).startswith(b"HTTP/1.1 200 ")
        assert half.recv(100).startswith(b"HTTP/1.1 200 ")


def test_connections_made_after_the_freeze_are_alive(lambda_telemetry: LambdaTelemetry, backend: Backend) -> None:
    lambda_telemetry.freeze()
    with connection(backend) as made:
        assert ask(made)[0] == 200
        lambda_telemetry.thaw()
        assert ask(made)[0] == 200


# -- clocks and mocking libraries --------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["freezegun", "time-machine"])
def test_it_serves_in_any_freeze_and_stamps_with_the_environments_time(clock: str) -> None:
    moment = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    frozen = freeze_time(moment) if clock == "freezegun" else time_machine.travel(moment, tick=False)
    with frozen, LambdaTelemetry() as fake:
        backend = fake.backend()
        backend.hold()
        with connect(backend) as sock:
            sock.sendall(POST)
            assert [one.at for one in backend.wait_for(timeout=30)] == [moment]
            backend.release()
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
        fake.advance(seconds=90)
        assert post(backend)[0] == 200
        assert (backend.requests[-1].at - moment).total_seconds() == 90


def test_it_serves_beside_the_system_clock() -> None:
    with LambdaTelemetry(Settings(clock="system")) as fake:
        backend = fake.backend()
        assert post(backend)[0] == 200
        assert backend.requests[0].at <= fake.now


def test_mocking_libraries_let_its_requests_through(lambda_telemetry: LambdaTelemetry) -> None:
    backend = lambda_telemetry.backend()
    with respx.mock:
        with httpx.Client() as client:
            assert client.post(f"{backend.url}/respx").status_code == 200
        with pytest.raises(respx.models.AllMockedAssertionError):
            httpx.get("http://127.0.0.1:9/")
    with responses.mock:
        assert requests.post(f"http://localhost:{backend.port}/responses", timeout=30).status_code == 200
    with requests_mock.Mocker():
        assert requests.post(f"{backend.url}/requests-mock", timeout=30).status_code == 200
    assert [one.path for one in backend.requests] == ["/respx", "/responses", "/requests-mock"]


def test_a_default_timeout_of_sockets_changes_nothing(backend: Backend) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(0.001)
    try:
        backend.hold()
        with connect(backend) as sock:
            sock.settimeout(30)
            sock.sendall(POST)
            backend.wait_for(timeout=30)
            backend.release()
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
    finally:
        socket.setdefaulttimeout(before)
