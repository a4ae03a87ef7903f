"""Mistakes of listeners: what an extension does with the telemetry that Lambda sends it."""

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

from pytest_lambda_telemetry import Event, events
from tests.field.cases import SHORT, Field, mistake, twin
from tests.field.raw import answering, read_request
from tests.support.helpers import Listener, free_port, register, subscribe, subscribe_body

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HELLO = events.function("hello")


def ship(field: Field, port: int, event: Event = HELLO, seconds: float = 2) -> None:
    """An extension subscribes with a listener on this port; a line is emitted, and so much time passes."""
    subscribe(register(), subscribe_body(port, types=["function"], buffering={"timeoutMs": 100}))
    field.lambda_telemetry.emit(event)
    field.lambda_telemetry.advance(seconds=seconds)


# -- the wrong place ---------------------------------------------------------------------------------------------------


@mistake(
    "nobody listens",
    "nobody ever listened for the telemetry of extension 'ext' at http://sandbox.localdomain:PORT: 5"
    " attempts were refused, and [function] never arrived.",
)
def _(field: Field) -> None:
    ship(field, free_port())


@mistake(
    "a listener on another port",
    "nobody ever listened for the telemetry of extension 'ext' at http://sandbox.localdomain:PORT: 5"
    " attempts were refused, and [function] never arrived.",
)
def _(field: Field) -> None:
    field.listener()
    ship(field, free_port())


@mistake(
    "a listener on another interface",
    "nobody ever listened for the telemetry of extension 'ext' at http://sandbox.localdomain:PORT: 5"
    " attempts were refused, and [function] never arrived.",
)
def _(field: Field) -> None:
    ship(field, field.raw_listener(answering(OK), host="::1"))


@mistake(
    "a listener that is closed before the last batch",
    "the listener of extension 'ext' (http://sandbox.localdomain:PORT) has stopped listening:"
    " [function], 2 attempts, the last: connection refused.",
)
def _(field: Field) -> None:
    with Listener() as listener:
        ship(field, listener.port)
    field.lambda_telemetry.emit(events.function("the last words"))
    field.lambda_telemetry.shutdown()


@mistake(
    "a TCP destination where nobody listens",
    "nobody ever listened for the telemetry of extension 'ext' at port PORT: 4 attempts were"
    " refused, and [function] never arrived.",
)
def _(field: Field) -> None:
    destination = {"protocol": "TCP", "port": free_port()}
    subscribe(register(), subscribe_body(0, types=["function"], destination=destination))
    field.lambda_telemetry.emit(HELLO)
    field.lambda_telemetry.advance(seconds=2)


def ship_over_tcp(field: Field, read: Callable[[socket.socket], object]) -> None:
    """An extension reads so from each connection and closes it; a second line is sent then."""
    closed = threading.Event()

    def read_and_close(connection: socket.socket) -> None:
        read(connection)
        connection.close()
        closed.set()

    destination = {"protocol": "TCP", "port": field.raw_listener(read_and_close)}
    subscribe(register(), subscribe_body(0, types=["function"], destination=destination))
    field.lambda_telemetry.emit(HELLO)
    field.lambda_telemetry.advance(seconds=1)
    field.lambda_telemetry.wait_until(closed.is_set, timeout=60)
    field.lambda_telemetry.emit(HELLO)
    field.lambda_telemetry.advance(seconds=1)


@mistake(
    "a TCP listener that closes before it has read everything",
    "the TCP listener of extension 'ext' (port PORT) closed its connection before it had read all"
    " that was written to it.",
)
def _(field: Field) -> None:
    ship_over_tcp(field, lambda connection: connection.recv(10))


# -- the wrong answer --------------------------------------------------------------------------------------------------


@mistake(
    "a listener that answers 500 to everything",
    "the listener of extension 'ext' (http://sandbox.localdomain:PORT) answered 500 to the same"
    " batch 5 times, and never acknowledged it: [function].",
)
def _(field: Field) -> None:
    ship(field, field.listener(lambda _number: 500))


@mistake(
    "a listener that serves another path",
    "the listener of extension 'ext' (http://sandbox.localdomain:PORT) answered 404 to the same"
    " batch 5 times, and never acknowledged it: [function].",
)
def _(field: Field) -> None:
    ship(field, field.listener(lambda _number: 404))


@mistake(
    "a listener that answers 400 to a record that it cannot parse, such as null",
    "the listener of extension 'ext' (http://sandbox.localdomain:PORT) answered 400 to the same"
    " batch 5 times, and never acknowledged it: [function].",
)
def _(field: Field) -> None:
    ship(field, field.listener(lambda _number: 400), event=events.function(None))


@mistake(
    "a listener that has a limit for bodies, and a burst of lines",
    "the listener of extension 'ext' (http://sandbox.localdomain:PORT) answered 413 to the same"
    " batch 5 times, and never acknowledged it: [function].",
)
def _(field: Field) -> None:
    def refuse_what_is_large(connection: socket.socket) -> None:
        large = len(read_request(connection)) > 100_000
        connection.sendall(OK.replace(b"200 OK", b"413 Content Too Large") if large else OK)

    ship(field, field.raw_listener(refuse_what_is_large), event=events.function("x" * 200_000))


