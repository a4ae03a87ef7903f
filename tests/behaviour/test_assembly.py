"""The composition root: parts can be handed in, and an assembly that fails leaves nothing behind."""

import os
import socket
import threading

import pytest

from pytest_lambda_telemetry import MisuseError, Settings, events
from pytest_lambda_telemetry.api.dialect import runtime_server
from pytest_lambda_telemetry.engine.clock import Clock
from pytest_lambda_telemetry.environment import over
from pytest_lambda_telemetry.host.names import NAMES
from pytest_lambda_telemetry.integrations import foreign_clock, freezegun
from pytest_lambda_telemetry.sandbox.assembly import assemble
from pytest_lambda_telemetry.wire.sender import Sender
from tests.support.helpers import Listener


def test_a_clock_a_sender_and_a_server_can_be_handed_in_and_stay_their_owners() -> None:
    clock, sender, server = Clock(None, lambda: None), Sender(1.0), runtime_server()
    try:
        sandbox = assemble(Settings(), clock=clock, sender=sender, server=server)
        fake = over(sandbox)
        with Listener() as listener:
            assert fake.runtime_api == server.address
            fake.subscribe(listener.uri)
            fake.emit(events.function("hello"))
            fake.advance(seconds=1)
            assert clock.elapsed_us == 1_000_000
            assert [event["record"] for event in listener.batches[0]] == ["hello"]
            sandbox.end()
        with socket.create_connection(("127.0.0.1", server.port)):
            pass  # it still listens: closing it is its owner's
    finally:
        server.close()
        sender.close()


def test_an_assembly_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count(), socket.getaddrinfo, dict(os.environ)

    def refuse(_address: str) -> None:
        raise MisuseError("the names cannot be patched")

    monkeypatch.setattr(NAMES, "install", refuse)
    with pytest.raises(MisuseError, match="the names cannot be patched"):
        assemble(Settings(clock="freezegun"))
    assert (threading.active_count(), socket.getaddrinfo, dict(os.environ)) == before
    assert foreign_clock.active() is None
    assert freezegun.active() is None


def test_an_environment_serves_from_its_assembly_on_and_owns_the_variables_only_when_entered() -> None:
    sandbox = assemble(Settings(function_name="mine"))
    try:
        assert os.environ.get("AWS_LAMBDA_RUNTIME_API") != sandbox.runtime_api
        sandbox.enter()
        assert os.environ["AWS_LAMBDA_RUNTIME_API"] == sandbox.runtime_api
        with pytest.raises(MisuseError, match="entered already"):
            sandbox.enter()
        sandbox.leave()
        assert os.environ.get("AWS_LAMBDA_RUNTIME_API") != sandbox.runtime_api
    finally:
        sandbox.end()
    sandbox.end()
    assert sandbox.closed
