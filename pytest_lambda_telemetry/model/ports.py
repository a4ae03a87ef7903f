"""What the rooms ask of one another, as narrow as each needs it."""

from collections.abc import Sequence
from typing import Protocol

from .event import Event
from .facts import Fact, SentBatch


class ForeignClock(Protocol):
    """Somebody else's time that this process is under, freezegun's or time-machine's: read and moved unnoticed."""

    @property
    def name(self) -> str:
        """The library's: "freezegun" or "time-machine"."""

    @property
    def key(self) -> object:
        """What is active, by identity: another object when a nested freeze begins or ends."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC, as the next read in this process sees them; reading moves nothing."""

    def move_us(self, delta_us: int) -> None:
        """Move exactly this far from now, without a call to any listener."""


class Recorder(Protocol):
    """Where facts go. The caller holds the environment's lock."""

    def add(self, fact: Fact) -> None: ...


class SendOutcome(Protocol):
    """What became of one try at sending. `status` is None over TCP and when no answer came; then `error` says why."""

    @property
    def ok(self) -> bool: ...
    @property
    def status(self) -> int | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def duration_ms(self) -> float: ...
    @property
    def timed_out(self) -> bool: ...


class Deliverer(Protocol):
    """Carries batches to listeners; for one thread at a time."""

    def send(self, batch: SentBatch) -> tuple[SendOutcome, bool]:
        """Deliver its bytes once, in real time and bounded; what became of it, and whether the test injected that.

        Never raises for what a listener does.
        """


class OutputTaker(Protocol):
    """Makes events of what processes have written."""

    @property
    def congested(self) -> bool:
        """More output would find no room before a batch is sent."""

    def take_output(self, events: Sequence[Event], by: str) -> None:
        """These lines were written by the process of extension `by`."""


class ChildOutput(Protocol):
    """What the processes of extensions write, as the loop that moves time asks for it."""

    def pump(self) -> bool:
        """Read what they have written so far; whether nothing of it waits to be taken in."""

    def drain(self, taker: OutputTaker) -> None:
        """Hand over what they have written, as far as there is room."""

    def has_output(self) -> bool:
        """Lines wait to be taken in."""

    def await_output(self, name: str) -> None:
        """Give the extension that has just answered a moment (real) to write something more."""

    def await_unprompted(self, name: str) -> None:
        """Give an extension to which nothing is being sent the same moment."""
