"""Extensions that work as long as nothing unusual happens: one for each scenario, which breaks it."""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from socket import create_connection, create_server
from typing import Any

from pytest_lambda_telemetry import LambdaTelemetry
from tests.support.helpers import Listener, register, subscribe, subscribe_body
from tests.support.living import Event, Living
from tests.support.programs import program

BUFFERING = {"timeoutMs": 100}
Batch = list[Event]


class Naive:
    """What an extension has at hand: the environment of its test, and a backend to send to."""

    def __init__(self, environment: LambdaTelemetry, folder: Path) -> None:
        self.environment, self.folder = environment, folder
        self.backend = environment.backend()
        self._kept: HTTPConnection | None = None

    def send(self, records: Sequence[object], timeout: float = 10.0) -> bool:
        """One request with these records, on a connection of its own."""
        connection = HTTPConnection(self.backend.host, self.backend.port, timeout=timeout)
        try:
            return self._posted(connection, records)
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def send_on_kept_connection(self, records: Sequence[object]) -> None:
        """As a client with a pool does: once more where its connection turns out to be closed."""
        for _ in range(2):
            if self._kept is None:
                self._kept = HTTPConnection(self.backend.host, self.backend.port, timeout=0.3)
            try:
                self._posted(self._kept, records)
                return
            except TimeoutError:
                self.close()
                return
            except (OSError, HTTPException):
                self.close()

    def _posted(self, connection: HTTPConnection, records: Sequence[object]) -> bool:
        connection.request("POST", "/", json.dumps(records), {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response.status == 200

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._kept = None

    def age_s(self, event: Event) -> float:
        """How old telemetry is when it arrives, in the time that the extension lives in."""
        return (self.environment.now - datetime.fromisoformat(event["time"])).total_seconds()


class Handling(Living):
    """An extension in the test's process whose listener answers what `handle` returns, 500 where it raises."""

    def __init__(self, handle: Callable[[Batch], int | None], **options: Any) -> None:
        self._handle = handle
        options = {"schemaVersion": "2025-01-29", "buffering": BUFFERING, **options}
        super().__init__("ext", **options)

    def _answer(self, number: int) -> int:
        try:
            return self._handle(json.loads(self.listener.bodies[-1])) or super()._answer(number)
        except Exception:
            return 500


def logged(batch: Batch) -> list[Any]:
    return [event["record"] for event in batch if event["type"] == "function"]


def of_type(batch: Batch, kind: str) -> list[Any]:
    return [event["record"] for event in batch if event["type"] == kind]


def usual(naive: Naive) -> None:
    """What every test here does once its extension lives."""
    environment = naive.environment
    for count in (2, 1):
        environment.invoke(logs=environment.log_lines(count))
    environment.shutdown()
    environment.assert_exactly_once()


@contextmanager
def living(handle: Callable[[Batch], int | None], **options: Any) -> Iterator[Living]:
    extension = Handling(handle, **options)
    try:
        yield extension
    finally:
        extension._thread.join(0.5)  # where the test has failed it still waits for its next event
        extension.listener.close()


Break = Callable[[Naive], None]
BREAKS: dict[str, tuple[str, Break]] = {}
"""By scenario: what is naive, and the test of it."""


def breaks(name: str, what: str) -> Callable[[Break], Break]:
    def add(live: Break) -> Break:
        BREAKS[name] = what, live
        return live

    return add


@breaks("listener-down", "takes telemetry that is older than half a second for stale, and drops it")
def stale(naive: Naive) -> None:
    with living(lambda batch: naive.send(logged([one for one in batch if naive.age_s(one) < 0.5])) and None):
        usual(naive)


@breaks("acknowledgement-lost", "sends on every batch that arrives, also one that has come before")
def repeated(naive: Naive) -> None:
    with living(lambda batch: naive.send(logged(batch)) and None):
        usual(naive)


@breaks("connection-reset", "reads a body in one go, and dies of half a body")
def half_a_body(naive: Naive) -> None:
    with create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with server:  # what dies listens no longer
                serve()

        def serve() -> None:
            while True:
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as stream:
                    length = 0
                    while (line := stream.readline()) not in (b"\r\n", b""):
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    if not line:
                        return
                    naive.send(logged(json.loads(stream.read(length))))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=listen, daemon=True, name="listener")
        thread.start()
        port = server.getsockname()[1]
        naive.environment.subscribe(f"http://sandbox.localdomain:{port}", buffering={"timeoutMs": 100})
        try:
            usual(naive)
        finally:
            with suppress(OSError), create_connection(("127.0.0.1", port), 1):
                pass
            thread.join(5)


@breaks("slow-start", "files each line under the request id that has begun last, and knows none during init")
def by_request(naive: Naive) -> None:
    running: list[str] = []

    def handle(batch: Batch) -> None:
        for event in batch:
            if event["type"] == "platform.start":
                running.append(event["record"]["requestId"])
            elif event["type"] == "function":
                naive.send([{"requestId": running[-1], "message": event["record"]}])

    with living(handle):
        usual(naive)


@breaks("split-record", "drops a body that is no JSON")
def dropping(naive: Naive) -> None:
    listener: list[Listener] = []

    def answer(_number: int) -> int:
        with suppress(ValueError):
            naive.send(logged(json.loads(listener[0].bodies[-1])))
        return 200

    with Listener(answer) as made:
        listener.append(made)
        naive.environment.subscribe(made.uri, types=["function"], buffering={"timeoutMs": 100})
        usual(naive)


def as_text(naive: Naive) -> None:
    with living(lambda batch: naive.send([record.upper().lower() for record in logged(batch)]) and None):
        usual(naive)


breaks("json-logs", "takes every record for a text")(as_text)
breaks("odd-records", "takes every record for a text, and answers 500 where it is none")(as_text)


@breaks("late-report", "forgets what it holds of an invocation when the next one begins")
def forgetful(naive: Naive) -> None:
    held: list[object] = []

    def handle(batch: Batch) -> None:
        held.extend(logged(batch))
        if of_type(batch, "platform.runtimeDone"):
            naive.send(held)
            held.clear()

    with living(handle, on_event=lambda event: held.clear() if event["eventType"] == "INVOKE" else None):
        usual(naive)


@breaks("telemetry-before-invoke", "drops the lines of an invocation of whose INVOKE it does not know yet")
def looking_up(naive: Naive) -> None:
    invoked: set[str] = set()

    def handle(batch: Batch) -> None:
        if all(record["requestId"] in invoked for record in of_type(batch, "platform.start")):
            naive.send(logged(batch))

    with living(handle, on_event=lambda event: invoked.add(event.get("requestId", ""))):
        usual(naive)


@breaks("logs-dropped", "expects a request id of every platform event that is not of init")
def expecting_request_ids(naive: Naive) -> None:
    of_init = ("platform.init", "platform.extension", "platform.telemetrySubscription")

    def handle(batch: Batch) -> None:
        for event in batch:
            if event["type"].startswith("platform.") and not event["type"].startswith(of_init):
                assert event["record"]["requestId"]
        naive.send(logged(batch))

    with living(handle):
        usual(naive)


@breaks("burst", "takes no body over 300,000 bytes")
def limited(naive: Naive) -> None:
    def handle(batch: Batch) -> int | None:
        if len(json.dumps(batch)) > 300_000:
            return 413
        naive.send(logged(batch))
        return None

    with living(handle):
        usual(naive)


def one_init(naive: Naive) -> None:
    begun: list[object] = []

    def handle(batch: Batch) -> None:
        begun.extend(of_type(batch, "platform.initStart"))
        assert len(begun) == 1
        naive.send(logged(batch))

    with living(handle):
        usual(naive)


breaks("suppressed-init", "expects one platform.initStart")(one_init)
breaks("snap-start", "expects one platform.initStart, its own")(one_init)


@breaks("provisioned-concurrency", "expects initDurationMs in the first report")
def cold_start(naive: Naive) -> None:
    durations: list[float] = []

    def handle(batch: Batch) -> None:
        for record in of_type(batch, "platform.report"):
            if not durations:
                durations.append(record["metrics"]["initDurationMs"])
        naive.send(logged(batch))

    with living(handle):
        usual(naive)


@breaks("managed-instances", "registers for INVOKE")
def registering(naive: Naive) -> None:
    acknowledged_late(naive)


@breaks("durable-function", "takes each request id for one invocation")
def one_invocation(naive: Naive) -> None:
    finished: set[str] = set()

    def handle(batch: Batch) -> None:
        for event in batch:
            if event["type"] == "platform.start":
                assert event["record"]["requestId"] not in finished
            elif event["type"] == "platform.report":
                finished.add(event["record"]["requestId"])
        naive.send(logged(batch))

    with living(handle):
        usual(naive)


@breaks("function-error", "sends on the lines of invocations that succeed")
def successful(naive: Naive) -> None:
    held: list[object] = []

    def handle(batch: Batch) -> None:
        held.extend(logged(batch))
        for record in of_type(batch, "platform.runtimeDone"):
            if record["status"] == "success":
                naive.send(held)
            held.clear()

    with living(handle):
        usual(naive)


ENDING = """
import urllib.request
held = []
me = register("ext.py")
subscribe(me, serve(lambda batch: held.extend(one["record"] for one in batch if one["type"] == "function")))
def forward():
    if held:
        urllib.request.urlopen({url!r}, json.dumps(held).encode()).close()
        held.clear()
while True:
    event = next_event(me)
    if event["eventType"] == "INVOKE" or event["shutdownReason"] == "spindown":
        forward()
    if event["eventType"] == "SHUTDOWN":
        break
"""


def spun_down(naive: Naive) -> None:
    argv = program(naive.folder, ENDING.format(url=naive.backend.url))
    naive.environment.run_extension([sys.executable, *argv[1:]])
    usual(naive)


breaks("function-timeout", "sends on what it holds at the next INVOKE, or at SHUTDOWN with reason spindown")(spun_down)
breaks("out-of-memory", "sends on what it holds at the next INVOKE, or at SHUTDOWN with reason spindown")(spun_down)


@breaks("shutdown-with-backlog", "sends on what it holds when the next batch comes")
def one_behind(naive: Naive) -> None:
    held: list[object] = []

    def handle(batch: Batch) -> None:
        if held:
            naive.send(held)
        held[:] = logged(batch)

    with living(handle):
        usual(naive)


@breaks("idle-freeze", "answers 500 to telemetry that is older than an hour")
def impatient(naive: Naive) -> None:
    def handle(batch: Batch) -> None:
        assert all(naive.age_s(event) < 3600 for event in batch)
        naive.send(logged(batch))

    with living(handle):
        usual(naive)


def acknowledged_late(naive: Naive) -> None:
    """Sends on each line once, whatever comes again; with one request, and no retry."""
    seen: set[str] = set()

    def handle(batch: Batch) -> None:
        lines = [line for line in logged(batch) if line not in seen]
        seen.update(lines)
        if lines:
            naive.send(lines)

    with living(handle):
        usual(naive)


breaks("backend-down", "makes one request, and no other when it fails")(acknowledged_late)
breaks("backend-hangs-at-shutdown", "makes one request, and no other when it fails")(acknowledged_late)


@breaks("backend-slow", "waits a twentieth of a second for the backend's answer, and takes it for failed")
def hasty(naive: Naive) -> None:
    with living(lambda batch: naive.send(logged(batch), timeout=0.05) and None, types=["function"]):
        usual(naive)


@breaks("stale-connections", "keeps its connection, and has no retry but for one that was closed")
def pooled(naive: Naive) -> None:
    def handle(batch: Batch) -> None:
        if lines := logged(batch):
            naive.send_on_kept_connection(lines)

    with living(handle):
        usual(naive)
    naive.close()


@breaks("observed", 'subscribes twice, and expects the answer "OK"')
def subscribing_twice(naive: Naive) -> None:
    with Listener() as listener:
        identifier = register("ext", ("SHUTDOWN",))
        for _ in range(2):
            answer = subscribe(identifier, subscribe_body(listener.port)).body
            assert answer == "OK", f"Subscribe was answered {answer!r}, which is not 'OK'"
