"""The discrete-event loop: it moves time from one due moment to the next and delivers what is due there.

Only the thread that owns time runs it (with `clock="system"` also the background thread); every other thread merely
buffers. The lock guards buffers and records and is never held while a delivery is on its way.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from ..model.errors import MisuseError
from ..model.event import Event
from ..model.records import Attempt, Delivery, Payload, Subscription, summary
from ..protocol.buffering import Batch
from ..protocol.contract import SLOW_CONSUMER
from ..protocol.projection import View, timestamp
from .channel import Channel, Sent, encode_events
from .clock import Clock
from .early import EarlyEvents
from .journal import Journal
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
    def pump(self) -> None: ...
    def drain(self) -> None: ...
    def report_loop(self, subscription: Subscription) -> None: ...


class Interrupted(Exception):
    """The call was cancelled between two steps; what it did so far stands."""


class Engine:
    """Owns the clock, the channels and what was delivered."""

    def __init__(
        self,
        *,
        clock: Clock,
        journal: Journal,
        lock: threading.Condition,
        ports: Ports,
        delay_ms: Callable[[int], float | None],
        cut: bool,
    ) -> None:
        self.clock = clock
        self.channels: list[Channel] = []
        self.early = EarlyEvents()
        self.sent: deque[Sent] = deque(maxlen=journal.limit)
        self.owner = threading.get_ident()
        self.interrupted = False
        self._journal = journal
        self._lock = lock
        self._ports = ports
        self._delay_ms = delay_ms
        self._cut = cut
        self._driving = threading.RLock()
        self.collectors: list[dict[Sent, None]] = []
        self._calls: list[dict[Sent, None]] = []
        self._driver: int | None = None
        self._lent = False
        self._filling = False

    # -- who moves time ------------------------------------------------------------------------------------------------

    @property
    def owned_here(self) -> bool:
        """This thread may move time."""
        return threading.get_ident() == self.owner

    @property
    def driving_here(self) -> bool:
        """A call that holds time is running on this thread."""
        return self._driver == threading.get_ident()

    @property
    def driven_elsewhere(self) -> bool:
        """A call that holds time is running on another thread."""
        return self._driver not in (None, threading.get_ident())

    def lend(self) -> int | None:
        """Let this thread move time instead of its owner; None, and no change, while another loan is out."""
        with self._lock:
            if self._lent:
                return None
            self._lent = True
            lender, self.owner = self.owner, threading.get_ident()
            return lender

    def take_back(self, lender: int | None) -> None:
        """The end of a loan."""
        if lender is not None:
            with self._lock:
                self.owner, self._lent = lender, False

    def interrupt(self, ended: threading.Event) -> None:
        """Cut the lent call short, and wait until it has `ended`."""
        with self._lock:
            self.interrupted = True
            self._lock.notify_all()
        ended.wait()
        self.interrupted = False

    @contextmanager
    def taking_over(self) -> Iterator[None]:
        """Time is this thread's from now on; a call that still runs elsewhere is cut short first."""
        self.interrupted = True
        with self._holding_time():
            self.interrupted = False
            self.owner = threading.get_ident()
            yield

    @contextmanager
    def driving(self, what: str) -> Iterator[dict[Sent, None]]:
        """Hold time for one call; yields the batches it attempts.

        Raises MisuseError on any thread but the one that owns time.
        """
        if not self.owned_here:
            raise MisuseError(
                f"{what} was called on thread {threading.current_thread().name!r}, but only one thread moves time: the"
                " one that started the environment; from other threads emit() buffers events for its next call"
            )
        with self._holding_time() as attempted:
            yield attempted

    @contextmanager
    def _holding_time(self) -> Iterator[dict[Sent, None]]:
        attempted: dict[Sent, None] = {}
        with self._driving:
            self._calls.append(attempted)
            self._driver = threading.get_ident()
            try:
                yield attempted
            finally:
                self._calls.pop()
                if not self._calls:
                    self._driver = None
                    self._ports.end_call()

    # -- time ----------------------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Deliver what became due by a followed clock's own moves, and take in what children have written."""
        self._ports.pump()
        self._ports.drain()
        self.clock.settle()
        with self._lock:
            behind_us = self.clock.catch_up()
        self._pass(behind_us, self.clock.pass_by)

    def advance(self, delta_us: int) -> None:
        """Move time forward, stopping at each due moment to deliver."""
        self._pass(delta_us, self.clock.move)

    def advance_until(self, reached: Callable[[], bool], limit_us: int) -> None:
        """Go from due moment to due moment until `reached` or until elapsed time is `limit_us`."""
        while not reached():
            self.check_interrupt()
            with self._lock:
                due = next_due(self.channels)
                wait_us = (due[0] if due else limit_us) - self.clock.elapsed_us
                room_us = limit_us - self.clock.elapsed_us
            if due is None or wait_us > room_us:
                self.advance(max(0, room_us))
                return
            self.advance(max(0, wait_us))

    def _pass(self, delta_us: int, let_pass: Callable[[int], None]) -> None:
        remaining_us = delta_us
        while not self.clock.frozen:
            self.check_interrupt()
            with self._lock:
                due = next_due(self.channels)
                if due is None or due[0] > self.clock.elapsed_us + remaining_us:
                    break
                wait_us = max(0, due[0] - self.clock.elapsed_us)
            if wait_us:
                let_pass(wait_us)
                remaining_us = max(0, remaining_us - wait_us)
            self._attempt(due[1])
        if remaining_us:
            let_pass(remaining_us)

    def check_interrupt(self) -> None:
        """Raise Interrupted when the call that is running was cancelled."""
        if self.interrupted:
            raise Interrupted

    # -- events --------------------------------------------------------------------------------------------------------

    def emit(self, events: Sequence[Event], *, deliver: bool, source: str = "Lambda", by: str | None = None) -> None:
        """Lambda generates these now: each channel buffers its view of them.

        `deliver` sends every batch that is full, and what is due. `by` names the extension whose output this is.
        """
        with self._lock:
            stamp = timestamp(self.clock.now)
            if self.early.open:
                lost = self.early.keep(events, stamp)
                if lost:
                    self._journal.record("drop", "early events", f"{lost} found no room for a later replay")
            self._journal.record("event", source, summary([event.type for event in events]), preview(events))
            views = {channel.view for channel in self.channels}
            encoded = {view: encode_events(events, stamp, view, cut=self._cut) for view in views}
            plan = [(channel, *channel.select(encoded[channel.view])) for channel in self.channels]
        self._filling = self._filling or deliver
        try:
            for channel, parts, types in plan:
                own_output = by == channel.subscription.extension_name
                if not (own_output and channel.looping):
                    self._fill(channel, parts, types, deliver=deliver, own_output=own_output)
        finally:
            self._filling = self._filling and not deliver
        with self._lock:
            self._lock.notify_all()
        if deliver:
            self._ports.drain()
            self._pass(0, self.clock.pass_by)

    def _fill(
        self, channel: Channel, parts: Sequence[bytes], types: Sequence[str], *, deliver: bool, own_output: bool
    ) -> None:
        index = 0
        while index < len(parts):
            with self._lock:
                self._announce_loss(channel)
                lost_before = channel.buffer.lost_records
                index = channel.buffer.fill(
                    parts, types, index, self.clock.elapsed_us, SLOW_CONSUMER, own_output=own_output
                )
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
        parts, types = channel.select(encode_events(self.early.events, "", view, cut=self._cut))
        index = 0
        while index < len(parts):
            index = channel.buffer.fill(parts, types, index, self.clock.elapsed_us, "", replay=True)
        if parts:
            self._journal.record("event", "Lambda", f"replay of {len(parts)} early events", subscription.extension_name)
        if self.early.lost_records:
            channel.buffer.lose(self.early.lost_records, self.early.lost_size, SLOW_CONSUMER)
            self._announce_loss(channel)
        return channel

    def lifecycle_event_for(self, extension_name: str) -> None:
        """Lambda told this extension something: output that follows has a cause of its own."""
        for channel in self.channels:
            if channel.subscription.extension_name == extension_name:
                channel.own_batches = -1

    # -- deliveries ----------------------------------------------------------------------------------------------------

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every batch that was tried, oldest first, as it stands now."""
        with self._lock:
            return tuple(sent.snapshot for sent in self.sent)

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
        with self._lock:
            for channel in channels:
                channel.buffer.close_open(self.clock.elapsed_us)
            goals = {channel: channel.buffer.batch_count for channel in channels}
        for channel, goal in goals.items():
            for _ in range(goal):
                self.check_interrupt()
                if channel.buffer.batch_count == 0 or not self._attempt(channel):
                    break

    def push(self, channel: Channel, events: Sequence[Event]) -> Sent:
        """Send exactly these events as one batch, past the buffer and the type filter."""
        with self._lock:
            encoded = encode_events(events, timestamp(self.clock.now), channel.view)
            batch = Batch(0, parts=encoded.parts, types=encoded.types)
            sent = self._sent(channel, batch)
        self._send(channel, sent)
        return sent

    def _sent(self, channel: Channel, batch: Batch) -> Sent:
        sent = Sent(channel.subscription, tuple(batch.types), Payload(channel.body_of(batch)))
        self.sent.append(sent)
        self._journal.keep(sent.payload)
        return sent

    def _attempt(self, channel: Channel) -> bool:
        """Try the channel's next batch once, and settle what follows from the outcome."""
        with self._lock:
            batch = channel.buffer.begin()
            if channel.in_flight is None:
                channel.in_flight = self._sent(channel, batch)
            sent = channel.in_flight
        outcome = self._send(channel, sent, batch.attempts)
        with self._lock:
            if outcome.ok:
                channel.buffer.succeeded()
                channel.in_flight = None
                if channel.note_delivered(batch):
                    self._ports.report_loop(channel.subscription)
            else:
                delay_ms = self._delay_ms(batch.attempts)
                retry_us = None if delay_ms is None else self.clock.elapsed_us + round(delay_ms * 1000)
                reason = f"could not send events: {outcome.error or f'the listener answered {outcome.status}'}"
                if retry_us is None:
                    channel.in_flight = None
                    name = channel.subscription.extension_name
                    self._journal.record("drop", name, f"{len(batch.parts)} events", reason)
                channel.buffer.failed(retry_us, reason)
            self._announce_loss(channel)
        self._ports.pump()
        if not self._filling:
            self._ports.drain()
        return outcome.ok

    def _send(self, channel: Channel, sent: Sent, number: int = 1) -> Outcome:
        subscription = channel.subscription
        with self._lock:
            at = self.clock.now
            for attempted in (*self._calls, *self.collectors):
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
        encoded = encode_events([event], timestamp(self.clock.now), channel.view)
        channel.buffer.announce(encoded.parts[0], self.clock.elapsed_us)

    # -- clock="system" ------------------------------------------------------------------------------------------------

    def deliver_in_real_time(self, stopped: Callable[[], bool]) -> None:
        """The background thread's work: deliver at real deadlines until `stopped`."""
        while not stopped():
            self.clock.settle()
            with self._lock:
                due = None if self.clock.frozen else next_due(self.channels)
                wait_us = due[0] - self.clock.elapsed_us if due else None
                if wait_us is None or wait_us > 0:
                    self._lock.wait(None if wait_us is None else wait_us / 1_000_000)
                    continue
            with self._holding_time():
                self.catch_up()


def preview(events: Sequence[Event]) -> str:
    """The first log line of some events, shortened, for the journal."""
    first = next((event.record for event in events if isinstance(event.record, str)), "")
    text = first[:80].rstrip("\n")
    return repr(text) + ("…" if len(first) > 80 else "") if text else ""
