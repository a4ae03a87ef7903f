"""AsyncLambdaTelemetry: the same environment, for async tests."""

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload

from anyio import CancelScope, CapacityLimiter, get_cancelled_exc_class, to_thread

from .engine.turns import Interrupted, WorkerCall
from .environment import LambdaTelemetry
from .host.child_names import choose
from .host.process import ExtensionProcess
from .model.errors import MisuseError
from .model.event import Event, Log
from .model.records import Buffering, Delivery, Extension, Subscription
from .recorded import Recorded, Target
from .sandbox.delivery_faults import DeliveryFault
from .sandbox.invocation import Invocation, InvocationOptions, ShutdownReason
from .sandbox.violations import ExpectedRejection
from .script import Script
from .settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


class AsyncLambdaTelemetry(Recorded):
    """LambdaTelemetry for async tests, on asyncio or trio: the same members, with the same meaning.

    Those that wait are coroutines (`invocation` and `expect_rejection` are async context managers); they work on a
    thread of their own, so the running loop goes on and a listener may live on it. Cancelling one ends it between two
    deliveries; what it did so far stands. The `async_lambda_telemetry` fixture yields one that is started.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._sync = LambdaTelemetry(settings)

    async def __aenter__(self) -> Self:
        await to_thread.run_sync(choose, limiter=CapacityLimiter(1))  # it starts a process: not on the running loop
        self._sync.__enter__()
        self._opened = self._sync._opened
        return self

    async def __aexit__(self, *error: Any) -> None:  # the three values of every __exit__
        with CancelScope(shield=True):
            await to_thread.run_sync(partial(self._sync.__exit__, *error), limiter=CapacityLimiter(1))

    async def _waiting(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call that waits for others, on a worker thread; any number of them may wait at once."""
        return await _away(self._call(), partial(call, *args, **kwargs))

    async def _moving(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call on a worker thread that owns time meanwhile. Raises MisuseError while another one does."""
        return await _away(self._lent(f"{call.__name__}()"), partial(call, *args, **kwargs))

    def _call(self) -> WorkerCall:
        """A call that moves no time."""
        return WorkerCall(self._sandbox.turns)

    def _lent(self, what: str) -> WorkerCall:
        """A call that has the turn. Raises MisuseError while another one has it."""
        call = WorkerCall(self._sandbox.turns, moves_time=True)
        if not call.lend():
            raise MisuseError(
                f"{what} was called while another awaited call still moves time, and only one at a time can: await the"
                " other one first. (emit() may be called meanwhile: it only buffers)"
            )
        return call

    @asynccontextmanager
    async def _entered(self, make: Callable[[], AbstractContextManager[T]], *, moving: str | None) -> AsyncIterator[T]:
        """A context manager whose entering and leaving wait, made, entered and left on worker threads.

        `moving` names it where both move time. Leaving then waits for its turn, so that what was begun always ends.
        """
        entered: list[tuple[AbstractContextManager[T], T]] = []

        def enter() -> None:
            context = make()
            entered.append((context, context.__enter__()))

        try:
            await _away(self._lent(moving) if moving else self._call(), enter)
            yield entered[0][1]
        except BaseException as error:
            if not entered or isinstance(error, GeneratorExit):
                raise
            if not await self._leave(entered[0][0], error, moving=moving is not None):
                raise
        else:
            await self._leave(entered[0][0], None, moving=moving is not None)

    async def _leave(
        self, context: AbstractContextManager[object], error: BaseException | None, *, moving: bool
    ) -> bool | None:
        """Leave a block in any case: a cancelled one as quickly as it can be put in order."""
        begun = False

        def leave(error: BaseException | None) -> bool | None:
            nonlocal begun
            begun = True
            return context.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)

        cancelled = get_cancelled_exc_class()
        if not isinstance(error, cancelled):
            try:
                return await _away(self._leaving(moving, hurried=False), partial(leave, error))
            except cancelled as cancellation:
                if begun:
                    raise
                error = cancellation
        with CancelScope(shield=True):
            while not begun:
                with suppress(Interrupted, cancelled):  # asyncio lets a shielded task be cancelled again
                    await _away(self._leaving(moving, hurried=True), partial(leave, error))
        raise error

    def _leaving(self, moving: bool, *, hurried: bool) -> WorkerCall:
        """A call that gets the turn as soon as no other call has it."""
        return WorkerCall(self._sandbox.turns, moves_time=True, interrupted=hurried) if moving else self._call()

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def wait_for_extension(self, name: str | None = None, timeout: float = 5.0) -> Extension:
        """As LambdaTelemetry.wait_for_extension."""
        return await self._waiting(self._sync.wait_for_extension, name, timeout)

    async def wait_for_subscription(self, name: str | None = None, timeout: float = 5.0) -> Subscription:
        """As LambdaTelemetry.wait_for_subscription."""
        return await self._waiting(self._sync.wait_for_subscription, name, timeout)

    async def wait_until_ready(self, name: str | None = None, timeout: float = 5.0) -> Extension:
        """As LambdaTelemetry.wait_until_ready."""
        return await self._waiting(self._sync.wait_until_ready, name, timeout)

    async def wait_until(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """As LambdaTelemetry.wait_until; the predicate is called on a worker thread."""
        await self._waiting(self._sync.wait_until, predicate, timeout)

    # -- acting as the extension ---------------------------------------------------------------------------------------

    def register(self, name: str = "test-extension", events: Sequence[str] = ("INVOKE", "SHUTDOWN")) -> Extension:
        """As LambdaTelemetry.register."""
        return self._sync.register(name, events)

    def subscribe(
        self,
        uri: str | None = None,
        types: Sequence[str] = ("platform", "function", "extension"),
        schema_version: str = "2025-01-29",
        buffering: Buffering | Mapping[str, int] | None = None,
        name: str = "test-extension",
        *,
        port: int | None = None,
    ) -> Subscription:
        """As LambdaTelemetry.subscribe."""
        return self._sync.subscribe(uri, types, schema_version, buffering, name, port=port)

    # -- telemetry and time --------------------------------------------------------------------------------------------

    async def emit(self, *events: Event) -> tuple[Delivery, ...]:
        """As LambdaTelemetry.emit."""
        call = WorkerCall(self._sandbox.turns, moves_time=True)
        if not call.lend():  # another call moves time
            return self._sync.emit(*events)  # only buffers
        return await _away(call, partial(self._sync.emit, *events))

    async def push(self, batch: Iterable[Event], to: Target | None = None) -> Delivery:
        """As LambdaTelemetry.push."""
        return await self._moving(self._sync.push, batch, to)

    async def advance(
        self, delta: timedelta | None = None, *, seconds: float = 0, ms: float = 0
    ) -> tuple[Delivery, ...]:
        """As LambdaTelemetry.advance."""
        return await self._moving(self._sync.advance, delta, seconds=seconds, ms=ms)

    async def flush(self, to: Target | None = None) -> tuple[Delivery, ...]:
        """As LambdaTelemetry.flush."""
        return await self._moving(self._sync.flush, to)

    async def play(self, script: Script) -> tuple[Delivery, ...]:
        """As LambdaTelemetry.play."""
        return await self._moving(self._sync.play, script)

    # -- life cycle ----------------------------------------------------------------------------------------------------

    def invocation(self, **options: Unpack[InvocationOptions]) -> AbstractAsyncContextManager[Invocation]:
        """As LambdaTelemetry.invocation, with `async with`."""
        return self._entered(partial(self._sync.invocation, **options), moving="invocation()")

    @overload
    async def invoke(self, *, logs: Sequence[Log] = (), **options: Unpack[InvocationOptions]) -> Invocation: ...
    @overload
    async def invoke(
        self, *, logs: Sequence[Log] = (), concurrent: int, **options: Unpack[InvocationOptions]
    ) -> tuple[Invocation, ...]: ...
    async def invoke(
        self,
        *,
        logs: Sequence[Log] = (),
        concurrent: int | None = None,
        **options: Unpack[InvocationOptions],
    ) -> Invocation | tuple[Invocation, ...]:
        """As LambdaTelemetry.invoke."""
        call = self._lent("invoke()")
        if concurrent is None:
            return await _away(call, lambda: self._sync.invoke(logs=logs, **options))
        return await _away(call, lambda: self._sync.invoke(logs=logs, concurrent=concurrent, **options))

    async def end_init(self, *, init_duration_ms: float = 100) -> tuple[Delivery, ...]:
        """As LambdaTelemetry.end_init."""
        return await self._moving(self._sync.end_init, init_duration_ms=init_duration_ms)

    async def shutdown(self, reason: ShutdownReason = "spindown") -> tuple[Delivery, ...]:
        """As LambdaTelemetry.shutdown."""
        return await self._moving(self._sync.shutdown, reason)

    async def restart(self) -> tuple[Delivery, ...]:
        """As LambdaTelemetry.restart."""
        return await self._moving(self._sync.restart)

    def freeze(self) -> None:
        """As LambdaTelemetry.freeze."""
        self._sync.freeze()

    def thaw(self) -> None:
        """As LambdaTelemetry.thaw."""
        self._sync.thaw()

    def close(self) -> None:
        """As LambdaTelemetry.close."""
        self._sync.close()

    # -- faults, processes ---------------------------------------------------------------------------------------------

    def fail_next_delivery(self, fault: DeliveryFault, times: int = 1, to: Target | None = None) -> None:
        """As LambdaTelemetry.fail_next_delivery."""
        self._sync.fail_next_delivery(fault, times, to)

    def reject_next(
        self, route: str, status: int = 500, error_type: str | None = None, message: str | None = None, times: int = 1
    ) -> None:
        """As LambdaTelemetry.reject_next."""
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
        """As LambdaTelemetry.run_extension."""
        return self._sync.run_extension(argv, name=name, env=env, cwd=cwd, layer=layer)

    # -- strictness ----------------------------------------------------------------------------------------------------

    def expect_rejection(
        self, match: str | None = None, timeout: float = 5.0, *, route: str = "subscribe"
    ) -> AbstractAsyncContextManager[ExpectedRejection]:
        """As LambdaTelemetry.expect_rejection, with `async with`."""
        return self._entered(partial(self._sync.expect_rejection, match, timeout, route=route), moving=None)

    def check(self) -> None:
        """As LambdaTelemetry.check."""
        self._sync.check()

    def __repr__(self) -> str:
        return f"<Async{repr(self._sync)[1:]}"


def alongside(environment: LambdaTelemetry) -> AsyncLambdaTelemetry:
    """The same environment for async tests: for fixtures."""
    made = AsyncLambdaTelemetry()
    made._sync = environment
    made._opened = environment._opened
    return made


async def _away(call: WorkerCall, work: Callable[[], T]) -> T:
    """Make a call on a worker thread of its own. Cancelled, it is cut short, and has ended before this returns.

    Needs no timer of the loop, which may be frozen, and no place in the loop's pool, which may be taken.
    """
    try:
        return await to_thread.run_sync(call.run, work, abandon_on_cancel=True, limiter=CapacityLimiter(1))
    except BaseException as error:
        call.interrupt()
        if not isinstance(error, (Exception, GeneratorExit)):
            with CancelScope(shield=True):
                while not call.ended:
                    with suppress(get_cancelled_exc_class()):  # asyncio lets a shielded task be cancelled again
                        await to_thread.run_sync(call.wait, limiter=CapacityLimiter(1))
        raise
