"""Deliveries that go wrong as they do in production, on demand."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum

from ..model.checks import is_one_of, is_whole, quoted, repr_of
from ..model.errors import MisuseError
from ..model.records import Destination
from ..wire.sender import Outcome, Sender

_RECORD = re.compile(r'"record":\s*')
_CUT_OFF = 2
_CLOSED_BY = {"HTTP": b"}]", "TCP": b"}\n"}


class DeliveryFault(StrEnum):
    """What happens to a delivery, apart from a status code that the sender pretends to have got."""

    REFUSE = "refuse"
    """Nothing is sent; the sender reports a refused connection."""
    RESET = "reset"
    """Half of the body is sent, then the connection is reset."""
    TIMEOUT = "timeout"
    """The batch is sent; the sender reports that no answer came in time, without waiting for it to be late."""
    TRUNCATE = "truncate"
    """The last bytes are missing, and Content-Length agrees: the listener sees invalid JSON."""
    DUPLICATE = "duplicate"
    """The same batch is sent twice."""
    SPLIT = "split"
    """The batch is cut inside a record and sent as two payloads, neither of them valid JSON (a record over 256 KiB)."""


def parse_fault(value: object) -> DeliveryFault | int:
    """A fault from its name or from a status code 200-599. Raises MisuseError, which lists the valid ones."""
    if is_whole(value, 200) and value <= 599:
        return value
    names = [fault.value for fault in DeliveryFault]
    if is_one_of(value, names):
        return DeliveryFault(value)
    raise MisuseError(f"{repr_of(value)} is no delivery fault; use one of {quoted(names)}, or a status 200-599")


def send_with_fault(
    sender: Sender, fault: DeliveryFault | int, destination: Destination, body: bytes, *, key: object
) -> Outcome:
    """Deliver `body` as `Sender.send` does, with the fault; the outcome is what the sender believes."""
    if fault is DeliveryFault.REFUSE:
        return Outcome(False, None, "connection refused", 0.0)
    if fault is DeliveryFault.RESET:
        return sender.break_off(destination, body, key=key)
    outcomes = [sender.send(destination, payload, key=key) for payload in _payloads(fault, destination, body)]
    if fault in (DeliveryFault.TIMEOUT, DeliveryFault.TRUNCATE):
        sender.forget(key)  # a client that gave up hangs up, and half a line must not run into the next one
    outcome = next((outcome for outcome in outcomes if not outcome.ok), outcomes[-1])
    outcome = replace(outcome, duration_ms=sum(each.duration_ms for each in outcomes))
    if fault is DeliveryFault.TIMEOUT:
        return replace(outcome, ok=False, status=None, error=f"timed out after {sender.timeout_s} s")
    if isinstance(fault, int):
        return replace(outcome, ok=200 <= fault < 300, status=fault, error=None)
    return outcome


def _payloads(fault: DeliveryFault | int, destination: Destination, body: bytes) -> tuple[bytes, ...]:
    if fault is DeliveryFault.TRUNCATE:
        return (body[:-_CUT_OFF],)
    if fault is DeliveryFault.DUPLICATE:
        return body, body
    if fault is DeliveryFault.SPLIT:
        cut = _cut(body)
        return body[:cut] + _CLOSED_BY[destination.protocol], body[cut:]
    return (body,)


def _cut(body: bytes) -> int:
    """Where to cut: in the middle of the longest record, as the length limit would."""
    text = body.decode()
    start, end = max(_records(text), key=lambda span: span[1] - span[0], default=(0, len(text)))
    return len(text[: (start + end) // 2].encode())


def _records(text: str) -> Iterator[tuple[int, int]]:
    """Where each record's value starts and ends; a quote inside a string is escaped, so only keys are found."""
    decoder = json.JSONDecoder()
    for match in _RECORD.finditer(text):
        yield match.end(), decoder.raw_decode(text, match.end())[1]
