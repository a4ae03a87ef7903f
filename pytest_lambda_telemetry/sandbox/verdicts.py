"""Whether every record reached the backend: waits, in real time, for what is on its way, then judges."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Literal, get_args

from ..backend.decoding import Undecodable, decode
from ..model import checks
from ..model.backend import BackendAnswered, BackendCalled
from ..model.errors import LambdaTelemetryError, MisuseError
from ..model.records import Subscription
from ..real import Real
from ..story.init import MANAGED_INSTANCES
from ..views.ledger import Ledger
from ..views.sightings import Sighting, Sightings, of_a_test
from ..views.trails import Passage, Trails
from ..views.verdicts import Found, Verdict, judge, searched
from . import targets
from .reception import view_of
from .sandbox import Sandbox

RecordKey = Callable[[dict[str, Any]], str | bytes]
"""What an event, as the subscription is sent it, is known by at the backend."""
Seen = object
"""bytes, str, objects with `.content` or `.body`, a list of them, or a callable that returns one."""

_POLL_S = 0.02
_AFTER_THE_END_S = 0.5
"""After shutdown a request may still be read that was sent before it; an extension's thread may still send its last."""
Dropped = Literal["excused", "lost"]
DROPPED = get_args(Dropped)


def ledger(sandbox: Sandbox, event_types: Callable[[object], tuple[str, ...]]) -> Ledger:
    """Every emitted record and what became of it by now."""
    sightings = Sightings()
    with sandbox.lock:
        rows = sandbox.journal.facts
    sightings.take(rows)

    def look(types: object, to: object) -> tuple[Trails, list[Passage]]:
        trails = _trails(sandbox, event_types(types))[0]
        return trails, _those_to(sandbox, trails, to)

    with sandbox.lock:
        deliveries = sandbox.recordings.by_batch()
    return Ledger(look, sightings.all, backend=sandbox.backends.there, delivery_of=deliveries.get)


def judge_records(
    sandbox: Sandbox,
    wanted: Verdict,
    types: tuple[str, ...],
    *,
    to: object,
    key: object,
    seen: object,
    dropped: object,
    timeout: object,
) -> None:
    """Wait for what is on its way, then raise AssertionError unless each record has arrived. The caller may wait."""
    checks.require(checks.is_one_of(dropped, DROPPED), "dropped", dropped, f"one of {checks.quoted(DROPPED)}")
    if seen is None and not sandbox.backends.there:
        raise MisuseError(
            "there is no backend to look at: let the extension send to lambda_telemetry.backend().url, or pass seen=,"
            " what your own backend was sent (bytes, str, requests, or a callable that returns them)"
        )
    if not types:
        raise MisuseError("types=() is empty; pass a list of event types, such as ['function']")
    checks.require(key is None or callable(key), "key", key, "a function from an event to str or bytes")
    if isinstance(seen, Iterator):
        seen = list(seen)  # it is looked at several times
    longest = checks.timeout(timeout)
    if sandbox.phases.ending:  # nothing is on its way but what was sent at the very end
        longest = 0.0 if sandbox.closed else min(longest, _AFTER_THE_END_S + sandbox.plan.longest_delay_s)
    deadline = Real.monotonic() + longest

    def books() -> _Books:
        return _Books(sandbox, types, to, key)

    done = _with_requests(sandbox, books, deadline) if seen is None else _with_seen(sandbox, books, seen, deadline)
    if done.trails.forgotten:
        raise LambdaTelemetryError(
            f"{done.trails.forgotten:,} records, or older entries of the journal, were let go to keep it within its"
            " limit, so nobody can say what became of every record; raise lambda_telemetry_journal_limit in pytest's"
            " ini file"
        )
    untaken = done.trails.untaken
    if to is None:
        judge(wanted, done.trails, done.passages, untaken, done.found, dropped_is_lost=dropped == "lost")
    elif done.passages or not (untaken or any(done.trails.passages)):
        judge(wanted, done.trails, done.passages, (), done.found, dropped_is_lost=dropped == "lost")
    else:
        raise AssertionError(f"to={to!r} was sent none of the records of {checks.quoted(types)}: it takes others only")


