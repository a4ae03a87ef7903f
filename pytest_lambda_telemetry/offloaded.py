"""Calls of the environment made on worker threads: a running loop goes on, and cancelled they are cut short."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CancelScope, CapacityLimiter, get_cancelled_exc_class, to_thread

from .engine.turns import Interrupted, WorkerCall
from .model.errors import MisuseError
from .recorded import Recorded

P = ParamSpec("P")
T = TypeVar("T")


class Offloaded(Recorded):
    """An environment whose calls are awaited."""

    async def _waiting(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call that waits for others, on a worker thread; any number of them may wait at once."""
        result = await away(self._call(), partial(call, *args, **kwargs))
        self._sandbox.suspicions.tell_here()
        return result

    async def _moving(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call on a worker thread that owns time meanwhile. Raises MisuseError while another one does."""
        result = await away(self._lent(f"{call.__name__}()"), partial(call, *args, **kwargs))
        self._sandbox.suspicions.tell_here()
        return result

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
            await away(self._lent(moving) if moving else self._call(), enter)
            yield entered[0][1]
        except BaseException as error:
            if not entered or isinstance(error, GeneratorExit):
                raise
            if not await self._leave(entered[0][0], error, moving=moving is not None):
                raise
        else:
            await self._leave(entered[0][0], None, moving=moving is not None)
            self._sandbox.suspicions.tell_here()

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
                return await away(self._leaving(moving, hurried=False), partial(leave, error))
            except cancelled as cancellation:
                if begun:
                    raise
                error = cancellation
        with CancelScope(shield=True):
            while not begun:
                with suppress(Interrupted, cancelled):  # asyncio lets a shielded task be cancelled again
                    await away(self._leaving(moving, hurried=True), partial(leave, error))
        raise error

    def _leaving(self, moving: bool, *, hurried: bool) -> WorkerCall:
        """A call that gets the turn as soon as no other call has it."""
        return WorkerCall(self._sandbox.turns, moves_time=True, interrupted=hurried) if moving else self._call()


async def away(call: WorkerCall, work: Callable[[], T]) -> T:
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
