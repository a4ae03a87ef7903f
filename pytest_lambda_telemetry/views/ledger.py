"""The ledger: every emitted record, and what became of it."""

from collections.abc import Callable, Iterator, Sequence

from ..model.backend import BackendRequest
from ..model.facts import SentBatch
from ..model.records import Delivery
from .moments import since_start
from .sightings import Sighting
from .trails import Passage, Trail, Trails
from .verdicts import Found, searched_where_possible, twice

Look = Callable[[object, object], tuple[Trails, Sequence[Passage]]]
"""The trails of event types, and of these the passages to a target."""

ALIKE = "it cannot be told from other records at the backend"
_SHOWN = 1_000
_PREVIEW = 40


class Ledger:
    """Every emitted event and what became of it, as it stood when the ledger was asked for.

    `trails` has one Trail for each record and subscription that takes it. A record counts as seen where a request to a
    fake backend that was answered 2xx holds it: a text without its newline, an object by its `message`, if it has one,
    else as the same object; in a body that is no JSON as UTF-8 bytes.
    """

    def __init__(
        self,
        look: Look,
        sightings: Sequence[Sighting],
        *,
        backend: bool,
        delivery_of: Callable[[SentBatch], Delivery | None],
    ) -> None:
        self._look = look
        self._sightings = sightings
        self._backend = backend
        self._delivery_of = delivery_of

    def trails(self, types: Sequence[str] = ("function",), to: object = None) -> tuple[Trail, ...]:
        """The trails of all records of these event types, to one extension or subscription or to all.

        Records that cannot be told apart at the backend are seen nowhere: their `why` says so. Raises MisuseError for a
        type that no event has.
        """
        return tuple(trail for trail, _ in self._judged(*self._look(types, to)))

    def _judged(self, trails: Trails, passages: Sequence[Passage]) -> Iterator[tuple[Trail, bool]]:
        """Each trail, and whether its record was seen more than once at one backend."""
        numbers = list(dict.fromkeys(one.number for one in passages))
        places = {number: place for place, number in enumerate(numbers)}
        found, alike = Found(), set[int]()
        if self._sightings:
            first = {one.number: one for one in reversed(passages)}
            search = searched_where_possible([first[number] for number in numbers], trails.injected)
            alike = search.alike
            for sighting in self._sightings:
                found.add(search, sighting)
        for passage in passages:
            place = places[passage.number]
            seen = found.seen.get(place, [])
            why = ALIKE if place in alike else ""
            tried = _requests(found.tried.get(place, []))
            yield passage.trail(_requests(seen), tried, self._delivery_of, why), twice(seen)

    @property
    def forgotten(self) -> int:
        """How much the journal's limit has cost: records of the function, and older entries of the journal."""
        return self._look(("function",), None)[0].forgotten

    @property
    def lost(self) -> tuple[Trail, ...]:
        """The function's records that will not arrive any more: dropped, given up, or acknowledged and never seen.

        The last only where there is a fake backend, and as far as it was asked by now.
        """
        gone = {"dropped", "given-up", *(("acknowledged",) if self._backend else ())}
        return tuple(one for one in self.trails() if one.state in gone and one.why != ALIKE)

    @property
    def doubled(self) -> tuple[Trail, ...]:
        """The function's records that were seen more than once at one backend."""
        return tuple(trail for trail, twice_at_one in self._judged(*self._look(("function",), None)) if twice_at_one)

    def __str__(self) -> str:
        """A table: number, moment, record, subscription, state, batches, requests."""
        trails, passages = self._look(("function",), None)
        rows: list[tuple[str, ...]] = [("no.", "emitted", "record", "to", "state", "batches", "seen")]
        shown = [(passage, trail) for passage, (trail, _) in zip(passages, self._judged(trails, passages), strict=True)]
        rows += [_row(*one) for one in shown[:_SHOWN]]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        if len(shown) > _SHOWN:
            lines.append(f"and {len(shown) - _SHOWN:,} more")
        if trails.forgotten:
            what = "older records or entries of the journal"
            lines.append(f"{trails.forgotten:,} {what} are forgotten (lambda_telemetry_journal_limit)")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Ledger of {len(self._look(('function',), None)[1])} records>"


def _requests(sightings: Sequence[Sighting]) -> list[BackendRequest]:
    return [one.request for one in sightings if one.request is not None]


def _row(passage: Passage, trail: Trail) -> tuple[str, ...]:
    text = repr(trail.event["record"])
    return (
        str(trail.number),
        since_start(passage.elapsed_us),
        text if len(text) <= _PREVIEW else f"{text[: _PREVIEW - 1]}…",
        trail.subscription.extension_name,
        trail.state,
        " ".join(str(one.number) for one in passage.batches),
        f"{len(trail.seen)}{f' (tried {len(trail.tried)})' if trail.tried else ''}",
    )
