"""Deliveries that go wrong as they do in production, on demand: what the listener sees, and what Lambda believes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, cast

from ..model.checks import is_one_of, is_whole, quoted, repr_of
from ..model.errors import MisuseError
from ..model.records import Destination
from ..wire.sender import Outcome, Sender
from .split import split

FaultName = Literal["refuse", "lost-answer", "duplicate", "reset", "timeout", "truncate", "split"]
LostAnswer = tuple[Literal["lost-answer"], int]
DeliveryFault = FaultName | int | LostAnswer
"""What `fail_next_delivery` takes: a name, a status code, or ("lost-answer", the status to believe)."""

_CUT_OFF = 2


@dataclass(frozen=True, slots=True)
class Effects:
    """What a fault does: what the listener sees of the delivery, what Lambda does next."""

    listener: str
    then: str


_AGAIN = "sends the batch again"

FAULTS: Mapping[DeliveryFault, Effects] = MappingProxyType(
    {
        "refuse": Effects("nothing: it is down", _AGAIN),
        503: Effects(
            "nothing: something before it answers, with any status from 200 to 599",
            f"{_AGAIN}; with a 2xx goes on, and the batch is lost",
        ),
        "lost-answer": Effects("the whole batch; its answer is lost", f"{_AGAIN}, which is its second time there"),
        ("lost-answer", 503): Effects("the whole batch; another answer is believed instead of its own", _AGAIN),
        "duplicate": Effects("the whole batch, and once it has acknowledged it the same again", "goes on"),
        "reset": Effects("a part of the body, then a reset connection", _AGAIN),
        "timeout": Effects("the whole batch; Lambda hangs up without waiting for the answer", _AGAIN),
        "truncate": Effects("a body without its end, which is not JSON", "goes on once that is acknowledged"),
        "split": Effects(
            "two bodies: the first ends within a record, with `}]` after the cut; the second opens with the same"
            " envelope (`time`, `type`), then the rest; neither is JSON",
            "goes on once both are acknowledged",
        ),
    }
)
"""Every fault, one status code standing for all of them."""

NAMES: tuple[FaultName, ...] = tuple(fault for fault in FAULTS if isinstance(fault, str))


def parse_fault(value: object) -> DeliveryFault:
    """A fault from what a test passes in. Raises MisuseError, which lists the valid ones."""
    if is_one_of(value, NAMES):
        return cast(FaultName, value)
    match value:
        case int() if _is_status(value):
            return value
        case ("lost-answer", int(status)) if _is_status(status):
            return "lost-answer", status
    raise MisuseError(
        f"{repr_of(value)} is no delivery fault; use one of {quoted(NAMES)}, a status 200-599, or"
        " ('lost-answer', a status)"
    )


def _is_status(value: object) -> bool:
    return is_whole(value, 200) and value <= 599


def in_words(fault: DeliveryFault) -> str:
    """A fault for a person."""
    return f"{fault[0]}, {fault[1]} instead" if isinstance(fault, tuple) else str(fault)


def reaches_listener(fault: DeliveryFault) -> bool:
    """Whether the listener sees anything of it."""
    return fault != "refuse" and not isinstance(fault, int)


def send_with_fault(
    sender: Sender, fault: DeliveryFault, destination: Destination, body: bytes, *, key: object
) -> Outcome:
    """Deliver `body` as `Sender.send` does, with the fault; the outcome is what Lambda believes.

    Over TCP nothing is answered: what would be another answer than a 2xx is a connection that breaks.
    """
    tcp = destination.protocol == "TCP"
    match fault:
        case "refuse":
            return Outcome(False, None, "connection refused", 0.0)
        case int(status):
            return _answered(status, tcp, "connection refused", 0.0)
        case "reset":
            return sender.break_off(destination, body, key=key)
        case "timeout":
            return sender.hang_up(destination, body, key=key)
    pieces = _pieces(fault, body, tcp)
    outcome = sender.send(destination, pieces[0], key=key)
    for piece in pieces[1:]:
        if not (outcome.ok or (fault == "split" and outcome.status is not None)):
            break
        second = sender.send(destination, piece, key=key)
        took_ms = outcome.duration_ms + second.duration_ms
        outcome = replace(second if outcome.ok else outcome, duration_ms=took_ms)
    if fault == "truncate":
        sender.forget(key)  # half a line must not run into the next one
    lost = fault == "lost-answer" or isinstance(fault, tuple)
    if not lost or outcome.error is not None:
        return outcome
    sender.forget(key)
    if isinstance(fault, tuple):
        return _answered(fault[1], tcp, "connection reset", outcome.duration_ms)
    error = "connection reset" if tcp else "connection closed without an answer"
    return Outcome(False, None, error, outcome.duration_ms)


def _answered(status: int, tcp: bool, error: str, duration_ms: float) -> Outcome:
    """What Lambda believes that it was answered; over TCP, whether it believes that the batch was written."""
    ok = 200 <= status < 300
    if tcp:
        return Outcome(ok, None, None if ok else error, duration_ms)
    return Outcome(ok, status, None, duration_ms)


def _pieces(fault: DeliveryFault, body: bytes, tcp: bool) -> tuple[bytes, ...]:
    """What is sent of a body, one delivery after the other."""
    match fault:
        case "truncate":
            return (body[:-_CUT_OFF],)
        case "duplicate":
            return body, body
        case "split":
            return split(body, lines=tcp)
    return (body,)
