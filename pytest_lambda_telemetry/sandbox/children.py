"""The extensions of one environment that are child processes: what they write, whether they live, how they end."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Condition

from .. import events
from ..api.parties import Extensions, LiveExtension
from ..engine.clock import Clock
from ..engine.subscriber import Subscriber
from ..host.addresses import LOOPBACK
from ..host.arguments import extension_name
from ..host.child_names import choose
from ..host.output import INBOX_BYTES, INBOX_LINES, LINE_LIMIT
from ..host.process import ExtensionProcess
from ..model.errors import MisuseError
from ..model.facts import (
    Fact,
    Hinted,
    OutputCut,
    OutputLost,
    ProcessEnded,
    ProcessKilled,
    ProcessStarted,
    ProcessStopped,
    UnknownName,
)
from ..model.ports import OutputTaker, Recorder
from ..real import Real
from . import obituaries
from .excuses import Excuses
from .phases import Phases
from .rest import LOOK_S, await_settled
from .started import Started
from .violations import Violations
from .wrapped import Wrapped

_CHUNK_LINES, _CHUNK_BYTES = 500, 65_536  # a buffer that is not congested has room for so much, however it is escaped
_LINE_COST = INBOX_BYTES // INBOX_LINES
_BUDGET = 2 * INBOX_BYTES  # a whole inbox, whether it is full of lines or of bytes
_CALL_BUDGET = 2 * _BUDGET
_REACTION_S = 1.0  # how long an extension that does not come to rest is waited for, once in a call
_UNPROMPTED_S = 0.25  # what writes more often than that by itself is no loop


class Children:
    """The processes that were started in one environment, oldest first. `lock` is the environment's."""

    def __init__(
        self,
        *,
        lock: Condition,
        journal: Recorder,
        extensions: Extensions,
        phases: Phases,
        violations: Violations,
        excuses: Excuses,
        clock: Clock,
        line_end: str,
        address: str = LOOPBACK,
    ) -> None:
        self._lock = lock
        self._journal = journal
        self._extensions = extensions
        self._phases = phases
        self._violations = violations
        self._excuses = excuses
        self._clock = clock
        self._line_end = line_end
        self._address = address
        self._all: list[ExtensionProcess] = []
        self._told: set[ExtensionProcess] = set()  # of whose end a wait or a violation has told
        self._crashed: set[ExtensionProcess] = set()
        self._taken: Counter[ExtensionProcess] = Counter()
        self._taken_in_call: Counter[ExtensionProcess] = Counter()
        self._moment_us = 0
        self._restless: set[ExtensionProcess] = set()  # they write in this call without a cause: no use to wait
        self._started: dict[ExtensionProcess, Started] = {}
        self.wrapped = Wrapped(lock, extensions)
        self.hints: set[str] = set()  # what the user should be told once
        self.stopped = False

    def __iter__(self) -> Iterator[ExtensionProcess]:
        return iter(tuple(self._all))

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        name: str | None,
        variables: Mapping[str, str],
        cwd: str | os.PathLike[str] | None,
        layer: str | os.PathLike[str] | None = None,
    ) -> ExtensionProcess:
        """Start one as Lambda would, with exactly these variables. Raises MisuseError where that cannot be."""
        name = extension_name(argv, name)
        resolution = choose()
        with self._lock:  # it can't register before it is known here
            process = ExtensionProcess(
                argv,
                name=name,
                env=variables,
                cwd=cwd,
                on_lines=self._woken,
                resolution=resolution,
                address=self._address,
                layer=layer,
            )
            self._all.append(process)
            self._started[process] = Started(argv, name, variables, cwd, layer)
            if resolution.hint is not None and resolution.hint not in self.hints:
                self.hints.add(resolution.hint)
                self._journal.add(Hinted(name, resolution.hint))
            self._journal.add(ProcessStarted(name, process.pid, resolution.description))
        return process

    def start_again(self) -> None:
        """The next execution environment starts what the one before it had started."""
        self.kill()  # one that was started after the shutdown
        ended, self._all = self._all, []  # how those ended is the earlier environment's
        self.wrapped.begin_anew()
        for started in [self._started.pop(process) for process in ended]:
            self.run(
                started.argv,
                name=started.name,
                variables=started.variables,
                cwd=started.cwd,
                layer=started.layer,
            )

    def _woken(self) -> None:
        with self._lock:
            self._lock.notify_all()

    def of(self, name: str) -> ExtensionProcess | None:
        """The process that runs this extension, the latest of several; None if we started none."""
        named = next((process for process in reversed(self._all) if process.name == name), None)
        return named or self.wrapped.process_of(name)

    def extension_in(self, process: ExtensionProcess) -> LiveExtension | None:
        """The extension that this process runs, if one has registered."""
        return next((one for name in self.wrapped.names(process) if (one := self._extensions.by_name(name))), None)

    def _excused(self, process: ExtensionProcess) -> bool:
        return any(map(self._excuses.extension, self.wrapped.names(process)))

    @property
    def unregistered(self) -> list[ExtensionProcess]:
        """Those that run and have not registered yet."""
        return [one for one in self if not one.registered and one.returncode is None and not one.closed]

    def registered(self, name: str, *, wrapped: bool) -> None:
        """An extension of this name has registered; the caller holds the lock.

        `wrapped`: it is internal, and runs in no thread of ours; it may run in a child of another name.
        """
        process = self.of(name)
        if process is None and wrapped:
            process = self.wrapped.registered(name, self.unregistered)
        if process is not None:
            process.registered = True
            return
        waiting = tuple(one.name for one in self if not one.registered and one.returncode is None)
        if waiting:
            self._journal.add(UnknownName(name, waiting))

    # -- output --------------------------------------------------------------------------------------------------------

    def pump(self) -> bool:
        """Read what they have written so far; whether nothing of it waits to be taken in."""
        if not self._all:  # as a rule: every call comes by here
            return True
        for process in self:
            process.pump()
        return not self.has_output()

    def has_output(self) -> bool:
        """Lines wait to be taken in."""
        return any(process.has_lines for process in self)

    def await_output(self, name: str) -> None:
        """Let the extension that has just answered do what it does then (real): it may write something more."""
        process = self.of(name)
        if process is None or process in self._restless:
            return
        with self._lock:
            if not await_settled(process, self._lock, lambda: self._may_write(process), _REACTION_S):
                self._restless.add(process)

    def await_unprompted(self, name: str) -> None:
        """Give an extension to which nothing is being sent a moment: what it writes has another cause."""
        process = self.of(name)
        if process is not None:
            deadline = Real.monotonic() + _UNPROMPTED_S
            with self._lock:
                while self._may_write(process) and not process.has_lines:
                    remaining = deadline - Real.monotonic()
                    if remaining <= 0 and (process.settled() is not False or remaining < -_REACTION_S):
                        return  # else it waits for a processor, and may be about to write
                    self._lock.wait(max(remaining, LOOK_S))
                self._restless.add(process)

    def settled(self, names: Sequence[str]) -> bool | None:
        """All of these rest; None where one is no child of ours, or the system does not tell. The lock is held."""
        seen = [None if (process := self.of(name)) is None else process.settled() for name in names]
        return None if None in seen else all(seen)

    def blame_unregistered(self, name: str, when: str) -> None:
        """A process that is no extension by then is told of, once. The lock is held."""
        process = self.of(name)
        if process is not None and process not in self._told:
            self._told.add(process)
            self._blame_unregistered(process, when, running=process.returncode is None)

    def _blame_unregistered(self, process: ExtensionProcess, when: str, *, running: bool) -> None:
        if not self._excused(process):
            self._violations.add(obituaries.never_registered(process, when, running=running))

    def _may_write(self, process: ExtensionProcess) -> bool:
        return process.returncode is None and not self.stopped

    def drain(self, taker: OutputTaker) -> None:
        """Turn what they have written into `extension` events, as far as there is room.

        At one moment of one call it takes no more of a process than an inbox holds, and in one call, however far it
        moves time, no more than a few: one that never stops writing must not keep a call from returning.
        """
        if not self._all:
            return
        if self._clock.elapsed_us != self._moment_us:
            self._moment_us = self._clock.elapsed_us
            self._taken.clear()
        for process in self:
            for _ in process.take_notes():
                self._add(OutputCut(process.name, LINE_LIMIT))
            while self._may_take(process) and not taker.congested and self._take(process, taker):
                pass

    def _add(self, fact: Fact) -> None:
        with self._lock:
            self._journal.add(fact)

    def _may_take(self, process: ExtensionProcess) -> bool:
        return self._taken[process] < _BUDGET and self._taken_in_call[process] < _CALL_BUDGET

    def _take(self, process: ExtensionProcess, taker: OutputTaker) -> bool:
        lines, lost, lost_bytes = process.take_lines(_CHUNK_LINES, _CHUNK_BYTES)
        if lines:
            cost = sum(max(len(line), _LINE_COST) for line in lines)
            self._taken[process] += cost
            self._taken_in_call[process] += cost
            taker.take_output([events.extension(line + self._line_end) for line in lines], process.name)
        if lost:
            self._add(OutputLost(process.name, lost, lost_bytes))
        return bool(lines)

    def end_call(self) -> None:
        """The next call may take as much again."""
        if self._all:  # as a rule there is none
            self._taken.clear()
            self._taken_in_call.clear()
            self._restless.clear()

    # -- freeze and end ------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop all of them where they stand."""
        self.stopped = True
        for process in self:
            process.stop()

    def cont(self) -> None:
        """Let them go on."""
        self.stopped = False
        for process in self:
            process.cont()

    def _is_stopped(self, name: str) -> bool:
        process = self.of(name) if self.stopped else None
        return process is not None and process.returncode is None

    def reachable(self, subscribers: Iterable[Subscriber]) -> list[Subscriber]:
        """Those whose listener is in no stopped process: a delivery to one could only time out."""
        found: list[Subscriber] = []
        for subscriber in subscribers:
            if not self._is_stopped(subscriber.name):
                found.append(subscriber)
            elif not subscriber.buffer.empty:
                self._add(ProcessStopped(subscriber.name))
        return found

    def require_running(self, name: str) -> None:
        """Raises MisuseError while this extension's process is stopped."""
        if self._is_stopped(name):
            raise MisuseError(
                f"the environment is frozen, and with it the process of extension {name!r}: nothing can be sent to it;"
                " call thaw() first"
            )

    def end(self, grace_s: float, has_grace: Callable[[ExtensionProcess], bool]) -> None:
        """Let them end by themselves within `grace_s` real seconds in all, then kill them; the others at once."""
        deadline = Real.monotonic() + grace_s
        for process in self:
            if process.closed:
                continue
            grace = has_grace(process)
            unregistered = not process.registered and process not in self._told
            running = process.returncode is None
            process.terminate(max(0.0, deadline - Real.monotonic()) if grace else 0.0)
            with self._lock:
                if process.killed:
                    self._journal.add(ProcessKilled(process.name, had_grace=grace))
                elif process not in self._crashed:  # else it is known already
                    self._journal.add(ProcessEnded(process.name, process.returncode))
                if unregistered:
                    self._blame_unregistered(process, "before the environment ended", running=running)
                elif grace:
                    self._judge_end(process)

    def _judge_end(self, process: ExtensionProcess) -> None:
        """An extension that was told of the shutdown, and had time to end: did it, and well? The lock is held."""
        extension = self.extension_in(process)
        if extension is None or extension.failed or "SHUTDOWN" not in extension.events or process in self._crashed:
            return
        if process.killed and not extension.overdue:
            self._violations.add(obituaries.killed(process, asked=extension.pending is None))
        elif process.returncode and not process.killed and not self._excused(process):
            self._violations.add(obituaries.ended_with_code(process))

    def kill(self) -> None:
        """End all of them at once."""
        for process in self:
            process.terminate(0.0)

    # -- early ends ----------------------------------------------------------------------------------------------------

    def note_dead(self) -> None:
        """A process that ended by itself after it registered and before SHUTDOWN is a crash."""
        if self._phases.ending or not self._all:
            return
        for process in self:
            if process.returncode is not None and process.registered and process not in self._crashed:
                self._crashed.add(process)
                with self._lock:
                    self._journal.add(ProcessEnded(process.name, process.returncode))
                    extension = self.extension_in(process)
                    if extension is not None and not extension.failed:
                        extension.end()
                        if not self._excused(process):
                            self._violations.add(obituaries.crashed(process))
                            if self._violations.strict:  # else nobody is told, and a wait must end of it
                                self._told.add(process)

    def note_unregistered(self) -> None:
        """A process that ended by itself without having registered never will, when a test ends."""
        for process in self:
            if not (self._phases.ending or process.registered or process.returncode is None):
                with self._lock:
                    self.blame_unregistered(process.name, "before the test ended")

    def has_crashed(self, name: str) -> bool:
        """Its process ended by itself before SHUTDOWN, or its thread died: what came of that is no fault of its own."""
        process, extension = self.of(name), self._extensions.by_name(name)
        return (process is not None and process in self._crashed) or (extension is not None and extension.abandoned)

    def dead(self, name: str | None) -> ExtensionProcess | None:
        """One that has ended and for which a wait waits in vain; without `name` only one nobody was told of yet."""
        for process in self:
            gone = process.returncode is not None
            if gone and ((name is not None and process is self.of(name)) or self._is_news(process, name)):
                return process
        return None

    def _is_news(self, process: ExtensionProcess, name: str | None) -> bool:
        blamed = process in self._crashed and self._violations.strict and not self._excused(process)
        told = process in self._told or blamed
        return name is None and not told

    def obituary(self, process: ExtensionProcess) -> str:
        """How a process ended, for a message; from now on somebody was told."""
        self._told.add(process)
        excused = obituaries.EXCUSED if self._excused(process) else ""
        return obituaries.ended_by_itself(process) + excused