class _Books:
    """The records to be judged, and where they were found so far; `up_to` is the last fact they are folded from."""

    def __init__(self, sandbox: Sandbox, types: tuple[str, ...], to: object, key: object) -> None:
        self.trails, self.up_to = _trails(sandbox, types)
        self.passages = _those_to(sandbox, self.trails, to)
        self.found = Found()
        self._search = searched(self.passages, key, self.trails.injected)
        self._acknowledged = {place for place, one in enumerate(self.passages) if one.acknowledged}

    def look_into(self, sightings: Iterable[Sighting]) -> None:
        """Some more requests."""
        for sighting in sightings:
            self.found.add(self._search, sighting)

    def concerns(self, sighting: Sighting) -> bool:
        """It holds a record that is to be judged."""
        return any(True for _ in self._search.found_in(sighting.body, sighting.decoded))

    @property
    def something_is_missing(self) -> bool:
        """The listener has acknowledged a record that was not seen yet."""
        return not self._acknowledged <= self.found.seen.keys()


def _with_requests(sandbox: Sandbox, books: Callable[[], _Books], deadline: float) -> _Books:
    """Wait until everything that the listener has acknowledged was seen, and what holds any of it was answered."""
    made, sightings, known, stale = books(), Sightings(), 0, False
    on_its_way: list[Sighting] = []
    while True:
        with sandbox.lock:
            sandbox.turns.check()
            rows = sandbox.journal.since(known)
            if not rows:
                remaining = deadline - Real.monotonic()
                if remaining <= 0 or not (made.something_is_missing or on_its_way):
                    break
                sandbox.lock.wait(remaining)
                continue
        known = rows[-1].number
        new = (row.fact for row in rows if row.number > made.up_to)
        stale = stale or not all(isinstance(fact, BackendCalled | BackendAnswered) for fact in new)
        resets = sightings.resets
        made.look_into(sightings.take(rows))
        if sightings.resets > resets:  # some of what was found is forgotten
            made = books()
            made.look_into(one for one in sightings.all if not one.pending)
        known_before = {id(one) for one in on_its_way}
        on_its_way = [one for one in sightings.pending if id(one) in known_before or made.concerns(one)]
    if stale:
        made = books()
        made.look_into(sightings.all)
    else:
        made.look_into(one for one in sightings.all if one.pending)
    return made


def _with_seen(sandbox: Sandbox, books: Callable[[], _Books], seen: object, deadline: float) -> _Books:
    """As above, for what the test looks up itself: nobody tells when there is more of it."""
    while True:
        made = books()
        made.look_into(of_a_test(seen, _unpack))
        with sandbox.lock:
            sandbox.turns.check()
            remaining = deadline - Real.monotonic()
            if remaining <= 0 or not made.something_is_missing:
                return made
            sandbox.lock.wait(min(_POLL_S, remaining))


def _unpack(body: bytes, content_encoding: str) -> bytes:
    try:
        return decode(body, content_encoding)[0]
    except Undecodable:
        return body


def _trails(sandbox: Sandbox, types: tuple[str, ...]) -> tuple[Trails, int]:
    """The trails of event types, and the number of the last fact in them."""
    with sandbox.lock:
        rows, count, forgotten = sandbox.journal.facts, sandbox.journal.count, sandbox.journal.forgotten
        waiting = _waiting(sandbox)
    managed = sandbox.settings.initialization_type == MANAGED_INSTANCES
    trails = Trails(rows, types, lambda one: view_of(one, sandbox.settings, managed=managed), waiting, forgotten)
    return trails, count


def _waiting(sandbox: Sandbox) -> dict[Subscription, list[tuple[Iterable[int], str]]]:
    """What waits in the buffers, and for what; the caller holds the lock."""
    now_us, frozen, ended = sandbox.moments.look()[1], sandbox.clock.frozen, sandbox.closed or sandbox.phases.ending
    waiting: dict[Subscription, list[tuple[Iterable[int], str]]] = {}
    for subscriber in sandbox.engine.subscribers:
        if subscriber.ended:  # what it has not got is given up
            continue
        for batch, _, why in sandbox.arrivals.waiting(subscriber, now_us, frozen=frozen):
            why = "still buffered when the environment ended" if ended else why
            waiting.setdefault(subscriber.subscription, []).append((tuple(chain.from_iterable(batch.segments)), why))
    return waiting


def _those_to(sandbox: Sandbox, trails: Trails, to: object) -> list[Passage]:
    with sandbox.lock:
        return targets.those_to(sandbox, to, trails.passages, lambda passage: passage.subscription)
