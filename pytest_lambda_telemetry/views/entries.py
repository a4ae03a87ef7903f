"""Facts as lines of the journal: what sort of thing, who it concerns, what happened, with what verdict."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ..model import backend, facts
from ..model.event import Event
from ..model.facts import Fact
from ..model.records import in_words, summary
from ..protocol.brief import brief
from ..protocol.schema import LOG_TYPES

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PREVIEW = 80


class Recorded(Protocol):
    """A fact with its place in the journal."""

    @property
    def number(self) -> int: ...
    @property
    def wall_us(self) -> int: ...
    @property
    def elapsed_us(self) -> int: ...
    @property
    def fact(self) -> Fact: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the journal.

    `elapsed` and `at` are the environment's time, `kind` what sort of thing happened (`request`, `event`, `delivery`,
    `backend`, `drop`, `lifecycle`, `note`, `stray`), `who` it concerns, `what` happened and with what `verdict`; `fact`
    is the value that all of this tells.
    """

    number: int
    at: datetime
    elapsed: timedelta
    kind: str
    who: str
    what: str
    verdict: str
    fact: Fact


def entries(recorded: Iterable[Recorded]) -> tuple[Entry, ...]:
    """The journal as a person reads it."""
    return tuple(_entry(one) for one in recorded)


def _entry(one: Recorded) -> Entry:
    kind, who, what, verdict = told(one.fact)
    return Entry(
        number=one.number,
        at=_EPOCH + timedelta(microseconds=one.wall_us),
        elapsed=timedelta(microseconds=one.elapsed_us),
        kind=kind,
        who=who,
        what=what,
        verdict=verdict,
        fact=one.fact,
    )


Line = tuple[str, str, str, str]


def told(fact: Fact) -> Line:
    """Kind, who, what and verdict of a fact."""
    return _TELLERS[type(fact)](fact)


def _called(fact: facts.Called) -> Line:
    request, error = fact.request, fact.error
    verdict = str(request.status) + (f" {error[0]}: {error[1]}" if error else "")
    if isinstance(fact.outcome, facts.Registered | facts.Refused) and fact.outcome.outlived:
        verdict += f"; by {fact.outcome.outlived}"
    return "request", fact.who, f"{request.method} {request.path}", verdict


def _stood_in(fact: facts.StoodIn) -> Line:
    did = "registered" if isinstance(fact.outcome, facts.Registered) else "subscribed"
    return "lifecycle", fact.who, f"{did} by hand", ""


def _told(fact: facts.Told) -> Line:
    if fact.event == "SHUTDOWN":
        return "lifecycle", fact.who, f"SHUTDOWN ({fact.detail})", "waits for its next poll" if fact.pending else ""
    return "lifecycle", fact.who, f"INVOKE {fact.detail}", f"skipped: it is {fact.skipped}" if fact.skipped else ""


def _emitted(fact: facts.Emitted) -> Line:
    return "event", fact.source, in_words(fact.held.types), preview(fact.held.events)


def _attempted(fact: facts.Attempted) -> Line:
    again = f" (attempt {fact.number})" if fact.number > 1 else ""
    attempt = fact.attempt
    verdict = "written" if fact.ok and attempt.status is None else str(attempt.status or attempt.error)
    return "delivery", fact.batch.subscription.extension_name, f"[{summary(fact.batch.types)}]{again}", verdict


def _backend_called(fact: backend.BackendCalled) -> Line:
    size = f" ({len(fact.request.content.raw):,} bytes)" if fact.request.content.raw else ""
    request = fact.request
    what = f"#{fact.number} {request.method} {request.path}{size}"
    verdict = "waits for its answer" if fact.waits else str(request.status or "no answer")
    verdict += f" (fail_next: {fact.fault})" if fact.fault else ""
    return "backend", fact.backend, what, verdict + (f": {fact.remark}" if fact.remark else "")


def _backend_answered(fact: backend.BackendAnswered) -> Line:
    verdict = str(fact.request.status or "no answer") + (f": {fact.why}" if fact.why else "")
    return "backend", fact.backend, f"#{fact.number} {fact.request.method} {fact.request.path}, after a wait", verdict


def _ended(fact: facts.ProcessEnded) -> Line:
    return "lifecycle", fact.who, "ended", f"exit code {fact.returncode}"


def _killed(fact: facts.ProcessKilled) -> Line:
    why = "did not end after SHUTDOWN" if fact.had_grace else "gets no SHUTDOWN, and no time to end"
    return "lifecycle", fact.who, why, "SIGKILL"


def _unknown_name(fact: facts.UnknownName) -> Line:
    waiting = " or ".join(map(repr, fact.waiting))
    return (
        "note",
        fact.who,
        f"no process was started under this name: if it is {waiting}, Lambda would know it by that file name and refuse"
        f" it; say run_extension(..., name={fact.who!r})",
        "",
    )


