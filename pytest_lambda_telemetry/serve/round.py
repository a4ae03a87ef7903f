"""One environment as the server holds it, from one reset to the next: its calls, and what clients have begun in it."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from ..engine.turns import Interrupted, WorkerCall
from ..environment import LambdaTelemetry, over
from ..host.process import ExtensionProcess
from ..model import checks
from ..model.errors import MisuseError
from ..real import Real
from ..sandbox.assembly import assemble
from ..sandbox.backend import Backend
from ..sandbox.invocation import Invocation
from ..settings import Settings
from ..wire.server import Server
from .hangups import HangUps
from .line import Line
from .members import Kind

_KEPT = 1_000
"""How many blocks and processes of the past can still be read."""
_CUT_SHORT_S = 5.0


class Over(Exception):
    """The environment that a call was made in is no longer there."""

    def __init__(self) -> None:
        super().__init__("this call was cut short: the environment was reset or ended, or the server ends; call again")


@dataclass(slots=True, eq=False)
class Block:
    """What POST has begun and DELETE ends: the context that was entered, and what that yielded."""

    context: AbstractContextManager[object]
    yielded: Any  # an Invocation or an ExpectedRejection
    open: bool = True


class Round:
    """`server` is the extensions' side, the same for every round; `hang_ups` looks after the clients.

    To be made on a thread that makes no calls: it owns the environment's time, and each call borrows that.
    """

    def __init__(self, settings: Settings, server: Server, hang_ups: HangUps) -> None:
        self.sandbox = assemble(settings, server=server)
        self.environment: LambdaTelemetry = over(self.sandbox)
        self.blocks: dict[str, OrderedDict[str, Block]] = {}
        self.backends: dict[str, Backend] = {}
        self.processes: OrderedDict[str, ExtensionProcess] = OrderedDict()
        self._hang_ups = hang_ups
        self._line = Line()
        self._lock = threading.Lock()
        self._calls: set[WorkerCall] = set()
        self._over = False
        self._numbers = count(1)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def call(self, kind: Kind, work: Callable[[], object], alive: Callable[[], bool]) -> object:
        """Make a call on this thread; it ends early when its client hangs up.

        Raises what it raises, Interrupted where the client has hung up, Over where this round has ended meanwhile.
        """
        moves = kind in (Kind.MOVE, Kind.BLOCK)
        call = WorkerCall(self.sandbox.turns, moves_time=moves or kind is Kind.FEED)
        with self._noted(call), self._hang_ups.watching(call, alive):
            try:
                if kind is Kind.FEED:
                    return call.run(work) if self._line.empty and call.lend() else work()
                if moves:
                    with self._line.place(call):
                        return call.run(work)
                return call.run(work)
            except Interrupted:
                if self._over:
                    raise Over from None
                raise

    @contextmanager
    def _noted(self, call: WorkerCall) -> Iterator[None]:
        with self._lock:
            if self._over:
                raise Over
            self._calls.add(call)
        try:
            yield
        finally:
            with self._lock:
                self._calls.discard(call)

    def warnings(self) -> list[str]:
        """What is suspicious and was not told yet."""
        return self.sandbox.suspicions.untold()

    # -- what is begun and ended ---------------------------------------------------------------------------------------

    def begin(self, what: str, make: Callable[[], AbstractContextManager[Any]]) -> tuple[str, Any]:
        """Enter a block; its id and what it yields."""
        context = make()
        yielded = context.__enter__()
        blocks = self.blocks.setdefault(what, OrderedDict())
        with self._lock:
            wanted = yielded.request_id if isinstance(yielded, Invocation) else str(next(self._numbers))
            identifier = wanted if wanted not in blocks else f"{wanted}-{next(self._numbers)}"
            blocks[identifier] = Block(context, yielded)
            self._forget(blocks)
        return identifier, yielded

    def end(self, block: Block) -> Any:  # as Block.yielded
        """Leave a block; what it yielded."""
        with self._lock:
            if not block.open:
                raise MisuseError(f"{block.yielded!r} has ended already; GET shows what came of it")
            block.open = False
        block.context.__exit__(None, None, None)
        return block.yielded

    def _forget(self, blocks: OrderedDict[str, Block]) -> None:
        past = [name for name, block in blocks.items() if not block.open]
        for name in past[: max(0, len(blocks) - _KEPT)]:
            del blocks[name]

    def started(self, process: ExtensionProcess) -> None:
        """A process of this name can be asked for from now on."""
        with self._lock:
            self.processes[process.name] = process

    def process(self, name: str) -> ExtensionProcess | None:
        """The latest process of this name, also one that `restart()` has started again."""
        return self.sandbox.children.of(name) or self.processes.get(name)

    def await_end(self, process: ExtensionProcess, timeout: float) -> int:
        """ExtensionProcess.wait, as a call that can be cut short."""
        deadline = Real.monotonic() + checks.timeout(timeout)
        with self.sandbox.lock:
            while (code := process.returncode) is None:
                self.sandbox.turns.check()
                remaining = deadline - Real.monotonic()
                if remaining <= 0:
                    raise process.overdue(timeout)
                self.sandbox.lock.wait(remaining)
        return code

    # -- its end -------------------------------------------------------------------------------------------------------

    def cut_short(self) -> None:
        """Let all calls end, at their next step; from now on no other begins."""
        with self._lock:
            self._over = True
        deadline = Real.monotonic() + _CUT_SHORT_S
        while (calls := self._running()) and Real.monotonic() < deadline:
            for call in calls:
                call.interrupt()
            Real.sleep(0.001)

    def reopen(self) -> None:
        """Let calls begin again: those that act are told that the environment is closed."""
        with self._lock:
            self._over = False

    def _running(self) -> list[WorkerCall]:
        with self._lock:
            return list(self._calls)

    def finish(self) -> tuple[str | None, list[str]]:
        """End the environment as leaving its block does; what the extension did wrong, and what is suspicious."""
        self._leave_blocks()
        if not self.sandbox.closed:
            self.sandbox.end()
        return self.sandbox.take_violations(), self.sandbox.suspicions.untold(over=True)

    def _leave_blocks(self) -> None:
        """What clients have begun and not ended is put in order, without moving time."""
        for block in [block for blocks in self.blocks.values() for block in blocks.values() if block.open]:
            block.open = False
            call = WorkerCall(self.sandbox.turns, interrupted=True)
            error = Interrupted()
            with suppress(Exception):
                call.run(partial(block.context.__exit__, Interrupted, error, None))
