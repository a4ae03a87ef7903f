"""A batch cut inside a record, as the live service sends one whose record is longer than the limit.

The cut piece ends with what closes the event and the batch, whatever the record still lacks; what follows it opens with
the same envelope (time, type) ahead of the resumed bytes, and with no sequence number. Neither is valid JSON alone.
Seen in production: DataDog/datadog-lambda-extension pull 1357.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_MEMBER = re.compile(r'[\s,]*"((?:[^"\\]|\\.)*)"\s*:\s*')
_CUTTABLE = ('"', "{", "[")
_decoder = json.JSONDecoder()


class _Span(NamedTuple):
    """Where an event begins in a body, and where its record begins and ends."""

    event: int
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


def split(body: bytes, *, lines: bool) -> tuple[bytes, bytes]:
    """A body in two, cut in the middle of its longest record; `lines`: one event a line, not an array."""
    opening, closing = ("", "}\n") if lines else ("[", "}]")
    text = body.decode()
    try:
        spans = [span for span in _records(text) if text.startswith(_CUTTABLE, span.start)]
    except ValueError:  # it was cut already, at the subscription's maxBytes
        spans = []
    if not spans:  # numbers, true, false, null: a piece of one could be valid, so the cut falls into the envelope
        cut = text.find('"') + 2 if '"' in text else len(text) // 2
        return f"{text[:cut]}{closing}".encode(), text[cut:].encode()
    longest = max(spans, key=lambda span: span.length)
    cut = _outside_escapes(text, longest.start + max(1, longest.length // 2))
    envelope = text[longest.event : longest.start]
    return f"{text[:cut]}{closing}".encode(), f"{opening}{envelope}{text[cut:]}".encode()


def _outside_escapes(text: str, cut: int) -> int:
    """The cut, or one ahead of it that does not part a backslash from what it escapes.

    Resumed at an escaped quote, a string would be whole again.
    """
    run = len(text[:cut]) - len(text[:cut].rstrip("\\"))
    return cut - run % 2


def _records(text: str) -> Iterator[_Span]:
    """Each event's record, where it has one."""
    at = 0
    while (event := text.find("{", at)) >= 0:  # between events there is no brace
        at = event + 1
        while member := _MEMBER.match(text, at):
            at = _decoder.raw_decode(text, member.end())[1]
            if member[1] == "record":
                yield _Span(event, member.end(), at)
