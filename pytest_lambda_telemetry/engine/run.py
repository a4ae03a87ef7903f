"""The discrete-event loop: it moves time from one due moment to the next and delivers what is due there.

Only the thread that owns time runs it (with `clock="system"` also the background thread); every other thread merely
buffers. The lock guards buffers and records and is never held while a delivery is on its way.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from ..model.errors import MisuseError
from ..model.event import Event
from ..model.records import Attempt, Delivery, Payload, Subscription, summary
from ..protocol.buffering import Batch
from ..protocol.contract import SLOW_CONSUMER
from ..protocol.projection import View, timestamp
from ..protocol.schema import LOG_TYPES
from ..protocol.steps import described
from .channel import LOOP_LENGTH, WHOLE, Channel, Sent, encode_events
from .clock import LAST_US, Clock, from_us
from .early import EarlyEvents
from .journal import Journal
from .ownership import Interrupted, Ownership
from .schedule import next_due


class Outcome(Protocol):
    """What became of one try at sending."""

    @property
    def ok(self) -> bool: ...
    @property
    def status(self) -> int | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def duration_ms(self) -> float: ...


class Ports(Protocol):
    """What the engine asks of the rest of the environment."""

    def send(self, subscription: Subscription, body: bytes) -> Outcome: ...
    def end_call(self) -> None: ...
    def abandon(self) -> None: ...
    def report_loop(self, subscription: Subscription) -> None: ...


class Output(Protocol):
    """What the engine asks of the processes whose lines become events."""

    def pump(self) -> bool: ...
    def drain(self) -> None: ...
    def has_output(self) -> bool: ...
    def await_output(self, name: str) -> None: ...
    def await_unprompted(self, name: str) -> None: ...


class Engine(Ownership):
    """Owns the clock, the channels and what was delivered."""

    def __init__(
        self,
        *,
        clock: Clock,
        journal: Journal,
        lock: threading.Condition,
        ports: Ports,
        output: Output,
        delay_ms: Callable[[int], float | None],
        cut: bool,
    ) -> None:
        super().__init__(lock, ports.end_call)
        self.clock = clock
        self.channels: list[Channel] = []
        self.early = EarlyEvents()
        self.sent: deque[Sent] = deque(maxlen=journal.limit)
        self._journal = journal
        self._ports = ports
        self._output = output
        self._delay_ms = delay_ms
        self._cuts_records = cut
        self._collectors: dict[int, dict[Sent, None]] = {}  # by identity: two that are empty are equal
        self._filling = False
        self._stamped = 0, ""  # the last stamp and its moment: many events share one
        self._echo = 0  # what output is worth that is taken in now, in `Batch.echo`
        self._excused: set[str] = set()  # extensions whose next output has a cause of its own

    # -- time ----------------------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Deliver what became due by a followed clock's own moves, and take in what children have written."""
        self._output.pump()
        self._output.drain()
        with self._lock:
            behind_us = self.clock.catch_up()
        self._pass(behind_us, self.clock.pass_by)

    def moment(self) -> tuple[int, int]:
        """Wall and elapsed microseconds of what happens now; between calls a followed clock may be ahead of ours."""
        if self._driver is not None and not self.clock.real:
            return self.clock.wall_us, self.clock.elapsed_us
        with self._lock:
            return self.clock.peek()

    def advance(self, delta_us: int) -> None:
        """Move time forward, stopping at each due moment to deliver. Raises MisuseError past the year 9999."""
        if self.clock.wall_us + delta_us > LAST_US:
            raise MisuseError(f"advancing by {delta_us / 1_000_000:g} s would pass the year 9999, where dates end")
        self._pass(delta_us, self.clock.move)

    def advance_until(self, reached: Callable[[], bool], limit_us: int) -> None:
        """Go from due moment to due moment until `reached` or until elapsed time is `limit_us`."""
        while not (reached() or self.clock.frozen):
            self.check_interrupt()
            with self._lock:
                due = next_due(self.channels)
                wait_us = (due[0] if due else limit_us) - self.clock.elapsed_us
                room_us = limit_us - self.clock.elapsed_us
            if due is None or wait_us > room_us:
                self.advance(max(0, room_us))
                return
            self.advance(max(0, wait_us))

    def _pass(self, delta_us: int, let_pass: Callable[[int], int]) -> None:
        remaining_us = delta_us
        while True:
            self.check_interrupt()
            with self._lock:
                due = None if self.clock.frozen else next_due(self.channels)
                wait_us = max(0, due[0] - self.clock.elapsed_us) if due else 0
                if due is None or wait_us > remaining_us:
                    if not remaining_us:
                        return
                    due, wait_us = None, remaining_us
                passed_us = let_pass(wait_us) if wait_us else 0
            remaining_us = max(0, remaining_us - passed_us)
            if due is not None and passed_us >= wait_us:  # real time is waited for, which something may interrupt
                self._attempt(due[1])

    def interrupt(self, thread: int) -> None:
        """Let the call that runs on `thread` end at its next step; a delivery under way is given up."""
        super().interrupt(thread)
        if self._driver == thread:
            self._ports.abandon()

    # -- events --------------------------------------------------------------------------------------------------------

    def emit(self, events: Sequence[Event], *, deliver: bool, source: str = "Lambda") -> None:
        """Lambda generates these now: each channel buffers its view of them.

        `deliver` sends every batch that is full, and what is due.
        """
        if events:
            self._spread(events, deliver=deliver, source=source)
        if deliver:
            self._output.drain()
            self._pass(0, self.clock.pass_by)

    def take_output(self, events: Sequence[Event], by: str) -> None:
        """An extension's process has written these lines; they wait until time moves, full batches too."""
        echo = 0 if by in self._excused else self._echo
        self._excused.discard(by)
        self._spread(events, deliver=False, source=by, echo=echo)

    @property
    def congested(self) -> bool:
        """A subscriber of output has a full batch to be sent first, or more output would find no room."""
        return any(channel.buffer.has_full_batch for channel in self.channels if channel.takes("extension"))

    def _spread(self, events: Sequence[Event], *, deliver: bool, source: str, echo: int = -1) -> None:
        with self._lock:
            stamp = self._stamp()
            views = {channel.view for channel in self.channels}
            encoded = {view: encode_events(events, stamp, view, cut=self._cuts_records) for view in views}
            if self.early.open:
                shared = None if self._cuts_records else encoded.get(WHOLE)
                whole = shared or encode_events(events, stamp, WHOLE)
                lost = self.early.keep(events, [len(part) for part in whole.parts], stamp)
                if lost:
                    self._journal.record("drop", "early events", f"{lost} found no room for a later replay")
            self._journal.record("event", source, summary([event.type for event in events]), preview(events))
            plan = [(channel, *channel.select(encoded[channel.view])) for channel in self.channels]
        self._filling = self._filling or deliver
        try:
            for channel, parts, types in plan:
                own_output = echo >= 0 and source == channel.subscription.extension_name
                if not (channel.looping and (own_output or echo > 0)):
                    self._fill(channel, parts, types, deliver=deliver, echo=echo)
        finally:
            self._filling = self._filling and not deliver
        with self._lock:
            self._lock.notify_all()

    def _fill(
        self, channel: Channel, parts: Sequence[bytes], types: Sequence[str], *, deliver: bool, echo: int
    ) -> None:
        index = 0
        while index < len(parts):
            with self._lock:
                channel.buffer.retell()
                self._announce_loss(channel)
                lost_before = channel.buffer.lost_records
                now_us = self.moment()[1]
                if self._driver is None:
                    channel.buffer.close_overdue(now_us)
                index = channel.buffer.fill(parts, types, index, now_us, SLOW_CONSUMER, echo=echo)
                lost = channel.buffer.lost_records - lost_before
                if lost:
                    self._journal.record("drop", channel.subscription.extension_name, f"{lost} events", SLOW_CONSUMER)
                full = channel.buffer.has_full_batch
            if deliver and full and not self.clock.frozen:
                self._attempt(channel)

    def subscribe(self, subscription: Subscription, view: View) -> Channel:
        """A new channel, which gets the telemetry of the init phase so far. The caller holds the lock."""
        channel = Channel(subscription, view)
        self.channels.append(channel)
        parts, types = channel.select(encode_events(self.early.events, "", view, cut=self._cuts_records))
        index = 0
        while index < len(parts):
            index = channel.buffer.fill(parts, types, index, self.moment()[1], "", replay=True)
        if parts:
            self._journal.record("event", "Lambda", f"replay of {len(parts)} early events", subscription.extension_name)
        if self.early.lost_records:
            channel.buffer.lose(self.early.lost_records, self.early.lost_size, SLOW_CONSUMER)
            self._announce_loss(channel)
        return channel

    def lifecycle_event_for(self, extension_name: str) -> None:
        """Lambda told this extension something: output that follows has a cause of its own."""
        self._excused.add(extension_name)

    # -- deliveries ----------------------------------------------------------------------------------------------------

    def collect(self, attempted: dict[Sent, None]) -> None:
        """Note every batch that is attempted from now on there, too."""
        with self._lock:
            self._collectors[id(attempted)] = attempted

    def stop_collecting(self, attempted: dict[Sent, None]) -> None:
        """Note them no longer."""
        with self._lock:
            self._collectors.pop(id(attempted), None)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every batch that was tried, oldest first, as it stands now."""
        with self._lock:
            return tuple(sent.snapshot for sent in self.sent if sent.attempts)  # else it is on its first way

    def marks(self) -> dict[Channel, int]:
        """How much each channel has taken so far, for `delivered`."""
        with self._lock:
            return {channel: channel.buffer.accepted for channel in self.channels}

    def delivered(self, marks: dict[Channel, int]) -> bool:
        """Everything a channel had taken at its mark has arrived or was given up."""
        with self._lock:
            return all(channel.buffer.settled >= mark for channel, mark in marks.items())

    def flush(self, channels: Sequence[Channel]) -> None:
        """Deliver what is buffered now; a subscriber whose batch fails keeps the rest, in order."""
        with self._lock:  # what a child writes meanwhile is not waited for: a feedback loop has no end
            goals = {channel: channel.buffer.batch_count + bool(channel.buffer.lost_records) for channel in channels}
        for channel, goal in goals.items():
            for _ in range(goal):
                self.check_interrupt()
                if channel.buffer.empty or not self._attempt(channel):
                    break

    def push(self, channel: Channel, events: Sequence[Event]) -> Sent:
        """Send exactly these events as one batch, past the buffer and the type filter."""
        with self._lock:
            encoded = encode_events(events, self._stamp(), channel.view)
            batch = Batch(0, parts=encoded.parts, types=encoded.types)
            sent = self._sent(channel, batch)
        self._send(channel, sent)
        with self._lock:
            self._settled(sent)
        return sent

    def _sent(self, channel: Channel, batch: Batch) -> Sent:
        sent = Sent(channel.subscription, tuple(batch.types), Payload(channel.body_of(batch)))
        self.sent.append(sent)
        return sent

    def _settled(self, sent: Sent) -> None:
        """It is sent no more, so the journal may let its bytes go."""
        self._journal.keep(sent.payload)

    def _attempt(self, channel: Channel) -> bool:
        """Try the channel's next batch once, and settle what follows from the outcome."""
        with self._lock:
            batch = channel.buffer.begin()
        name = channel.subscription.extension_name
        if batch.echo >= LOOP_LENGTH and not channel.looping:  # it would be called a loop: first look without a cause
            self._output.await_unprompted(name)
        quiet = self._output.pump()
        with self._lock:
            if not quiet:
                batch.echo = min(batch.echo, 0)
            if channel.in_flight is None:
                channel.in_flight = self._sent(channel, batch)
            sent = channel.in_flight
        outcome = self._send(channel, sent, batch.attempts)
        with self._lock:
            if outcome.ok:
                channel.buffer.succeeded()
                channel.in_flight = None
                self._settled(sent)
                if channel.note_delivered(batch):
                    self._ports.report_loop(channel.subscription)
            else:
                delay_ms = self._delay_ms(batch.attempts)
                # never at this very moment again, or time would not get past a dead listener
                retry_us = None if delay_ms is None else self.clock.elapsed_us + max(1, round(delay_ms * 1000))
                reason = f"could not send events: {outcome.error or f'the listener answered {outcome.status}'}"
                if retry_us is None:
                    channel.in_flight = None
                    self._settled(sent)
                    self._journal.record("drop", name, f"{len(batch.parts)} events", reason)
                channel.buffer.failed(retry_us, reason)
            self._announce_loss(channel)
        self._output.pump()
        if outcome.ok and channel.takes("extension") and (batch.echo >= 0 or self._is_last()):
            self._output.await_output(name)
        if not self._filling:
            self._echo = max(batch.echo, 0) + 1 if quiet and outcome.ok else 0
            self._output.drain()
            self._echo = 0
        return outcome.ok

    def _is_last(self) -> bool:
        """Nothing else waits to be sent: only what this batch has caused could come yet."""
        return not self._filling and all(channel.buffer.empty for channel in self.channels)

    def _send(self, channel: Channel, sent: Sent, number: int = 1) -> Outcome:
        subscription = channel.subscription
        with self._lock:
            at = from_us(self.moment()[0])
            for attempted in (*self._calls, *self._collectors.values()):
                attempted[sent] = None
        outcome = self._ports.send(subscription, sent.payload.body)
        with self._lock:
            attempt = Attempt(at=at, status=outcome.status, error=outcome.error, duration_ms=outcome.duration_ms)
            sent.attempted(attempt, outcome.ok)
            verdict = "written" if outcome.ok and outcome.status is None else str(outcome.status or outcome.error)
            again = f" (attempt {number})" if number > 1 else ""
            self._journal.record("delivery", subscription.extension_name, f"[{summary(sent.types)}]{again}", verdict)
            self._lock.notify_all()
        return outcome

    def _announce_loss(self, channel: Channel) -> None:
        loss = channel.buffer.loss_to_announce
        if loss is None:
            return
        if not channel.takes("platform.logsDropped"):
            channel.buffer.forget_loss()
            return
        record = {"reason": loss.reason, "droppedRecords": loss.records, "droppedBytes": loss.size}
        event = Event("platform.logsDropped", record)
        encoded = encode_events([event], self._stamp(), channel.view)
        channel.buffer.announce(encoded.parts[0], self.moment()[1])

    def _stamp(self) -> str:
        wall_us = self.moment()[0]
        if self._stamped[0] != wall_us:
            self._stamped = wall_us, timestamp(from_us(wall_us))
        return self._stamped[1]

    # -- clock="system" ------------------------------------------------------------------------------------------------

    def deliver_in_real_time(self, stopped: Callable[[], bool]) -> None:
        """The background thread's work: deliver at real deadlines until `stopped`."""
        while not stopped():
            with self._lock:
                self.clock.look()
                due = None if self.clock.frozen else next_due(self.channels)
                wait_us = due[0] - self.clock.elapsed_us if due else None
                if (wait_us is None or wait_us > 0) and not self._output.has_output():
                    self._lock.wait(None if wait_us is None else wait_us / 1_000_000)
                    continue
            with suppress(Interrupted), self._holding_time():
                self.catch_up()
            self.go_on()


def preview(events: Sequence[Event]) -> str:
    """What tells a lone platform event from others, or the first log line of some events, for the journal."""
    if len(events) == 1 and events[0].type not in LOG_TYPES:
        return described(events[0])[1]
    first = next((event.record for event in events if isinstance(event.record, str)), "")
    text = first[:80].rstrip("\n")
    return repr(text) + ("…" if len(first) > 80 else "") if text else ""
