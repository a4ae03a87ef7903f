"""What a backend was sent, to find records in: a fake backend's requests, or whatever a test has of its own."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..model.backend import BackendAnswered, BackendCalled, BackendRequest, BackendReset
from ..model.checks import is_list, repr_of
from ..model.errors import MisuseError
from .entries import Recorded
from .moments import since_start

_CONTENT = ("content", "body", "data", "text")
Unpack = Callable[[bytes, str], bytes]
"""A body from what was sent and its Content-Encoding."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One request to a backend. `status` is None where it was not answered; `pending`: it may still be."""

    body: bytes
    status: int | None
    words: str
    pending: bool = False
    request: BackendRequest | None = None
    known_by: tuple[str, ...] = ()
    """Its Idempotency-Key, with where it was sent; empty where it has none. A backend takes what repeats it once."""
    repeats: str = ""
    """The one that had the same before, in words."""

    @property
    def name(self) -> str:
        """What it is called: `request 3`."""
        return self.words.partition(" (")[0]

    @property
    def accepted(self) -> bool:
        """It was answered 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def decoded(self) -> object:
        """The JSON that the body holds, or the list of what NDJSON's lines hold, else None."""
        return decoded_json(self.body)

    def __str__(self) -> str:
        again = f" with the Idempotency-Key of {self.repeats}" if self.repeats else ""
        if self.request is None:
            return f"{self.words}{again}"
        return f"{self.words}, {self.answer}){again}"

    @property
    def answer(self) -> str:
        """What became of it."""
        if self.pending:
            return "not answered yet"
        return f"answered {self.status}" if self.status is not None else "without an answer"


def decoded_json(body: bytes) -> object:
    """JSON, or the list of what NDJSON's lines hold, else None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in body.split(b"\n") if line.strip()] or None
    except (ValueError, RecursionError):
        return None


class Sightings:
    """The requests of the fake backends, in the order in which they came, folded from the journal row by row."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, int], Sighting] = {}

    def take(self, rows: Iterable[Recorded]) -> list[Sighting]:
        """Fold in a part of the journal; the requests in it that are settled now."""
        settled = []
        for row in rows:
            match row.fact:
                case BackendCalled(backend, number, request, waits):
                    where = f"request {number}" if backend == "backend" else f"request {number} to {backend!r}"
                    words = f"{where} ({request.method} {request.path} at {since_start(row.elapsed_us)}"
                    known_by = _known_by(request, backend, request.method, request.path)
                    one = Sighting(request.body, request.status, words, waits, request, known_by)
                    self._all[backend, number] = one
                case BackendAnswered(backend, number, request) if (backend, number) in self._all:
                    before = self._all[backend, number]
                    one = replace(before, status=request.status, pending=False, request=request)
                    self._all[backend, number] = one
                case BackendReset(backend):
                    self._all = {key: one for key, one in self._all.items() if key[0] != backend}
                    continue
                case _:
                    continue
            if not one.pending:
                settled.append(one)
        return settled

    @property
    def all(self) -> list[Sighting]:
        """Every request, those that are not answered yet among them."""
        return list(self._all.values())


def of_a_test(given: object, unpack: Unpack) -> list[Sighting]:
    """What a test passes as `seen=`. Raises MisuseError for what holds no bytes.

    bytes, str, or objects with `content` or `body` (requests of httpx, requests, a fake backend), also those that have
    one as their `request` beside a `response` (calls of respx and responses); one, a list, or a callable that returns
    them.
    """
    given = given() if callable(given) and not hasattr(given, "calls") else getattr(given, "calls", given)
    several = is_list(given) and not _has_content(given)
    items: Iterable[object] = given if several else [given]  # type: ignore[assignment]  # is_list has looked
    return [_of_one(item, number, unpack) for number, item in enumerate(items, start=1)]


def _has_content(value: object) -> bool:
    return any(isinstance(getattr(value, name, None), str | bytes) for name in _CONTENT)


def _of_one(item: object, number: int, unpack: Unpack) -> Sighting:
    words = f"item {number} of seen="
    if isinstance(item, str):
        return Sighting(item.encode("utf-8", "surrogatepass"), 200, words)
    if isinstance(item, bytes | bytearray | memoryview):
        return Sighting(bytes(item), 200, words)
    request, response = _pair(item)
    status = getattr(response, "status_code", 200)
    for name in _CONTENT:
        value = getattr(request, name, None)
        if value is None:
            continue
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogatepass")
        if isinstance(value, bytes | bytearray | memoryview):
            body = unpack(bytes(value), _header(request, "content-encoding"))
            known_by = _known_by(request, str(getattr(request, "url", "")))
            return Sighting(body, status if isinstance(status, int) else 200, words, known_by=known_by)
    raise MisuseError(
        f"seen= has {repr_of(item)} (item {number}), which holds no bytes; pass bytes, str or objects with .content or"
        " .body, or a callable that returns a list of them, such as lambda: route.calls"
    )


def _pair(item: object) -> tuple[object, object]:
    """A request and its response, of what a mocking library keeps of a call."""
    if isinstance(item, tuple) and len(item) == 2:
        return item
    if (request := getattr(item, "request", None)) is not None and not _has_content(item):
        return request, getattr(item, "response", None)
    return item, None


def _known_by(request: object, *where: str) -> tuple[str, ...]:
    key = _header(request, "idempotency-key").strip()
    return (*where, key) if key else ()


def _header(request: object, wanted: str) -> str:
    headers: Any = getattr(request, "headers", None)  # any library's
    if not isinstance(headers, Mapping) and not hasattr(headers, "items"):
        return ""
    return next((str(value) for name, value in headers.items() if str(name).lower() == wanted), "")
