"""What a backend was sent, to find records in: a fake backend's requests, or whatever a test has of its own."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..model.backend import BackendAnswered, BackendCalled, BackendRequest, BackendReset
from ..model.checks import is_list, repr_of
from ..model.errors import MisuseError
from .entries import Recorded
from .moments import since_start

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
_CONTENT = ("content", "body", "data", "text")
_KEPT = ("calls", "request_history", "log", "requests")
"""Where respx and responses, requests-mock, pytest-httpserver, and a fake backend keep what they were sent."""
Unpack = Callable[[bytes, str], bytes]
"""A body from what was sent and its Content-Encoding."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One request to a backend. `status` is None where it was not answered; `pending`: it may still be.

    `sent` is its body; of a fake backend's request that is read when it is asked for, as the journal may let it go.
    """

    sent: bytes | None
    status: int | None
    words: str
    pending: bool = False
    request: BackendRequest | None = None
    known_by: tuple[str, ...] = ()
    """Its Idempotency-Key, with where it was sent; empty where it has none. A backend takes what repeats it once."""
    repeats: str = ""
    """The one that had the same before, in words."""
    backend: str = ""
    """The fake backend's name."""

    @property
    def body(self) -> bytes:
        """After Content-Encoding. Raises LambdaTelemetryError when the journal's limit made it let the bytes go."""
        return self.request.body if self.sent is None and self.request is not None else self.sent or b""

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
        """What the body holds as JSON, else None."""
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
    """JSON, or the list of several JSON values one after the other, as in NDJSON; else None.

    None too where there is a number, null, true or false by itself: that is as well a line of text.
    """
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        values = list(_one_after_the_other(text))
    except (ValueError, RecursionError):
        return None
    return values[0] if len(values) == 1 else values or None


def _one_after_the_other(text: str) -> Iterator[object]:
    at = len(text) - len(text.lstrip())
    while at < len(text):
        value, at = _DECODER.raw_decode(text, at)
        if not isinstance(value, dict | list | str):
            raise ValueError(value)
        yield value
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too


class Sightings:
    """The requests of the fake backends, in the order in which they came, folded from the journal row by row."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, int], Sighting] = {}
        self.resets = 0
        """How often a backend began anew: what was taken before may be forgotten."""

    def take(self, rows: Iterable[Recorded]) -> list[Sighting]:
        """Fold in a part of the journal; the requests in it that are settled now."""
        settled: list[Sighting] = []
        for row in rows:
            match row.fact:
                case BackendCalled(backend, number, request, waits):
                    where = f"request {number}" if backend == "backend" else f"request {number} to {backend!r}"
                    words = f"{where} ({request.method} {request.path} at {since_start(row.elapsed_us)}"
                    known_by = _known_by(request, backend, request.method, request.path)
                    one = Sighting(None, request.status, words, waits, request, known_by, backend=backend)
                    self._all[backend, number] = one
                case BackendAnswered(backend, number, request) if (backend, number) in self._all:
                    before = self._all[backend, number]
                    one = replace(before, status=request.status, pending=False, request=request)
                    self._all[backend, number] = one
                case BackendReset(backend):
                    self._all = {key: one for key, one in self._all.items() if key[0] != backend}
                    settled = [one for one in settled if one.backend != backend]
                    self.resets += 1
                    continue
                case _:
                    continue
            if not one.pending:
                settled.append(one)
        return settled

    @property
    def pending(self) -> list[Sighting]:
        """The requests that are not answered yet."""
        return [one for one in self._all.values() if one.pending]

    @property
    def all(self) -> list[Sighting]:
        """Every request, those that are not answered yet among them."""
        return list(self._all.values())


def of_a_test(given: object, unpack: Unpack) -> list[Sighting]:
    """What a test passes as `seen=`. Raises MisuseError for what holds no bytes.

    bytes, str, requests with `content`, `body` or `data` (of httpx, requests, werkzeug, a fake backend), each perhaps
    in a pair with its response or status, or as the `request` of a call that has a `response` too; one, a list of them,
    what keeps such a list (a route, a mocker, a server), or a callable that returns any of it.
    """
    kept = _kept_by(given)
    if kept is None and callable(given):
        given = given()
        kept = _kept_by(given)
    if kept is None:
        kept = given if is_list(given) and not _is_pair(given) and not _has_content(given) else [given]
    return [_of_one(item, number, unpack) for number, item in enumerate(kept, start=1)]


def _kept_by(value: object) -> Iterable[object] | None:
    found = (_attribute(value, name) for name in _KEPT)
    return next((one for one in found if is_list(one)), None)


def _is_pair(value: object) -> bool:
    """A request with its response (or status, or None): as respx, responses and pytest-httpserver keep a call."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    second = value[1]
    return second is None or isinstance(second, int | BaseException) or _status_of(second) is not None


def _has_content(value: object) -> bool:
    return any(isinstance(_attribute(value, name), str | bytes) for name in _CONTENT)


def _attribute(value: object, name: str) -> object:
    """An Ellipsis where there is none, or where it cannot be read, as the content of a request that was a stream."""
    try:
        return getattr(value, name, ...)
    except Exception:
        return ...


def _of_one(item: object, number: int, unpack: Unpack) -> Sighting:
    words = f"item {number} of seen="
    request, status = _answered(item)
    body = _bytes_of([request, *(_attribute(request, name) for name in _CONTENT)])
    if body is not None:
        known_by = _known_by(request, str(getattr(request, "url", getattr(request, "path", ""))))
        return Sighting(unpack(body, _header(request, "content-encoding")), status, words, known_by=known_by)
    raise MisuseError(
        f"seen= has {repr_of(item)} (item {number}), which holds no bytes; pass bytes, str or objects with .content or"
        " .body, or a callable that returns a list of them, such as lambda: route.calls"
    )


def _bytes_of(values: list[object]) -> bytes | None:
    """The first of these that has bytes; none where a request says that it has no body, as one for GET."""
    for value in values:
        if isinstance(value, str):
            return value.encode("utf-8", "surrogatepass")
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
    told = [value for value in values[1:] if value is not ...]
    return b"" if told and all(value is None for value in told) else None


def _answered(item: object) -> tuple[object, int | None]:
    """A request and the status it was answered: 200 where that is not known, None where it was not answered."""
    if isinstance(item, BackendRequest):
        return item, item.status
    if _is_pair(item):
        request, response = item  # type: ignore[misc]  # _is_pair has looked
    elif (request := _attribute(item, "request")) not in (None, ...) and not _has_content(item):
        response = _attribute(item, "response")
    else:
        return item, 200
    return request, response if isinstance(response, int) else _status_of(response)


def _status_of(response: object) -> int | None:
    status = _attribute(response, "status_code")
    return status if isinstance(status, int) else None


def _known_by(request: object, *where: str) -> tuple[str, ...]:
    key = _header(request, "idempotency-key").strip()
    return (*where, key) if key else ()


def _header(request: object, wanted: str) -> str:
    headers: Any = getattr(request, "headers", None)  # any library's
    if not isinstance(headers, Mapping) and not hasattr(headers, "items"):
        return ""
    return next((str(value) for name, value in headers.items() if str(name).lower() == wanted), "")