_TELLERS: dict[type, Callable[[Any], Line]] = {  # Any: each teller takes the class it stands beside
    facts.Called: _called,
    facts.StoodIn: _stood_in,
    facts.Unhandled: lambda fact: ("request", "?", f"not handled: {fact.reason}", str(fact.status)),
    facts.Stray: lambda fact: (
        "stray",
        fact.extension_id or "?",
        f"{fact.method} {fact.target}",
        "stray, belongs to an earlier test or environment: 403",
    ),
    facts.Tolerated: lambda fact: ("note", fact.who, fact.remark, ""),
    facts.Asked: lambda fact: ("lifecycle", fact.who, "asks for its next event", ""),
    facts.Told: _told,
    facts.NobodyToTell: lambda fact: (
        "lifecycle",
        "script",
        f"{fact.event} {fact.detail}",
        "skipped: no extension asks for it",
    ),
    facts.LeftOut: lambda fact: (
        "lifecycle",
        "script",
        f"{fact.what} {fact.detail}",
        "left out: this environment has told it already",
    ),
    facts.InitEnded: lambda _fact: ("lifecycle", "Lambda", "init ended", ""),
    facts.Froze: lambda _fact: ("lifecycle", "Lambda", "the environment freezes", ""),
    facts.Thawed: lambda _fact: ("lifecycle", "Lambda", "the environment thaws", ""),
    facts.Restarted: lambda _fact: ("lifecycle", "Lambda", "a new execution environment begins", ""),
    facts.NeverAsked: lambda fact: (
        "note",
        fact.who,
        "did not ask for its next event" if fact.registered else "did not register",
        "extension-timeout",
    ),
    facts.AskedEarly: lambda fact: (
        "note",
        fact.who,
        "asked for its next event before runtimeDone:"
        f" {_events(fact.count)} {'comes' if fact.count == 1 else 'come'} late",
        "",
    ),
    facts.Emitted: _emitted,
    facts.Replayed: lambda fact: ("event", "Lambda", f"replay of {_events(len(fact.numbers), 'early ')}", fact.who),
    facts.InitTelemetryLost: lambda fact: (
        "drop",
        "early events",
        f"{fact.count} found no room for a later replay",
        "",
    ),
    facts.Attempted: _attempted,
    facts.Dropped: lambda fact: ("drop", fact.subscription.extension_name, _events(fact.count), fact.reason),
    facts.FaultInjected: lambda fact: ("note", "test", f"fault in a delivery to {fact.who}", fact.fault),
    backend.BackendCalled: _backend_called,
    backend.BackendAnswered: _backend_answered,
    backend.BackendUnhandled: lambda fact: ("backend", fact.backend, f"no request: {fact.reason}", str(fact.status)),
    backend.BackendRefused: lambda fact: ("backend", fact.backend, "a connection", "refused (fail_next: refuse)"),
    backend.BackendReset: lambda fact: ("backend", fact.backend, "begins anew", ""),
    facts.LoopFound: lambda fact: (
        "note",
        fact.who,
        "feedback loop: its further output is not delivered to itself",
        "",
    ),
    facts.ProcessStarted: lambda fact: ("lifecycle", fact.who, f"started as process {fact.pid}", fact.resolution),
    facts.ProcessEnded: _ended,
    facts.ProcessKilled: _killed,
    facts.ProcessStopped: lambda fact: (
        "note",
        fact.who,
        "its process is stopped: nothing is sent before the thaw",
        "",
    ),
    facts.OutputLost: lambda fact: (
        "drop",
        fact.who,
        f"{fact.lines} lines ({fact.size} bytes) of output",
        "inbox full",
    ),
    facts.OutputCut: lambda fact: (
        "note",
        fact.who,
        f"a line of output is longer than {fact.limit:,} bytes: cut there",
        "",
    ),
    facts.UnknownName: _unknown_name,
    facts.ThreadDied: lambda fact: (
        "note",
        fact.who,
        f"the thread died: {fact.words}",
        fact.outlived,
    ),
    facts.Hinted: lambda fact: ("note", fact.who, fact.hint, ""),
}


def _events(count: int, kind: str = "") -> str:
    return f"1 {kind}event" if count == 1 else f"{count} {kind}events"


def preview(events: Sequence[Event]) -> str:
    """What tells a lone platform event from others, or the first log line of some events."""
    if len(events) == 1 and events[0].type not in LOG_TYPES:
        return brief(events[0])[1]
    first = next((event.record for event in events if isinstance(event.record, str)), "")
    text = first[:_PREVIEW].rstrip("\n")
    return repr(text) + ("…" if len(first) > _PREVIEW else "") if text else ""
