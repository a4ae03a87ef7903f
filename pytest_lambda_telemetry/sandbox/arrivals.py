"""What became of emitted telemetry: what arrived, in order, and what is on its way, refused or lost."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from ..engine.journal import Recorded
from ..engine.subscriber import Subscriber
from ..model.facts import (
    Attempted,
    Called,
    Dropped,
    Emitted,
    Fact,
    InitTelemetryLost,
    OutputLost,
    SentBatch,
    StoodIn,
    Subscribed,
)
from ..model.records import Attempt, Subscription
from ..protocol.buffering import Batch
from ..views.assertions import Outstanding
from ..views.moments import in_advance

_KEPT_LOSSES = 1_000
"""Of one subscription: batches that were given up and are told one by one."""
_ENDED = "not delivered when its execution environment ended"
_REMEMBERED = 20
"""Of how many lost events of a kind the types are looked up."""


@dataclass(slots=True)
class _Loss:
    """Events that a subscription will never get, for one reason. `numbers` are the serial numbers of the first."""

    state: str
    why: str
    count: int = 0
    numbers: list[int] = field(default_factory=list)
    types: tuple[str, ...] = ()

    def add(self, count: int, numbers: Iterable[int]) -> None:
        self.count += count
        self.numbers += islice(numbers, _REMEMBERED - len(self.numbers))


class Arrivals:
    """A fold over facts: everything that did not arrive, of tried batches the newest `limit`.

    The caller holds the environment's lock.
    """

    def __init__(self, limit: int) -> None:
        self.past: list[Subscription] = []  # of execution environments that have ended
        self._limit = limit
        self._failed: dict[SentBatch, Attempted] = {}
        self._losses: dict[Subscription, dict[object, _Loss]] = {}
        self._output: Counter[str] = Counter()
        self._early = 0

    def take(self, fact: Fact) -> None:
        """Fold in one fact."""
        match fact:
            case Attempted(ok=True):
                self._failed.pop(fact.batch, None)
            case Attempted():
                self._failed[fact.batch] = fact
                if len(self._failed) > self._limit:
                    del self._failed[next(iter(self._failed))]
            case Dropped():
                self._dropped(fact)
            case InitTelemetryLost(count):
                self._early += count
            case Called(outcome=Subscribed(subscription, again=False)) | StoodIn(outcome=Subscribed(subscription)):
                if self._early:
                    why = "they came before it subscribed, and there was no room left to keep them for it"
                    self._lost(subscription, why, _Loss("dropped", why), self._early, ())
            case OutputLost(who, lines):
                self._output[who] += lines

    def begin_anew(self, subscribers: Iterable[Subscriber]) -> None:
        """These subscribers' execution environment has ended: what still waits for them is lost."""
        for subscriber in subscribers:
            of = subscriber.subscription
            self.past.append(of)
            for batch in subscriber.buffer.waiting:
                last = self._failed.pop(subscriber.in_flight, None) if batch.attempts and subscriber.in_flight else None
                why = f"{f'{_tried(last)}, ' if last else ''}{_ENDED}"
                self._lost(of, batch, _Loss("dropped", why, types=tuple(batch.types)), len(batch.types), ())

    def _dropped(self, fact: Dropped) -> None:
        last = next(reversed(self._failed.values()), None)
        if last is not None and last.batch.segments is fact.segments:  # it was tried, and is not tried again
            del self._failed[last.batch]
            given_up = self._losses.get(fact.subscription, ())
            if len(given_up) < _KEPT_LOSSES:
                loss = _Loss("refused", f"{_tried(last)}, given up", types=last.batch.types)
                self._lost(fact.subscription, last.batch, loss, fact.count, ())
            else:
                loss = _Loss("refused", "given up in later batches")
                self._lost(fact.subscription, "later", loss, fact.count, chain.from_iterable(fact.segments))
        else:
            loss = _Loss("dropped", fact.reason)
            self._lost(fact.subscription, fact.reason, loss, fact.count, chain.from_iterable(fact.segments))

    def _lost(self, of: Subscription, key: object, loss: _Loss, count: int, numbers: Iterable[int]) -> None:
        self._losses.setdefault(of, {}).setdefault(key, loss).add(count, numbers)

    def outstanding(
        self,
        past: Sequence[Subscription],
        subscribers: Sequence[Subscriber],
        now_us: int,
        *,
        frozen: bool,
        journal: Sequence[Recorded],
    ) -> list[Outstanding]:
        """Everything that these subscribers have not got, or those of the past have not, and why."""
        found: list[Outstanding] = []
        waiting = {one.in_flight for one in subscribers}
        for subscription in past:
            found += self._never(subscription, waiting, journal)
        for subscriber in subscribers:
            of = subscriber.subscription
            found += (told for _, told, _ in self.waiting(subscriber, now_us, frozen=frozen))
            found += self._never(of, waiting, journal)
            if self._output and subscriber.takes("extension"):
                found += [
                    Outstanding(of, "dropped", lines, ("extension",), f"output of {who!r} that found no room")
                    for who, lines in self._output.items()
                ]
        return found

    def _never(
        self, of: Subscription, waiting: Container[SentBatch | None], journal: Sequence[Recorded]
    ) -> Iterator[Outstanding]:
        for batch, last in self._failed.items():
            if batch.subscription is of and batch not in waiting:
                yield Outstanding(of, "refused", len(batch.types), batch.types, f"{_tried(last)}, pushed")
        for loss in self._losses.get(of, {}).values():
            types = loss.types or tuple(_types(journal, loss.numbers))
            yield Outstanding(of, loss.state, loss.count, types, loss.why)

    def waiting(self, subscriber: Subscriber, now_us: int, *, frozen: bool) -> Iterator[tuple[Batch, Outstanding, str]]:
        """Each batch that waits in a subscriber's buffer, and why; and what it waits for, said of it alone."""
        behind = False
        for batch in subscriber.buffer.waiting:
            due = _due(batch.due_us - now_us, frozen=frozen)
            last = self._failed.get(subscriber.in_flight) if batch.attempts and subscriber.in_flight else None
            if subscriber.ended:
                state = "dropped"
                why = alone = f"{f'{_tried(last)}, ' if last else ''}{_ENDED}"
            elif batch.attempts > (last.number if last else 0):
                state, why = "in flight", f"attempt {batch.attempts} is not answered yet"
                alone = why
            elif last is not None:
                alone = due.replace("due", "tried again", 1)
                state, why = "refused", f"{_tried(last)}, {alone}"
            else:
                state, why = "buffered", "waits behind that one" if behind else due
                alone = f"buffered: {'waits behind a batch that was not acknowledged' if behind else due}"
            behind = behind or batch.attempts > 0
            yield batch, Outstanding(subscriber.subscription, state, len(batch.types), tuple(batch.types), why), alone


