"""Delivery faults: what the listener sees of each, and what the sender is made to believe."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pytest_lambda_telemetry.model.errors import MisuseError
from pytest_lambda_telemetry.model.records import Destination
from pytest_lambda_telemetry.sandbox.delivery_faults import (
    FAULTS,
    NAMES,
    DeliveryFault,
    in_words,
    parse_fault,
    send_with_fault,
)
from pytest_lambda_telemetry.sandbox.split import split
from pytest_lambda_telemetry.wire.sender import Outcome, Sender
from tests.support.helpers import free_port

EVENTS: list[dict[str, object]] = [
    {"time": "t", "type": "function", "record": "short"},
    {"time": "t", "type": "function", "record": 'a long line with "record": quoted, é and \\ in it ' * 20},
    {"time": "t", "type": "platform.runtimeDone", "record": {"requestId": "r", "record": {"status": "success"}}},
]
BODY = json.dumps(EVENTS).encode()
LINES = b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)


class Sink:
    """A listener that keeps what each connection sent, and answers POSTs with `status`, or not at all (None)."""

    def __init__(self) -> None:
        self.status: int | None = 200
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
                    if self.status is None:
                        continue
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


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_what_the_table_names(fault: DeliveryFault) -> None:
    assert parse_fault(fault) == fault


def test_a_name_of_a_fault_is_one_of_seven() -> None:
    assert NAMES == ("refuse", "lost-answer", "duplicate", "reset", "timeout", "truncate", "split")


@pytest.mark.parametrize("status", [200, 404, 503, 599])
def test_a_status_is_a_fault(status: int) -> None:
    assert parse_fault(status) == status
    assert parse_fault(("lost-answer", status)) == ("lost-answer", status)


@pytest.mark.parametrize(
    "value",
    [
        *("Refuse", "", "500", None, True, 1, 100, 600, -1, 5.0, [], {}),
        *((), ("lost-answer",), ("lost-answer", "503"), ("lost-answer", True), ("lost-answer", 600), ("refuse", 503)),
    ],
)
def test_anything_else_is_misuse(value: object) -> None:
    expected = (
        f"{value!r} is no delivery fault; use one of 'refuse', 'lost-answer', 'duplicate', 'reset', 'timeout',"
        " 'truncate', 'split', a status 200-599, or ('lost-answer', a status)"
    )
    with pytest.raises(MisuseError, match=f"^{re.escape(expected)}$"):
        parse_fault(value)


def test_a_fault_in_words() -> None:
    assert [in_words(fault) for fault in ("reset", 503, ("lost-answer", 503))] == [
        "reset",
        "503",
        "lost-answer, 503 instead",
    ]


def test_the_table_of_the_readme_is_this_one() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    rows = [
        f"| `{json.dumps(fault) if not isinstance(fault, tuple) else str(fault).replace(chr(39), chr(34))}` |"
        f" {effects.listener} | {effects.then} |"
        for fault, effects in FAULTS.items()
    ]
    assert "\n".join(["| fault | what the listener sees | what Lambda does next |", "|---|---|---|", *rows]) in readme


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def test_refuse_sends_nothing(sink: Sink, sender: Sender) -> None:
    outcome = send_with_fault(sender, "refuse", http(sink.port), BODY, key=1)
    assert verdict(outcome) == (False, None, "connection refused")
    assert sender.send(http(sink.port), BODY, key=1).ok
    sender.close()
    assert sink.ended.acquire(timeout=5)
    assert sink.bodies == [BODY]
    assert len(sink.connections) == 1


@pytest.mark.parametrize(("fault", "ok"), [(503, False), (404, False), (302, False), (204, True)])
def test_of_a_status_the_listener_sees_nothing(sink: Sink, sender: Sender, fault: int, ok: bool) -> None:
    assert verdict(send_with_fault(sender, fault, http(sink.port), BODY, key=1)) == (ok, fault, None)
    assert sender.send(http(sink.port), BODY, key=1).ok
    sender.close()
    assert sink.ended.acquire(timeout=5)
    assert sink.bodies == [BODY]
    assert len(sink.connections) == 1


@pytest.mark.parametrize("answered", [200, 500])
def test_a_lost_answer_is_none_whatever_it_was(sink: Sink, sender: Sender, answered: int) -> None:
    sink.status = answered
    outcome = send_with_fault(sender, "lost-answer", http(sink.port), BODY, key=1)
    assert verdict(outcome) == (False, None, "connection closed without an answer")
    assert sink.ended.acquire(timeout=5)
    assert sink.bodies == [BODY]


@pytest.mark.parametrize(("answered", "believed", "ok"), [(200, 503, False), (200, 404, False), (500, 200, True)])
def test_another_answer_may_be_believed_instead(
    sink: Sink, sender: Sender, answered: int, believed: int, ok: bool
) -> None:
    sink.status = answered
    outcome = send_with_fault(sender, ("lost-answer", believed), http(sink.port), BODY, key=1)
    assert verdict(outcome) == (ok, believed, None)
    assert sink.ended.acquire(timeout=5)
    assert sink.bodies == [BODY]


@pytest.mark.parametrize("fault", ["lost-answer", ("lost-answer", 503), "duplicate", "split", "timeout"])
@pytest.mark.parametrize("make", [http, tcp])
def test_where_nobody_listens_that_is_what_happens(sender: Sender, make: Any, fault: DeliveryFault) -> None:
    outcome = send_with_fault(sender, fault, make(free_port()), BODY, key=1)
    assert verdict(outcome) == (False, None, "connection refused")


def test_reset_breaks_off(sink: Sink, sender: Sender) -> None:
    outcome = send_with_fault(sender, "reset", http(sink.port), BODY, key=1)
    assert verdict(outcome) == (False, None, "connection reset")
    assert sink.ended.acquire(timeout=5)
    assert sink.bodies == []


@pytest.mark.parametrize("make", [http, tcp])
def test_timeout_delivers_and_hangs_up(sink: Sink, sender: Sender, make: Callable[[int], Destination]) -> None:
    outcome = send_with_fault(sender, "timeout", make(sink.port), BODY, key=1)
    assert verdict(outcome) == (False, None, "timed out after 5.0 s")
    assert sink.ended.acquire(timeout=5)
    assert sink.connections[0].endswith(BODY)


def test_timeout_does_not_wait_for_a_listener_that_never_answers(sink: Sink) -> None:
    sink.status = None
    with closing(Sender(3600.0)) as patient:  # nobody would wait so long for this test
        outcome = send_with_fault(patient, "timeout", http(sink.port), BODY, key=1)
    assert verdict(outcome) == (False, None, "timed out after 3600.0 s")
    assert sink.ended.acquire(timeout=5)
    assert sink.bodies == [BODY]


def test_timeout_closes_a_connection_that_was_kept(sink: Sink, sender: Sender) -> None:
    assert sender.send(http(sink.port), BODY, key=1).ok
    assert not send_with_fault(sender, "timeout", http(sink.port), BODY, key=1).ok
    for _ in range(2):
        assert sink.ended.acquire(timeout=5)
    assert sink.bodies == [BODY, BODY]


def test_truncate_leaves_out_the_end(sink: Sink, sender: Sender) -> None:
    assert send_with_fault(sender, "truncate", http(sink.port), BODY, key=1).ok
    (body,) = sink.bodies
    assert BODY.startswith(body)
    assert not is_json(body)


def test_duplicate_sends_the_same_twice(sink: Sink, sender: Sender) -> None:
    assert send_with_fault(sender, "duplicate", http(sink.port), BODY, key=1).ok
    assert sink.bodies == [BODY, BODY]
    sender.close()


def test_what_was_not_acknowledged_is_not_duplicated(sink: Sink, sender: Sender) -> None:
    sink.status = 500
    assert verdict(send_with_fault(sender, "duplicate", http(sink.port), BODY, key=1)) == (False, 500, None)
    assert sink.bodies == [BODY]
    sender.close()


@pytest.mark.parametrize("fault", ["truncate", "split"])
def test_otherwise_the_outcome_is_as_answered(sink: Sink, sender: Sender, fault: DeliveryFault) -> None:
    sink.status = 500
    assert verdict(send_with_fault(sender, fault, http(sink.port), BODY, key=1)) == (False, 500, None)
    assert len(sink.bodies) == (2 if fault == "split" else 1)
    sender.close()


# -- split -------------------------------------------------------------------------------------------------------------

EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True, database=None)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("record"), inner),
    max_leaves=6,
)
awkward = st.text(st.sampled_from('"\\{}[],:1 é\n"'), max_size=12)
batches = st.lists(
    st.fixed_dictionaries(
        {"time": st.just("2026-01-01T00:00:00.000Z"), "type": st.just("function"), "record": json_values | awkward},
        optional={"more": awkward | st.just({"record": "not this one"})},
    ),
    min_size=1,
    max_size=3,
)


@EXAMPLES
@given(batches, st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_neither_piece_of_a_split_batch_is_json(
    batch: list[dict[str, object]], escaped: bool, separators: tuple[str, str]
) -> None:
    body = json.dumps(batch, ensure_ascii=escaped, separators=separators).encode()
    first, second = split(body, lines=False)
    assert first.endswith(b"}]")
    assert not is_json(first)
    assert not is_json(second)
    written, after = first.removesuffix(b"}]"), second
    resumed = next(at for at in range(len(after) + 1) if written + after[at:] == body)
    envelope = after[:resumed].rstrip(b" ")
    assert bool(envelope) is any(isinstance(event["record"], str | list | dict) for event in batch)
    assert not envelope or (envelope.startswith(b'[{"') and envelope.endswith(b'"record":'))


@EXAMPLES
@given(batches)
def test_of_a_split_line_neither_part_is_json_and_the_others_are_whole(batch: list[dict[str, object]]) -> None:
    lines = [json.dumps(event).encode() + b"\n" for event in batch]
    first, second = split(b"".join(lines), lines=True)
    before, after = first.splitlines(keepends=True), second.splitlines(keepends=True)
    assert (before[:-1], after[1:]) == (lines[: len(before) - 1], lines[len(before) :])
    assert before[-1].endswith(b"}\n")
    assert not is_json(before[-1])
    assert not is_json(after[0])


def test_the_second_body_opens_with_the_envelope_of_the_first(sink: Sink, sender: Sender) -> None:
    body = b'[{"time":"t","type":"function","record":"ab"},{"time":"u","type":"function","record":"0123456789"}]'
    assert send_with_fault(sender, "split", http(sink.port), body, key=1).ok
    assert sink.bodies == [
        b'[{"time":"t","type":"function","record":"ab"},{"time":"u","type":"function","record":"01234}]',
        b'[{"time":"u","type":"function","record":56789"}]',
    ]
    sender.close()


def test_split_cuts_the_longest_record(sink: Sink, sender: Sender) -> None:
    send_with_fault(sender, "split", http(sink.port), BODY, key=1)
    first, second = sink.bodies
    assert b'"short"' in first
    assert b'"short"' not in second
    assert b"runtimeDone" in second
    assert b"a long line" in first
    assert b"a long line" in second
    sender.close()


@pytest.mark.parametrize("body", [b"[]", b"x", b""])
def test_split_takes_what_has_no_record(sink: Sink, sender: Sender, body: bytes) -> None:
    send_with_fault(sender, "split", http(sink.port), body, key=1)
    assert sink.bodies[0][:-2] + sink.bodies[1] == body
    sender.close()


# -- over TCP ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("reset", None),
        ("timeout", LINES),
        ("lost-answer", LINES),
        (("lost-answer", 503), LINES),
        (("lost-answer", 200), LINES),
        ("truncate", LINES[:-2]),
        ("duplicate", LINES + LINES),
    ],
)
def test_faults_of_a_stream(sink: Sink, sender: Sender, fault: DeliveryFault, expected: bytes | None) -> None:
    outcome = send_with_fault(sender, fault, tcp(sink.port), LINES, key=1)
    assert outcome.ok is (fault in ("truncate", "duplicate", ("lost-answer", 200)))
    assert outcome.status is None
    sender.close()
    assert sink.ended.acquire(timeout=5)
    if expected is not None:
        assert sink.connections == [expected]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("refuse", (False, None, "connection refused")),
        (503, (False, None, "connection refused")),
        (204, (True, None, None)),
        ("lost-answer", (False, None, "connection reset")),
        (("lost-answer", 503), (False, None, "connection reset")),
    ],
)
def test_over_tcp_a_status_is_a_connection_that_breaks(
    sink: Sink, sender: Sender, fault: DeliveryFault, expected: object
) -> None:
    assert verdict(send_with_fault(sender, fault, tcp(sink.port), LINES, key=1)) == expected


def test_a_split_line_becomes_two(sink: Sink, sender: Sender) -> None:
    assert send_with_fault(sender, "split", tcp(sink.port), LINES, key=1).ok
    sender.close()
    assert sink.ended.acquire(timeout=5)
    lines = sink.connections[0].splitlines()
    assert [is_json(line) for line in lines] == [True, False, False, True]
    assert lines[2].startswith(b'{"time": "t", "type": "function", "record": ')


def test_the_line_after_a_truncated_one_has_a_connection_of_its_own(sink: Sink, sender: Sender) -> None:
    send_with_fault(sender, "truncate", tcp(sink.port), LINES, key=1)
    assert sender.send(tcp(sink.port), LINES, key=1).ok
    sender.close()
    assert sink.ended.acquire(timeout=5)
    assert sink.ended.acquire(timeout=5)
    assert sink.connections == [LINES[:-2], LINES]
