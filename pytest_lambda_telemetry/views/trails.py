"""The way of each record to each subscription that takes it, folded from the facts when somebody asks."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from ..model import facts
from ..model.backend import BackendRequest
from ..model.errors import LambdaTelemetryError
from ..model.event import Event
from ..model.facts import Attempted, Called, Dropped, Emitted, Replayed, SentBatch, StoodIn, Subscribed
from ..model.records import Attempt, Delivery, Subscription, decoded
from ..protocol.ledger import State, Step, state_after
from ..protocol.projection import View, category, project, resolve, timestamp
from .entries import Recorded

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER_KEPT = "it came before the subscription, and there was no room left to keep it for that"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trail:
    """What became of one record on its way to one subscription.

    `event` is the event as that subscription is sent it, `number` its serial number in the environment, from 1.
    `deliveries` are the batches that held it, also those that failed; `acknowledged_at` is when the first was
    acknowledged. `seen` are the backend's requests that were answered 2xx and held it, one for each time that they did,
    `tried` those that were answered otherwise, or repeat the Idempotency-Key of one that was taken. `state` is
    `buffered`, `in-flight`, `acknowledged`, `arrived`, `dropped` or `given-up`; `why` says more, where there is more to
    say.
    """

    event: dict[str, Any]  # any JSON value
    number: int
    subscription: Subscription
    emitted_at: datetime
    deliveries: tuple[Delivery, ...]
    acknowledged_at: datetime | None
    seen: tuple[BackendRequest, ...]
    tried: tuple[BackendRequest, ...]
    state: State
    why: str = ""

    def __repr__(self) -> str:
        return f"<Trail {self.number} {self.event['type']} to {self.subscription.extension_name} {self.state}>"


@dataclass(slots=True, eq=False)
class Sent:
    """A batch with its attempts; `number` counts the batches of its environment in the order of their first attempt."""

    batch: SentBatch
    number: int
    first_us: int
    attempts: list[Attempt] = field(default_factory=list)
    acknowledged_at: datetime | None = None
    acknowledged_us: int = 0


@dataclass(slots=True, eq=False)
class Passage:
    """A record on its way to one subscription: what the facts say of it so far. Times are the journal's."""

    event: dict[str, Any]
    number: int
    subscription: Subscription
    wall_us: int
    elapsed_us: int
    batches: list[Sent] = field(default_factory=list)
    dropped: str = ""
    given_up: str = ""
    waits: str = ""
    """Where it waits in the buffer, in words; empty where it does not."""
    early: bool = False
    """It came before the subscription, which may get it as a replay."""

    @property
    def acknowledged(self) -> Sent | None:
        """The first of its batches that was acknowledged."""
        return next((one for one in self.batches if one.acknowledged_at is not None), None)

    def state(self, *, seen: bool) -> State:
        """Where it stands."""
        steps: list[Step] = []
        for sent in self.batches:
            steps.append("sent")
            if sent.acknowledged_at is not None:
                steps.append("acknowledged")
        if self.dropped:
            steps.append("dropped")
        elif self.given_up:
            steps.append("given-up")
        return state_after([*steps, "seen"] if seen else steps)

    def trail(
        self,
        seen: Sequence[BackendRequest],
        tried: Sequence[BackendRequest],
        delivery_of: Callable[[SentBatch], Delivery | None],
        why: str = "",
    ) -> Trail:
        """As a test reads it; of a batch that was forgotten there is no delivery."""
        deliveries = (delivery_of(one.batch) for one in self.batches)
        acknowledged = self.acknowledged
        return Trail(
            event=self.event,
            number=self.number,
            subscription=self.subscription,
            emitted_at=_EPOCH + timedelta(microseconds=self.wall_us),
            deliveries=tuple(one for one in deliveries if one is not None),
            acknowledged_at=acknowledged.acknowledged_at if acknowledged else None,
            seen=tuple(seen),
            tried=tuple(tried),
            state=self.state(seen=bool(seen)),
            why=self.dropped or self.given_up or self.waits or why,
        )


