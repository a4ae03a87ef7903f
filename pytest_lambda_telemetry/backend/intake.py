"""The server behind a fake backend: takes every request, records it, and answers as the test says."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from threading import Condition
from typing import TYPE_CHECKING, Protocol

from ..model.backend import (
    BackendAnswered,
    BackendCalled,
    BackendFact,
    BackendRefused,
    BackendRequest,
    BackendReset,
    BackendUnhandled,
    Content,
)
from ..real import Real
from ..wire.exchange import Answer, HttpRequest, HttpResponse, Limits, Malformed, NoAnswer, Wording, plain_error
from ..wire.server import Server
from . import decoding
from .answers import Answers
from .faults import Fault
from .received import Received

if TYPE_CHECKING:
    from ssl import SSLContext

LIMITS = Limits(body_bytes=decoding.LIMIT, request_s=60.0, drain_bytes=decoding.LIMIT + (16 << 20))
WORDING = Wording(
    listener="a fake backend",
    service="a fake backend",
    handler="the fake backend",
    unattached="this backend is closed",
    too_large=f"the body is larger than {decoding.LIMIT:,} bytes",
    threads="lambda-telemetry-backend",
)
_LOOK_S = 0.05
"""How soon it is noticed that a client which waits for its answer has given up."""
_OVERHEAD_BYTES = 400


class Journal(Protocol):
    """Where facts go, and bytes that it may let go. The caller holds the environment's lock."""

    def add(self, fact: BackendFact) -> None: ...
    def hold(self, what: Content, size: int) -> None: ...


class Misfortunes(Protocol):
    """What the test lets go wrong, each used up by being asked for. The caller holds the environment's lock."""

    def refuses(self, backend: str) -> bool:
        """The connection that is made now is refused."""

    def silences(self, backend: str) -> bool:
        """Nobody will answer any more on the connections that are kept open now."""

    def backend_fault_for(self, backend: str, path: str) -> Fault | None:
        """What goes wrong with the request that has arrived."""


class Intake:
    """One backend, from start to close. `lock` is the environment's."""

    def __init__(
        self,
        name: str,
        *,
        lock: Condition,
        journal: Journal,
        one_moment: Callable[[], AbstractContextManager[datetime]],
        misfortunes: Misfortunes,
        limit: int,
        tls: "SSLContext | None" = None,
    ) -> None:
        self.name = name
        self.tls = tls is not None
        self.received = Received(limit)
        self.answers = Answers()
        self.drops_idle = True
        self._lock = lock
        self._journal = journal
        self._one_moment = one_moment
        self._misfortunes = misfortunes
        self._count = self._releases = 0
        self._holding = self._closed = False
        self._server = Server(limits=LIMITS, wording=WORDING, tls=tls, admits=self._admits)
        self._server.attach(self._handle, self._malformed)
        self.port = self._server.port

    # -- what the test does with it; the caller holds the lock ---------------------------------------------------------

    def hold(self) -> None:
        """Let requests wait from now on."""
        self._holding = True

    def release(self) -> None:
        """Answer those that wait."""
        self._holding = False
        self._releases += 1
        self._lock.notify_all()

    def forget(self) -> None:
        """Begin anew: no requests, no answers of the test's, nothing held."""
        self.answers.clear()
        self.release()
        self._journal.add(BackendReset(self.name))

    # -- freeze and end ------------------------------------------------------------------------------------------------

    def froze(self) -> None:
        """The environment freezes: what is idle now will be dead when it thaws."""
        if self.drops_idle and self._count:
            self._server.drop_idle(silently=self._misfortunes.silences(self.name))

    def close(self) -> None:
        """End it, with every connection; the caller does not hold the lock."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._server.close()

    # -- what its clients do -------------------------------------------------------------------------------------------

    def _admits(self) -> bool:
        with self._lock:
            return not self._refused()

    def _refused(self) -> bool:
        refused = not self._closed and self._misfortunes.refuses(self.name)
        if refused:
            self._journal.add(BackendRefused(self.name))
        return refused

    def _handle(self, request: HttpRequest) -> Answer:
        remark, problem, body = "", None, request.body
        try:
            body, remark = decoding.decode(request.body, request.headers.get("Content-Encoding", ""))
        except decoding.Undecodable as undecodable:
            problem, remark = plain_error(undecodable.status, str(undecodable)), str(undecodable)
        with self._lock:
            if self._closed:
                return None
            if self._refused():  # on a connection that was open before
                return NoAnswer.RESET
            path = request.target.partition("?")[0]
            fault = None if problem else self._misfortunes.backend_fault_for(self.name, path)
            waits = problem is None and (
                self._holding or (fault is not None and fault.kind in ("timeout", "slow", "hang"))
            )
            answer = None if waits else problem or self._answer(request, path, fault)
            called = self._record(request, Content(request.body, body), _status(answer), waits, fault, remark)
            return self._finish_later(request, called, fault) if waits else answer

    def _malformed(self, problem: Malformed) -> HttpResponse | None:
        with self._lock:
            if self._closed:
                return None
            if problem.request is None:
                self._journal.add(BackendUnhandled(self.name, problem.reason, problem.status))
            else:
                self._record(problem.request, Content(b"", b""), problem.status, remark=problem.reason)
        return None

    def _record(
        self,
        request: HttpRequest,
        content: Content,
        status: int | None,
        waits: bool = False,
        fault: Fault | None = None,
        remark: str = "",
    ) -> BackendCalled:
        path, _, query = request.target.partition("?")
        self._count += 1
        with self._one_moment() as now:
            seen = BackendRequest(
                method=request.method,
                path=path,
                query=query,
                headers=request.headers,
                status=status,
                at=now,
                content=content,
            )
            called = BackendCalled(
                self.name, self._count, seen, waits, "" if fault is None else str(fault.kind), remark
            )
            self._journal.add(called)
        if content.raw:
            self._journal.hold(content, content.size + _OVERHEAD_BYTES)
        return called

    def _answer(self, request: HttpRequest, path: str, fault: Fault | None) -> Answer:
        """The answer that is due now."""
        kind = None if fault is None else fault.kind
        if isinstance(kind, int):
            return plain_error(kind, "this backend was told to fail")
        if kind in ("reset", "hang"):
            return NoAnswer.RESET
        response = self.answers.next(request.method, path)
        if kind != "truncate":
            return response
        if request.method == "HEAD" or response.status in (204, 304):  # there is nothing to cut
            return NoAnswer.RESET
        half = len(response.body) // 2
        return replace(response, body=response.body[:half], missing=max(1, len(response.body) - half))

    def _finish_later(self, request: HttpRequest, called: BackendCalled, fault: Fault | None) -> Answer:
        """Wait until the answer is due, with the lock given away meanwhile."""
        timed = fault is not None and fault.kind in ("slow", "hang")
        held = self._holding or not timed
        releases, due = self._releases, Real.monotonic() + (fault.delay_ms / 1000 if fault is not None else 0.0)
        why = ""
        while not why and ((held and self._releases == releases) or Real.monotonic() < due):
            self._lock.wait(_LOOK_S if held else min(_LOOK_S, max(0.0, due - Real.monotonic())))
            if self._closed:
                return None
            if not request.alive():
                why = "the client gave up"
        answer = None if why else self._answer(request, called.request.path, fault)
        settled = replace(called.request, status=_status(answer))
        self._journal.add(BackendAnswered(self.name, called.number, settled, why))
        return answer


def _status(answer: Answer) -> int | None:
    return answer.status if isinstance(answer, HttpResponse) else None
