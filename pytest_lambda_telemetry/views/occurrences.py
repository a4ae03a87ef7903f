"""Where records are found again: in what a backend was sent, as decoded JSON, or as bytes where it is none.

All records are looked for at once, in time linear in the records and in what is searched.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Generic, TypeVar

from ..model.errors import MisuseError

S = TypeVar("S", str, bytes)

Key = str | bytes | tuple[str]
"""What a record is known by: a text, bytes, or an object or array, as the one item of a tuple: its canonical JSON."""

_MOST_OPENINGS = 64
"""So many alternatives a regular expression tries quickly."""
_LONGEST_OPENING = 16
_LONGEST_PART = 256
_LONG, _FEW = 1024, 8
"""Texts so long, where no more than so many begin alike, are looked for with `find`: it is linear in what is searched,
also where a text is like itself, such as a long row of one character."""


class Texts(Generic[S]):
    """Texts (or bytes), none of which holds another, to be found in longer ones."""

    def __init__(self, texts: Mapping[S, int], joined: Callable[[Iterable[S]], "re.Pattern[S]"]) -> None:
        self._shortest = min(map(len, texts), default=0)
        size = next(
            size
            for size in range(min(self._shortest, _LONGEST_OPENING), -1, -1)
            if size <= 1 or len({text[:size] for text in texts}) <= _MOST_OPENINGS
        )
        self._opening: re.Pattern[S] | None = joined({text[:size] for text in texts}) if texts else None
        self._part = min(self._shortest, _LONGEST_PART)
        # by their first part, which none of them is shorter than, then by their length: few are left to compare
        self._by_part: dict[S, dict[int, dict[S, int]]] = {}
        for text, index in texts.items():
            lengths = self._by_part.setdefault(text[: self._part], {})
            lengths.setdefault(len(text), {})[text] = index

    def found_in(self, text: S) -> Iterator[int]:
        """The index of each text found, as often as it is found, in order."""
        if self._opening is None or len(text) < self._shortest:
            return
        later: dict[S, int] = {}  # where a long text comes next, at the earliest
        for candidate in self._opening.finditer(text):
            at = candidate.start()
            for length, texts in self._by_part.get(text[at : at + self._part], {}).items():
                if length < _LONG or len(texts) > _FEW:
                    index = texts.get(text[at : at + length])
                    if index is not None:
                        yield index
                    continue
                for one, index in texts.items():
                    if at >= later.get(one, 0):
                        found = text.find(one, at)
                        later[one] = found if found > at else len(text) if found < 0 else at + length
                        if found == at:
                            yield index


def _of_str(openings: Iterable[str]) -> "re.Pattern[str]":
    return re.compile(f"(?=(?:{'|'.join(sorted(map(re.escape, openings)))}))", re.DOTALL)


def _of_bytes(openings: Iterable[bytes]) -> "re.Pattern[bytes]":
    return re.compile(b"(?=(?:" + b"|".join(sorted(map(re.escape, openings))) + b"))", re.DOTALL)


def key_of(record: object) -> Key:
    """What a record is found by: its text without the newline at its end, an object's `message`, or all of it.

    Raises MisuseError for one that cannot be told from anything else.
    """
    if isinstance(record, Mapping) and isinstance(message := record.get("message"), str):
        record = message
    if isinstance(record, str):
        text = record.rstrip("\r\n")
        if text:
            return text
    elif isinstance(record, Mapping | list | tuple) and record:
        return (_canonical(record),)
    raise MisuseError(
        f"the record {record!r} cannot be told from other values at the backend; emit lines that can, such as"
        " log_lines(n), or pass key=, a function from an event to what it is known by there (str or bytes)"
    )


def own_key(given: object, event: Mapping[str, object]) -> Key:
    """What the test's own `key=` says of an event. Raises MisuseError for what nothing can be found by."""
    if isinstance(given, str | bytes) and given:
        return given
    raise MisuseError(f"key= returned {given!r} for the event {event!r}; it must be a non-empty str or bytes")


class Search:
    """Records by their keys, and how often each is found. Raises MisuseError where two cannot be told apart."""

    def __init__(self, keys: Sequence[Key]) -> None:
        whole: dict[str, int] = {}
        texts: dict[str, int] = {}
        raw: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            if isinstance(key, tuple):
                _put(whole, key[0], index)
            elif isinstance(key, str):
                _put(texts, key, index)
            else:
                _put(raw, key, index)
        self._whole = whole
        self._shapes = {_shape(json.loads(text)) for text in whole}
        self._exact = texts
        self._texts = Texts(texts, _of_str)
        self._raw = Texts(raw, _of_bytes)
        for one in texts:
            _refuse_contained(one, self._texts.found_in(one), texts)
        for other in raw:
            _refuse_contained(other, self._raw.found_in(other), raw)
        for text in whole:
            _refuse_contained(text, self._texts.found_in(text), texts)

    @cached_property
    def _in_utf8(self) -> Texts[bytes]:
        keys = {**self._exact, **self._whole}
        return Texts({text.encode("utf-8", "surrogatepass"): index for text, index in keys.items()}, _of_bytes)

    def found_in(self, body: bytes, decoded: object) -> Iterator[int]:
        """The index of each record found in a body, as often as it is found; `decoded` is its JSON, or None."""
        yield from self._raw.found_in(body)
        if decoded is None:
            yield from self._in_utf8.found_in(body)
        else:
            yield from self._in_json(decoded)

    def _in_json(self, decoded: object) -> Iterator[int]:
        left = [decoded]
        while left:
            value = left.pop()
            if isinstance(value, str):
                index = self._exact.get(value.rstrip("\r\n"))
                if index is not None:
                    yield index
                elif inside := [*self._in_json_text(value)]:
                    yield from inside
                else:
                    yield from self._texts.found_in(value)
            elif isinstance(value, dict | list):
                if self._shapes and _shape(value) in self._shapes and (text := _canonical(value)) in self._whole:
                    yield self._whole[text]
                else:
                    left += value.values() if isinstance(value, dict) else value

    def _in_json_text(self, text: str) -> Iterator[int]:
        """What an object or array holds that is sent as text, with what is in it escaped once more."""
        if text.startswith(("{", "[")):
            try:
                inside = json.loads(text)
            except (ValueError, RecursionError):
                return
            yield from self._in_json(inside)


def _put(keys: dict[S, int], key: S, index: int) -> None:
    if key in keys:
        raise _alike(f"two records are {key!r}")
    keys[key] = index


def _refuse_contained(key: S, found: Iterator[int], keys: Mapping[S, int]) -> None:
    for index in found:
        if index != keys.get(key):
            other = next(one for one, place in keys.items() if place == index)
            raise _alike(f"the record {other!r} is a part of {key!r}")


def _alike(what: str) -> MisuseError:
    return MisuseError(
        f"{what}, so they cannot be told apart at the backend; emit log_lines(n), n distinct lines of equal length, or"
        " pass key=, a function from an event to what it is known by there (str or bytes)"
    )


def _shape(value: object) -> object:
    """What is quick to know of an object or array, and the same for equal ones."""
    return frozenset(value) if isinstance(value, dict) else len(value) if isinstance(value, list) else None


def _canonical(value: object) -> str:
    """The same text for values that are equal in JSON, where 1.0 is 1."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def distinct_lines(n: int, text: str, first: int) -> tuple[str, ...]:
    """n lines of equal length, numbered from `first`: none of them holds another."""
    return tuple(f"{text or 'line'} {number:08d}" for number in range(first, first + n))
