"""Backend: a fake intake, as a test holds it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ..backend.answers import request_path, rule
from ..backend.faults import BackendFault
from ..model.backend import BackendRequest
from ..model.checks import is_flag, is_whole, repr_of, require
from ..model.errors import MisuseError
from .loops import in_event_loop
from .places import caller
from .plan import backend_fault
from .sandbox import Sandbox
from .unawaited import noted

Requests = tuple[BackendRequest, ...]


class _Backend:
    """What Backend and AsyncBackend share: everything but the wait."""

    def __init__(self, sandbox: Sandbox, name: str, tls: bool) -> None:
        self._opened = sandbox
        self._intake = sandbox.backends.get(name, tls)

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What it was asked for by: `lambda_telemetry.backend(name)`."""
        return self._intake.name

    @property
    def url(self) -> str:
        """Where to send to, without a path: `"http://127.0.0.1:PORT"`, or https with `tls=True`."""
        return f"{'https' if self._intake.tls else 'http'}://{self.host}:{self.port}"

    @property
    def host(self) -> str:
        """`"127.0.0.1"`."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """Its port, a free one, for as long as the environment is open."""
        return self._intake.port

    @property
    def ca_file(self) -> str | None:
        """The path of the certificate to trust (PEM), with `tls=True`; the file goes when the environment closes.

        Children started from then on find it through SSL_CERT_FILE, NODE_EXTRA_CA_CERTS and REQUESTS_CA_BUNDLE, and so
        do clients in this process that look there: those of urllib, httpx and requests when they are made. aiohttp is
        to be given `ssl.create_default_context(cafile=backend.ca_file)`.
        """
        return self._opened.backends.ca_file if self._intake.tls else None

    @property
    def drop_idle_on_freeze(self) -> bool:
        """Connections that are kept open and idle when the environment freezes are dead afterwards, as on Lambda.

        Nothing tells the client: its next request on one is met by a reset, and never arrives. True by default.
        """
        return self._intake.drops_idle

    @drop_idle_on_freeze.setter
    def drop_idle_on_freeze(self, value: bool) -> None:
        self._require_open()
        require(is_flag(value), "drop_idle_on_freeze", value, "True or False")
        self._intake.drops_idle = value

    # -- what it was sent ----------------------------------------------------------------------------------------------

    @property
    def requests(self) -> Requests:
        """Every request that arrived, oldest first, as it stands now: one that is held has no status yet.

        One that was refused with a 4xx by itself, because it was broken, is among them. Of very many the newest are
        kept (`lambda_telemetry_journal_limit`), and bytes are let go before; the count in the repr stays exact.
        """
        with self._opened.lock:
            return self._intake.received.requests

    # -- what it answers -----------------------------------------------------------------------------------------------

    def respond(
        self,
        status: int = 200,
        *,
        json: Any = None,  # any JSON value
        body: bytes | str = b"",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        path: str | None = None,
        method: str | None = None,
        times: int | None = None,
    ) -> None:
        """Answer like this from now on: the next `times` requests to this path (without query) and method, or all.

        The latest answer that matches wins; with none, or when all are used up, it is 200 with an empty body. The
        header `Connection: close` ends the connection with the answer. Raises MisuseError for what cannot be sent.
        """
        made = rule(status, json, body, headers, path, method, times)
        with self._require_open().lock:
            self._intake.answers.add(made)

    def fail_next(
        self, fault: BackendFault, times: int = 1, path: str | None = None, *, delay_ms: float | None = None
    ) -> None:
        """Let the next `times` requests (to this path) go wrong; each fault says what the client gets of one.

        A status from 400 to 599: that answer. "refuse": its connection is reset at once, and nothing of the request is
        seen here (the system has accepted it by then: a refusal before that could not be counted). "reset": its
        connection is reset when the whole request has arrived. "timeout": no answer until `release()`, or until the
        client gives up. "slow": the answer comes `delay_ms` (1,000) real milliseconds late. "hang": no answer for so
        long, then a reset. "truncate": the status and
        a part of the body that was announced, then the end of the connection. Only what is answered has a `status`.
        Raises MisuseError for any other fault.
        """
        planned = backend_fault(self.name, fault, times, request_path(path), delay_ms)
        planned.place = caller()
        sandbox = self._require_open()
        with sandbox.lock:
            sandbox.plan.add(planned)

    def hold(self) -> None:
        """Let every request wait for its answer from now on, until `release()`; it is in `requests` meanwhile."""
        with self._require_open().lock:
            self._intake.hold()

    def release(self) -> None:
        """Answer what was held, as `respond` says by now, and hold no more. Without `hold()` it does nothing."""
        with self._require_open().lock:
            self._intake.release()

    def reset(self) -> None:
        """Begin anew: forget what was sent (the journal does not), and all of `respond`, `fail_next` and `hold`."""
        sandbox = self._require_open()
        with sandbox.lock:
            sandbox.plan.forget_backend(self.name)
            self._intake.forget()

    # -- waiting -------------------------------------------------------------------------------------------------------

    def _wait(self, count: int, path: str | None, timeout: float) -> Requests:
        require(is_whole(count, 1), "count", count, "a whole number, 1 or more")
        wanted_path = request_path(path)
        received = self._intake.received
        sandbox = self._require_open()

        def found() -> Requests | None:
            return received.at(wanted_path) if received.counted(wanted_path) >= count else None

        def seen() -> list[str]:
            shown = [f"  {one!r}" for one in received.requests[-5:]]
            several = f"{received.count:,} requests" if received.count != 1 else "1 request"
            return [f"  {several} to backend {self.name!r}{', the last ones:' if received.count > 5 else ''}", *shown]

        many = f"{repr_of(count)} requests" if count != 1 else "a request"
        to = f" to {path!r}" if path is not None else ""
        return sandbox.waits.requests(found, f"{many}{to} at backend {self.name!r} ({self.url})", seen, timeout)

    def _require_open(self) -> Sandbox:
        if self._opened.closed:
            raise MisuseError(
                f"backend {self.name!r} is closed, with its environment: the test is over; its requests can still be"
                " read"
            )
        return self._opened

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.url} requests={self._intake.received.count}>"


class Backend(_Backend):
    """A fake intake on the loopback: it takes any request, records it in the environment's time, and answers 200.

    `lambda_telemetry.backend()`, or the fixture `lambda_telemetry_backend`. It runs on threads of its own over real
    sockets: children and code in this process reach it, mocking libraries do not intercept it, and no frozen clock
    stops it. A body may have 64 MiB, sent and unpacked. A broken request is answered 4xx. It ends with its environment,
    or stays for the next one after `restart()`; `requests` can be read for ever.
    """

    def wait_for(self, count: int = 1, path: str | None = None, timeout: float = 5.0) -> Requests:
        """Wait, in real seconds, until `count` requests (to this path) have arrived; returns them, and any more.

        Those that arrived before count too, since the start or the last `reset()`. Raises WaitTimeout, which says what
        was seen instead; at once when an unexpected refusal, or the end of a process, shows that they will not come.
        """
        self._require_open()
        if in_event_loop():
            raise MisuseError(
                "wait_for() would block the running event loop; use the async_lambda_telemetry fixture, or"
                f" AsyncLambdaTelemetry, and await backend({self.name!r}).wait_for() of that"
            )
        return self._wait(count, path, timeout)


class AsyncBackend(_Backend):
    """A Backend for async code: the same members, with the same meaning; `wait_for` is a coroutine."""

    def __init__(
        self, sandbox: Sandbox, name: str, tls: bool, away: Callable[[Callable[[], Requests]], Awaitable[Requests]]
    ) -> None:
        super().__init__(sandbox, name, tls)
        self._away = away

    @noted
    async def wait_for(self, count: int = 1, path: str | None = None, timeout: float = 5.0) -> Requests:
        """Await until `count` requests (to this path) have arrived, as Backend.wait_for; cancelling ends the wait."""
        self._require_open()
        return await self._away(lambda: self._wait(count, path, timeout))
