"""The sender over real sockets: what the listener gets, and what each of its habits is reported as."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import pytest
from freezegun import freeze_time

from pytest_lambda_telemetry.wire.sender import Outcome, Sender

BODY = json.dumps([{"time": "t", "type": "function", "record": "é"}]).encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Destination:
    """All that the sender asks of one."""

    protocol: str
    host: str
    port: int
    path: str = "/"


Script = Callable[[socket.socket], None]


class Listener:
    """A socket on the loopback that plays one script for each connection, in order, on a thread of its own."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.ended = threading.Semaphore(0)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread()

    def play(self, *scripts: Script) -> None:
        self._thread = threading.Thread(target=self._play, args=(scripts,))
        self._thread.start()

    def _play(self, scripts: tuple[Script, ...]) -> None:
        for script in scripts:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):
                connection.settimeout(5)
                script(connection)
            self.ended.release()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._thread.ident:
            self._thread.join(5)
        assert not self._thread.is_alive()

    def answers(self, *answers: bytes, linger: bool = True) -> Script:
        """Read a request, write an answer, for each; then wait for the other side to close."""

        def script(connection: socket.socket) -> None:
            stream = connection.makefile("rb")
            for answer in answers:
                self.requests.append(read_request(stream.readline, stream.read))
                connection.sendall(answer)
            if linger:
                assert stream.read() == b""

        return script


