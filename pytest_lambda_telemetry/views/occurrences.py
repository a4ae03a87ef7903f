"""Where records are found again: in what a backend was sent, as decoded JSON, or as bytes where it is none.

All records are looked for at once, in time linear in the records and in what is searched.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Generic, TypeVar

from ..model.checks import repr_of
from ..model.errors import MisuseError

S = TypeVar("S", str, bytes)

Key = str | bytes | tuple[str]
"""What a record is known by: a text, bytes, or an object or array, as the one item of a tuple: its canonical JSON."""

_MOST_OPENINGS = 64
"""So many alternatives a regular expression tries quickly."""
_LONGEST_OPENING = 16
_LONGEST_PART = 256
_LONG, _FEW = 1024, 256
"""Texts so long, where no more than so many begin alike, are looked for with `find`: it is linear in what is searched,
also where a text is like itself, such as a long row of one character."""
_SHOWN = 200
_SYNTAX = frozenset('"{[')


class _Alike(Generic[S]):
    """Texts with the same first part, in order: as none holds another, at most one of them begins at one place."""

    def __init__(self, texts: Mapping[S, int]) -> None:
        self._texts: list[S] = sorted(texts)
        self._indexes = [texts[text] for text in self._texts]
        self._longest = max(map(len, self._texts))
        self._by_find = len(texts) <= _FEW and self._longest >= _LONG

    def found_at(self, at: int, text: S, later: dict[S, int]) -> int | None:
        """The index of the one that begins at this place of a text; `later`: where each comes next, at the earliest."""
        if not self._by_find:
            here = text[at : at + self._longest]
            place = bisect_right(self._texts, here) - 1
            return self._indexes[place] if place >= 0 and here.startswith(self._texts[place]) else None
        for one, index in zip(self._texts, self._indexes, strict=True):
            if at >= later.get(one, 0):
                found = text.find(one, at)
                later[one] = found if found > at else len(text) if found < 0 else at + len(one)
                if found == at:
                    return index
        return None


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
        by_part: dict[S, dict[S, int]] = {}
        for text, index in texts.items():
            by_part.setdefault(text[: self._part], {})[text] = index
        self._by_part: dict[S, _Alike[S]] = {part: _Alike(alike) for part, alike in by_part.items()}

    def found_in(self, text: S) -> Iterator[int]:
        """The index of each text found, as often as it is found, in order."""
        if self._opening is None or len(text) < self._shortest:
            return
        later: dict[S, int] = {}
        for candidate in self._opening.finditer(text):
            at = candidate.start()
            alike = self._by_part.get(text[at : at + self._part])
            if alike is not None and (index := alike.found_at(at, text, later)) is not None:
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
        f"the record {_short(record)} cannot be told from other values at the backend; emit lines that can, such as"
        " log_lines(n), or pass key=, a function from an event to what it is known by there (str or bytes)"
    )


def own_key(given: object, event: Mapping[str, object]) -> Key:
    """What the test's own `key=` says of an event. Raises MisuseError for what nothing can be found by."""
    if isinstance(given, str | bytes) and given:
        return given
    raise MisuseError(f"key= returned {_short(given)} for the event {_short(event)}; return a non-empty str or bytes")


