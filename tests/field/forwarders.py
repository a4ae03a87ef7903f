"""Forwarders to a backend, as extensions have them: two sound ones, and one for each bug, which differs by a method."""

import gzip
import json
import os
import threading
import uuid
from collections.abc import Sequence
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar, Self

from tests.support.helpers import EXTENSION, IDENTIFIER, call, register, subscribe, subscribe_body

Event = dict[str, Any]
LOGS, DEAD_LETTERS = "/v1/logs", "/v1/dead-letters"
_ATTEMPTS = 5


class Forwarder:
    """Sound: it acknowledges a batch once the backend has it, and gives each batch an id by which it is known again."""

    types: ClassVar[Sequence[str]] = ("function",)

    def __init__(self, backend: str) -> None:
        """`backend` is its host and port."""
        self._backend = HTTPConnection(backend, timeout=20)
        self._api = os.environ["AWS_LAMBDA_RUNTIME_API"]
        forwarder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_response_only(forwarder.take(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}),
            threading.Thread(target=self._ask),
        ]

    # -- its life ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._identifier = register()
        changes = {"types": list(self.types), "buffering": {"timeoutMs": 25}}
        assert subscribe(self._identifier, subscribe_body(self._server.server_port, **changes)).status == 200
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads[1].join(20)
        self._server.shutdown()
        self._threads[0].join(20)
        self._server.server_close()
        self._backend.close()
        assert not any(thread.is_alive() for thread in self._threads)

    def _ask(self) -> None:
        while True:
            answer = call("GET", f"{EXTENSION}/event/next", headers={IDENTIFIER: self._identifier}, api=self._api)
            if answer.status != 200 or answer.body["eventType"] == "SHUTDOWN":
                return self.end()

    # -- what a bug is in ----------------------------------------------------------------------------------------------

    def take(self, batch: bytes) -> int:
        """A batch has arrived; the status for Lambda."""
        return 200 if self.forward(self.chosen(json.loads(batch)), sha256(batch).hexdigest()) else 503

    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        """What of a batch is sent on, and as what."""
        return list(batch)

    def forward(self, batch: Sequence[Event], batch_id: str) -> bool:
        """Try until the backend has taken it; whether it has."""
        for _ in range(_ATTEMPTS):
            status = self.post(batch, batch_id)
            if status in range(200, 300):
                return True
            if status in range(400, 500) and status not in (408, 429):  # it would be refused for ever
                return self.post(batch, batch_id, DEAD_LETTERS) in range(200, 300)
        return False

    def post(self, batch: Sequence[Event], batch_id: str, path: str = LOGS) -> int:
        """One request; its status, or 0 where there was no whole answer. The next one has a new connection then."""
        try:
            return self.request(self.body(batch), {"Idempotency-Key": batch_id}, path)
        except (OSError, HTTPException):
            self._backend.close()
            return 0

    def request(self, body: bytes, headers: dict[str, str], path: str = LOGS) -> int:
        """The same; an error is the caller's."""
        self._backend.request("POST", path, body, headers)
        answer = self._backend.getresponse()
        answer.read()
        return answer.status

    def body(self, batch: Sequence[Event]) -> bytes:
        """A batch as the backend wants it."""
        return json.dumps(batch).encode()

    def end(self) -> None:
        """SHUTDOWN has come."""


class Buffered(Forwarder):
    """Sound: it acknowledges at once, and sends a full buffer, and at SHUTDOWN what is left."""

    size = 3

    def __init__(self, backend: str) -> None:
        super().__init__(backend)
        self._kept: list[Event] = []
        self._seen = set[str]()
        self._busy = threading.Lock()

    def take(self, batch: bytes) -> int:
        batch_id = sha256(batch).hexdigest()
        with self._busy:
            if batch_id not in self._seen:
                self._seen.add(batch_id)
                self._kept += self.chosen(json.loads(batch))
            while len(self._kept) >= self.size:
                self.flush(self.size)
        return 200

    def flush(self, count: int) -> None:
        batch, self._kept = self._kept[:count], self._kept[count:]
        self.forward(batch, uuid.uuid4().hex)

    def end(self) -> None:
        with self._busy:
            if self._kept:
                self.flush(len(self._kept))


# -- how a batch goes to the backend -----------------------------------------------------------------------------------


class DropsWhatIsRefused(Forwarder):
    def forward(self, batch: Sequence[Event], batch_id: str) -> bool:
        return bool(self.post(batch, batch_id) or self.post(batch, batch_id))


class RetriesWithoutIdempotence(Forwarder):
    def post(self, batch: Sequence[Event], batch_id: str, path: str = LOGS) -> int:
        return super().post(batch, uuid.uuid4().hex, path)


class UsesOneKeyForAll(Forwarder):
    def post(self, batch: Sequence[Event], batch_id: str, path: str = LOGS) -> int:
        return super().post(batch, "logs-of-test-function", path)


class RetriesARefusalForEver(Forwarder):
    def forward(self, batch: Sequence[Event], batch_id: str) -> bool:
        return self.post(batch, batch_id) in range(200, 300)


class IgnoresADeadConnection(Forwarder):
    def forward(self, batch: Sequence[Event], batch_id: str) -> bool:
        self.post(batch, batch_id)
        return True


