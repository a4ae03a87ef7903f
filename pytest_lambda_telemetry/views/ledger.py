"""The ledger: every emitted record, and what became of it."""

from collections.abc import Callable, Sequence

from ..model.facts import SentBatch
from ..model.records import Delivery
from .moments import since_start
from .sightings import Sighting
from .trails import Passage, Trail, Trails
from .verdicts import Found, searched

Look = Callable[[object, object], tuple[Trails, Sequence[Passage]]]
"""The trails of event types, and of these the passages to a target."""

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

        Raises MisuseError for a type that no event has, and where records cannot be told apart at the backend.
        """
        return self._trails(self._look(types, to)[1])

    def _trails(self, passages: Sequence[Passage]) -> tuple[Trail, ...]:
        numbers = list(dict.fromkeys(one.number for one in passages))
        places = {number: place for place, number in enumerate(numbers)}
        found = Found()
        if self._sightings:
            first = {one.number: one for one in reversed(passages)}
            search = searched([first[number] for number in numbers])
            for sighting in self._sightings:
                found.add(search, sighting)
        return tuple(self._trail(one, found, places[one.number]) for one in passages)

    def _trail(self, passage: Passage, found: Found, place: int) -> Trail:
        seen = [one.request for one in found.seen.get(place, ()) if one.request is not None]
        tried = [one.request for one in found.tried.get(place, ()) if one.request is not None]
        return passage.trail(seen, tried, self._delivery_of)

    @property
    def forgotten(self) -> int:
        """How many records of the function the journal's limit has cost: they have no trail."""
        return self._look(("function",), None)[0].forgotten

    @property
    def lost(self) -> tuple[Trail, ...]:
        """The function's records that will not arrive any more: dropped, given up, or acknowledged and never seen.

        The last only where there is a fake backend, and as far as it was asked by now.
        """
        gone = {"dropped", "given-up", *(("acknowledged",) if self._backend else ())}
        return tuple(one for one in self.trails() if one.state in gone)

    @property
    def doubled(self) -> tuple[Trail, ...]:
        """The function's records that were seen more than once."""
        return tuple(one for one in self.trails() if len(one.seen) > 1)

    def __str__(self) -> str:
        """A table: number, moment, record, subscription, state, batches, requests."""
        trails, passages = self._look(("function",), None)
        rows: list[tuple[str, ...]] = [("no.", "emitted", "record", "to", "state", "batches", "seen")]
        shown = list(zip(passages, self._trails(passages), strict=True))
        rows += [_row(*one) for one in shown[:_SHOWN]]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        if len(shown) > _SHOWN:
            lines.append(f"and {len(shown) - _SHOWN:,} more")
        if trails.forgotten:
            lines.append(f"{trails.forgotten:,} older records are forgotten (lambda_telemetry_journal_limit)")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Ledger of {len(self._look(('function',), None)[1])} records>"


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
