"""What counts against the extension under test, and what the test said it expects."""

import json
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition

from ..model.checks import quoted, repr_of
from ..model.errors import MisuseError, ProtocolViolation
from ..model.facts import Refused
from ..model.records import Rejection

_SHOWN_BODY = 2_000
_SHOWN_FAULTS = 20
_KEPT = 1_000
_LONGEST = 20_000
"""Characters of one violation."""


@dataclass(slots=True, eq=False)
class ExpectedRejection:
    """What `expect_rejection` yields: the refused calls of its block, Subscribe where no other route was named.

    `rejection` is the first of them; reading it before one came is a MisuseError. `rejections` holds all.
    """

    pattern: re.Pattern[str] | None = None
    rejections: tuple[Rejection, ...] = ()
    others: list[Rejection] = field(default_factory=list)
    route: str = "subscribe"

    @property
    def rejection(self) -> Rejection:
        if not self.rejections:
            call = CALLS[self.route]
            raise MisuseError(f"no {call} was refused yet; read .rejection after the expect_rejection block")
        return self.rejections[0]

    def covers(self, rejection: Rejection) -> bool:
        """Take a rejection that was expected."""
        if self.pattern is not None and not self.pattern.search(f"{rejection.error_type}: {rejection.message}"):
            self.others.append(rejection)
            return False
        self.rejections += (rejection,)
        return True

    def __repr__(self) -> str:
        return f"<ExpectedRejection {list(self.rejections)!r}>"


class Violations:
    """Collects violations until they are told. The caller holds the environment's lock."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.expected: list[ExpectedRejection] = []
        self.ending = False  # the test is over: a call that comes too late for it was refused because of us
        self._texts: deque[str] = deque(maxlen=_KEPT)

    def refused(self, refused: Refused) -> bool:
        """A call was refused: a violation, unless the test wants it so; whether it does."""
        wanted = refused.injected
        for expectation in self.expected:
            if expectation.route == refused.route:
                wanted = expectation.covers(refused.call) or wanted
        too_late = self.ending or bool(refused.outlived)  # the test has ended, or it is an earlier one's
        if not (wanted or too_late) and refused.status < 500:
            self.add(describe_refusal(CALLS[refused.route], refused))
        return wanted

    def add(self, text: str) -> None:
        """Something the extension under test must not do."""
        self._texts.append(shortened(text, _LONGEST))

    @property
    def unexpected(self) -> str | None:
        """The first violation that nobody has been told of, where that counts."""
        return self._texts[0] if self.strict and self._texts else None

    def take(self) -> str | None:
        """All violations so far as one text, which are then forgotten."""
        text = "\n\n".join(self._texts)
        self._texts.clear()
        return text or None

    def check(self) -> None:
        """Raise ProtocolViolation with everything found so far."""
        text = self.take()
        if text is not None:
            raise ProtocolViolation(text)


@contextmanager
def expecting(
    violations: Violations, pattern: re.Pattern[str] | None, lock: Condition, route: object
) -> Iterator[ExpectedRejection]:
    """Refused calls of a route, those that match, are expected while this is open. Raises MisuseError for no route."""
    if not isinstance(route, str) or route not in CALLS:
        raise MisuseError(f"there is no route {repr_of(route)}; expect_rejection takes one of {quoted(CALLS)}")
    expected = ExpectedRejection(pattern, route=route)
    with lock:
        violations.expected.append(expected)
    try:
        yield expected
    finally:
        with lock:
            violations.expected = [one for one in violations.expected if one is not expected]


CALLS = {
    "register": "Register",
    "next": "Next",
    "subscribe": "Subscribe",
    "init_error": "init/error",
    "exit_error": "exit/error",
}
"""What the calls are called, by route."""


def describe_thread_death(name: str, words: str) -> str:
    """A thread that died of an exception, for a person."""
    return (
        f"thread {name!r} of this process died: {words}.\n"
        "  If it is an extension's, the extension has crashed: on Lambda that ends the environment. Let it handle the"
        " error, or report it (…/extension/exit/error)."
    )


def describe_refusal(call: str, refused: Refused) -> str:
    """A refused call for a person: who sent what, what Lambda answers, and the rule behind each fault."""
    who = f"extension {refused.who!r}" if refused.who else "an unidentified extension"
    route = "" if refused.route == "subscribe" else f"route={refused.route!r}"
    several = len(refused.rules) > 1  # else the first line has the fault
    lines = [
        f"{call} from {who} was refused: {refused.status} {refused.error_type}:"
        f" {shortened(refused.message, _SHOWN_BODY)}",
        f"  body:  {show_body(refused.call.raw)}",
        *(_rule(*fault, several=several) for fault in refused.rules[:_SHOWN_FAULTS]),
        *([_holder(refused)] if refused.holder else []),
        *([f"  … and {more} more faults"] if (more := len(refused.rules) - _SHOWN_FAULTS) > 0 else []),
        "  On Lambda this fails the extension, and with it every invocation. If the test means it to be refused, wrap"
        f" it in expect_rejection({route}); strict=False turns this check off.",
    ]
    return "\n".join(lines)


def _holder(refused: Refused) -> str:
    return f"  {refused.who!r} is registered already, by {refused.holder}: let that test wait until it has ended."


def _rule(message: str, rule: str, *, several: bool) -> str:
    return f"  rule:  {f'{shortened(message, _SHOWN_BODY)}: ' if several else ''}{rule}"


def shortened(text: str, most: int) -> str:
    """At most so many characters of a text, and how many there were."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def show_body(raw: bytes) -> str:
    """A request body on one line, shortened."""
    try:
        text = json.dumps(json.loads(raw), ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        text = ascii(raw)[1:] if raw else "(empty)"
    return text if len(text) <= _SHOWN_BODY else f"{text[:_SHOWN_BODY]}… ({len(raw)} bytes)"
