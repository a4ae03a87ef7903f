"""Faults: what the listener sees of each, and what the sender is made to believe."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.model.records import Destination
from pytest_lambda_telemetry.sandbox.delivery_faults import Fault, parse_fault, send_with_fault
from pytest_lambda_telemetry.wire.sender import Outcome, Sender

EVENTS: list[dict[str, object]] = [
    {"time": "t", "type": "function", "record": "short"},
    {"time": "t", "type": "function", "record": 'a long line with "record": quoted, é and \\ in it ' * 20},
    {"time": "t", "type": "platform.runtimeDone", "record": {"requestId": "r", "record": {"status": "success"}}},
]
BODY = json.dumps(EVENTS).encode()
LINES = b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)


class Sink:
    """A listener that keeps what each connection sent, and answers POSTs with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.connections: list[bytes] = []
        self.bodies: list[bytes] = []
        self.ended = threading.Semaphore(0)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(5)
                    self._serve(connection)
                self.ended.release()

    def _serve(self, connection: socket.socket) -> None:
        data, taken = b"", 0
        with suppress(ConnectionResetError):
            for piece in iter(lambda: connection.recv(65536), b""):
                data += piece
                while post := re.match(rb"POST .*?Content-Length: (\d+).*?\r\n\r\n", data[taken:], re.DOTALL):
                    end = taken + post.end() + int(post[1])
                    if len(data) < end:
                        break
                    self.bodies.append(data[taken + post.end() : end])
                    taken = end
                    connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % self.status)
        self.connections.append(data)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)
        assert not self._thread.is_alive()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with closing(Sink()) as sink:
        yield sink


@pytest.fixture
def sender() -> Iterator[Sender]:
    with closing(Sender(5.0)) as sender:
        yield sender


def http(port: int) -> Destination:
    host = "sandbox.localdomain"
    return Destination(protocol="HTTP", uri=f"http://{host}:{port}/", host=host, port=port)


def tcp(port: int) -> Destination:
    return Destination(protocol="TCP", uri=None, host="sandbox.localdomain", port=port)


def verdict(outcome: Outcome) -> tuple[bool, int | None, str | None]:
    return outcome.ok, outcome.status, outcome.error


def is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_has_a_name(fault: Fault) -> None:
    assert parse_fault(fault.value) is fault
    assert parse_fault(fault) is fault


@pytest.mark.parametrize("status", [200, 404, 503, 599])
def test_a_status_is_a_fault(status: int) -> None:
    assert parse_fault(status) == status


@pytest.mark.parametrize("value", ["Refuse", "", "500", None, True, 1, 100, 600, -1, 5.0, [], {}])
def test_anything_else_is_misuse(value: object) -> None:
    expected = (
        f"{value!r} is no delivery fault; use one of"
        " 'refuse', 'reset', 'timeout', 'truncate', 'duplicate', 'split', or a status 200-599"
    )
    with pytest.raises(MisuseError, match=f"^{re.escape(expected)}$"):
        parse_fault(value)


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def test_refuse_sends_nothing(sink: Sink, sender: Sender) -> None:
    outcome = send_with_fault(sender, Fault.REFUSE, http(sink.port), BODY, key=1)
    assert verdict(outcome) == (False, None, "connection refused")
    assert sender.send(http(sink.port), BODY, key=1).ok
    sender.close()
    assert sink.ended.acquire(timeout=5)
    assert sink.bodies == [BODY]
    assert len(sink.connections) == 1


def test_reset_breaks_off(sink: Sink, sender: Sender) -> None:
    outcome = send_with_fault(sender, Fault.RESET, http(sink.port), BODY, key=1)
    assert verdict(outcome) == (False, None, "connection reset")
    assert sink.ended.acquire(timeout=5)
    assert sink.bodies == []


@pytest.mark.parametrize("make", [http, tcp])
def test_timeout_delivers_and_hangs_up(sink: Sink, sender: Sender, make: Callable[[int], Destination]) -> None:
    outcome = send_with_fault(sender, Fault.TIMEOUT, make(sink.port), BODY, key=1)
    assert verdict(outcome) == (False, None, "timed out after 5.0 s")
    assert sink.ended.acquire(timeout=5)
    assert sink.connections[0].endswith(BODY)


