"""What counts against the extension under test, and what the test said it expects."""

import json
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..model.errors import MisuseError, ProtocolViolation
from ..model.records import Rejection
from ..protocol.contract import Fault, Refusal

_SHOWN_BODY = 2_000
_KEPT_VIOLATIONS = 1_000


@dataclass(slots=True, eq=False)
class ExpectedRejection:
    """What `expect_rejection` yields: the refused Subscribe requests of its block.

    `rejection` is the first of them; reading it before one came is a MisuseError. `rejections` holds all.
    """

    pattern: re.Pattern[str] | None = None
    rejections: tuple[Rejection, ...] = ()
    others: list[Rejection] = field(default_factory=list)

    @property
    def rejection(self) -> Rejection:
        if not self.rejections:
            raise MisuseError("no Subscribe was refused yet; read .rejection after the expect_rejection block")
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


class Strictness:
    """Collects violations until `check` raises them. The caller holds the environment's lock."""

    def __init__(self, strict: bool, kept: int) -> None:
        self.strict = strict
        self.rejections: deque[Rejection] = deque(maxlen=kept)
        self.expected: list[ExpectedRejection] = []
        self.ending = False  # the test is over: a call that comes too late for it was refused because of us
        self._violations: deque[str] = deque(maxlen=_KEPT_VIOLATIONS)

    def rejected(self, rejection: Rejection, refusal: Refusal, *, injected: bool) -> None:
        """A Subscribe was refused: expected by a block around it, made up by the test, or a violation."""
        self.rejections.append(rejection)
        covered = [expectation.covers(rejection) for expectation in self.expected]
        if not (any(covered) or injected):
            self.violated(describe_refusal("Subscribe", rejection.extension_name, refusal, rejection.raw))

    def violated(self, text: str) -> None:
        """Something the extension under test must not do."""
        self._violations.append(text)

    @property
    def unexpected(self) -> str | None:
        """The first violation that nobody has been told of, where that counts."""
        return self._violations[0] if self.strict and self._violations else None

    def take(self) -> str | None:
        """All violations so far as one text, which are then forgotten."""
        text = "\n\n".join(self._violations)
        self._violations.clear()
        return text or None

    def check(self) -> None:
        """Raise ProtocolViolation with everything found so far."""
        text = self.take()
        if text is not None:
            raise ProtocolViolation(text)


def describe_refusal(call: str, who: str | None, refusal: Refusal, raw: bytes) -> str:
    """A refused call for a person: who sent what, what Lambda answers, and the rule behind each fault."""
    lines = [
        f"{call} from {f'extension {who!r}' if who else 'an unidentified extension'} was refused:"
        f" {refusal.status} {refusal.error_type}",
        f"  answered: {refusal.message}",
        f"  body:     {show_body(raw)}",
        *_faults(refusal.faults),
        "  On Lambda this fails the extension, and with it every invocation. If the test means it to be refused, wrap"
        " it in expect_rejection(); strict=False turns this check off.",
    ]
    return "\n".join(lines)


def _faults(faults: Iterable[Fault]) -> list[str]:
    return [line for fault in faults for line in (f"  fault:    {fault.message}", f"    rule:   {fault.rule}")]


def show_body(raw: bytes) -> str:
    """A request body on one line, shortened."""
    try:
        text = json.dumps(json.loads(raw), ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        text = ascii(raw)[1:] if raw else "(empty)"
    return text if len(text) <= _SHOWN_BODY else f"{text[:_SHOWN_BODY]}… ({len(raw)} bytes)"
