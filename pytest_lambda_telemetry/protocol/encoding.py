"""Events as bytes: one event, a run of log lines, a whole body."""

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring, encode_basestring_ascii
from math import isinf
from typing import cast

from ..model.errors import MisuseError
from ..model.event import Record

_RECORD = b'"record":'  # the name alone: a quote inside of a string is escaped


def _plain(value: object) -> object:
    """What the encoder does not know: any mapping counts as an object."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_raw = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
_escaped = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=_plain)

_UNSENDABLE = (TypeError, ValueError, RecursionError)


def _misuse(what: str, error: Exception) -> MisuseError:
    return MisuseError(
        f"{what} cannot be sent as JSON: {error}; use strings, finite numbers, booleans, None, lists and dicts"
    )


def encode(event: Mapping[str, object]) -> bytes:
    """One event as compact JSON in UTF-8; a lone surrogate, which UTF-8 cannot hold, has it escaped instead.

    Raises MisuseError for what JSON cannot hold: NaN, an infinity, a cycle, an object of some other kind.
    """
    try:
        return _raw.encode(event).encode()
    except UnicodeEncodeError:
        return _escaped.encode(event).encode()
    except _UNSENDABLE as error:
        raise _misuse(f"the record of this {event.get('type')!r} event", error) from error


def encode_lines(time: str, type: str, records: Sequence[str]) -> list[bytes]:
    """Many log lines of one moment and type, each as `encode` would have it; the fast way for large batches."""
    # a template spares building and walking a dict per line
    opening = f'{{"time":{encode_basestring(time)},"type":{encode_basestring(type)},"record":'
    try:
        return [f"{opening}{encode_basestring(record)}}}".encode() for record in records]
    except UnicodeEncodeError:
        return [_encode_line(opening, record) for record in records]


def _encode_line(opening: str, record: str) -> bytes:
    try:
        return f"{opening}{encode_basestring(record)}}}".encode()
    except UnicodeEncodeError:
        return f"{opening}{encode_basestring_ascii(record)}}}".encode()


def http_body(parts: Sequence[bytes]) -> bytes:
    """Encoded events as the body of a POST: a JSON array."""
    return b"[%b]" % b",".join(parts)


def tcp_body(parts: Sequence[bytes]) -> bytes:
    """Encoded events as written to a TCP connection: one a line, each line ended."""
    return b"".join([b"%b\n" % part for part in parts])


def to_text(value: object) -> str:
    """A value as compact JSON text, for a place that takes only strings. Raises MisuseError as `encode` does."""
    try:
        return _raw.encode(value)
    except _UNSENDABLE as error:
        raise _misuse("this record", error) from error


def _finite(literal: str) -> float:
    number = float(literal)
    if isinf(number):
        raise ValueError(f"{literal} is out of range")
    return number


def _not_json(literal: str) -> float:
    raise ValueError(f"{literal} is not JSON")


_decoder = json.JSONDecoder(parse_float=_finite, parse_constant=_not_json)


def from_text(text: str) -> object:
    """JSON text as a value that can be sent again: NaN and infinities are refused. Raises ValueError."""
    try:
        decoded: object = _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return decoded


def copied(record: Record) -> Record:
    """The record as it is now: an object or a list is the test's own, which may change it later.

    One that cannot be sent is returned itself: whoever sends it is told.
    """
    try:
        return record if isinstance(record, str) else cast(Record, from_text(to_text(record)))
    except (MisuseError, ValueError):
        return record


def cut_event(part: bytes, limit: int) -> list[bytes]:
    """A serialized log event in the pieces in which the live service sends a record longer than `limit` bytes.

    Each piece is the envelope, as many bytes of the record's JSON as the limit allows, and the envelope's end: a body
    ends on such a piece with `}]`, and the next one opens with the same envelope ahead of the resumed bytes. Neither is
    JSON, and nothing counts the pieces. An event whose record fits is returned alone. The cut falls anywhere but inside
    a character or an escape. Seen in production: DataDog/datadog-lambda-extension pull 1357.
    """
    begin = part.index(_RECORD) + len(_RECORD)
    end = len(part) - 1
    if end - begin <= limit:
        return [part]
    pieces: list[bytes] = []
    start = begin
    while start < end:
        stop = min(start + limit, end)
        while stop < end and part[stop] & 0xC0 == 0x80:  # a continuation byte: step back to its character
            stop -= 1
        if stop < end and _backslashes(part, stop) % 2:  # resumed at an escaped quote, a string would be whole again
            stop -= 1
        pieces.append(b"%b%b}" % (part[:begin], part[start:stop]))
        start = stop
    return pieces


def _backslashes(part: bytes, stop: int) -> int:
    """How many stand right before `stop`."""
    return stop - len(part[:stop].rstrip(b"\\"))