def injected_numbers(journal: Iterable[Recorded]) -> set[int]:
    """The serial numbers of the events that a scenario has added, as far as the journal remembers."""
    facts = (one.fact for one in journal)
    return {number for fact in facts if isinstance(fact, Emitted) and fact.injected for number in fact.numbers}


def own_types(batch: SentBatch, injected: Container[int]) -> tuple[str, ...]:
    """The types of the events in a batch that no scenario has added."""
    rows = zip(batch.types, chain.from_iterable(batch.segments), strict=True)
    return tuple(kind for kind, number in rows if number not in injected)


def emitted(journal: Iterable[Recorded]) -> int:
    """How many events were emitted, as far as the journal remembers."""
    return sum(len(one.fact.numbers) for one in journal if isinstance(one.fact, Emitted))


def emitted_types(journal: Iterable[Recorded]) -> set[str]:
    """The types of all that was emitted, as far as the journal remembers."""
    return {name for one in journal if isinstance(one.fact, Emitted) for name in one.fact.held.types}


def _types(journal: Sequence[Recorded], numbers: Iterable[int]) -> Iterator[str]:
    """The types of emitted events, of those that the journal still has."""
    facts = [one.fact for one in journal if isinstance(one.fact, Emitted)]
    for number in numbers:
        for fact in facts:
            if number in fact.numbers and not fact.held.released:
                yield fact.held.events[fact.numbers.index(number)].type


def _tried(last: Attempted) -> str:
    times = "once" if last.number == 1 else f"{last.number} times"
    return f"tried {times}, last {_answer(last.attempt)}"


def _answer(attempt: Attempt) -> str:
    return f"answered {attempt.status}" if attempt.error is None else f"failed with {attempt.error!r}"


def _due(wait_us: int, *, frozen: bool) -> str:
    if frozen:
        return "due once the environment thaws: with the next invocation, at shutdown or with thaw()"
    if wait_us <= 0:
        return "due now: with the next call that moves time"
    return f"due {in_advance(wait_us)}"