class Search:
    """Records by their keys, and how often each is found.

    `objects` are the records themselves, where they are objects with a `message`: the same object is found as one, also
    if it holds its message several times. `own`: the keys are the test's. Raises MisuseError where two keys cannot be
    told apart; `lenient`: these are looked for no more, and their places are in `alike`. `others` are records that are
    nobody's: what is found within their texts does not count.
    """

    def __init__(
        self,
        keys: Sequence[Key | None],
        objects: Mapping[int, object] = MappingProxyType({}),
        *,
        own: bool = False,
        lenient: bool = False,
        others: Iterable[object] = (),
    ) -> None:
        self.alike: set[int] = {place for place, key in enumerate(keys) if key is None}
        self._own = own
        self._lenient = lenient
        whole: dict[str, int] = {}
        texts: dict[str, int] = {}
        raw: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            if isinstance(key, tuple):
                self._put(whole, key[0], index)
            elif isinstance(key, str):
                self._put(texts, key, index)
            elif key is not None:
                self._put(raw, key, index)
        self._refuse_beginnings(texts)
        self._refuse_beginnings(raw)
        texts, raw = self._apart(texts), self._apart(raw)
        self._refuse_parts(texts, texts, _of_str)
        self._refuse_parts(raw, raw, _of_bytes)
        self._refuse_parts(whole, texts, _of_str)
        self._exact = self._apart(texts)
        self._objects = self._apart(whole) | {
            _canonical(record): index for index, record in objects.items() if index not in self.alike
        }
        self._whole = self._apart(whole)
        self._shapes = {_shape(json.loads(text)) for text in self._objects}
        self._texts = Texts(self._exact, _of_str)
        self._raw = Texts(self._apart(raw), _of_bytes)
        self._misleading = {
            text
            for other in others
            for text in _texts_in(other)
            if text not in self._exact and any(True for _ in self._texts.found_in(text))
        }

    def _put(self, keys: dict[S, int], key: S, index: int) -> None:
        if key in keys:
            what = "keys" if self._own else "records"
            self._are_alike((keys[key], index), f"two {what} are {_short(key)}")
        keys[key] = index

    def _refuse_beginnings(self, keys: Mapping[S, int]) -> None:
        """Of keys with which others begin."""
        last: S | None = None
        for key in sorted(keys):
            if last is not None and key.startswith(last):
                self._one_is_a_part(last, keys[last], key, keys)
            else:
                last = key

    def _refuse_parts(
        self, holders: Collection[S], parts: Mapping[S, int], joined: Callable[[Iterable[S]], "re.Pattern[S]"]
    ) -> None:
        """Of those of `parts`, none of which begins with another, that are within longer ones."""
        shortest = min(map(len, parts), default=0)
        longer = [holder for holder in holders if len(holder) > shortest]
        if not (parts and longer):
            return
        search, names = Texts(parts, joined), {index: part for part, index in parts.items()}
        for holder in longer:
            for index in search.found_in(holder):
                if names[index] != holder:
                    self._one_is_a_part(names[index], index, holder, parts)

    def _one_is_a_part(self, part: S, index: int, holder: S, keys: Mapping[S, int]) -> None:
        what = "key" if self._own else "record"
        places = [index, keys[holder]] if holder in keys else [index]
        self._are_alike(places, f"the {what} {_short(part)} is a part of {_short(holder)}")

    def _are_alike(self, places: Iterable[int], what: str) -> None:
        if not self._lenient:
            remedy = (
                "let key= return what tells them apart"
                if self._own
                else "emit log_lines(n), n distinct lines of equal length, or pass key=, a function from an event to"
                " what it is known by there (str or bytes)"
            )
            raise MisuseError(f"{what}, so they cannot be told apart at the backend; {remedy}")
        self.alike.update(places)

    def _apart(self, keys: Mapping[S, int]) -> dict[S, int]:
        return {key: index for key, index in keys.items() if index not in self.alike}

    @cached_property
    def _in_utf8(self) -> Texts[bytes]:
        return _encoded({**self._exact, **self._whole})

    @cached_property
    def _like_json(self) -> Texts[bytes] | None:
        """Of the texts those that may be JSON themselves, or a part of it with more than one value."""
        found = {text: index for text, index in self._exact.items() if not _SYNTAX.isdisjoint(text)}
        return _encoded(found) if found else None

    def found_in(self, body: bytes, decoded: object) -> Iterator[int]:
        """The index of each record found in a body, as often as it is found; `decoded` is its JSON, or None.

        What is not in the JSON may be the JSON itself, such as a line of JSON that is sent as it is.
        """
        yield from self._raw.found_in(body)
        for text in self._misleading:
            body = body.replace(text.encode("utf-8", "surrogatepass"), b"\0")
        if decoded is None:
            yield from self._in_utf8.found_in(body)
            return
        in_json = list(self._in_json(decoded))
        yield from in_json
        if self._like_json is not None:
            known = set(in_json)
            yield from (index for index in self._like_json.found_in(body) if index not in known)

    def _in_json(self, decoded: object) -> Iterator[int]:
        left = [decoded]
        while left:
            value = left.pop()
            if isinstance(value, str):
                for text in self._misleading:
                    value = value.replace(text, "\0")
                index = self._exact.get(value.rstrip("\r\n"))
                if index is not None:
                    yield index
                elif inside := [*self._in_json_text(value)]:
                    yield from inside
                else:
                    yield from self._texts.found_in(value)
            elif isinstance(value, dict | list):
                same = self._object(value) if self._shapes else None
                if same is not None:
                    yield same
                else:
                    left += value.values() if isinstance(value, dict) else value

    def _object(self, value: object) -> int | None:
        """The record that is this very object, if one is."""
        if _shape(value) not in self._shapes:
            return None
        try:
            return self._objects.get(_canonical(value))
        except RecursionError:  # deeper than any record
            return None

    def _in_json_text(self, text: str) -> Iterator[int]:
        """What an object or array holds that is sent as text, with what is in it escaped once more."""
        if text.startswith(("{", "[")):
            try:
                inside = json.loads(text)
            except (ValueError, RecursionError):
                return
            yield from self._in_json(inside)


def _encoded(keys: Mapping[str, int]) -> Texts[bytes]:
    return Texts({text.encode("utf-8", "surrogatepass"): index for text, index in keys.items()}, _of_bytes)


def _texts_in(record: object) -> Iterator[str]:
    """The texts of a record, without the newlines at their ends."""
    left = [record]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value.rstrip("\r\n")
        elif isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value


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


def _short(value: object) -> str:
    text = repr_of(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def distinct_lines(n: int, text: str, first: int) -> tuple[str, ...]:
    """n lines of equal length, numbered from `first`: none of them holds another."""
    return tuple(f"{text or 'line'} {number:08d}" for number in range(first, first + n))