@pytest.mark.parametrize(("answered", "fault", "ok"), [(200, 503, False), (200, 404, False), (500, 200, True)])
def test_a_status_takes_the_place_of_the_answer(
    sink: Sink, sender: Sender, answered: int, fault: int, ok: bool
) -> None:
    sink.status = answered
    outcome = send_with_fault(sender, fault, http(sink.port), BODY, key=1)
    assert verdict(outcome) == (ok, fault, None)
    assert sink.bodies == [BODY]
    sender.close()


def test_truncate_leaves_out_the_end(sink: Sink, sender: Sender) -> None:
    assert send_with_fault(sender, Fault.TRUNCATE, http(sink.port), BODY, key=1).ok
    (body,) = sink.bodies
    assert BODY.startswith(body)
    assert not is_json(body)


def test_duplicate_sends_the_same_twice(sink: Sink, sender: Sender) -> None:
    assert send_with_fault(sender, Fault.DUPLICATE, http(sink.port), BODY, key=1).ok
    assert sink.bodies == [BODY, BODY]
    sender.close()


RECORDS: list[object] = ["", "é" * 9, "plain", '"}]', {}, {"a": 1}, {"record": {"deep": ["x", "y"]}}, 'say "record": 1']


@pytest.mark.parametrize("record", RECORDS, ids=repr)
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_split_makes_two_payloads_that_are_not_json(
    sink: Sink, sender: Sender, record: object, escaped: bool, separators: tuple[str, str]
) -> None:
    events = [{"time": "t", "type": "function", "record": each} for each in ("", record, "")]
    body = json.dumps(events, ensure_ascii=escaped, separators=separators).encode()
    assert send_with_fault(sender, Fault.SPLIT, http(sink.port), body, key=1).ok
    first, second = sink.bodies
    assert first.endswith(b"}]")
    assert first[:-2] + second == body
    assert not is_json(first)
    assert not is_json(second)
    sender.close()


def test_split_cuts_the_longest_record(sink: Sink, sender: Sender) -> None:
    send_with_fault(sender, Fault.SPLIT, http(sink.port), BODY, key=1)
    first, second = sink.bodies
    assert b'"short"' in first
    assert b"runtimeDone" in second
    assert b"a long line" in first
    assert b"a long line" in second
    sender.close()


@pytest.mark.parametrize("body", [b"[]", b"x", b""])
def test_split_takes_what_has_no_record(sink: Sink, sender: Sender, body: bytes) -> None:
    send_with_fault(sender, Fault.SPLIT, http(sink.port), body, key=1)
    assert sink.bodies[0][:-2] + sink.bodies[1] == body
    sender.close()


@pytest.mark.parametrize("fault", [Fault.TRUNCATE, Fault.DUPLICATE, Fault.SPLIT])
def test_otherwise_the_outcome_is_as_answered(sink: Sink, sender: Sender, fault: Fault) -> None:
    sink.status = 500
    assert verdict(send_with_fault(sender, fault, http(sink.port), BODY, key=1)) == (False, 500, None)
    sender.close()


# -- over TCP ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.RESET, None),
        (Fault.TRUNCATE, LINES[:-2]),
        (Fault.DUPLICATE, LINES + LINES),
        (200, LINES),
    ],
)
def test_faults_of_a_stream(sink: Sink, sender: Sender, fault: Fault | int, expected: bytes | None) -> None:
    outcome = send_with_fault(sender, fault, tcp(sink.port), LINES, key=1)
    assert outcome.ok is (fault is not Fault.RESET)
    sender.close()
    assert sink.ended.acquire(timeout=5)
    if expected is not None:
        assert sink.connections == [expected]


def test_a_split_line_becomes_two_that_are_not_json(sink: Sink, sender: Sender) -> None:
    assert send_with_fault(sender, Fault.SPLIT, tcp(sink.port), LINES, key=1).ok
    sender.close()
    assert sink.ended.acquire(timeout=5)
    lines = sink.connections[0].splitlines()
    assert [is_json(line) for line in lines] == [True, False, False, True]
    assert lines[1][:-1] + lines[2] == LINES.splitlines()[1]


def test_the_line_after_a_truncated_one_has_a_connection_of_its_own(sink: Sink, sender: Sender) -> None:
    send_with_fault(sender, Fault.TRUNCATE, tcp(sink.port), LINES, key=1)
    assert sender.send(tcp(sink.port), LINES, key=1).ok
    sender.close()
    assert sink.ended.acquire(timeout=5)
    assert sink.ended.acquire(timeout=5)
    assert sink.connections == [LINES[:-2], LINES]
