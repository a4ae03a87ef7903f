"""Buffering, retries and losses as the documentation tells them, written without a look at the real engine.

Plain lists, one event at a time, no sockets, whole virtual milliseconds: slow and simple on purpose. A `Model` is told
what a test does and keeps in `log` what each subscriber must have been sent, when, and whether it was accepted.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

Sent = dict[str, Any]
SLOW = "Some logs were dropped because the downstream consumer is slower than the logs production rate"
EARLY_EVENTS, EARLY_BYTES = 10_000, 1_048_576


def size(event: Sent) -> int:
    """The UTF-8 bytes of a serialized event, envelope included."""
    return len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())


@dataclass(eq=False)
class Batch:
    """What travels together. A replayed one takes nobody's room."""

    due_ms: int
    replayed: bool = False
    events: list[Sent] = field(default_factory=list)
    bytes: int = 0


class Tried(NamedTuple):
    """One attempt: to which subscriber, at which wall time, with what, and whether it was accepted."""

    to: int
    at: datetime
    batch: Batch
    ok: bool


@dataclass(eq=False)
class Subscriber:
    """One subscription: `accepts` says how each attempt ends, in order; all further ones succeed."""

    number: int
    types: tuple[str, ...]
    max_items: int
    max_bytes: int
    timeout_ms: int
    accepts: list[bool]
    failed: Batch | None = None
    full: list[Batch] = field(default_factory=list)
    open: Batch | None = None
    tries: int = 0
    lost_records: int = 0
    lost_bytes: int = 0
    why_lost: str = SLOW
    failure: str = "the listener answered 503"
    told_in_vain: bool = False

    def wants(self, event: Sent) -> bool:
        return str(event["type"]).split(".")[0] in self.types

    @property
    def next(self) -> Batch | None:
        """One batch is in flight: all others wait for the one that failed."""
        return self.failed or (self.full[0] if self.full else self.open)

    @property
    def has_room(self) -> bool:
        """One more batch may wait behind one that failed; otherwise two, or 10,000 events or 4 MiB if that is more."""
        waiting = [batch for batch in self.full if not batch.replayed]
        if self.open is not None or not waiting:
            return True
        few = sum(len(batch.events) for batch in waiting) < 10_000 and sum(batch.bytes for batch in waiting) < 4 << 20
        return self.failed is None and (len(waiting) < 2 or few)


