"""What a fake backend answers: the test's own answers, and 200 where it has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..model import checks
from ..model.checks import is_text, is_whole, repr_of, require
from ..model.errors import MisuseError
from ..protocol.encoding import to_text
from ..wire.exchange import HttpResponse
from ..wire.framing import check_field

_BODILESS = (204, 304)
_OURS = ("content-length", "transfer-encoding")
DEFAULT = HttpResponse(status=200, content_type=None)


@dataclass(slots=True, kw_only=True, eq=False)
class Rule:
    """An answer for the next `times` requests that match, None for all."""

    response: HttpResponse
    path: str | None
    method: str | None
    times: int | None

    def matches(self, method: str, path: str) -> bool:
        """It is for such a request."""
        return self.path in (None, path) and self.method in (None, method)


class Answers:
    """The answers of one backend. The caller holds the environment's lock."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, rule: Rule) -> None:
        """One more, which goes before those that are there."""
        self._rules.insert(0, rule)

    def clear(self) -> None:
        """Forget all of them."""
        self._rules.clear()

    def next(self, method: str, path: str) -> HttpResponse:
        """The answer to a request, which is used up."""
        for rule in self._rules:
            if rule.matches(method, path):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times == 0:
                        self._rules.remove(rule)
                return rule.response
        return DEFAULT


def rule(
    status: object, json: object, body: object, headers: object, path: object, method: object, times: object
) -> Rule:
    """An answer from what a test passes in. Raises MisuseError."""
    require(is_whole(status, 200) and status <= 599, "status", status, "a status from 200 to 599")
    assert is_whole(status)
    require(method is None or is_text(method), "method", method, "an HTTP method, such as 'POST'")
    assert method is None or isinstance(method, str)
    content_type, content = _content(json, body)
    if content and status in _BODILESS:
        raise MisuseError(f"an answer with status={status} has no body; leave json= and body= out")
    fields, close = _fields(headers)
    if any(name.lower() == "content-type" for name, _ in fields):
        content_type = None
    return Rule(
        response=HttpResponse(status=status, body=content, content_type=content_type, headers=fields, close=close),
        path=request_path(path),
        method=method.upper() if method is not None else None,
        times=None if times is None else checks.times(times),
    )


def request_path(value: object) -> str | None:
    """The path of requests, or None for any. Raises MisuseError."""
    good = value is None or (is_text(value) and value.startswith("/") and "?" not in value)
    require(good, "path", value, "a path without a query, such as '/v1/logs'")
    return value if isinstance(value, str) else None


def _content(json: object, body: object) -> tuple[str | None, bytes]:
    """Content-Type and bytes of an answer."""
    require(isinstance(body, bytes | bytearray | str), "body", body, "bytes, or a str, which is sent as UTF-8")
    if json is not None:
        if body:
            raise MisuseError("respond() takes json= or body=, one of the two")
        try:
            return "application/json", to_text(json).encode()
        except (MisuseError, UnicodeEncodeError):
            require(False, "json", json, "a value that JSON has")
    if isinstance(body, str):
        require(checks.is_encodable(body.replace("\0", "")), "body", body, "a str that UTF-8 has")
        return ("text/plain; charset=utf-8" if body else None), body.encode()
    assert isinstance(body, bytes | bytearray)
    return None, bytes(body)


def _fields(headers: object) -> tuple[tuple[tuple[str, str], ...], bool]:
    """The header lines of an answer, and whether they end the connection."""
    wanted = "a dict of header lines, or a list of pairs, each of two str"
    pairs = list(headers.items()) if isinstance(headers, Mapping) else headers if headers is not None else []
    require(isinstance(pairs, Sequence) and not isinstance(pairs, str | bytes), "headers", headers, wanted)
    assert isinstance(pairs, Sequence)
    fields: list[tuple[str, str]] = []
    close = False
    for pair in pairs:
        good = isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
        require(good and not isinstance(pair, str), "headers", headers, wanted)
        name, value = pair
        try:
            check_field(name, value)
        except ValueError:
            raise MisuseError(
                f"headers has {repr_of(name)}: {repr_of(value)}, which cannot be sent as a header line; use printable"
                " characters of Latin-1"
            ) from None
        if name.lower() in _OURS:
            raise MisuseError(f"headers has {name!r}, which is made from the body; leave it out")
        if name.lower() == "connection":
            close |= "close" in value.lower()
        else:
            fields.append((name, value))
    return tuple(fields), close
