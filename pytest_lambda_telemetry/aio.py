"""AsyncLambdaTelemetry: the same environment, for async tests."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from typing import Any, Self, TypeVar, Unpack, overload

from anyio import CancelScope, CapacityLimiter, to_thread

from .api.routes import RouteName
from .engine.turns import WorkerCall
from .environment import LambdaTelemetry, within
from .guarded import checked
from .host.child_names import choose
from .host.process import ExtensionProcess
from .model.event import Event, Log
from .model.records import Buffering, BufferingOptions, Delivery, Extension, Subscription
from .offloaded import Offloaded, away
from .protocol.schema import LifecycleEvent, SchemaVersion, ShutdownReason, TelemetryType
from .recorded import Target
from .sandbox.backend import AsyncBackend
from .sandbox.delivery_faults import DeliveryFault
from .sandbox.invocation import Invocation, InvocationOptions
from .sandbox.unawaited import noted
from .sandbox.verdicts import Dropped, RecordKey, Seen
from .sandbox.violations import ExpectedRejection
from .script import Script
from .settings import DEFAULTS, Settings, SettingsOptions

T = TypeVar("T")


class AsyncLambdaTelemetry(Offloaded):
    """LambdaTelemetry for async code, on asyncio or trio: the same members, with the same meaning.

    Those that wait are coroutines (`invocation` and `expect_rejection` are async context managers); they work on a
    thread of their own, so the running loop goes on and a listener may live on it. Cancelling one ends it between two
    deliveries; what it did so far stands. One that is never awaited does nothing, which a LambdaTelemetryWarning tells.
    The `async_lambda_telemetry` fixture yields one that is started. In a program of your own, or a notebook: `async
    with AsyncLambdaTelemetry(Settings(...)) as lambda_telemetry:`; leaving it checks as LambdaTelemetry does.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        chosen = DEFAULTS if settings is None else checked(settings, "AsyncLambdaTelemetry")
        self._sync = LambdaTelemetry(chosen)

    async def __aenter__(self) -> Self:
        await to_thread.run_sync(choose, limiter=CapacityLimiter(1))  # it starts a process: not on the running loop
        self._sync.__enter__()
        self._opened = self._sync._opened
        return self

    async def __aexit__(self, *error: Any) -> None:  # the three values of every __exit__
        failed = True
        try:
            with CancelScope(shield=True):
                await to_thread.run_sync(partial(self._sync.__exit__, *error), limiter=CapacityLimiter(1))
            failed = error[0] is not None
        finally:
            self._sandbox.tell_suspicions(failed=failed)

    def fresh(self, **settings: Unpack[SettingsOptions]) -> "AsyncLambdaTelemetry":
        """A clean environment at the same address, with `async with`. As LambdaTelemetry.fresh.

        Leaving the block awaits its shutdown, also when the block is cancelled.
        """
        return alongside(within(self._sync._require_open(), settings))

    # -- waiting -------------------------------------------------------------------------------------------------------

    @noted
    async def wait_for_extension(self, name: str | None = None, timeout: float = 5.0) -> Extension:
        """Await until an extension has registered, as LambdaTelemetry.wait_for_extension; others may wait meanwhile.

        Cancelling ends the wait and nothing else.
        """
        return await self._waiting(self._sync.wait_for_extension, name, timeout)

    @noted
    async def wait_for_subscription(self, name: str | None = None, timeout: float = 5.0) -> Subscription:
        """Await until a subscription was accepted, as LambdaTelemetry.wait_for_subscription.

        Cancelling ends the wait and nothing else.
        """
        return await self._waiting(self._sync.wait_for_subscription, name, timeout)

    @noted
    async def wait_until_ready(self, name: str | None = None, timeout: float = 5.0) -> Extension:
        """Await until an extension asks for its next event, as LambdaTelemetry.wait_until_ready.

        Cancelling ends the wait and nothing else.
        """
        return await self._waiting(self._sync.wait_until_ready, name, timeout)

    @noted
    async def wait_until(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Await until `predicate()` is true, as LambdaTelemetry.wait_until; cancelling ends the wait.

        The predicate is a plain function, and is called on a worker thread, not on the loop.
        """
        await self._waiting(self._sync.wait_until, predicate, timeout)

    # -- acting as the extension ---------------------------------------------------------------------------------------

    def register(
        self, name: str = "test-extension", events: Sequence[LifecycleEvent] = ("INVOKE", "SHUTDOWN")
    ) -> Extension:
        """Register by hand, at once and without an await: nothing is waited for. As LambdaTelemetry.register."""
        return self._sync.register(name, events)

    def subscribe(
        self,
        uri: str | None = None,
        types: Sequence[TelemetryType] = ("platform", "function", "extension"),
        schema_version: SchemaVersion = "2025-01-29",
        buffering: Buffering | BufferingOptions | None = None,
        name: str = "test-extension",
        *,
        port: int | None = None,
    ) -> Subscription:
        """Subscribe by hand, at once and without an await: nothing is waited for. As LambdaTelemetry.subscribe."""
        return self._sync.subscribe(uri, types, schema_version, buffering, name, port=port)

    # -- telemetry and time --------------------------------------------------------------------------------------------

    @noted
    async def emit(self, *events: Event) -> tuple[Delivery, ...]:
        """Lambda generates these events now; awaits the deliveries of batches that are full. As LambdaTelemetry.emit.

        While another awaited call moves time the events are only buffered, and nothing is awaited. Cancelling ends it
        between two deliveries: what was emitted and not sent stays buffered.
        """
        call = WorkerCall(self._sandbox.turns, moves_time=True)
        if not call.lend():  # another call moves time
            return self._sync.emit(*events)  # only buffers
        result = await away(call, partial(self._sync.emit, *events))
        self._sandbox.suspicions.tell_here()
        return result

    @noted
    async def push(self, batch: Iterable[Event], to: Target | None = None) -> Delivery:
        """Send exactly these events as one batch; awaits the listener's answer. As LambdaTelemetry.push.

        Cancelling gives up the attempt that is under way.
        """
        return await self._moving(self._sync.push, batch, to)

    @noted
    async def advance(
        self, delta: timedelta | None = None, *, seconds: float = 0, ms: float = 0
    ) -> tuple[Delivery, ...]:
        """Move time forward; awaits every delivery that becomes due on the way. As LambdaTelemetry.advance.

        Cancelling stops time where it is: a delivery that is under way is given up and its batch is sent again later.
        """
        return await self._moving(self._sync.advance, delta, seconds=seconds, ms=ms)

    @noted
    async def flush(self, to: Target | None = None) -> tuple[Delivery, ...]:
        """Deliver what is buffered; awaits the listeners' answers. As LambdaTelemetry.flush.

        Cancelling leaves what was not delivered where it was.
        """
        return await self._moving(self._sync.flush, to)

    @noted
    async def play(self, script: Script) -> tuple[Delivery, ...]:
        """Carry out a script; awaits its deliveries, and the extensions it waits for. As LambdaTelemetry.play.

        Cancelling ends it between two steps: those that were carried out stand, the others never happen.
        """
        return await self._moving(self._sync.play, script)

    # -- life cycle ----------------------------------------------------------------------------------------------------

    def invocation(self, **options: Unpack[InvocationOptions]) -> AbstractAsyncContextManager[Invocation]:
        """An invocation, with `async with`: entering and leaving await what LambdaTelemetry.invocation waits for.

        Between them other calls may move time. Cancelled inside the block, the invocation ends as quickly as it can be
        put in order.
        """
        return self._entered(partial(self._sync.invocation, **options), moving="invocation()")

    @overload
    async def invoke(self, *, logs: Sequence[Log] = (), **options: Unpack[InvocationOptions]) -> Invocation: ...
    @overload
    async def invoke(
        self, *, logs: Sequence[Log] = (), concurrent: int, **options: Unpack[InvocationOptions]
    ) -> tuple[Invocation, ...]: ...
    @noted
    async def invoke(
        self,
        *,
        logs: Sequence[Log] = (),
        concurrent: int | None = None,
        **options: Unpack[InvocationOptions],
    ) -> Invocation | tuple[Invocation, ...]:
        """`invocation` in one call; awaits it from INVOKE to the freeze. As LambdaTelemetry.invoke.

        Cancelling ends the invocation where it is.
        """
        call = self._lent("invoke()")
        if concurrent is None:
            return await away(call, lambda: self._sync.invoke(logs=logs, **options))
        return await away(call, lambda: self._sync.invoke(logs=logs, concurrent=concurrent, **options))

    @noted
    async def end_init(self, *, init_duration_ms: float = 100) -> tuple[Delivery, ...]:
        """End the init phase; awaits the extensions' next. As LambdaTelemetry.end_init.

        Cancelled while it waits, it leaves init open.
        """
        return await self._moving(self._sync.end_init, init_duration_ms=init_duration_ms)

    @noted
    async def shutdown(self, reason: ShutdownReason = "spindown") -> tuple[Delivery, ...]:
        """Shut down; awaits the last deliveries and the end of child processes. As LambdaTelemetry.shutdown.

        Cancelled before SHUTDOWN is out, it has only delivered, and can be called again.
        """
        return await self._moving(self._sync.shutdown, reason)

    @noted
    async def restart(self) -> tuple[Delivery, ...]:
        """Await it: begin a new execution environment within the same test, children started again.

        As LambdaTelemetry.restart.
        """
        return await self._moving(self._sync.restart)

    def freeze(self) -> None:
        """Freeze the environment, at once and without an await. As LambdaTelemetry.freeze."""
        self._sync.freeze()

    def thaw(self) -> None:
        """Let it go on where it was, at once and without an await; the next awaited call delivers."""
        self._sync.thaw()

    def close(self) -> None:
        """End the environment at once, without an await: it waits for nobody. As LambdaTelemetry.close."""
        self._sync.close()

    # -- faults, processes ---------------------------------------------------------------------------------------------

    def fail_next_delivery(self, fault: DeliveryFault, times: int = 1, to: Target | None = None) -> None:
        """Let the next deliveries go wrong; nothing is awaited. As LambdaTelemetry.fail_next_delivery."""
        self._sync.fail_next_delivery(fault, times, to)

    def reject_next(
        self,
        route: RouteName,
        status: int = 500,
        error_type: str | None = None,
        message: str | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next call of a route with an error; nothing is awaited. As LambdaTelemetry.reject_next."""
        self._sync.reject_next(route, status, error_type, message, times)

    def run_extension(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        layer: str | os.PathLike[str] | None = None,
    ) -> ExtensionProcess:
        """Start an extension as a child process, at once and without an await. As LambdaTelemetry.run_extension.

        `await wait_until_ready(name)` waits for it. The `wait` of the process blocks: call it on a thread.
        """
        return self._sync.run_extension(argv, name=name, env=env, cwd=cwd, layer=layer)

    # -- the backend ---------------------------------------------------------------------------------------------------

    def backend(self, name: str = "backend", *, tls: bool = False) -> AsyncBackend:
        """A fake intake, made at once and without an await, as LambdaTelemetry.backend; its `wait_for` is awaited."""
        return AsyncBackend(self._sync._require_open(), name, tls, self._waiting)

    @noted
    async def assert_exactly_once(
        self,
        types: Sequence[str] = ("function",),
        *,
        to: Target | None = None,
        key: RecordKey | None = None,
        seen: Seen | None = None,
        dropped: Dropped = "excused",
        timeout: float = 5.0,
    ) -> None:
        """Every record was seen at the backend once; awaits what is on its way. As LambdaTelemetry.assert_exactly_once.

        `key`, and `seen` where it is a callable, are called on a worker thread.
        """
        await self._waiting(
            self._sync.assert_exactly_once, types, to=to, key=key, seen=seen, dropped=dropped, timeout=timeout
        )

    @noted
    async def assert_at_least_once(
        self,
        types: Sequence[str] = ("function",),
        *,
        to: Target | None = None,
        key: RecordKey | None = None,
        seen: Seen | None = None,
        dropped: Dropped = "excused",
        timeout: float = 5.0,
    ) -> None:
        """Every record was seen at the backend; awaits what is on its way. As LambdaTelemetry.assert_at_least_once."""
        await self._waiting(
            self._sync.assert_at_least_once, types, to=to, key=key, seen=seen, dropped=dropped, timeout=timeout
        )

    # -- strictness ----------------------------------------------------------------------------------------------------

    def expect_rejection(
        self, match: str | None = None, timeout: float = 5.0, *, route: str = "subscribe"
    ) -> AbstractAsyncContextManager[ExpectedRejection]:
        """A refused call inside the block is expected, with `async with`. As LambdaTelemetry.expect_rejection.

        Leaving awaits the refusal; cancelled, the block expects no more and fails with nothing.
        """
        return self._entered(partial(self._sync.expect_rejection, match, timeout, route=route), moving=None)

    def check(self) -> None:
        """Raise ProtocolViolation for everything the extension did wrong so far; nothing is awaited."""
        self._sync.check()

    def __repr__(self) -> str:
        return f"<Async{repr(self._sync)[1:]}"


def alongside(environment: LambdaTelemetry) -> AsyncLambdaTelemetry:
    """The same environment for async tests: for fixtures."""
    made = AsyncLambdaTelemetry()
    made._sync = environment
    made._opened = environment._opened
    return made
