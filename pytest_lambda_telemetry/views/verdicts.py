"""What became of all records, judged: by cause, with each record's trail, and what went on besides."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from operator import itemgetter
from typing import Literal

from ..model.errors import MisuseError
from .moments import since_start
from .occurrences import Key, Search, key_of, own_key
from .sightings import Sighting
from .trails import Passage, Sent, Trails, Untaken

Verdict = Literal["exactly once", "at least once"]

_SHOWN = 10
_SHOWN_CIRCUMSTANCES = 12
_PREVIEW = 60
_LONGEST = 300

_ADVICE: Mapping[str, str] = {
    "acknowledged by the listener, and never seen at the backend": (
        "Lambda does not send again what was acknowledged: answer 200 once a batch is stored or forwarded, and send"
        " what is left at SHUTDOWN."
    ),
    "seen more than once": (
        "A batch comes again when its answer was lost, and so may a request to the backend: let what comes again be"
        " known, by an id of its own."
    ),
}


@dataclass(slots=True)
class Found:
    """Where each passage's record was found, by its place: in requests that were answered 2xx, and in others."""

    seen: dict[int, list[Sighting]] = field(default_factory=dict)
    tried: dict[int, list[Sighting]] = field(default_factory=dict)
    strange: list[Sighting] = field(default_factory=list)
    """Those that hold none of the records."""
    count: int = 0
    _known: dict[tuple[str, ...], Sighting] = field(default_factory=dict)

    def add(self, search: Search, sighting: Sighting) -> None:
        """Look into one more request. One that repeats the Idempotency-Key of a taken one is not taken again."""
        where = self.seen if sighting.accepted else self.tried
        if sighting.accepted and sighting.known_by:
            first = self._known.setdefault(sighting.known_by, sighting)
            if first is not sighting:
                where, sighting = self.tried, replace(sighting, repeats=first.name)
        places = list(search.found_in(sighting.body, sighting.decoded))
        for place in places:
            where.setdefault(place, []).append(sighting)
        self.count += 1
        if not places:
            self.strange.append(sighting)


def searched(passages: Sequence[Passage], key: object = None, others: Iterable[object] = ()) -> Search:
    """What finds these records again, and not within `others`.

    Raises MisuseError where they cannot be told apart, or are to several.
    """
    numbers = {one.number for one in passages}
    if len(numbers) < len(passages):
        names = sorted({repr(one.subscription) for one in passages})
        raise MisuseError(
            "several subscriptions take the same records, and what the backend has seen does not tell for whom: say"
            f" which with to=, and with seen= where that one sends to; they are {', '.join(names)}"
        )
    if callable(key):
        return Search([own_key(key(one.event), one.event) for one in passages], own=True, others=others)
    return Search([key_of(one.event["record"]) for one in passages], _objects(passages), others=others)


def searched_where_possible(passages: Sequence[Passage], others: Iterable[object] = ()) -> Search:
    """As above, each record once; those that cannot be told apart are not looked for."""
    keys: list[Key | None] = []
    for one in passages:
        try:
            keys.append(key_of(one.event["record"]))
        except MisuseError:
            keys.append(None)
    return Search(keys, _objects(passages), lenient=True, others=others)


def _objects(passages: Sequence[Passage]) -> dict[int, object]:
    """The records that are objects, by their place."""
    return {place: one.event["record"] for place, one in enumerate(passages) if isinstance(one.event["record"], dict)}


@dataclass(frozen=True, slots=True)
class _Group:
    cause: str
    passages: Sequence[tuple[Passage | Untaken, str]]


def judge(
    verdict: Verdict,
    trails: Trails,
    passages: Sequence[Passage],
    untaken: Sequence[Untaken],
    found: Found,
    *,
    dropped_is_lost: bool,
) -> None:
    """Raise AssertionError, which explains itself, unless each record was seen so often, at one backend or several."""
    unacknowledged: list[tuple[Passage, str]] = []
    unseen: list[tuple[Passage, str]] = []
    doubled: list[tuple[Passage, str]] = []
    dropped: list[tuple[Passage, str]] = []
    for place, passage in enumerate(passages):
        seen = found.seen.get(place, ())
        tried = found.tried.get(place, ())
        if verdict == "exactly once" and twice(seen):
            doubled.append((passage, f"{_way(passage)}; seen in {_each(seen)}{_besides(tried)}"))
        elif seen:
            continue
        elif passage.dropped:
            dropped.append((passage, passage.dropped))
        elif passage.acknowledged:
            unseen.append((passage, f"{_way(passage)}{_besides(tried)}"))
        else:
            unacknowledged.append((passage, f"{_way(passage)}{_besides(tried)}"))
    nobody = [(one, f"emitted at {since_start(one.elapsed_us)}") for one in untaken]
    groups = [
        _Group("emitted, and nobody was subscribed to it", nobody),
        _Group("never acknowledged by the listener", unacknowledged),
        _Group("acknowledged by the listener, and never seen at the backend", unseen),
        _Group("seen more than once", doubled),
        _Group("dropped by Lambda", dropped if dropped_is_lost else []),
    ]
    if not any(group.passages for group in groups):
        return
    lost = len(nobody) + len(unacknowledged) + len(unseen) + (len(dropped) if dropped_is_lost else 0)
    arrived = len(passages) - len(unacknowledged) - len(unseen) - len(dropped) - len(doubled)
    told = _told(verdict, groups, len(passages) + len(nobody), arrived, lost, len(doubled), dropped, found, trails)
    raise AssertionError("\n".join(told))