class _Way:
    """All that goes to one subscription."""

    def __init__(self, subscription: Subscription, view: View) -> None:
        self.subscription = subscription
        self.view = view
        self.passages: dict[int, Passage] = {}
        self.looped = False
        self._wanted = frozenset(subscription.types)

    def take(self, events: Iterable[tuple[int, Event]], at: tuple[int, int], *, early: bool = False) -> None:
        """These events, with their numbers, were emitted then: those that the subscription includes are under way."""
        wall_us, elapsed_us = at
        stamp = timestamp(_EPOCH + timedelta(microseconds=wall_us))
        for number, event in events:
            if category(event.type) in self._wanted and (shown := self._shown(event, stamp)) is not None:
                self.passages[number] = Passage(shown, number, self.subscription, wall_us, elapsed_us, early=early)

    def _shown(self, event: Event, stamp: str) -> dict[str, Any] | None:
        resolved = resolve(event, stamp)
        return resolved if self.view.logs_api else project(resolved, self.view)


@dataclass(frozen=True, slots=True)
class Untaken:
    """A record that no subscription takes, and when it was emitted."""

    number: int
    record: object
    elapsed_us: int


Waiting = Mapping[Subscription, Sequence[tuple[Iterable[int], str]]]
"""What waits in each subscription's buffer: serial numbers, and in words what they wait for."""


