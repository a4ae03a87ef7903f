"""Listeners that answer without end or without sense cost neither memory nor time; sound ones are understood."""

import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import pytest

from pytest_lambda_telemetry.wire.sender import Outcome, Sender

BODY = b'[{"time": "t", "type": "function", "record": "r"}]'
BIG = b"x" * (32 << 20)  # more than the sockets hold
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FLOOD = 48 << 20
BOUND = 24 << 20  # what is read, and what the sockets of both sides hold

Script = Callable[[socket.socket], None]


@dataclass(frozen=True)
class Destination:
    port: int
    protocol: str = "HTTP"
    host: str = "sandbox.localdomain"
    path: str = "/"


class Listener:
    """Plays a script for each connection, in order. `sent` counts what a flood got rid of."""

    def __init__(self) -> None:
        self.sent = 0
        self.received: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread()

    def play(self, *scripts: Script) -> Destination:
        self._thread = threading.Thread(target=self._play, args=(scripts,))
        self._thread.start()
        return Destination(self.port)

    def _play(self, scripts: tuple[Script, ...]) -> None:
        for script in scripts:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(20)
                script(connection)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._thread.ident:
            self._thread.join(20)
        assert not self._thread.is_alive()

    def take(self, connection: socket.socket) -> None:
        """Read one request."""
        with connection.makefile("rb") as stream:
            lines = list(iter(stream.readline, b"\r\n"))
            length = next(int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:"))
            self.received.append(stream.read(length))

    def answers(self, *answers: bytes | Iterable[bytes]) -> Script:
        """Read a request and write its answer, for each; then wait for the other side to close."""

        def script(connection: socket.socket) -> None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for answer in answers:
                self.take(connection)
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    connection.sendall(piece)
            assert connection.recv(1) == b""

        return script

    def floods(self, start: bytes, flood: bytes, *, read: bool = True) -> Script:
        """Answer without end: as much as is taken, FLOOD at most."""

        def script(connection: socket.socket) -> None:
            if read:
                self.take(connection)
            connection.sendall(start)
            block = flood * (1 + 65536 // len(flood))
            while self.sent < FLOOD:
                connection.sendall(block)
                self.sent += len(block)

        return script


@pytest.fixture
def there() -> Iterator[Listener]:
    with closing(Listener()) as listener:
        yield listener


@pytest.fixture
def sender() -> Iterator[Sender]:
    with closing(Sender(120.0)) as sender:
        yield sender


def verdict(outcome: Outcome) -> tuple[bool, int | None, str | None]:
    return outcome.ok, outcome.status, outcome.error


def no_answer(reason: str) -> tuple[bool, None, str]:
    return False, None, f"not an HTTP answer: {reason}"


BAD_SIZE = "bad chunk: expected its size in hexadecimal and a line end, got "

WITHOUT_END = {
    "a chunk of -1": (CHUNKED + b"-1\r\n", b"x", no_answer(BAD_SIZE + "b'-1\\r\\n'")),
    "a chunk's size": (CHUNKED, b"0", no_answer(f"{BAD_SIZE}{b'0' * 40!r}")),
    "a chunk's extension": (CHUNKED + b"1;", b"x", no_answer(f"{BAD_SIZE}{b'1;' + b'x' * 38!r}")),
    "extensions": (
        CHUNKED,
        b"1;" + b"x" * 1000 + b"\r\nx\r\n",
        no_answer("bad chunk: the extensions of the chunks are longer than their contents"),
    ),
    "a trailer": (CHUNKED + b"0\r\n", b"A: b\r\n", no_answer("there are more than 100 header lines")),
    "a status line": (b"HTTP/1.1 200 ", b"x", no_answer(f"'HTTP/1.1 200 {'x' * 47}…'")),
    "no line at all": (b"", b"x", no_answer(f"'{'x' * 60}…'")),
    "a header line": (b"HTTP/1.1 200 OK\r\nA: ", b"x", no_answer("a header line is longer than 65536 bytes")),
    "header lines": (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", no_answer("there are more than 100 header lines")),
    "long header lines": (
        b"HTTP/1.1 200 OK\r\n",
        b"A: " + b"x" * 60_000 + b"\r\n",
        no_answer("the header is longer than 1048576 bytes"),
    ),
    "interim answers": (
        b"",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
        no_answer("its interim answers are longer than 1048576 bytes"),
    ),
    "a body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x", (True, 200, None)),
    "a counted body": (b"HTTP/1.1 503 No\r\nContent-Length: 999999999999\r\n\r\n", b"x", (False, 503, None)),
    "chunks": (CHUNKED, b"1\r\nx\r\n", (True, 200, None)),
    "one chunk": (CHUNKED + b"ffffffffff\r\n", b"x", (True, 200, None)),
}


@pytest.mark.parametrize("case", WITHOUT_END)
def test_what_has_no_end_is_not_read_to_it(there: Listener, sender: Sender, case: str) -> None:
    start, flood, expected = WITHOUT_END[case]
    outcome = sender.send(there.play(there.floods(start, flood)), BODY, key=1)
    assert verdict(outcome) == expected
    assert not outcome.timed_out
    there.close()
    assert there.sent < BOUND


@pytest.mark.parametrize("case", WITHOUT_END)
def test_nor_is_it_while_the_request_is_being_sent(there: Listener, sender: Sender, case: str) -> None:
    start, flood, (ok, status, _) = WITHOUT_END[case]
    outcome = sender.send(there.play(there.floods(start, flood, read=False)), BIG, key=1)
    assert (outcome.ok, outcome.status) == (ok, status)
    assert not outcome.timed_out
    there.close()
    assert there.sent < BOUND


def framed(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""]) + body


FIELD = "a header line is malformed: each has the form Name: value, in printable characters; got "
SENSELESS = {
    "negative length": (framed(b"Content-Length: -1"), "Content-Length '-1' is not one non-negative integer"),
    "signed length": (framed(b"Content-Length: +2", body=b"ok"), "Content-Length '+2' is not one non-negative integer"),
    "empty length": (framed(b"Content-Length:"), "Content-Length '' is not one non-negative integer"),
    "NBSP around a length": (
        framed(b"Content-Length: \xa02", body=b"ok"),
        "Content-Length '\\xa02' is not one non-negative integer",
    ),
    "two lengths": (
        framed(b"Content-Length: 2", b"Content-Length: 3", body=b"ok"),
        "Content-Length '2, 3' is not one non-negative integer",
    ),
    "huge length": (
        framed(b"Content-Length: " + b"9" * 5000),
        f"Content-Length '{'9' * 60}…' is not one non-negative integer",
    ),
    "unknown encoding": (
        framed(b"Transfer-Encoding: gzip", body=b"0\r\n\r\n"),
        "Transfer-Encoding 'gzip' is unknown; chunked is the only one",
    ),
    "NEL after chunked": (
        framed(b"Transfer-Encoding: chunked\x85", body=b"0\r\n\r\n"),
        "Transfer-Encoding 'chunked\\x85' is unknown; chunked is the only one",
    ),
    "a form feed before chunked": (
        framed(b"Transfer-Encoding: \x0cchunked", body=b"0\r\n\r\n"),
        FIELD + "b'Transfer-Encoding: \\x0cchunked'",
    ),
    "a bare CR": (framed(b"A: b\rC: d"), FIELD + "b'A: b\\rC: d'"),
    "NUL": (framed(b"A: b\0"), FIELD + "b'A: b\\x00'"),
    "no colon": (framed(b"nonsense"), FIELD + "b'nonsense'"),
    "a blank in a name": (framed(b"Content Length: 2"), FIELD + "b'Content Length: 2'"),
    "a folded line": (framed(b"A: b", b" c"), "header A is folded over several lines, which HTTP/1.1 forbids"),
    "a blank after a chunk's size": (CHUNKED + b"0 \r\n\r\n", BAD_SIZE + "b'0 \\r\\n'"),
    "LF after a chunk's size": (CHUNKED + b"0\n\r\n", BAD_SIZE + "b'0\\n'"),
    "a chunk too long": (CHUNKED + b"2\r\nok!\r\n0\r\n\r\n", "bad chunk: expected a line end after 2 bytes, got b'!'"),
    "a trailer without colon": (CHUNKED + b"0\r\ntrailer\r\n\r\n", FIELD + "b'trailer'"),
    "a bad interim answer": (b"HTTP/1.1 100 Continue\r\nnonsense\r\n\r\n" + OK, FIELD + "b'nonsense'"),
    "no number": (b"HTTP/1.1 2x0 OK\r\n\r\n", "'HTTP/1.1 2x0 OK\\r\\n'"),
    "a number too low": (b"HTTP/1.1 020 OK\r\n\r\n", "'HTTP/1.1 020 OK\\r\\n'"),
    "another blank": (b"HTTP/1.1\xa0200 OK\r\n\r\n", "'HTTP/1.1\\xa0200 OK\\r\\n'"),
}


@pytest.mark.parametrize("case", SENSELESS)
def test_what_makes_no_sense_is_refused_at_once(there: Listener, sender: Sender, case: str) -> None:
    answer, reason = SENSELESS[case]
    outcome = sender.send(there.play(there.answers(answer)), BODY, key=1)  # it stays open: nobody waits for its end
    assert verdict(outcome) == no_answer(reason)


# Each with: is the connection used for the next batch?
SOUND = {
    "Content-Length": (OK, True),
    "blanks and tabs around a length": (framed(b"Content-Length: \t 2 \t", body=b"ok"), True),
    "the same length twice": (framed(b"content-length: 2, 2", b"CONTENT-LENGTH:2", body=b"ok"), True),
    "nothing": (framed(b"Content-Length: 0"), True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", True),
    "LF line ends": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", True),
    "no phrase": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", True),
    "an empty phrase": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", True),
    "a phrase in UTF-8": ("HTTP/1.1 200 Très bien\r\nContent-Length: 2\r\n\r\nok".encode(), True),
    "an odd minor version": (b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
    "a hundred header lines": (framed(*[b"Set-Cookie: a=b"] * 99, b"Content-Length: 2", body=b"ok"), True),
    "chunks": (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", True),
    "chunks in capitals": (framed(b"transfer-encoding: \tCHUNKED ", body=b"0C\r\nabcdefghijkl\r\n000\r\n\r\n"), True),
    "extensions and trailers": (
        CHUNKED + b'1;a;b=c;d="e f\t"\r\nx\r\n0;last\r\nChecksum: 1\r\nExpires:\r\n\r\n',
        True,
    ),
    "an empty interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, True),
    "interim answers with headers": (
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\nContent-Length: 9\r\n\r\n" + OK,
        True,
    ),
    "a kept HTTP/1.0": (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", True),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
    "closing": (framed(b"Connection: x, Close", b"Content-Length: 2", body=b"ok"), False),
    "chunks and a length": (
        framed(b"Content-Length: 50", b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
        False,
    ),
    "more than was announced": (OK + b"HTTP/1.1 500 Not yours\r\nContent-Length: 0\r\n\r\n", False),
}


# Byte by byte, what follows an answer may come when the connection is in use again.
CUT = [(case, False) for case in SOUND] + [(case, True) for case in SOUND if case != "more than was announced"]


@pytest.mark.parametrize(("case", "cut"), CUT)
def test_a_sound_answer_is_understood(there: Listener, sender: Sender, case: str, cut: bool) -> None:
    answer, kept = SOUND[case]
    pieces = [answer[i : i + 1] for i in range(len(answer))] if cut else answer
    second = framed(b"Content-Length: 0").replace(b"200 OK", b"299 Second")
    scripts = [there.answers(pieces, second)] if kept else [there.answers(pieces), there.answers(second)]
    destination = there.play(*scripts)
    assert verdict(sender.send(destination, BODY, key=1)) == (True, 204 if "204" in case else 200, None)
    assert verdict(sender.send(destination, BODY, key=1)) == (True, 299, None)
    sender.close()
    there.close()
    assert there.received == [BODY, BODY]


ENDED_BY_CLOSING = {
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nsome text",
    "HTTP/1.0 with chunks": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nsome text",
    "length not reached": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
    "chunks not ended": CHUNKED + b"5\r\nok",
    "chunk without line end": CHUNKED + b"2\r\nok\r",
    "trailer not ended": CHUNKED + b"0\r\nA: b\r\n",
}


@pytest.mark.parametrize("case", ENDED_BY_CLOSING)
def test_an_answer_may_end_with_its_connection(there: Listener, sender: Sender, case: str) -> None:
    def script(connection: socket.socket) -> None:
        there.take(connection)
        connection.sendall(ENDED_BY_CLOSING[case])

    assert verdict(sender.send(there.play(script), BODY, key=1)) == (True, 200, None)


def test_who_writes_a_body_without_length_is_not_cut_off(there: Listener, sender: Sender) -> None:
    written = threading.Event()

    def script(connection: socket.socket) -> None:
        there.take(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        for _ in range(8):
            connection.sendall(b"x" * 100_000)
        written.set()

    assert verdict(sender.send(there.play(script), BODY, key=1)) == (True, 200, None)
    assert written.is_set()


@pytest.mark.parametrize("body", [BODY, BIG], ids=["small", "large"])
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"]
)
def test_an_answer_of_who_closes_without_reading_counts(
    there: Listener, sender: Sender, answer: bytes, body: bytes
) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(answer)
        if body is BODY:
            connection.recv(1, socket.MSG_PEEK)

    assert verdict(sender.send(there.play(script), body, key=1)) == (True, 200, None)


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: b\r\n\r\n",
        b"HTTP/1.0 100\n\n",
    ],
)
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "byte by byte"])
def test_an_interim_answer_does_not_stop_a_request(there: Listener, sender: Sender, interim: bytes, cut: bool) -> None:
    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (interim[i : i + 1] for i in range(len(interim))) if cut else [interim]:
            connection.sendall(piece)
            connection.recv(1, socket.MSG_PEEK)
        there.take(connection)
        connection.sendall(OK)
        there.take(connection)
        connection.sendall(OK)

    destination = there.play(script)
    assert verdict(sender.send(destination, BIG, key=1)) == (True, 200, None)
    assert verdict(sender.send(destination, BODY, key=1)) == (True, 200, None)
    sender.close()
    there.close()
    assert [len(body) for body in there.received] == [len(BIG), len(BODY)]


@pytest.mark.parametrize("body", [BODY, BIG], ids=["small", "large"])
@pytest.mark.parametrize("answer", [OK, b"HTTP/1.0 200 OK\r\n\r\n"])
def test_who_answers_before_reading_gets_the_request(
    there: Listener, sender: Sender, answer: bytes, body: bytes
) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(answer)
        there.take(connection)

    assert verdict(sender.send(there.play(script), body, key=1)) == (True, 200, None)
    there.close()
    assert there.received == [body]


def test_the_rest_of_a_request_is_not_sent_to_who_refuses_it(there: Listener, sender: Sender) -> None:
    answered = threading.Event()
    read: list[int] = []

    def script(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        assert answered.wait(20)
        read.append(sum(len(piece) for piece in iter(lambda: connection.recv(65536), b"")))

    assert verdict(sender.send(there.play(script), BIG, key=1)) == (False, 413, None)
    answered.set()
    there.close()
    assert read[0] < len(BIG)


def test_switching_protocols_is_no_acknowledgement(there: Listener, sender: Sender) -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
    outcome = sender.send(there.play(there.answers(answer)), BODY, key=1)  # it stays open
    assert verdict(outcome) == (False, 101, None)
    there.close()


def test_a_tcp_peer_that_never_stops_talking_gets_its_batches(there: Listener, sender: Sender) -> None:
    read: list[int] = []
    stopped = threading.Event()

    def script(connection: socket.socket) -> None:
        def talk() -> None:
            with suppress(OSError):
                while not stopped.is_set():
                    connection.sendall(b"x" * (1 << 20))

        talker = threading.Thread(target=talk)
        talker.start()
        left = 2 * len(BIG)
        while left:
            left -= len(connection.recv(min(left, 1 << 20)))
        read.append(left)
        stopped.set()
        connection.shutdown(socket.SHUT_RDWR)
        talker.join()

    port = there.play(script).port
    for _ in itertools.repeat(None, 2):
        assert verdict(sender.send(Destination(port, "TCP"), BIG, key=1)) == (True, None, None)
    there.close()
    assert read == [0]