@mistake(
    "a listener that redirects",
    "the listener of extension 'ext' (http://sandbox.localdomain:PORT) answered 307 to the same"
    " batch 5 times, and never acknowledged it: [function].",
)
def _(field: Field) -> None:
    elsewhere = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /in\r\nContent-Length: 0\r\n\r\n"
    ship(field, field.raw_listener(answering(elsewhere)))


@mistake(
    "a listener that refuses one batch, where nothing is sent again",
    "telemetry of extension 'ext' was never acknowledged by http://sandbox.localdomain:PORT:"
    " [function], 1 attempt, the last: it answered 503; 1 event was dropped meanwhile.",
    settings=SHORT.with_options({"retry": None}),
)
def _(field: Field) -> None:
    ship(field, field.listener(lambda number: 503 if number == 1 else 200))


@mistake(
    "a listener that refuses one batch, and a test that ends before the retry",
    "telemetry of extension 'ext' was never acknowledged by http://sandbox.localdomain:PORT:"
    " [function], 1 attempt, the last: it answered 503.",
)
def _(field: Field) -> None:
    ship(field, field.listener(lambda number: 503 if number == 1 else 200), seconds=0.1)


# -- no answer ---------------------------------------------------------------------------------------------------------


@mistake(
    "a listener that takes a batch and never answers",
    "the listener of extension 'ext' (http://sandbox.localdomain:PORT) took a batch and never"
    " answered: [function], 5 attempts timed out after 0.3 s.",
    settings=SHORT.with_options({"delivery_timeout_s": 0.3}),
)
def _(field: Field) -> None:
    silent = field.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    ship(field, silent.getsockname()[1])


@mistake(
    "a listener that closes without an answer",
    "telemetry of extension 'ext' was never acknowledged by http://sandbox.localdomain:PORT:"
    " [function], 5 attempts, the last: connection closed without an answer.",
)
def _(field: Field) -> None:
    ship(field, field.raw_listener(read_request))


@mistake(
    "a listener that answers garbage",
    "telemetry of extension 'ext' was never acknowledged by http://sandbox.localdomain:PORT:"
    " [function], 5 attempts, the last: not an HTTP answer: 'OK\\n'.",
)
def _(field: Field) -> None:
    ship(field, field.raw_listener(answering(b"OK\n")))


@mistake(
    "a listener that answers with a chunk of size -1",
    "telemetry of extension 'ext' was never acknowledged by http://sandbox.localdomain:PORT:"
    " [function], 5 attempts, the last: not an HTTP answer: bad chunk: expected its size in"
    " hexadecimal and a line end, got b'-1\\r\\n'.",
)
def _(field: Field) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"
    ship(field, field.raw_listener(answering(chunked)))


# -- sound twins -------------------------------------------------------------------------------------------------------


@twin("a listener that starts late")
def _(field: Field) -> None:
    port = free_port()
    late = threading.Timer(0.1, field.listener, kwargs={"port": port})
    late.start()
    ship(field, port)
    late.join()


@twin("a listener that answers in HTTP/1.0 without a Content-Length")
def _(field: Field) -> None:
    ship(field, field.raw_listener(answering(b"HTTP/1.0 200 OK\r\n\r\n")))


@twin("a listener that answers without a Content-Length, and closes")
def _(field: Field) -> None:
    ship(field, field.raw_listener(answering(b"HTTP/1.1 200 OK\r\n\r\n")))


@twin("a listener that closes after each answer")
def _(field: Field) -> None:
    port = field.raw_listener(answering(OK))
    ship(field, port)
    field.lambda_telemetry.emit(HELLO)
    field.lambda_telemetry.advance(seconds=1)


@twin("a single-threaded listener, with two subscriptions")
def _(field: Field) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response_only(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    field.stack.callback(server.server_close)
    field.stack.callback(thread.join)
    field.stack.callback(server.shutdown)
    for name in ("one", "two"):
        subscribe(register(name), subscribe_body(server.server_port, types=["function"]))
    field.lambda_telemetry.emit(HELLO)
    field.lambda_telemetry.advance(seconds=5)


@twin("a listener that answers 204")
def _(field: Field) -> None:
    ship(field, field.listener(lambda _number: 204))


@twin("a listener that answers before it has read the batch")
def _(field: Field) -> None:
    def answer_at_once(connection: socket.socket) -> None:
        connection.sendall(OK)
        read_request(connection)

    ship(field, field.raw_listener(answer_at_once), event=events.function("x" * 200_000))


@twin("a listener that refuses twice and recovers")
def _(field: Field) -> None:
    ship(field, field.listener(lambda number: 503 if number < 3 else 200))


@twin("deliveries that fail because the test said so")
def _(field: Field) -> None:
    field.lambda_telemetry.fail_next_delivery(503, times=4)
    ship(field, field.listener(), seconds=0.5)


@twin("a test that ends with telemetry in the buffer")
def _(field: Field) -> None:
    ship(field, field.listener(), seconds=0)


@twin("a TCP listener that closes after each batch")
def _(field: Field) -> None:
    ship_over_tcp(field, lambda connection: connection.recv(65_536))


@twin("a TCP listener that reads to the end")
def _(field: Field) -> None:
    def read(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass

    destination = {"protocol": "TCP", "port": field.raw_listener(read)}
    subscribe(register(), subscribe_body(0, types=["function"], destination=destination))
    for second in range(3):
        field.lambda_telemetry.emit(events.function(f"line {second}"))
        field.lambda_telemetry.advance(seconds=1)