def _told(
    verdict: Verdict,
    groups: Iterable[_Group],
    count: int,
    arrived: int,
    lost: int,
    doubled: int,
    dropped: Sequence[tuple[Passage, str]],
    found: Found,
    trails: Trails,
) -> Iterator[str]:
    sums = [f"{arrived} arrived{' once' if verdict == 'exactly once' else ''}"]
    sums += [f"{lost} {_is(lost)} lost"] if lost else []
    sums += [f"{doubled} {_is(doubled)} doubled"] if doubled else []
    yield f"not {verdict}: of {_records(count)} {', '.join(sums)}"
    excused = dropped
    for group in groups:
        if not group.passages:
            continue
        excused = [] if group.cause == "dropped by Lambda" else excused
        yield f"  {group.cause} ({_records(len(group.passages))}):"
        runs = [list(run) for _, run in groupby(group.passages, key=itemgetter(1))]
        for run in runs[:_SHOWN]:
            yield f"    {_previews([passage for passage, _ in run])}: {run[0][1]}"
        if hidden := sum(map(len, runs[_SHOWN:])):
            yield f"    and {hidden} more"
        if group.cause in _ADVICE:
            yield f"    {_ADVICE[group.cause]}"
        if group.cause == "seen more than once":
            yield from (f"    {hint}" for hint in _hints_at_doubles(group, found, trails))
        if group.cause.endswith("never seen at the backend") and not found.seen and (hint := _hint(found)):
            yield f"    {hint}"
    if excused:
        yield (
            f"  excused: {_records(len(excused))} that Lambda dropped, and announced with platform.logsDropped;"
            ' dropped="lost" counts them'
        )
    if trails.circumstances:
        hidden = len(trails.circumstances) - _SHOWN_CIRCUMSTANCES
        yield "  besides:" + (
            f" (the last {_SHOWN_CIRCUMSTANCES} of {len(trails.circumstances)})" if hidden > 0 else ""
        )
        yield from (
            f"    {since_start(at)} {what if len(what) <= _LONGEST else f'{what[:_LONGEST]}…'}"
            for at, what in trails.circumstances[-_SHOWN_CIRCUMSTANCES:]
        )


def _hints_at_doubles(group: _Group, found: Found, trails: Trails) -> Iterator[str]:
    """What may be behind it besides a repetition."""
    if any(_in_one_request(seen) for seen in found.seen.values()):
        yield (
            "One that is found several times in one request may be sent in several forms: key= says what each is known"
            " by there, and seen= what to look at."
        )
    numbers = {one.number for one, _ in group.passages}
    others = {one.subscription.extension_name for one in trails.passages if one.number in numbers}
    if len(others) > 1:
        names = ", ".join(map(repr, sorted(others)))
        yield f"Several extensions take these records ({names}): say with seen= what the one in question sends to."


def twice(seen: Sequence[Sighting]) -> bool:
    """More than once at one and the same backend: an extension may send everything to several."""
    return len(seen) > len({one.backend for one in seen})


def _in_one_request(seen: Sequence[Sighting]) -> bool:
    return len(seen) > len({id(one) for one in seen})


def _hint(found: Found) -> str:
    """Of what the backend has got instead, where it has got none of the records."""
    if not found.count:
        return "The backend was sent nothing at all."
    if not found.strange:
        return ""
    answers = Counter(one.answer for one in found.strange)
    told = ", ".join(f"{count} {answer}" for answer, count in answers.items())
    return (
        f"The backend was sent {'1 request' if found.count == 1 else f'{found.count:,} requests'}, of which"
        f" {len(found.strange):,} had none of the records ({told}): if the extension changes them, key= says what each"
        " is known by there."
    )


def _way(passage: Passage) -> str:
    """What Lambda did with a record, and what it believes."""
    emitted = f"emitted at {since_start(passage.elapsed_us)}"
    sent = passage.acknowledged
    if sent is not None:
        before = len(sent.attempts) - 1
        at = f"acknowledged in batch {sent.number} at {since_start(sent.acknowledged_us)}"
        again = [one for one in passage.batches if one is not sent and one.acknowledged_at is not None]
        also = "".join(f", and in batch {one.number} at {since_start(one.acknowledged_us)}" for one in again)
        return f"{emitted}, {at}{f', at attempt {before + 1}' if before else ''}{also}"
    tried = passage.batches[-1] if passage.batches else None
    told = f", tried {_times(len(tried.attempts))} in batch {tried.number}, last {_answer(tried)}" if tried else ""
    return f"{emitted}{told}, {passage.given_up or passage.waits}"


def _answer(sent: Sent) -> str:
    attempt = sent.attempts[-1]
    return f"answered {attempt.status}" if attempt.error is None else f"failed with {attempt.error!r}"


def _besides(tried: Sequence[Sighting]) -> str:
    return f"; tried in {_each(tried)}" if tried else ""


def _each(sightings: Sequence[Sighting]) -> str:
    counts = Counter(map(str, sightings))
    shown = [f"{one}, {_times(count)}" if count > 1 else one for one, count in islice(counts.items(), 3)]
    return " and ".join(shown) + (f" and {len(counts) - 3} more" if len(counts) > 3 else "")


def _previews(passages: Sequence[Passage | Untaken]) -> str:
    """Records that have gone the same way, one after the other: the first, and the last."""
    first, last = passages[0], passages[-1]
    if first is last:
        return f"{first.number}. {_preview(first)}"
    between = "," if len(passages) == 2 else f", {len(passages) - 2} more,"
    return f"{first.number}. {_preview(first)}{between} {last.number}. {_preview(last)}"


def _preview(passage: Passage | Untaken) -> str:
    text = repr(passage.record if isinstance(passage, Untaken) else passage.event["record"])
    return text if len(text) <= _PREVIEW else f"{text[: _PREVIEW - 1]}…"


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
