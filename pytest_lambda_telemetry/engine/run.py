"""The discrete-event loop: it moves time from one due moment to the next and delivers what is due there.

Only a call that holds the turn runs it (with `clock="system"` also the background thread); every other thread merely
buffers. The lock guards buffers and records and is never held while a delivery is on its way.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ..model.errors import MisuseError
from ..model.event import Event
from ..model.facts import (
    Dropped,
    Emitted,
    HeldEvents,
    InitTelemetryLost,
    Replayed,
    SentBatch,
)
from ..model.ports import ChildOutput, SendOutcome
from ..model.records import Subscription
from ..protocol.buffering import Batch
from ..protocol.contract import SLOW_CONSUMER
from ..protocol.projection import View, timestamp
from .clock import LAST_US, Clock, from_us
from .feedback import UNPROMPTED, LoopWatch
from .init_telemetry import InitTelemetry
from .journal import Journal
from .moments import Moments
from .outbox import Outbox
from .recordings import Progress
from .subscriber import WHOLE, Encoded, Subscriber, encode_events, next_due
from .turns import Interrupted, Turns


class Engine:
    """Owns the subscribers, and moves the clock."""

    def __init__(
        self,
        *,
        clock: Clock,
        moments: Moments,
        journal: Journal,
        lock: threading.Condition,
        turns: Turns,
        outbox: Outbox,
        output: ChildOutput,
        watch: LoopWatch,
        delay_ms: Callable[[int], float | None],
        cut: bool,
    ) -> None:
        self.clock = clock
        self.subscribers: list[Subscriber] = []
        self._views: list[View] = []  # of the subscribers, each once: what it shows is serialized once for all of them
        self.init_telemetry = InitTelemetry()
        self.turns = turns
        self.outbox = outbox
        self._moments = moments
        self._journal = journal
        self._lock = lock
        self._output = output
        self.watch = watch
        self._delay_ms = delay_ms
        self._cuts_records = cut
        self._filling = False
        self._stamped = 0, ""  # the last stamp and its moment: many events share one
        self._next_number = 1  # of the next event

    # -- time ----------------------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Deliver what became due by a followed clock's own moves, and take in what children have written."""
        self._output.pump()
        self._output.drain(self)
        with self._lock:
            behind_us = self.clock.catch_up()
        self._pass(behind_us, self.clock.pass_by)

    def advance(self, delta_us: int) -> None:
        """Move time forward, stopping at each due moment to deliver. Raises MisuseError past the year 9999."""
        if self.clock.wall_us + delta_us > LAST_US:
            raise MisuseError(f"advancing by {delta_us / 1_000_000:g} s would pass the year 9999, where dates end")
        self._pass(delta_us, self.clock.move)

    def advance_until(self, reached: Callable[[], bool], limit_us: int) -> None:
        """Go from due moment to due moment until `reached` or until elapsed time is `limit_us`."""
        while not (reached() or self.clock.frozen):
            self.turns.check()
            with self._lock:
                due = next_due(self.subscribers)
                wait_us = (due[0] if due else limit_us) - self.clock.elapsed_us
                room_us = limit_us - self.clock.elapsed_us
            if due is None or wait_us > room_us:
                self.advance(max(0, room_us))
                return
            self.advance(max(0, wait_us))

    def step(self, limit_us: int) -> bool:
        """Go to the next due moment, and deliver what is due there; False where there is none until `limit_us`."""
        self.turns.check()
        with self._lock:
            due = None if self.clock.frozen else next_due(self.subscribers)
            if due is None or due[0] > limit_us:
                return False
            wait_us = max(0, due[0] - self.clock.elapsed_us)
        self.advance(wait_us)
        return True

    def begin_anew(self) -> None:
        """Another execution environment: nobody is subscribed, and its init begins. The caller holds the lock."""
        self.subscribers.clear()
        self._views.clear()
        self.init_telemetry = InitTelemetry()

    def _pass(self, delta_us: int, let_pass: Callable[[int], int]) -> None:
        remaining_us = delta_us
        while True:
            self.turns.check()
            with self._lock:
                due = None if self.clock.frozen else next_due(self.subscribers)
                wait_us = max(0, due[0] - self.clock.elapsed_us) if due else 0
                if due is None or wait_us > remaining_us:
                    if not remaining_us:
                        return
                    due, wait_us = None, remaining_us
                passed_us = let_pass(wait_us) if wait_us else 0
            remaining_us = max(0, remaining_us - passed_us)
            if due is not None and passed_us >= wait_us:  # real time is waited for, which something may interrupt
                self._attempt(due[1])

    # -- events --------------------------------------------------------------------------------------------------------

    def emit(self, events: Sequence[Event], *, deliver: bool, source: str = "Lambda") -> None:
        """Lambda generates these now: each subscriber's buffer takes its view of them.

        `deliver` sends every batch that is full, and what is due.
        """
        if events:
            self._spread(events, deliver=deliver, source=source)
        if deliver:
            self._output.drain(self)
            self._pass(0, self.clock.pass_by)

    def take_output(self, events: Sequence[Event], by: str) -> None:
        """An extension's process has written these lines; they wait until time moves, full batches too."""
        self._spread(events, deliver=False, source=by, generation=self.watch.generation_of(by))

    @property
    def congested(self) -> bool:
        """A subscriber of output has a full batch to be sent first, or more output would find no room."""
        return any(one.buffer.has_full_batch for one in self.subscribers if one.takes("extension") and not one.ended)

    def _spread(self, events: Sequence[Event], *, deliver: bool, source: str, generation: int = UNPROMPTED) -> None:
        with self._lock:
            plan = self._shown(events, self._numbers(len(events)), source)
        self._filling = self._filling or deliver
        try:
            for subscriber, encoded in plan:
                if not self.watch.withholds(subscriber, source, generation):
                    self._fill(subscriber, encoded, deliver=deliver, generation=generation)
        finally:
            self._filling = self._filling and not deliver
        with self._lock:
            self._lock.notify_all()

    def _shown(self, events: Sequence[Event], numbers: range, source: str) -> list[tuple[Subscriber, Encoded]]:
        """Record events, and keep them for later subscriptions; each subscriber with its view of them."""
        stamp = self._stamp()
        encoded: dict[View, Encoded] = {}
        if len(self._views) == 1:  # as a rule
            view = self._views[0]
            encoded[view] = shown = encode_events(events, stamp, view, numbers)
            plan = [(one, one.select(shown)) for one in self.subscribers if not one.ended]
        else:
            encoded = {view: encode_events(events, stamp, view, numbers) for view in self._views}
            plan = [(one, one.select(encoded[one.view])) for one in self.subscribers if not one.ended]
        size = None
        if self.init_telemetry.open:
            shared = encoded.get(WHOLE)
            sizes = [len(part) for part in (shared or encode_events(events, stamp, WHOLE, numbers)).parts]
            size = sum(sizes)
            lost = self.init_telemetry.keep(events, numbers, sizes, stamp)
            if lost:
                self._journal.add(InitTelemetryLost(lost))
        elif encoded:
            size = sum(map(len, next(iter(encoded.values())).parts))
        held = HeldEvents(events, weight(events) if size is None else size)
        self._journal.add(Emitted(source, numbers, held))
        return plan

    def _numbers(self, count: int) -> range:
        first = self._next_number
        self._next_number += count
        return range(first, self._next_number)

    def _fill(self, subscriber: Subscriber, events: Encoded, *, deliver: bool, generation: int) -> None:
        index, parts, buffer = 0, events.parts, subscriber.buffer
        while index < len(parts):
            with self._lock:
                buffer.retell()
                self._announce_loss(subscriber)
                lost_before, begin = buffer.lost_records, index
                now_us = self._moments.look()[1]
                if not self.turns.held:
                    buffer.close_overdue(now_us)
                index = buffer.fill(
                    parts, events.types, begin, now_us, SLOW_CONSUMER, numbers=events.numbers, generation=generation
                )
                lost = buffer.lost_records - lost_before
                if lost:
                    segments = (events.numbers[begin:],)
                    self._journal.add(Dropped(subscriber.subscription, segments, lost, SLOW_CONSUMER))
                full = buffer.has_full_batch
            if deliver and full and not self.clock.frozen:
                self._attempt(subscriber)

    def subscribe(self, subscription: Subscription, view: View) -> Subscriber:
        """A new subscriber, which gets the telemetry of the init phase so far. The caller holds the lock."""
        subscriber = Subscriber(subscription, view, cut=self._cuts_records)
        self.subscribers.append(subscriber)
        if view not in self._views:
            self._views.append(view)
        kept = self.init_telemetry
        shown = subscriber.select(encode_events(kept.events, "", view, kept.numbers))
        index = 0
        while index < len(shown.parts):
            now_us = self._moments.look()[1]
            index = subscriber.buffer.fill(
                shown.parts, shown.types, index, now_us, "", numbers=shown.numbers, replay=True
            )
        if shown.parts:
            self._journal.add(Replayed(subscriber.name, shown.numbers))
        if kept.lost_records:
            subscriber.buffer.lose(kept.lost_records, kept.lost_size, SLOW_CONSUMER)
            self._announce_loss(subscriber)
        return subscriber

    # -- deliveries ----------------------------------------------------------------------------------------------------

    def marks(self) -> dict[Subscriber, int]:
        """How much each subscriber has taken so far, for `delivered`."""
        with self._lock:
            return {one: one.buffer.accepted for one in self.subscribers}

    def delivered(self, marks: dict[Subscriber, int]) -> bool:
        """Everything a subscriber had taken at its mark has arrived or was given up."""
        with self._lock:
            return all(one.ended or one.buffer.settled >= mark for one, mark in marks.items())

    def flush(self, subscribers: Sequence[Subscriber]) -> None:
        """Deliver what is buffered now; a subscriber whose batch fails keeps the rest, in order."""
        with self._lock:  # what a child writes meanwhile is not waited for: a feedback loop has no end
            there = [one for one in subscribers if not one.ended]
            goals = {one: one.buffer.batch_count + bool(one.buffer.lost_records) for one in there}
        for subscriber, goal in goals.items():
            for _ in range(goal):
                self.turns.check()
                if subscriber.buffer.empty or not self._attempt(subscriber):
                    break

    def push(self, subscriber: Subscriber, events: Sequence[Event]) -> Progress:
        """Send exactly these events as one batch, past the buffer and the type filter."""
        with self._lock:
            numbers = self._numbers(len(events))
            encoded = encode_events(events, self._stamp(), subscriber.view, numbers)
            batch = Batch(0, parts=[*encoded.parts], types=[*encoded.types], segments=[encoded.numbers])
            sent = self.outbox.pack(subscriber, batch)
            progress = self.outbox.progress(sent)
        self.outbox.send(sent, 1)
        with self._lock:
            self.outbox.settle(sent)
        return progress

    def _attempt(self, subscriber: Subscriber) -> bool:
        """Try the subscriber's next batch once, and settle what follows from the outcome."""
        with self._lock:
            batch = subscriber.buffer.begin()
        quiet = self.watch.before(subscriber, batch)
        with self._lock:
            if subscriber.in_flight is None:
                subscriber.in_flight = self.outbox.pack(subscriber, batch)
            sent = subscriber.in_flight
        outcome = self.outbox.send(sent, batch.attempts)
        with self._lock:
            if outcome.ok:
                subscriber.buffer.succeeded()
                subscriber.in_flight = None
                self.outbox.settle(sent)
                self.watch.acknowledged(subscriber, batch)
            else:
                self._failed(subscriber, sent, batch, outcome)
            self._announce_loss(subscriber)
        self.watch.after(
            subscriber, batch, ok=outcome.ok, quiet=quiet, last=self._is_last(), take_in=None if self._filling else self
        )
        return outcome.ok

    def _failed(self, subscriber: Subscriber, sent: SentBatch, batch: Batch, outcome: SendOutcome) -> None:
        delay_ms = self._delay_ms(batch.attempts)
        # never at this very moment again, or time would not get past a dead listener
        retry_us = None if delay_ms is None else self.clock.elapsed_us + max(1, round(delay_ms * 1000))
        reason = f"could not send events: {outcome.error or f'the listener answered {outcome.status}'}"
        if retry_us is None:
            subscriber.in_flight = None
            self.outbox.settle(sent)
            self._journal.add(Dropped(sent.subscription, sent.segments, len(batch.parts), reason))
        subscriber.buffer.failed(retry_us, reason)

    def _is_last(self) -> bool:
        """Nothing else waits to be sent: only what this batch has caused could come yet."""
        return not self._filling and all(one.ended or one.buffer.empty for one in self.subscribers)

    def _announce_loss(self, subscriber: Subscriber) -> None:
        loss = subscriber.buffer.loss_to_announce
        if loss is None:
            return
        if not subscriber.takes("platform.logsDropped"):
            subscriber.buffer.forget_loss()
            return
        record = {"reason": loss.reason, "droppedRecords": loss.records, "droppedBytes": loss.size}
        numbers = self._numbers(1)
        encoded = encode_events([Event("platform.logsDropped", record)], self._stamp(), subscriber.view, numbers)
        subscriber.buffer.announce(encoded.parts[0], self._moments.look()[1], numbers[0])

    def _stamp(self) -> str:
        wall_us = self._moments.look()[0]
        if self._stamped[0] != wall_us:
            self._stamped = wall_us, timestamp(from_us(wall_us))
        return self._stamped[1]

    # -- clock="system" ------------------------------------------------------------------------------------------------

    def deliver_in_real_time(self, stopped: Callable[[], bool]) -> None:
        """The background thread's work: deliver at real deadlines until `stopped`."""
        while not stopped():
            with self._lock:
                self.clock.look()
                if self.clock.suspended:
                    self._lock.wait()
                    continue
                due = None if self.clock.frozen else next_due(self.subscribers)
                wait_us = due[0] - self.clock.elapsed_us if due else None
                if (wait_us is None or wait_us > 0) and not self._output.has_output():
                    self._lock.wait(None if wait_us is None else wait_us / 1_000_000)
                    continue
            with suppress(Interrupted), self.turns.hold_in_background():
                self.catch_up()


def weight(events: Sequence[Event]) -> int:
    """About how many bytes events hold that nobody has serialized."""
    return sum(_weight(event.record) for event in events)


def _weight(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_weight(key) + _weight(item) for key, item in value.items())
    return sum(map(_weight, value)) if isinstance(value, list | tuple) else 8
