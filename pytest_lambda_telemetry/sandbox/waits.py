"""Bounded waits, in real seconds, for extensions in other threads or processes."""

from collections.abc import Callable, Sequence
from pathlib import PurePath
from threading import Condition
from typing import TypeVar

from ..api.parties import Extensions, LiveExtension
from ..api.routes import LAMBDA
from ..engine.recordings import Recordings
from ..engine.turns import Turns
from ..host.activity import others_are_idle
from ..host.process import ExtensionProcess
from ..model import checks
from ..model.errors import ProtocolViolation, WaitTimeout
from ..model.records import Extension, Request, Subscription
from ..real import Real
from . import arguments
from .children import Children
from .violations import CALLS, ExpectedRejection, Violations

T = TypeVar("T")
_ABOUT_TO_S, _IMPATIENT_S, _LOOK_S = 0.05, 0.005, 0.001
_REST_LOOKS = 2  # so often in a row everybody rests: once they may be between two things, or wait for our lock
_RESTLESS_S = 2.0  # what is busy for longer is about something else
_LOOK_AGAIN_S = 0.01  # a predicate of the user's may depend on what no notification announces


class Waits:
    """The waits of one environment, in real seconds. Those of the test raise WaitTimeout, which says what was seen."""

    def __init__(
        self,
        *,
        lock: Condition,
        turns: Turns,
        extensions: Extensions,
        recordings: Recordings,
        children: Children,
        violations: Violations,
        runtime_api: str,
    ) -> None:
        self._lock = lock
        self._turns = turns
        self._extensions = extensions
        self._recordings = recordings
        self._children = children
        self._violations = violations
        self._runtime_api = runtime_api
        self._kept_waiting = False
        self._never_rests = False  # this process has a thread that is always busy

    def extension(self, name: str | None, timeout: float) -> Extension:
        """Wait until the extension of this name, or any, has registered."""

        def found() -> Extension | None:
            wanted = (one for one in self._extensions if name in (None, one.name))
            extension = next(wanted, None)
            return extension.snapshot if extension else None

        return self._until(found, f"{_who(name)} to register", name, timeout)

    def subscription(self, name: str | None, timeout: float) -> Subscription:
        """Wait until this extension, or any, has a subscription; the first one it made."""

        def found() -> Subscription | None:
            wanted = (one for one in self._recordings.subscriptions if name in (None, one.extension_name))
            return next(wanted, None)

        return self._until(found, f"{_who(name)} to subscribe", name, timeout)

    def ready(self, name: str | None, timeout: float) -> Extension:
        """Wait until this extension, or every one that has registered and not failed, asks for its next event."""

        def found() -> Extension | None:
            wanted = [one for one in self._extensions if name == one.name or (name is None and not one.failed)]
            if not wanted or not all(one.asking for one in wanted) or (name is None and self._children.unregistered):
                return None
            return wanted[0].snapshot

        return self._until(found, f"{_who(name)} to register and ask for its next event", name, timeout)

    def until(self, predicate: Callable[[], object], timeout: float) -> None:
        """Wait until the user's predicate holds; it is called without our lock."""
        predicate = arguments.predicate(predicate)
        deadline = Real.monotonic() + checks.timeout(timeout)
        while True:
            with self._lock:
                in_trouble = self._in_trouble()
            if predicate():
                return
            with self._lock:
                if in_trouble:
                    self._give_up_early(predicate_name(predicate), None)
                remaining = deadline - Real.monotonic()
                if remaining <= 0:
                    raise WaitTimeout(self._story(f"{predicate_name(predicate)} to hold", timeout))
                self._lock.wait(min(remaining, _LOOK_AGAIN_S))

    def late(self) -> list[str]:
        """The extensions that are alive and do not ask for their next event, those not registered yet among them."""
        with self._lock:
            silent = [one.name for one in self._extensions if not (one.waiting or one.failed or self._gone(one))]
            return silent + [process.name for process in self._children.unregistered]

    def let_ask(self) -> list[str]:
        """Give those that are about to ask for their next event a short real moment; who has not asked then.

        A child has it until it rests, code in this process for a few hundredths of a second, and as long as a thread of
        this process waits for a processor: it may be about to ask, or to take the call of one that has asked. One that
        was waited for in vain is not waited for so long again.
        """
        with self._lock:
            patience_s = _IMPATIENT_S if self._kept_waiting else _ABOUT_TO_S
            deadline = Real.monotonic() + patience_s
            rested = 0
            while late := self.late():
                remaining = deadline - Real.monotonic()
                settled = self._children.settled(late)
                if settled or (settled is None and remaining <= 0):
                    rested = rested + 1 if self._at_rest(-remaining) else 0
                if self._turns.interrupted or rested == _REST_LOOKS:
                    self._kept_waiting = settled is None
                    break
                self._lock.wait(remaining if settled is None and remaining > 0 else _LOOK_S)
            return late

    def _at_rest(self, waited_s: float) -> bool:
        """No other thread of this process has anything to do, as far as that can be told."""
        if self._never_rests or others_are_idle() is not False:
            return True
        self._never_rests = waited_s > _RESTLESS_S
        return self._never_rests

    def all_waiting(self, timeout: float, until: Callable[[Sequence[str]], float] = lambda _late: 0.0) -> list[str]:
        """Wait until every extension that is alive asks for its next event; the names of those that do not.

        At least until `until` of those names, a moment of the real monotonic clock.
        """
        deadline = Real.monotonic() + timeout
        with self._lock:
            while late := self.late():
                remaining = max(deadline, until(late)) - Real.monotonic()
                if remaining <= 0 or self._turns.interrupted:
                    break
                self._lock.wait(remaining)
            return late

    def requests(
        self, found: Callable[[], T | None], wanted: str, seen: Callable[[], Sequence[str]], timeout: float
    ) -> T:
        """Wait until a backend has what `found` tells; `seen` are the lines of what it has instead."""
        return self._until(found, wanted, None, timeout, seen)

    def _until(
        self,
        found: Callable[[], T | None],
        wanted: str,
        name: str | None,
        timeout: float,
        seen: Callable[[], Sequence[str]] = tuple,
    ) -> T:
        deadline = Real.monotonic() + checks.timeout(timeout)
        with self._lock:
            while (result := found()) is None:
                self._give_up_early(wanted, name)
                remaining = deadline - Real.monotonic()
                if remaining <= 0:
                    raise WaitTimeout(self._story(wanted, timeout, seen()))
                self._lock.wait(remaining)
            return result

    def rejection(self, expected: ExpectedRejection, timeout: float) -> None:
        """Wait for a refusal that is expected. Raises ProtocolViolation when none came."""
        deadline = Real.monotonic() + checks.timeout(timeout)
        with self._lock:
            while not expected.rejections:
                remaining = deadline - Real.monotonic()
                self._turns.check()
                dead, unexpected = self._children.dead(None), self._violations.unexpected
                if remaining > 0 and not expected.others and dead is None and unexpected is None:
                    self._lock.wait(remaining)
                    continue
                pattern = f" that matches {expected.pattern.pattern!r}" if expected.pattern else ""
                call = CALLS[expected.route]
                lines = [f"expected a refused {call}{pattern} within {timeout:g} s, but there was none; seen instead:"]
                lines += [f"  {other!r}" for other in expected.others]
                lines += [f"  {one}" for one in self._taken(expected.route)]
                lines += [f"  {self._children.obituary(dead)}"] if dead else []
                lines += [f"  {unexpected}"] if unexpected and not expected.others else []
                self._violations.take()
                raise ProtocolViolation("\n".join(lines))

    def _taken(self, route: str) -> list[str]:
        """The calls of a route that were not refused, or what they left."""
        if route == "subscribe":
            return list(map(repr, self._recordings.subscriptions)) or ["no subscription either"]
        if route == "register":
            return [repr(one.snapshot) for one in self._extensions] or ["no registration either"]
        calls = [repr(one) for one in self._recordings.requests if _route(one) == route]
        asking = [f"extension {one.name!r} waits for its next event" for one in self._extensions if one.asking]
        return (calls[-5:] + (asking if route == "next" else [])) or [f"no {CALLS[route]} either"]

    # -- what ends a wait early ----------------------------------------------------------------------------------------

    def _give_up_early(self, wanted: str, name: str | None) -> None:
        self._turns.check()
        self._children.note_dead()
        unexpected = self._violations.unexpected
        if unexpected is not None:
            self._violations.take()
            raise WaitTimeout(f"gave up waiting for {wanted}:\n{unexpected}")
        dead = self._children.dead(name)
        if dead is not None:
            raise WaitTimeout(f"gave up waiting for {wanted}: {self._children.obituary(dead)}")

    def _in_trouble(self) -> bool:
        """Something has happened that ends a wait, unless it has brought what is waited for."""
        self._turns.check()
        self._children.note_dead()
        return self._violations.unexpected is not None or self._children.dead(None) is not None

    def _gone(self, extension: LiveExtension) -> bool:
        """The thread or the process that it ran in has ended."""
        process = self._children.of(extension.name)
        return extension.abandoned or (process is not None and process.returncode is not None)

    # -- what was seen instead -----------------------------------------------------------------------------------------

    def _story(self, wanted: str, timeout: float, seen: Sequence[str] = ()) -> str:
        lines = [f"waited {timeout:g} s for {wanted}; seen instead:", *seen]
        lines += [f"  extension {one.name!r} is {_standing(one)}" for one in self._extensions]
        lines += [f"  {subscription!r}" for subscription in self._recordings.subscriptions]
        lines += [f"  {rejection!r}" for rejection in list(self._recordings.rejections)[-5:]]
        lines += [f"  {_describe(process)}" for process in self._children]
        requests = list(self._recordings.requests)[-5:]
        lines += [f"  {request.method} {request.path} -> {request.status}" for request in requests]
        if len(lines) == 1:
            lines.append(
                f"  no request at all: does the extension read AWS_LAMBDA_RUNTIME_API ({self._runtime_api})"
                " and was it started?"
            )
        return "\n".join(lines)


def _standing(extension: LiveExtension) -> str:
    gone = extension.waiting and not extension.asking
    return f"{extension.state}, but it closed the connection of its poll" if gone else str(extension.state)


def _describe(process: ExtensionProcess) -> str:
    return f"{process!r}, last output:\n{process.last_lines}"


def _route(request: Request) -> str | None:
    found = LAMBDA.find(request.path)
    return found.route.name if found is not None and found.route.method == request.method else None


def _who(name: str | None) -> str:
    """Whom a wait is for. Raises MisuseError for what is no name."""
    name = checks.extension_name(name)
    return "an extension" if name is None else f"extension {name!r}"


def predicate_name(predicate: Callable[[], object]) -> str:
    """A predicate for a message: its name, and where it is written."""
    code = getattr(predicate, "__code__", None)
    name = getattr(predicate, "__name__", repr(predicate))
    return f"{name} ({PurePath(code.co_filename).name}:{code.co_firstlineno})" if code else name
