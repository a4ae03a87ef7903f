"""JSON as a strict service reads it: what Python's decoder lets through or chokes on is an error here.

Refused besides broken syntax: bytes that are not UTF-8, a byte order mark, NaN and Infinity, a key twice in one
object, numbers beyond what can be held, and nesting deeper than MAX_DEPTH, which is counted before anything recurses.
"""

import json
import math
import re
from dataclasses import dataclass

MAX_DEPTH = 128
"""How many arrays and objects may be open at once: the limit of serde, in whose words the live service answers."""

MAX_DIGITS = 640
"""The longest integer, in characters: the longest that every Python turns into an int, however it is configured."""

# A string, closed or not, is one token: the brackets inside are text. Possessive, so that no input makes it go back.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)


class DecodeError(ValueError):
    """The bytes are not JSON as a strict service reads it. `message` can be encoded, whatever the bytes held."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def decode(raw: bytes) -> object:
    """The value of a UTF-8 JSON text; strings in it may hold lone surrogates, which JSON can escape.

    Raises DecodeError, and nothing else, for any bytes; takes time in proportion to their number.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(f"the body is not UTF-8: byte {error.start} is not valid there") from None
    if text.startswith("\ufeff"):
        raise DecodeError("the body starts with a byte order mark, which JSON forbids")
    if not text.strip(" \t\r\n"):
        raise DecodeError("the body is empty")
    _check_depth(text)
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise DecodeError(f"the body is not JSON: {error.msg}, line {error.lineno} column {error.colno}") from None
    return value


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes that were read once: `value` is the decoded JSON, None where `error` says why there is none.

    `too_large`: there were more than are read, and none is kept.
    """

    raw: bytes
    value: object = None
    error: DecodeError | None = None
    too_large: bool = False


def read(raw: bytes) -> Body:
    """Decode a body, whatever it holds; takes time in proportion to its bytes."""
    try:
        return Body(raw, decode(raw))
    except DecodeError as error:
        return Body(raw, None, error)


def printable(text: str) -> str:
    """The same text with lone surrogates escaped, so that any stream and any socket takes it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(value: object, limit: int = 60) -> str:
    """A decoded value as a person wrote it: ASCII JSON of at most `limit` characters."""
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _check_depth(text: str) -> None:
    """Raise DecodeError where more than MAX_DEPTH brackets are open.

    Up to the first syntax error the count is exact, and no decoder recurses beyond that.
    """
    depth = 0
    for token in _TOKEN.finditer(text):
        mark = text[token.start()]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise DecodeError(f"the body is nested deeper than {MAX_DEPTH} levels")
        elif mark in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise DecodeError(f"the body has the key {shown(key)} twice in one object")
        found[key] = value
    return found


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise DecodeError(f"the body has an integer of {len(digits)} characters, more than {MAX_DIGITS}")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise DecodeError(f"the body has a number too large to hold: {shown(digits)}")
    return value


def _constant(name: str) -> object:
    raise DecodeError(f"the body has {name}, which is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant)