class Trails:
    """The passages of all records of some event types, in order; `forgotten` is what the journal has let go of them.

    `view_of` says how a subscription sees events, `waiting` what waits in the buffers. `untaken` are the records that
    no subscription takes, `injected` those of a scenario. `circumstances` are what the environment and the processes
    went through besides, in words, with the elapsed microseconds.
    """

    def __init__(
        self,
        journal: Iterable[Recorded],
        types: Collection[str],
        view_of: Callable[[Subscription], View],
        waiting: Waiting,
        forgotten: int = 0,
    ) -> None:
        self.forgotten = forgotten
        self.untaken: list[Untaken] = []
        self.injected: list[object] = []
        self.circumstances: list[tuple[int, str]] = []
        self._types = frozenset(types)
        self._view_of = view_of
        self._ways: list[_Way] = []
        self._way_to: dict[Subscription, _Way] = {}
        self._open: list[_Way] = []
        self._emitted: list[tuple[Recorded, Emitted]] = []
        self._firsts: list[int] = []
        self._batches: dict[SentBatch, Sent] = {}
        self._tried: set[int] = set()  # ids of segments, which the batches keep alive
        self._environment = 0
        for row in journal:
            self._take(row)
        self._put_into_batches()
        self._settle(waiting)

    @property
    def passages(self) -> Iterator[Passage]:
        """Each record on its way to each subscription: in order of their numbers, then of the subscriptions."""
        if len(self._ways) == 1:
            yield from self._ways[0].passages.values()
            return
        rows = [(number, place) for place, way in enumerate(self._ways) for number in way.passages]
        yield from (self._ways[place].passages[number] for number, place in sorted(rows))

    def _take(self, row: Recorded) -> None:
        match row.fact:
            case Emitted() as fact:
                self._took(row, fact)
            case Attempted(batch, _, attempt, ok):
                self._attempted(row, batch, attempt, ok=ok)
            case Called(outcome=Subscribed(subscription, again=False)) | StoodIn(outcome=Subscribed(subscription)):
                self._subscribed(subscription)
            case Replayed(who, numbers):
                way = next((one for one in reversed(self._ways) if one.subscription.extension_name == who), None)
                for number in numbers:
                    if way is not None and number in way.passages:
                        way.passages[number].early = False
            case Dropped() as fact:
                self._dropped(fact)
            case facts.LoopFound(who):
                for way in self._open:
                    way.looped = way.looped or way.subscription.extension_name == who
            case facts.Restarted():
                self._open.clear()
                self._environment = len(self._emitted)
                self._happened(row, "a new execution environment began")
            case fact:
                self._circumstance(row, fact)

    def _circumstance(self, row: Recorded, fact: facts.Fact) -> None:
        match fact:
            case facts.Froze():
                self._happened(row, "the environment froze")
            case facts.Thawed():
                self._happened(row, "the environment thawed")
            case facts.Told(who, "SHUTDOWN", reason, False, ""):
                self._happened(row, f"{who} was told SHUTDOWN ({reason})")
            case facts.ProcessEnded(who, returncode):
                self._happened(row, f"the process of {who} ended with exit code {returncode}")
            case facts.ProcessKilled(who):
                self._happened(row, f"the process of {who} was killed")
            case facts.ThreadDied(who, words):
                self._happened(row, f"the thread {who} died: {words}")

    def _happened(self, row: Recorded, what: str) -> None:
        self.circumstances.append((row.elapsed_us, what))

    def _took(self, row: Recorded, fact: Emitted) -> None:
        self._emitted.append((row, fact))
        self._firsts.append(fact.numbers.start)
        if fact.injected:
            self.injected += [event.record for event in fact.held.events]
            return
        if fact.held.released:
            self.forgotten += sum(count for kind, count in fact.held.types.items() if kind in self._types)
            return
        for way in self._open:
            if not (way.looped and fact.source == way.subscription.extension_name):
                way.take(self._of_the_types(fact), (row.wall_us, row.elapsed_us))

    def _of_the_types(self, fact: Emitted) -> Iterator[tuple[int, Event]]:
        rows = zip(fact.numbers, fact.held.events, strict=True)
        return ((number, event) for number, event in rows if event.type in self._types)

    def _subscribed(self, subscription: Subscription) -> None:
        way = _Way(subscription, self._view_of(subscription))
        for row, fact in self._emitted[self._environment :]:
            if not (fact.held.released or fact.injected):
                way.take(self._of_the_types(fact), (row.wall_us, row.elapsed_us), early=True)
        self._ways.append(way)
        self._way_to[subscription] = way
        self._open.append(way)

    def _attempted(self, row: Recorded, batch: SentBatch, attempt: Attempt, *, ok: bool) -> None:
        sent = self._batches.get(batch)
        if sent is None:
            sent = self._batches[batch] = Sent(batch, batch.number, row.elapsed_us)
            self._tried.add(id(batch.segments))
        sent.attempts.append(attempt)
        if ok and sent.acknowledged_at is None:
            sent.acknowledged_at, sent.acknowledged_us = attempt.at, row.elapsed_us

    def _dropped(self, fact: Dropped) -> None:
        way = self._way_to.get(fact.subscription)
        tried = id(fact.segments) in self._tried
        for number in chain.from_iterable(fact.segments):
            passage = way.passages.get(number) if way else None
            if passage is not None and tried:
                passage.given_up = fact.reason
            elif passage is not None:
                passage.dropped = fact.reason

    def _put_into_batches(self) -> None:
        for sent in self._batches.values():
            way = self._way_to.get(sent.batch.subscription)
            if way is None:  # the journal has forgotten the subscription
                self.forgotten += sum(kind in self._types for kind in sent.batch.types)
                continue
            unknown = False
            for number in chain.from_iterable(sent.batch.segments):
                passage = way.passages.get(number)
                if passage is None:
                    unknown = True
                elif not passage.batches or passage.batches[-1] is not sent:  # else it is another piece of a cut one
                    passage.batches.append(sent)
            if unknown and not self._types.isdisjoint(sent.batch.types):
                self._add_pushed(way, sent)

    def _add_pushed(self, way: _Way, sent: Sent) -> None:
        """What was pushed has a number and was never emitted: it is known from the bytes of its batch."""
        numbers = {
            number
            for number in chain.from_iterable(sent.batch.segments)
            if number not in way.passages and not self._was_emitted(number)
        }
        if not numbers:
            return
        try:
            events = decoded(sent.batch.payload, sent.batch.subscription.destination.protocol)
        except LambdaTelemetryError:
            self.forgotten += sum(kind in self._types for kind in sent.batch.types)
            return
        first = sent.attempts[0]
        wall_us = round((first.at - _EPOCH).total_seconds() * 1_000_000)
        pushed = zip(chain.from_iterable(sent.batch.segments), events, strict=True)
        for number, event in pushed:
            if number in numbers and event["type"] in self._types:
                way.passages[number] = Passage(event, number, way.subscription, wall_us, sent.first_us, [sent])

    def _was_emitted(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number in self._emitted[place][1].numbers

    def _settle(self, waiting: Waiting) -> None:
        taken = {number for way in self._ways for number in way.passages}
        for row, fact in self._emitted:
            if not (fact.held.released or fact.injected):
                self.untaken += [
                    Untaken(number, event.record, row.elapsed_us)
                    for number, event in self._of_the_types(fact)
                    if number not in taken
                ]
        for way in self._ways:
            for numbers, why in waiting.get(way.subscription, ()):
                for number in numbers:
                    if number in way.passages:
                        way.passages[number].waits = why
            for passage in way.passages.values():
                if passage.acknowledged or passage.dropped or passage.given_up or passage.waits:
                    continue
                if passage.early:
                    passage.dropped = NEVER_KEPT
                else:
                    passage.given_up = "it was not delivered when its execution environment ended"