class Model:
    """An environment with a virtual clock. `delays_ms` are the waits after failures; beyond them a batch is lost."""

    def __init__(self, start: datetime, delays_ms: Sequence[int]) -> None:
        self.start, self.delays_ms = start, delays_ms
        self.elapsed_ms = self.frozen_ms = 0
        self.frozen = False
        self.subscribers: list[Subscriber] = []
        self.early: list[Sent] = []
        self.early_bytes = self.early_lost_records = self.early_lost_bytes = 0
        self.log: list[Tried] = []

    @property
    def wall(self) -> datetime:
        return self.start + timedelta(milliseconds=self.elapsed_ms + self.frozen_ms)

    @property
    def stamp(self) -> str:
        return self.wall.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.wall.microsecond // 1000:03d}Z"

    # what a test does -------------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber) -> None:
        """What came before is replayed, whole and in full batches, by the next call."""
        self.subscribers.append(subscriber)
        for event in filter(subscriber.wants, self.early):
            self._join(subscriber, event, replayed=True)
        subscriber.lost_records, subscriber.lost_bytes = self.early_lost_records, self.early_lost_bytes
        self._announce(subscriber)

    def emit(self, events: Iterable[tuple[str, Any]]) -> None:
        self._deliver_until(self.elapsed_ms)
        stamped = [{"time": self.stamp, "type": kind, "record": record} for kind, record in events]
        for event in stamped:
            self._keep_early(event)
        for subscriber in self.subscribers:
            for event in filter(subscriber.wants, stamped):
                subscriber.told_in_vain = False
                self._announce(subscriber)
                self._add(subscriber, event)
                self._deliver_full(subscriber)
        self._deliver_until(self.elapsed_ms)

    def advance(self, ms: int) -> None:
        self._deliver_until(self.elapsed_ms)
        if self.frozen:
            self.frozen_ms += ms
            return
        target = self.elapsed_ms + ms
        self._deliver_until(target)
        self.elapsed_ms = target

    def flush(self, subscribers: Iterable[Subscriber]) -> None:
        """Deliver what is buffered, due or not, frozen or not; a failure leaves what is behind it buffered."""
        self._deliver_until(self.elapsed_ms)
        for subscriber in subscribers:
            while subscriber.next and self._try(subscriber):
                pass

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        """The next call delivers."""
        self.frozen = False

    # what follows from it ---------------------------------------------------------------------------------------------

    def _keep_early(self, event: Sent) -> None:
        fits = len(self.early) < EARLY_EVENTS and self.early_bytes + size(event) <= EARLY_BYTES
        if fits and not self.early_lost_records:
            self.early.append(event)
            self.early_bytes += size(event)
        else:
            self.early_lost_records += 1
            self.early_lost_bytes += size(event)

    def _add(self, subscriber: Subscriber, event: Sent) -> None:
        if subscriber.has_room:
            self._join(subscriber, event)
        else:
            subscriber.lost_records += 1
            subscriber.lost_bytes += size(event)
            subscriber.why_lost = SLOW

    def _join(self, subscriber: Subscriber, event: Sent, *, replayed: bool = False) -> None:
        batch = subscriber.open or Batch(self.elapsed_ms + subscriber.timeout_ms, replayed)
        subscriber.open = batch
        batch.events.append(event)
        batch.bytes += size(event)
        if len(batch.events) >= subscriber.max_items or batch.bytes >= subscriber.max_bytes:
            batch.due_ms = min(batch.due_ms, self.elapsed_ms)
            subscriber.full.append(batch)
            subscriber.open = None

    def _deliver_full(self, subscriber: Subscriber) -> None:
        if subscriber.full and not subscriber.failed and not self.frozen:
            self._try(subscriber)

    def _deliver_until(self, target_ms: int) -> None:
        while not self.frozen:
            due = [(one.next.due_ms, one.number) for one in self.subscribers if one.next]
            if not due or min(due)[0] > target_ms:
                return
            when, number = min(due)
            self.elapsed_ms = max(self.elapsed_ms, when)
            self._try(self.subscribers[number])

    def _try(self, subscriber: Subscriber) -> bool:
        """One attempt at the batch that failed before, or else at the one that has waited longest."""
        if subscriber.failed is None:
            subscriber.failed, subscriber.tries = subscriber.next, 0
            if subscriber.full:
                subscriber.full.pop(0)
            else:
                subscriber.open = None
        batch = subscriber.failed
        assert batch is not None
        ok = subscriber.accepts.pop(0) if subscriber.accepts else True
        self.log.append(Tried(subscriber.number, self.wall, batch, ok))
        subscriber.tries += 1
        if ok:
            subscriber.failed, subscriber.told_in_vain = None, False
        elif subscriber.tries > len(self.delays_ms):
            subscriber.failed = None
            self._lose(subscriber, batch)
        else:
            batch.due_ms = self.elapsed_ms + self.delays_ms[subscriber.tries - 1]
        self._announce(subscriber)
        return ok

    def _lose(self, subscriber: Subscriber, batch: Batch) -> None:
        """What a lost announcement told of is lost still; it is told again, but not for its own sake."""
        for event in batch.events:
            told = event["record"] if event["type"] == "platform.logsDropped" else None
            subscriber.lost_records += told["droppedRecords"] if told else 1
            subscriber.lost_bytes += told["droppedBytes"] if told else size(event)
            subscriber.why_lost = told["reason"] if told else subscriber.why_lost
        if any(event["type"] != "platform.logsDropped" for event in batch.events):
            subscriber.why_lost = f"could not send events: {subscriber.failure}"
        subscriber.told_in_vain = [event["type"] for event in batch.events] == ["platform.logsDropped"]

    def _announce(self, subscriber: Subscriber) -> None:
        """Say what was lost, behind what had been buffered before the loss."""
        if not subscriber.lost_records or not subscriber.has_room or subscriber.told_in_vain:
            return
        if subscriber.open:  # one that waits there still is overtaken
            for event in subscriber.open.events:
                if event["type"] == "platform.logsDropped":
                    subscriber.open.events.remove(event)
                    subscriber.open.bytes -= size(event)
                    subscriber.lost_records += event["record"]["droppedRecords"]
                    subscriber.lost_bytes += event["record"]["droppedBytes"]
        record = {
            "reason": subscriber.why_lost,
            "droppedRecords": subscriber.lost_records,
            "droppedBytes": subscriber.lost_bytes,
        }
        subscriber.lost_records = subscriber.lost_bytes = 0
        if "platform" in subscriber.types:
            self._join(subscriber, {"time": self.stamp, "type": "platform.logsDropped", "record": record})
