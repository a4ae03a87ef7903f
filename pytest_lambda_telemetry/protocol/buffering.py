"""One subscription's buffer: which events make a batch, when it is due, and what is lost when nobody takes it.

Theory of operation. Events join the *open* batch. It closes when it holds `max_items` events or `max_bytes` bytes of
serialized events, or `timeout_ms` after its first event. Closed batches wait in order behind the *head*, the one batch
that is being sent or waits to be sent again; so order is kept whatever fails. While the head waits to be retried, one
more batch may fill up behind it; beyond that, events are lost and counted, and one `platform.logsDropped` takes their
place (Telemetry API reference and guide; AWS publishes no bound, this one is ours). Where nothing has failed and nobody
delivers (the environment is frozen, another thread emits), two batches may wait, or 10,000 events or 4 MiB if that is
more.

Times are microseconds of the environment's elapsed time, given by the caller: there is no clock in here.
"""

import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from ..model.records import Buffering

WAITING_EVENTS = 10_000
WAITING_BYTES = 4 * 1_048_576


@dataclass(slots=True)
class Loss:
    """Events that will never arrive, and why."""

    records: int = 0
    size: int = 0
    reason: str = ""

    def add(self, records: int, size: int, reason: str) -> None:
        self.records += records
        self.size += size
        self.reason = reason

    def after(self, earlier: "Loss | None") -> "Loss":
        """This loss and an earlier one, as one."""
        if earlier is None:
            return self
        return Loss(earlier.records + self.records, earlier.size + self.size, self.reason)


@dataclass(slots=True, eq=False)
class Batch:
    """Serialized events that travel together, due at `due_us`; `parts` are the events, `types` theirs, `size` in bytes.

    `segments` are their serial numbers, piece by piece as they came. `replay`: it takes up no room that new events
    need. `attempts` counts the tries at sending it. `announced` is the loss a `platform.logsDropped` among them
    reports, `announcement_at` that event's index, `announcement_segment` that of its number. `generation` is the least
    that its events came with; what it means is the caller's.
    """

    due_us: int
    replay: bool = False
    parts: list[bytes] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    segments: list[Sequence[int]] = field(default_factory=list)
    size: int = 0
    attempts: int = 0
    announced: Loss | None = None
    announcement_at: int = 0
    announcement_segment: int = 0
    generation: int = sys.maxsize

    @property
    def announcement_size(self) -> int:
        """The bytes of the `platform.logsDropped`, where there is one."""
        return len(self.parts[self.announcement_at]) if self.announced else 0


