"""One call of an extension on its way through the services: what arrived, and what it is answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..model.facts import Outcome, Refused
from ..model.records import Content, Rejection
from ..protocol.contract import Refusal
from ..protocol.strict_json import Body, read
from ..wire.exchange import HttpRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """A request on its way; `content` is what is recorded of what it carries.

    `stand_in`: the test makes it, as an extension, and there is no socket.
    """

    request: HttpRequest
    body: Body
    at: datetime
    stand_in: bool = False
    content: Content = field(init=False)

    def __post_init__(self) -> None:
        content = Content(self.request.headers, self.body.raw, lambda raw: read(raw).value)
        object.__setattr__(self, "content", content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call is answered, and what it leaves behind. `refusal` is the error that it is, if it is one.

    A refusal is written as the environment's profile has it; `body` is that of any other answer.
    """

    status: int
    body: bytes = b""
    who: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    refusal: Refusal | None = None
    outcome: Outcome = None

    @property
    def error(self) -> tuple[str, str] | None:
        """Type and message of an error answer."""
        return (self.refusal.error_type, self.refusal.message) if self.refusal else None


def json_answer(
    status: int, value: object, who: str, outcome: Outcome = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """A good answer, compact."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status=status, body=body, who=who, headers=tuple((headers or {}).items()), outcome=outcome)


def error_answer(refusal: Refusal, who: str = "", outcome: Outcome = None) -> Answer:
    """An error, which is no refusal of a call of the API's unless `outcome` says so."""
    return Answer(status=refusal.status, who=who, refusal=refusal, outcome=outcome)


def refusal_answer(call: ApiCall, route: str, refusal: Refusal, who: str | None, *, injected: bool = False) -> Answer:
    """A refused call, with what is recorded of it. One that the test made itself is told to the test alone."""
    rejection = Rejection(
        extension_name=who,
        status=refusal.status,
        error_type=refusal.error_type,
        message=refusal.message,
        faults=tuple(fault.message for fault in refusal.faults) or (refusal.message,),
        at=call.at,
        content=call.content,
    )
    outcome = Refused(
        route=route,
        who=who,
        status=refusal.status,
        error_type=refusal.error_type,
        message=refusal.message,
        call=rejection,
        rules=tuple((fault.message, fault.rule) for fault in refusal.faults),
        injected=injected,
    )
    return error_answer(refusal, who or "", outcome)