class StopsAfterTheFirstError(DropsWhatIsRefused):
    broken = False

    def post(self, batch: Sequence[Event], batch_id: str, path: str = LOGS) -> int:
        status = -1 if self.broken else super().post(batch, batch_id, path)
        self.broken = self.broken or status >= 400
        return status


class SendsInAThreadThatDies(Forwarder):
    def forward(self, batch: Sequence[Event], batch_id: str) -> bool:
        thread = threading.Thread(target=self._send, args=(batch, batch_id), name="sender")
        thread.start()
        thread.join()
        return True

    def _send(self, batch: Sequence[Event], batch_id: str) -> None:
        status = self.post(batch, batch_id) or self.post(batch, batch_id)
        if status != 200:
            raise RuntimeError(f"the backend answered {status}")


class SendsToAnotherPath(Forwarder):
    def post(self, batch: Sequence[Event], batch_id: str, path: str = LOGS) -> int:
        super().post(batch, batch_id, "/v1/log")
        return 200


class SaysGzipAndSendsPlain(Forwarder):
    def request(self, body: bytes, headers: dict[str, str], path: str = LOGS) -> int:
        super().request(body, {**headers, "Content-Encoding": "gzip"}, path)
        return 200


class SendsHalfOfItsGzip(Forwarder):
    def request(self, body: bytes, headers: dict[str, str], path: str = LOGS) -> int:
        packed = gzip.compress(body)
        super().request(packed[: len(packed) // 2], {**headers, "Content-Encoding": "gzip"}, path)
        return 200


class SendsGzip(Forwarder):
    """Sound."""

    def request(self, body: bytes, headers: dict[str, str], path: str = LOGS) -> int:
        return super().request(gzip.compress(body), {**headers, "Content-Encoding": "gzip"}, path)


# -- what it makes of batches that come again --------------------------------------------------------------------------


class TakesWhatComesAgainForNew(Forwarder):
    def take(self, batch: bytes) -> int:
        return 200 if self.forward(json.loads(batch), uuid.uuid4().hex) else 503


class KnowsRecordsByTheirText(Forwarder):
    def __init__(self, backend: str) -> None:
        super().__init__(backend)
        self._known = set[str]()

    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        new = [event for event in batch if str(event["record"]) not in self._known]
        self._known |= {str(event["record"]) for event in new}
        return new


# -- what it makes of records ------------------------------------------------------------------------------------------


class SendsTheFirstOfABatch(Forwarder):
    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        return list(batch[:1])


class SendsStringsOnly(Forwarder):
    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        return [event for event in batch if isinstance(event["record"], str)]


class FlattensToText(Forwarder):
    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        return [{**event, "record": event["record"] if isinstance(event["record"], str) else ""} for event in batch]


class SplitsLines(Forwarder):
    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        return [{**event, "record": line} for event in batch for line in str(event["record"]).splitlines()]


class DropsLargeRecords(Forwarder):
    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        return [event for event in batch if len(json.dumps(event)) <= 256 * 1024]


class CutsRecords(Forwarder):
    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        return [{**event, "record": str(event["record"])[:1000]} for event in batch]


class SendsAscii(Forwarder):
    def body(self, batch: Sequence[Event]) -> bytes:
        return json.dumps(batch, ensure_ascii=False).encode("ascii", "replace")


class SendsPlatformEventsToo(Forwarder):
    """Sound."""

    types = ("platform", "function")


class DropsTheReportOfTheInvocationBefore(SendsPlatformEventsToo):
    invocation = ""

    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        started = [event["record"]["requestId"] for event in batch if event["type"] == "platform.start"]
        self.invocation = [self.invocation, *started][-1]
        return [event for event in batch if event["type"] != "platform.report" or self._is_of_now(event)]

    def _is_of_now(self, event: Event) -> bool:
        return bool(event["record"]["requestId"] == self.invocation)


class SendsTheTimeOfItsOwnClock(Forwarder):
    def chosen(self, batch: Sequence[Event]) -> list[Event]:
        return [{**event, "time": "2000-01-01T00:00:00.000Z"} for event in batch]


class SendsEachRecordInAThread(Forwarder):
    """Whoever is last is first: the threads are made to overtake one another."""

    def forward(self, batch: Sequence[Event], batch_id: str) -> bool:
        before: threading.Thread | None = None
        for place, event in reversed(list(enumerate(batch))):
            before = threading.Thread(target=self._send, args=(event, f"{batch_id}-{place}", before))
            before.start()
        if before is not None:
            before.join()
        return True

    def _send(self, event: Event, record_id: str, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        super().forward([event], record_id)


# -- its own buffer ----------------------------------------------------------------------------------------------------


class SendsFullBuffersOnly(Buffered):
    def end(self) -> None:
        pass


class KeepsWhatItHasSent(Buffered):
    def flush(self, count: int) -> None:
        kept = list(self._kept)
        super().flush(count)
        self._kept = kept

    def take(self, batch: bytes) -> int:
        self._kept += json.loads(batch)
        if len(self._kept) >= self.size:
            self.flush(len(self._kept))
        return 200


class EmptiesItsBufferBeforeItIsStored(Buffered):
    def forward(self, batch: Sequence[Event], batch_id: str) -> bool:
        return bool(self.post(batch, batch_id) or self.post(batch, batch_id))