class Buffer:
    """See the module's text. Not thread-safe: the engine holds its lock around every call.

    `accepted` counts the events that ever joined a batch, `settled` those whose batch has arrived or was given up.
    """

    def __init__(self, limits: Buffering) -> None:
        self.accepted = 0
        self.settled = 0
        self._limits = limits
        self._timeout_us = limits.timeout_ms * 1000
        self._head: Batch | None = None
        self._head_has_failed = False
        self._closed: deque[Batch] = deque()
        self._open: Batch | None = None
        self._unannounced = Loss()
        self._announcement_was_lost = False

    @property
    def empty(self) -> bool:
        """Nothing waits: not the head, no closed batch, no open one."""
        return self._head is None and not self._closed and self._open is None

    @property
    def has_full_batch(self) -> bool:
        """A closed batch waits for nothing but its turn."""
        return self._head is None and bool(self._closed)

    @property
    def due_us(self) -> int | None:
        """When the next batch may be sent; None while there is none."""
        batch = self._head or (self._closed[0] if self._closed else self._open)
        return batch.due_us if batch else None

    @property
    def batch_count(self) -> int:
        """How many batches wait, the head and the open one among them."""
        return (self._head is not None) + len(self._closed) + (self._open is not None)

    @property
    def waiting(self) -> tuple[Batch, ...]:
        """The batches that wait, in order: the head, the closed ones, the open one."""
        batches = (self._head, *self._closed, self._open)
        return tuple(batch for batch in batches if batch is not None)

    @property
    def lost_records(self) -> int:
        """How many events were lost since the last announcement."""
        return self._unannounced.records

    @property
    def loss_to_announce(self) -> Loss | None:
        """What is to be told, once there is room for it; with what an announcement in the open batch tells."""
        if not self._unannounced.records or self._announcement_was_lost or not self._has_room:
            return None
        return self._unannounced.after(self._open.announced if self._open else None)

    @property
    def _has_room(self) -> bool:
        if self._open is not None:
            return True
        waiting = [batch for batch in self._closed if not batch.replay]
        if self._head_has_failed:
            return not waiting
        fits = sum(len(batch.parts) for batch in waiting) < WAITING_EVENTS
        return len(waiting) < 2 or (fits and sum(batch.size for batch in waiting) < WAITING_BYTES)

    def fill(
        self,
        parts: Sequence[bytes],
        types: Sequence[str],
        begin: int,
        now_us: int,
        reason: str,
        *,
        numbers: Sequence[int] = (),
        replay: bool = False,
        generation: int = -1,
    ) -> int:
        """Take events from index `begin` until a batch is full or all are taken; the index of the first not taken.

        `numbers` are their serial numbers, where anybody wants to know them again.
        Where there is no room the rest is lost, for `reason`, and counts as taken. A replay is never lost.
        """
        if not (replay or self._has_room):
            self._unannounced.add(len(parts) - begin, sum(map(len, parts[begin:])), reason)
            return len(parts)
        if self._open is None:
            self._open = Batch(now_us + self._timeout_us, replay=replay)
        batch, limits = self._open, self._limits
        end = min(len(parts), begin + limits.max_items - len(batch.parts))
        chunk = parts[begin:end]
        size = batch.size + sum(map(len, chunk))
        if size >= limits.max_bytes:
            sizes = accumulate(map(len, chunk), initial=batch.size)
            taken = next(index for index, reached in enumerate(sizes) if index and reached >= limits.max_bytes)
            chunk, end = chunk[:taken], begin + taken
            size = batch.size + sum(map(len, chunk))
        batch.parts += chunk
        batch.types += types[begin:end]
        batch.segments.append(numbers[begin:end])
        batch.size = size
        batch.generation = min(batch.generation, generation)
        self.accepted += end - begin
        if size >= limits.max_bytes or len(batch.parts) >= limits.max_items:
            self._close(now_us)
        return end

    def announce(self, part: bytes, now_us: int, number: int = 0) -> None:
        """Put the `platform.logsDropped` that reports `loss_to_announce` behind what was buffered before the loss.

        It takes the place of one that waits in the open batch: a subscriber is told once.
        """
        loss = self.loss_to_announce
        assert loss is not None, "announce() without a loss"
        self._unannounced = Loss()
        if self._open is None:
            self._open = Batch(now_us + self._timeout_us)
        batch = self._open
        if batch.announced:
            batch.size -= batch.announcement_size
            del batch.parts[batch.announcement_at], batch.types[batch.announcement_at]
            del batch.segments[batch.announcement_segment]
        else:
            self.accepted += 1
        batch.announced, batch.announcement_at = loss, len(batch.parts)
        batch.announcement_segment = len(batch.segments)
        batch.segments.append((number,))
        batch.parts.append(part)
        batch.types.append("platform.logsDropped")
        batch.size += len(part)
        batch.generation = -1
        if batch.size >= self._limits.max_bytes or len(batch.parts) >= self._limits.max_items:
            self._close(now_us)

    def lose(self, records: int, size: int, reason: str) -> None:
        """Count events that were lost before they came here."""
        self._unannounced.add(records, size, reason)

    def retell(self) -> None:
        """New events come: what a lost announcement told may be told again, ahead of them."""
        self._announcement_was_lost = False

    def forget_loss(self) -> None:
        """Stop counting a loss that nobody is to be told of."""
        self._unannounced = Loss()

    def close_overdue(self, now_us: int) -> None:
        """Keep what comes now out of an open batch that was due before, where nobody has been there to send it yet.

        It ought to be gone, so it takes nobody's room.
        """
        if self._head is None and self._open is not None and self._open.due_us <= now_us:
            self._open.replay = True
            self._close(now_us)

    def begin(self) -> Batch:
        """The batch to send now, which becomes the head. Only where `due_us` is not None."""
        if self._head is None:
            if self._closed:
                self._head = self._closed.popleft()
            else:
                assert self._open is not None, "begin() without a batch"
                self._head, self._open = self._open, None
        self._head.attempts += 1
        return self._head

    def succeeded(self) -> None:
        """The head has arrived."""
        assert self._head is not None, "succeeded() without a batch in flight"
        self.settled += len(self._head.parts)
        self._head, self._head_has_failed = None, False
        self._announcement_was_lost = False

    def failed(self, retry_us: int | None, reason: str) -> None:
        """The head has not arrived: it waits until `retry_us`, or is lost for `reason`.

        An announcement that is lost goes back to what is unannounced; alone it brings no new one, or a dead listener
        would be told for ever that it was told.
        """
        batch = self._head
        assert batch is not None, "failed() without a batch in flight"
        if retry_us is not None:
            batch.due_us, self._head_has_failed = retry_us, True
            return
        self._head, self._head_has_failed = None, False
        self.settled += len(batch.parts)
        records, size = len(batch.parts), batch.size
        if batch.announced:
            records, size = records - 1, size - batch.announcement_size
            self._unannounced.add(batch.announced.records, batch.announced.size, batch.announced.reason)
        self._announcement_was_lost = records == 0
        if records:
            self._unannounced.add(records, size, reason)

    def _close(self, now_us: int) -> None:
        batch, self._open = self._open, None
        assert batch is not None
        batch.due_us = min(batch.due_us, now_us)
        self._closed.append(batch)
