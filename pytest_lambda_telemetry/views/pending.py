"""What is still to come when a test looks: the end of the timeline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .moments import in_advance

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events that wait to be sent to an extension, the first of them in `due_us` of environment time.

    `tried`: how often their batch was sent, `answer` how the last of these tries ended; `behind`: they wait for
    one that was tried; `ended`: their extension has ended.
    """

    who: str
    count: int
    due_us: int
    tried: int = 0
    answer: str = ""
    behind: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Troubled:
    """A process that has not registered, or has failed; `output` are its last lines."""

    who: str
    state: str
    output: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What shall go wrong: the call that asked for it, how often it is still to happen, and whether it has begun to."""

    said: str
    times: int
    used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """All of it. `frozen`: time stands still."""

    waiting: Sequence[Waiting] = ()
    nobody: bool = False
    processes: Sequence[Troubled] = ()
    faults: Sequence[Fault] = ()
    frozen: bool = False

    @property
    def lines(self) -> list[str]:
        """As a person reads it; none where nothing is pending."""
        lines = [line for part in self._parts() for line in part[: _SHOWN + 1]]
        return ["pending:", *(f"  {line}" for line in lines)] if lines else []

    def _parts(self) -> Iterator[list[str]]:
        yield _bounded([self._waits(one) for one in self.waiting])
        yield ["nothing is subscribed"] if self.nobody else []
        for process in self.processes[-_SHOWN:]:
            yield [
                f"the process of extension {process.who!r} {process.state}; its last output:",
                *process.output.splitlines(),
            ]
        yield _bounded([_planned(fault) for fault in self.faults])

    def _waits(self, one: Waiting) -> str:
        events = "1 event" if one.count == 1 else f"{one.count} events"
        if one.ended:
            return f"{events} for {one.who!r} left when the environment ended: never delivered"
        if one.behind:
            return f"{events} buffered for {one.who!r} behind that"
        if one.tried:
            times = "once" if one.tried == 1 else f"{one.tried} times"
            what, comes = f"{events} for {one.who!r} sent {times}, the last time {one.answer}", "retried"
        else:
            what, comes = f"{events} buffered for {one.who!r}", "due"
        if self.frozen:
            return f"{what}, frozen: comes with the next invocation or at shutdown"
        if one.due_us <= 0:
            return f"{what}, {comes} now: with the next call that moves time"
        return f"{what}, {comes} {in_advance(one.due_us)}"


def _planned(fault: Fault) -> str:
    if not fault.used:
        return f"{fault.said} is planned: nothing has met it yet"
    return f"{fault.said} is planned: {'once' if fault.times == 1 else f'{fault.times} times'} more"


def _bounded(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"… and {len(lines) - _SHOWN} more"]
