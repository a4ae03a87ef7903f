"""The loop watch: an extension whose handling of telemetry makes telemetry that comes back to it, for ever.

Theory of operation. Output that was written because a batch was delivered is one *generation* later than that batch.
Output that has another cause (the test emitted something, Lambda handed the extension an event) is of generation 0, and
what is no output of a process at all is UNPROMPTED. A batch is of the least generation among its events. A subscriber
that takes three batches in a row, each of nothing but output caused by the one before, is in a loop: it is told once,
and its output is delivered to it no longer.

What caused a line can only be known by when it is read: so the child's pipe is read right before and right after each
delivery, and a child that has just answered gets a moment for what it writes behind its answer.
"""

from collections.abc import Callable

from ..model.ports import ChildOutput, OutputTaker
from ..model.records import Subscription
from ..protocol.buffering import Batch
from .subscriber import Subscriber

UNPROMPTED = -1
"""The generation of what no delivery can have caused."""

LOOP_LENGTH = 3
"""So many batches in a row that hold only output caused by the batch before are a loop."""


class LoopWatch:
    """Of one environment. The caller holds the environment's lock, but for the calls that wait for a child."""

    def __init__(self, output: ChildOutput, report: Callable[[Subscription], None]) -> None:
        self._output = output
        self._report = report
        self._looping: set[Subscriber] = set()
        self._generation = 0  # of output that is taken in now
        self._excused: set[str] = set()  # extensions whose next output has a cause of its own

    def excuse(self, name: str) -> None:
        """Lambda has handed this extension an event: the output that follows has a cause of its own."""
        self._excused.add(name)

    def generation_of(self, by: str) -> int:
        """Of output of an extension's process that is being taken in."""
        generation = 0 if by in self._excused else self._generation
        self._excused.discard(by)
        return generation

    def withholds(self, subscriber: Subscriber, source: str, generation: int) -> bool:
        """These events are not for this subscriber any more: it is in a loop, and they are part of it."""
        own_output = generation >= 0 and source == subscriber.name
        return subscriber in self._looping and (own_output or generation > 0)

    def before(self, subscriber: Subscriber, batch: Batch) -> bool:
        """Look, before a batch is sent, at what has been written so far; whether it was nothing."""
        if batch.generation >= LOOP_LENGTH and subscriber not in self._looping:  # first a look without a cause
            self._output.await_unprompted(subscriber.name)
        quiet = self._output.pump()
        if not quiet:
            batch.generation = min(batch.generation, 0)
        return quiet

    def acknowledged(self, subscriber: Subscriber, batch: Batch) -> None:
        """A batch has arrived: with it the subscriber may have become part of a loop."""
        if batch.generation >= LOOP_LENGTH and subscriber not in self._looping:
            self._looping.add(subscriber)
            self._report(subscriber.subscription)

    def after(
        self, subscriber: Subscriber, batch: Batch, *, ok: bool, quiet: bool, last: bool, take_in: OutputTaker | None
    ) -> None:
        """Look, after a batch was tried, at what that has caused; `last`: nothing else is being sent.

        `take_in`, if any, makes events of it now.
        """
        self._output.pump()
        if ok and subscriber.takes("extension") and (batch.generation >= 0 or last):
            self._output.await_output(subscriber.name)
        if take_in is not None:
            self._generation = max(batch.generation, 0) + 1 if quiet and ok else 0
            self._output.drain(take_in)
            self._generation = 0