def read_request(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> bytes:
    lines = list(iter(readline, b"\r\n"))
    length = next(int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:"))
    return b"".join(lines) + b"\r\n" + read(length)


@pytest.fixture
def there() -> Iterator[Listener]:
    with closing(Listener()) as listener:
        yield listener


@pytest.fixture
def sender() -> Iterator[Sender]:
    with closing(Sender(5.0)) as sender:
        yield sender


@pytest.fixture
def hasty() -> Iterator[Sender]:
    with closing(Sender(0.05)) as sender:
        yield sender


def http(port: int, path: str = "/", host: str = "sandbox.localdomain") -> Destination:
    return Destination("HTTP", host, port, path)


def tcp(port: int) -> Destination:
    return Destination("TCP", "sandbox.localdomain", port)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        found: int = sock.getsockname()[1]
        return found


def verdict(outcome: Outcome) -> tuple[bool, int | None, str | None]:
    assert outcome.duration_ms >= 0
    return outcome.ok, outcome.status, outcome.error


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# -- HTTP: what is sent ------------------------------------------------------------------------------------------------


def test_a_batch_is_one_post(there: Listener, sender: Sender) -> None:
    there.play(there.answers(OK))
    destination = http(there.port, "/logs?a=1&b=ü")
    outcome = sender.send(destination, BODY, key=1)
    assert verdict(outcome) == (True, 200, None)
    sender.close()
    assert there.requests == [
        b"POST /logs?a=1&b=%C3%BC HTTP/1.1\r\n"
        + f"Host: sandbox.localdomain:{there.port}\r\n".encode()
        + b"Content-Type: application/json\r\n"
        + f"Content-Length: {len(BODY)}\r\n\r\n".encode()
        + BODY
    ]


@pytest.mark.parametrize("host", ["example.com", "10.255.255.1", "sandbox"])
def test_bytes_go_to_the_loopback_whatever_the_host(there: Listener, sender: Sender, host: str) -> None:
    there.play(there.answers(OK))
    assert sender.send(http(there.port, host=host), BODY, key=1).ok
    assert f"Host: {host}:{there.port}".encode() in there.requests[0]
    sender.close()


def test_no_proxy_and_no_redirect(there: Listener, sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    there.play(there.answers(moved))
    assert verdict(sender.send(http(there.port), BODY, key=1)) == (False, 307, None)
    sender.close()


def test_a_large_batch_arrives_whole(there: Listener, sender: Sender) -> None:
    there.play(there.answers(OK))
    body = b"x" * (5 << 20)
    assert sender.send(http(there.port), body, key=1).ok
    sender.close()
    assert there.requests[0].endswith(b"\r\n\r\n" + body)


# -- HTTP: connections -------------------------------------------------------------------------------------------------


def test_a_connection_is_kept_until_the_end_of_the_call(there: Listener, sender: Sender) -> None:
    there.play(there.answers(OK, OK), there.answers(OK))
    for _ in range(2):
        assert sender.send(http(there.port), BODY, key=1).ok
    sender.end_call()
    assert there.ended.acquire(timeout=5)
    assert sender.send(http(there.port), BODY, key=1).ok
    sender.close()
    assert there.ended.acquire(timeout=5)
    assert len(there.requests) == 3


def test_a_kept_connection_is_closed_before_another_subscription_uses_the_port(there: Listener, sender: Sender) -> None:
    there.play(there.answers(OK), there.answers(OK))  # one at a time: it would block otherwise
    assert sender.send(http(there.port), BODY, key=1).ok
    assert sender.send(http(there.port), BODY, key=2).ok
    sender.close()


def test_forgetting_a_subscription_closes_its_connections(there: Listener, sender: Sender) -> None:
    there.play(there.answers(OK))
    assert sender.send(http(there.port), BODY, key=1).ok
    sender.forget(2)
    sender.forget(1)
    assert there.ended.acquire(timeout=5)


def test_a_connection_that_the_listener_closed_in_between_costs_no_attempt(there: Listener, sender: Sender) -> None:
    there.play(there.answers(OK, linger=False), there.answers(OK))
    assert sender.send(http(there.port), BODY, key=1).ok
    assert there.ended.acquire(timeout=5)
    assert verdict(sender.send(http(there.port), BODY, key=1)) == (True, 200, None)
    assert len(there.requests) == 2
    sender.close()


@pytest.mark.parametrize("end", [socket.socket.close, reset])
def test_a_connection_closed_while_it_is_used_again_costs_no_attempt(
    there: Listener, sender: Sender, end: Script
) -> None:
    def hang_up(it: Listener) -> Script:
        def script(connection: socket.socket) -> None:
            stream = connection.makefile("rb")
            read_request(stream.readline, stream.read)
            connection.sendall(OK)
            stream.read(1)  # the second request has begun
            stream.close()
            end(connection)

        return script

    there.play(hang_up(there), there.answers(OK))
    assert sender.send(http(there.port), BODY, key=1).ok
    assert verdict(sender.send(http(there.port), BODY, key=1)) == (True, 200, None)
    assert len(there.requests) == 1
    sender.close()


def test_a_used_connection_that_breaks_within_an_answer_is_a_failed_attempt(there: Listener, sender: Sender) -> None:
    there.play(there.answers(OK, b"HTTP/1.1 2", linger=False), there.answers(OK))
    assert sender.send(http(there.port), BODY, key=1).ok
    ok, status, error = verdict(sender.send(http(there.port), BODY, key=1))
    assert (ok, status) == (False, None)
    assert error


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_connection_that_shall_close_is_closed(there: Listener, sender: Sender, answer: bytes) -> None:
    there.play(there.answers(answer))
    assert sender.send(http(there.port), BODY, key=1).ok
    assert there.ended.acquire(timeout=5)


# -- HTTP: answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 299, 300, 400, 404, 500, 503])
def test_two_hundreds_are_an_acknowledgement(there: Listener, sender: Sender, status: int) -> None:
    there.play(there.answers(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()))
    assert verdict(sender.send(http(there.port), BODY, key=1)) == (status < 300, status, None)
    sender.close()


GOOD = {
    "HTTP/1.0 to the end": b"HTTP/1.0 200 OK\r\n\r\nsome text",
    "HTTP/1.0 without a phrase": b"HTTP/1.0 200\r\n\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
    "cut-off body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok",
    "cut-off chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
    "endless body": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20),
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("case", GOOD)
def test_an_answer_counts_once_its_header_is_there(there: Listener, sender: Sender, case: str) -> None:
    there.play(there.answers(GOOD[case], linger=False))
    assert verdict(sender.send(http(there.port), BODY, key=1)) == (True, 200, None)


def test_chunks_and_interim_answers_leave_the_connection_usable(there: Listener, sender: Sender) -> None:
    there.play(there.answers(GOOD["chunked"], GOOD["interim answers"], OK))
    assert [sender.send(http(there.port), BODY, key=1).ok for _ in range(3)] == [True] * 3
    sender.close()


BAD_CHUNK = "not an HTTP answer: bad chunk: expected its size in hexadecimal and a line end, got "
BROKEN = {
    b"": "connection closed without an answer",
    b"hello\r\n\r\n": "not an HTTP answer: 'hello\\r\\n'",
    b"SSH-2.0-OpenSSH\r\n" + b"x" * 100: "not an HTTP answer: 'SSH-2.0-OpenSSH\\r\\n'",
    b"x" * 1000 + b"\r\n": f"not an HTTP answer: '{'x' * 60}…'",
    b"HTTP/1.1 OK\r\n\r\n": "not an HTTP answer: 'HTTP/1.1 OK\\r\\n'",
    b"HTTP/1.1 20\r\n\r\n": "not an HTTP answer: 'HTTP/1.1 20\\r\\n'",
    b"HTTP/2 200\r\n\r\n": "not an HTTP answer: 'HTTP/2 200\\r\\n'",
    b"HTTP/1.1 200 OK\r\n": "not an HTTP answer: it ended within its header",
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200: "not an HTTP answer: there are more than 100 header lines",
    b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000: "not an HTTP answer: a header line is longer than 65536 bytes",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": BAD_CHUNK + "b'zz\\r\\n'",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n": BAD_CHUNK + "b'-5\\r\\n'",
}


@pytest.mark.parametrize("answer", BROKEN, ids=lambda answer: repr(answer[:60]))
def test_a_broken_answer_is_named(there: Listener, sender: Sender, answer: bytes) -> None:
    there.play(there.answers(answer, linger=False))
    assert verdict(sender.send(http(there.port), BODY, key=1)) == (False, None, BROKEN[answer])


def test_nobody_there(sender: Sender) -> None:
    for destination in (http(free_port()), tcp(free_port())):
        assert verdict(sender.send(destination, BODY, key=1)) == (False, None, "connection refused")


def test_a_reset_is_named(there: Listener, sender: Sender) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(10)
        reset(connection)

    there.play(script)
    assert verdict(sender.send(http(there.port), BODY * 100, key=1)) == (False, None, "connection reset")


def test_an_answer_before_the_whole_body_was_read_counts(there: Listener, sender: Sender) -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        assert answered.wait(10)

    answered = threading.Event()
    there.play(script, there.answers(OK))
    big = b"x" * (32 << 20)  # more than the sockets hold
    assert verdict(sender.send(http(there.port), big, key=1)) == (False, 413, None)
    answered.set()
    assert sender.send(http(there.port), BODY, key=1).ok
    sender.close()


# -- the deadline ------------------------------------------------------------------------------------------------------


def wait_for_close(connection: socket.socket) -> None:
    for _ in iter(lambda: connection.recv(65536), b""):
        pass


def trickle(data: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        connection.settimeout(0.005)
        for byte in data * 1000:
            connection.sendall(bytes([byte]))
            with suppress(TimeoutError):
                while connection.recv(65536):
                    pass
                return

    return script


@pytest.mark.parametrize(
    "script", [wait_for_close, trickle(b"HTTP/1.1 200 OK\r\n"), trickle(b"HTTP/1.1 100 C\r\n\r\n")]
)
def test_an_attempt_has_a_deadline_however_the_answer_trickles(there: Listener, hasty: Sender, script: Script) -> None:
    there.play(script)
    assert verdict(hasty.send(http(there.port), BODY, key=1)) == (False, None, "timed out after 0.05 s")
    assert there.ended.acquire(timeout=5)


def test_the_deadline_is_real_though_the_clock_stands_still(there: Listener, hasty: Sender) -> None:
    there.play(wait_for_close)
    with freeze_time("2025-01-29"):
        assert verdict(hasty.send(http(there.port), BODY, key=1)) == (False, None, "timed out after 0.05 s")
        assert there.ended.acquire(timeout=5)


def test_a_listener_that_does_not_read_runs_into_the_deadline(there: Listener, hasty: Sender) -> None:
    done = threading.Event()
    there.play(lambda connection: (done.wait(5), None)[1])
    big = b"x" * (32 << 20)
    assert verdict(hasty.send(http(there.port), big, key=1)) == (False, None, "timed out after 0.05 s")
    done.set()


def test_a_body_without_end_is_no_failure(there: Listener) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")
        wait_for_close(connection)

    there.play(script)
    assert verdict(Sender(0.3).send(http(there.port), BODY, key=1)) == (True, 200, None)
    assert there.ended.acquire(timeout=5)


# -- TCP ---------------------------------------------------------------------------------------------------------------


def take(into: list[bytes], sizes: tuple[int, ...]) -> Script:
    """Read so many bytes, then close."""

    def script(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            into.extend(stream.read(size) for size in sizes)

    return script


def test_tcp_is_one_connection_that_outlives_calls(there: Listener, sender: Sender) -> None:
    read: list[bytes] = []
    there.play(take(read, (4, 4, 1)))
    assert verdict(sender.send(tcp(there.port), b"{1}\n", key=1)) == (True, None, None)
    sender.end_call()
    assert sender.send(tcp(there.port), b"{2}\n", key=1).ok
    sender.close()
    assert there.ended.acquire(timeout=5)
    assert read == [b"{1}\n", b"{2}\n", b""]


def test_tcp_subscriptions_have_connections_of_their_own(there: Listener, sender: Sender) -> None:
    read: list[bytes] = []
    there.play(take(read, (9,)), take(read, (9,)))
    for key in (1, 2):
        assert sender.send(tcp(there.port), b"{%d}\n" % key, key=key).ok
    sender.forget(1)
    assert there.ended.acquire(timeout=5)
    sender.forget(2)
    assert there.ended.acquire(timeout=5)
    assert read == [b"{1}\n", b"{2}\n"]


@pytest.mark.parametrize("end", [socket.socket.close, reset])
def test_a_closed_tcp_peer_is_noticed_before_writing(there: Listener, sender: Sender, end: Script) -> None:
    read: list[bytes] = []

    def hang_up(connection: socket.socket) -> None:
        read.append(connection.recv(4, socket.MSG_WAITALL))
        connection.sendall(b"bye")
        end(connection)

    there.play(hang_up, take(read, (4,)))
    assert sender.send(tcp(there.port), b"{1}\n", key=1).ok
    assert there.ended.acquire(timeout=5)
    assert sender.send(tcp(there.port), b"{2}\n", key=1).ok
    assert there.ended.acquire(timeout=5)
    assert read == [b"{1}\n", b"{2}\n"]


@pytest.mark.parametrize("half_closed", [False, True])
@pytest.mark.parametrize(("size", "unread"), [(4, []), (2, [1])])
def test_a_tcp_peer_that_closed_before_it_had_read_all_is_told_of(
    there: Listener, sender: Sender, half_closed: bool, size: int, unread: list[int]
) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(size, socket.MSG_WAITALL)
        if half_closed:  # its end comes before the reset
            connection.shutdown(socket.SHUT_WR)

    told: list[object] = []
    sender.on_unread = told.append
    there.play(hang_up, wait_for_close)
    assert sender.send(tcp(there.port), b"{1}\n", key=1).ok
    assert there.ended.acquire(timeout=5)
    assert sender.send(tcp(there.port), b"{1}\n", key=1).ok
    sender.close()
    assert told == unread


def test_what_a_tcp_peer_says_is_dropped(there: Listener, sender: Sender) -> None:
    def echo(connection: socket.socket) -> None:
        for data in iter(lambda: connection.recv(65536), b""):
            connection.sendall(data)  # blocks, once the sender does not read

    there.play(echo)
    for _ in range(2):
        assert verdict(sender.send(tcp(there.port), b"x" * (16 << 20), key=1)) == (True, None, None)
    sender.close()


def test_a_tcp_peer_that_leaves_in_the_middle(there: Listener, sender: Sender) -> None:
    there.play(lambda connection: (connection.recv(1), None)[1], wait_for_close)
    big = b"x" * (32 << 20)
    assert verdict(sender.send(tcp(there.port), big, key=1)) == (False, None, "connection reset")
    assert sender.send(tcp(there.port), BODY, key=1).ok
    sender.close()


def test_a_tcp_write_has_a_deadline_and_closes(there: Listener, hasty: Sender) -> None:
    done = threading.Event()

    def sleepy(connection: socket.socket) -> None:
        done.wait(5)
        wait_for_close(connection)

    there.play(sleepy)
    big = b"x" * (32 << 20)
    assert verdict(hasty.send(tcp(there.port), big, key=1)) == (False, None, "timed out after 0.05 s")
    done.set()
    assert there.ended.acquire(timeout=5)


# -- breaking off, and whatever a test does to the process -------------------------------------------------------------


@pytest.mark.parametrize("make", [http, tcp])
def test_breaking_off_sends_half_and_resets(
    there: Listener, sender: Sender, make: Callable[[int], Destination]
) -> None:
    seen: list[bytes | type[Exception]] = []

    def script(connection: socket.socket) -> None:
        try:
            for data in iter(lambda: connection.recv(65536), b""):
                seen.append(data)
        except ConnectionResetError as error:
            seen.append(type(error))

    there.play(script)
    outcome = sender.break_off(make(there.port), b"x" * 100, key=1)
    assert verdict(outcome) == (False, None, "connection reset")
    assert there.ended.acquire(timeout=5)
    assert seen[-1] is ConnectionResetError


@pytest.mark.parametrize("make", [http, tcp])
def test_breaking_off_where_nobody_listens(sender: Sender, make: Callable[[int], Destination]) -> None:
    assert verdict(sender.break_off(make(free_port()), BODY, key=1)) == (False, None, "connection refused")


def test_breaking_off_closes_what_is_kept_for_the_port(there: Listener, sender: Sender) -> None:
    there.play(there.answers(OK), wait_for_close, there.answers(OK))
    assert sender.send(http(there.port), BODY, key=1).ok
    assert sender.break_off(http(there.port), BODY, key=2).error == "connection reset"
    assert sender.send(http(there.port), BODY, key=1).ok
    sender.close()


def test_sending_needs_neither_the_socket_name_nor_its_connect(
    there: Listener, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("connections are not allowed in this test")

    there.play(there.answers(OK))
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        assert sender.send(http(there.port), BODY, key=1).ok
    sender.close()


def test_a_closed_sender_may_be_used_again(there: Listener, sender: Sender) -> None:
    there.play(there.answers(OK), there.answers(OK))
    for _ in range(2):
        assert sender.send(http(there.port), BODY, key=1).ok
        sender.close()
        sender.close()
