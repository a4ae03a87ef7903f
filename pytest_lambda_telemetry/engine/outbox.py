"""What is on its way: batches as they are sent, each attempt recorded, who wants to know of it."""

import threading
from collections.abc import Iterable

from ..model.facts import Attempted, Numbers, SentBatch
from ..model.ports import Deliverer, SendOutcome
from ..model.records import Attempt, Payload
from ..protocol.buffering import Batch
from .clock import from_us
from .journal import Journal
from .moments import Moments
from .recordings import Progress, Recordings
from .subscriber import Subscriber
from .turns import Turns


class Outbox:
    """Of one environment. `lock` is its lock, which is never held while a batch is on its way."""

    def __init__(
        self,
        *,
        lock: threading.Condition,
        moments: Moments,
        journal: Journal,
        recordings: Recordings,
        turns: Turns,
        deliverer: Deliverer,
    ) -> None:
        self._lock = lock
        self._moments = moments
        self._journal = journal
        self._recordings = recordings
        self._turns = turns
        self._deliverer = deliverer
        self._collectors: dict[int, dict[Progress, None]] = {}  # by identity: two that are empty are equal
        self._next_number = 1

    def collect(self, attempted: dict[Progress, None]) -> None:
        """Note every batch that is attempted from now on there, too."""
        with self._lock:
            self._collectors[id(attempted)] = attempted

    def stop_collecting(self, attempted: dict[Progress, None]) -> None:
        """Note them no longer."""
        with self._lock:
            self._collectors.pop(id(attempted), None)

    def pack(self, subscriber: Subscriber, batch: Batch) -> SentBatch:
        """A batch as it is sent, every time the same; the caller holds the lock."""
        number, self._next_number = self._next_number, self._next_number + 1
        payload = Payload(subscriber.body_of(batch))
        return SentBatch(number, subscriber.subscription, tuple(batch.types), _joined(batch.segments), payload)

    def progress(self, sent: SentBatch) -> Progress:
        """How far it has come; the caller holds the lock."""
        return self._recordings.progress(sent)

    def send(self, sent: SentBatch, number: int) -> SendOutcome:
        """Try it, for the `number`-th time."""
        with self._lock:
            at = from_us(self._moments.look()[0])
            progress = self._recordings.progress(sent)
            self._turns.note_attempt(progress)
            for attempted in self._collectors.values():
                attempted[progress] = None
        outcome, injected = self._deliverer.send(sent)
        with self._lock:
            attempt = Attempt(
                at=at,
                status=outcome.status,
                error=outcome.error,
                duration_ms=outcome.duration_ms,
                timed_out=outcome.timed_out,
                injected=injected,
            )
            self._journal.add(Attempted(sent, number, attempt, outcome.ok))
            self._lock.notify_all()
        return outcome

    def settle(self, sent: SentBatch) -> None:
        """It is sent no more, so the journal may let its bytes go; the caller holds the lock."""
        self._recordings.settle(sent)
        self._journal.hold(sent.payload, sent.payload.size)


def _joined(segments: Iterable[Numbers]) -> tuple[Numbers, ...]:
    """The same numbers in as few segments as possible: events that were emitted one by one make one range."""
    found: list[Numbers] = []
    for one in segments:
        last = found[-1] if found else None
        if isinstance(last, range) and isinstance(one, range) and last.stop == one.start and one.step == last.step == 1:
            found[-1] = range(last.start, one.stop)
        else:
            found.append(one)
    return tuple(found)
