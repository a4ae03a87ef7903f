"""What a green test must not hide: telemetry that never arrived, calls that were refused, processes that failed.

Folds over what was recorded, made when the test checks and when it ends; nothing that the test injected or expected
counts. Each finding says what arrived, the rule, and what to do, and is told once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition

from ..engine.recordings import Progress, Recordings
from ..host.process import ExtensionProcess, last_output
from ..model.facts import Attempted, Called, Dropped, Fact
from ..model.records import Attempt, Subscription, summary
from ..protocol.contract import LOGS, SLOW_CONSUMER, TELEMETRY
from ..wire.sender import REFUSED
from .listeners import Listeners
from .violations import Violations

_SAME_ANSWERS = 3
_RUNTIME_API = "/2018-06-01/runtime/"

_ANSWER = "Answer 200 as soon as a batch has arrived, also to events that are unknown or cannot be parsed."
_REMEDIES = {
    404: "Answer POST at the path of the destination's URI, which Lambda keeps as it is.",
    405: "Answer POST at the path of the destination's URI.",
    413: "Take larger bodies: a batch may hold 2 * maxBytes, and its envelope.",
    **dict.fromkeys((301, 302, 303, 307, 308), "No redirect is followed: name the right address in the destination."),
}
"""What to do about a status; `_ANSWER` for those that are not here. Sources: Lambda Telemetry API reference, seen."""


@dataclass(slots=True)
class _Loss:
    """Events for which there was no room left behind a batch whose attempt had failed."""

    cause: Attempt
    count: int = 0


class Audit:
    """Of one environment."""

    def __init__(
        self,
        *,
        lock: Condition,
        recordings: Recordings,
        listeners: Listeners,
        violations: Violations,
        is_frozen: Callable[[], bool],
        has_crashed: Callable[[str], bool],
        process_of: Callable[[str], ExtensionProcess | None],
    ) -> None:
        self._lock = lock
        self._recordings = recordings
        self._listeners = listeners
        self._violations = violations
        self._is_frozen = is_frozen
        self._has_crashed = has_crashed
        self._process_of = process_of
        self._told: set[Subscription] = set()
        self._dropped: dict[Subscription, int] = {}
        self._failed: dict[Subscription, Attempt] = {}  # the last attempt, where that failed
        self._losses: dict[Subscription, _Loss] = {}

    def take(self, fact: Fact) -> None:
        """Fold in one fact; the lock is held."""
        match fact:
            case Attempted(batch, ok=True):
                self._failed.pop(batch.subscription, None)
            case Attempted(batch, _, attempt):
                self._failed[batch.subscription] = attempt
            case Dropped(of, _, count, reason):  # whose fault that is shows from the attempts
                self._dropped[of] = self._dropped.get(of, 0) + count
                cause = self._failed.get(of)
                if reason == SLOW_CONSUMER and cause is not None and not (cause.injected or self._is_frozen()):
                    self._losses.setdefault(of, _Loss(cause)).count += count

    def unread(self, subscription: object) -> None:
        """A TCP listener has closed its connection without having read all of it. The lock is not held."""
        with self._lock:
            if not isinstance(subscription, Subscription) or subscription in self._told:
                return
            name = subscription.extension_name
            if not self._has_crashed(name):
                self._told.add(subscription)
                self._violations.add(
                    f"the TCP listener of extension {name!r} ({_where(subscription)}) closed its connection before it"
                    " had read all that was written to it.\n"
                    "  Over TCP nothing is acknowledged: on Lambda that telemetry is lost. Keep the connection open,"
                    f" and read until Lambda closes it.{last_output(self._process_of(name))}"
                )

    def look(self, *, at_the_end: bool, test_over: bool = False) -> None:
        """Find what listeners did wrong so far; `at_the_end` also what has not come right by then.

        `test_over`: the test has ended and its environment goes on, so that something may still come right.
        """
        with self._lock:
            by_subscription: dict[Subscription, list[Progress]] = {}
            for progress in self._recordings.failing:
                by_subscription.setdefault(progress.batch.subscription, []).append(progress)
            for subscription, failing in by_subscription.items():
                if subscription not in self._told and not self._has_crashed(subscription.extension_name):
                    text = self._finding(subscription, failing, at_the_end=at_the_end, test_over=test_over)
                    if text is not None:
                        self._told.add(subscription)
                        process = self._process_of(subscription.extension_name)
                        self._violations.add(text + last_output(process))
            for subscription, loss in self._losses.items():
                if subscription not in self._told and not self._has_crashed(subscription.extension_name):
                    self._told.add(subscription)
                    process = self._process_of(subscription.extension_name)
                    self._violations.add(_dropped(subscription, loss) + last_output(process))

    def _finding(
        self, subscription: Subscription, failing: Sequence[Progress], *, at_the_end: bool, test_over: bool
    ) -> str | None:
        tried = [(progress, progress.last) for progress in failing if progress.last is not None]
        if not tried:
            return None
        progress, last = tried[-1]
        name, where = subscription.extension_name, _where(subscription)
        batch = f"[{summary(progress.batch.types)}]"
        lost = self._lost(subscription)
        if last.status is not None and progress.same_status >= _SAME_ANSWERS:
            return (
                f"the listener of extension {name!r} ({where}) answered {last.status} to the same batch"
                f" {progress.same_status} times, and never acknowledged it: {batch}{lost}.\n"
                "  On Lambda the same batch comes back for ever, and nothing behind it is delivered."
                f" {_REMEDIES.get(last.status, _ANSWER)}"
            )
        nobody_listens = last.error == REFUSED and not self._listeners.has_met(subscription)
        in_vain = self._listeners.gave_up(subscription) if nobody_listens else progress.same_status >= _SAME_ANSWERS
        if not (at_the_end or (test_over and last.error == REFUSED and in_vain)):
            return None
        if nobody_listens:
            return (
                f"nobody ever listened for the telemetry of extension {name!r} at {where}: {_count(progress)}"
                f" {_was(progress)} refused, and {batch} never arrived{lost}.\n"
                "  On Lambda nothing of it arrives. Listen on the port of the destination"
                f" (at {subscription.destination.host} or at every address) before you subscribe, or soon after; is it"
                " the right port?"
            )
        if last.error == REFUSED:
            return (
                f"the listener of extension {name!r} ({where}) has stopped listening: {batch}, {_count(progress)}, the"
                f" last: {REFUSED}{lost}.\n"
                "  On Lambda it is lost. Listen until SHUTDOWN is handled: what is buffered then is delivered first,"
                " the report of the last invocation with it."
            )
        if last.status is None and last.timed_out:
            return (
                f"the listener of extension {name!r} ({where}) took a batch and never answered: {batch},"
                f" {_count(progress)} {last.error}{lost}.\n"
                "  On Lambda the batch comes again and again, and nothing behind it is delivered. Answer 200 with a"
                " Content-Length, also from a handler that is busy; delivery_timeout_s allows more time."
            )
        how = f"it answered {last.status}" if last.status is not None else last.error
        return (
            f"telemetry of extension {name!r} was never acknowledged by {where}: {batch}, {_count(progress)}, the last:"
            f" {how}{lost}.\n"
            "  On Lambda it comes again until it is acknowledged, or is dropped. Answer 200; or let the test wait for"
            " the retry: advance(seconds=…). fail_next_delivery() makes a delivery fail that is meant to."
        )

    def _lost(self, subscription: Subscription) -> str:
        count = self._dropped.get(subscription, 0)
        return f"; {count} {'event was' if count == 1 else 'events were'} dropped meanwhile" if count else ""


def _dropped(subscription: Subscription, loss: _Loss) -> str:
    cause, name = loss.cause, subscription.extension_name
    how = f"answered {cause.status}" if cause.status is not None else f"did not take a batch ({cause.error})"
    events = "1 event was" if loss.count == 1 else f"{loss.count:,} events were"
    return (
        f"{events} dropped for extension {name!r}: its listener ({_where(subscription)}) {how}, and behind the batch"
        " that waited to be sent again there was no room for more.\n"
        "  On Lambda they are lost, and platform.logsDropped takes their place. Answer 200 as soon as a batch has"
        " arrived, and work on it afterwards; fail_next_delivery() makes a delivery fail that is meant to."
    )


def _where(subscription: Subscription) -> str:
    return subscription.destination.uri or f"port {subscription.destination.port}"


def _count(progress: Progress) -> str:
    return "1 attempt" if progress.genuine == 1 else f"{progress.genuine} attempts"


def _was(progress: Progress) -> str:
    return "was" if progress.genuine == 1 else "were"


def describe_wrong_call(fact: Called) -> str | None:
    """A call to where nothing is, or with the wrong method, for a person; None where that is no fault of its own."""
    request = fact.request
    if fact.error is None or request.status not in (404, 405):
        return None
    if request.path.startswith(_RUNTIME_API) and fact.who == "?":
        return None  # the function's runtime, which there is none of here
    who = f"extension {fact.who!r}" if fact.who != "?" else "an extension"
    return (
        f"{request.method} {request.path} from {who} was answered {request.status} {fact.error[0]}:"
        f" {fact.error[1]}.\n  {_meant(request.path)} On Lambda the call fails, and what it was to do is not done;"
        " strict=False turns this check off."
    )


def _meant(path: str) -> str:
    """The call that was probably meant."""
    words = path.partition("?")[0].lower()
    if "telemetry" in words:
        return f"Subscribe is PUT {TELEMETRY.path}, whatever the schemaVersion in the body."
    if words.rstrip("/").endswith("logs"):
        return f"The Logs API's Subscribe is PUT {LOGS.path}, whatever the schemaVersion in the body."
    for ending, call in (
        ("register", "POST /2020-01-01/extension/register"),
        ("next", "GET /2020-01-01/extension/event/next"),
        ("init/error", "POST /2020-01-01/extension/init/error"),
        ("exit/error", "POST /2020-01-01/extension/exit/error"),
    ):
        if words.rstrip("/").endswith(ending):
            return f"It is {call}."
    return f"The Extensions API is below /2020-01-01/extension/; Subscribe is PUT {TELEMETRY.path}."
