"""The control API over HTTP: from a request to a call, and from what became of it to an answer."""

import difflib
import html
import json
import sys
import traceback
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from ..engine.turns import Interrupted
from ..model.errors import LambdaTelemetryError, MisuseError, WaitTimeout
from ..protocol.strict_json import DecodeError, decode, printable
from ..wire.exchange import Answer, HttpRequest, HttpResponse, Limits, Wording
from ..wire.server import Server
from .given import kinds_of
from .members import ENVIRONMENT
from .openapi import document
from .operations import ROOT, NotThere, Operation, operations
from .round import Over
from .safety import media_type_refusal, refusal
from .session import Session, session_operations
from .values import encode

LIMITS = Limits(body_bytes=16 << 20, drain_bytes=64 << 20, request_s=30.0)
WORDING = Wording(
    listener="the control API",
    service="the control API",
    handler="the control API",
    unattached="the server is about to end",
    too_large=f"the request body is larger than {LIMITS.body_bytes:,} bytes; send it in several calls",
    threads="lambda-telemetry-control",
)
ERRORS = {
    400: "misuse",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "timeout",
    409: "violation",
    410: "gone",
    413: "too-large",
    414: "too-large",
    415: "media-type",
    431: "too-large",
    500: "internal",
    503: "unavailable",
    505: "http-version",
}
"""What `error` says of each status."""
_SAFE = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>Timeline</title>
<style>body {{ font: 14px/1.5 ui-monospace, monospace; margin: 1rem }}</style></head>
<body><pre>{}</pre></body></html>
"""


def error_response(status: int, message: str) -> HttpResponse:
    """The JSON form of every error."""
    return _error(status, message)


def _error(status: int, message: str, more: Mapping[str, object] | None = None, **fields: Any) -> HttpResponse:
    body = {"error": ERRORS[status], "message": printable(message), **(more or {})}
    return HttpResponse(status=status, body=encode(body), **{"headers": _SAFE, **fields})


def control_server(port: int) -> Server:
    """A server that refuses as this API does. Raises MisuseError when the port cannot be used."""
    return Server(port, limits=LIMITS, wording=WORDING, error_response=error_response)


class Control:
    """Answers the requests to one control server."""

    def __init__(self, session: Session, port: int, token: str | None) -> None:
        self._session = session
        self._port = port
        self._token = token
        self._table: dict[tuple[str | None, ...], dict[str, Operation]] = {}  # None stands for any name
        everything = [*operations(), *session_operations()]
        for operation in everything:
            segments = tuple(None if part.startswith("{") else part for part in operation.path.split("/"))
            self._table.setdefault(segments, {})[operation.method] = operation
        self._document = json.dumps(document(everything)).encode()

    def handle(self, request: HttpRequest) -> Answer:
        """Answer one request; nothing where its client has hung up."""
        refused = refusal(request, self._port, self._token)
        if refused is not None:
            status, why = refused
            challenge = (("WWW-Authenticate", "Bearer"),) if status == 401 else ()
            return _error(status, why, headers=(*_SAFE, *challenge))
        path, _, query = request.target.partition("?")
        if path == f"{ROOT}/openapi.json" and request.method == "GET":
            return HttpResponse(status=200, body=self._document, headers=_SAFE)
        segments = tuple(unquote(part) for part in path.split("/"))
        methods, identifier = self._find(segments)
        if methods is None:
            return _error(404, self._no_such(request.method, path))
        operation = methods.get(request.method)
        if operation is None:
            allowed = ", ".join(methods)
            message = f"{request.method} {path} is no call; there is {allowed} {path}"
            return _error(405, message, headers=(*_SAFE, ("Allow", allowed)))
        if request.method != "GET" and (wrong := media_type_refusal(request)):
            return _error(415, wrong)
        try:
            given = _query(operation, query) if request.method == "GET" else _body(request, query)
        except MisuseError as error:
            return _error(400, str(error))
        return self._answer(request, operation, identifier, given)

    def _find(self, segments: tuple[str, ...]) -> tuple[dict[str, Operation] | None, str]:
        """The calls at a path, by method, and the name in it."""
        if (found := self._table.get(segments)) is not None:
            return found, ""
        if len(segments) < 4:
            return None, ""
        return self._table.get((*segments[:3], None, *segments[4:])), segments[3]

    def _answer(
        self, request: HttpRequest, operation: Operation, identifier: str, given: Mapping[str, Any]
    ) -> HttpResponse | None:
        told: list[str] = []
        try:
            value = self._session.call(operation, identifier, given, request.alive, told)
        except Interrupted:
            return None
        except Exception as error:
            status, message = _status(error)
            if status == 500:
                traceback.print_exception(error, file=sys.stderr)
            return _error(status, message, {"warnings": told} if request.method != "GET" else None)
        if operation.path == f"{ROOT}/timeline":
            return _text(str(value), page="text/html" in request.headers.get("Accept", ""))
        answer = {"value": value} if request.method == "GET" else {"value": value, "warnings": told}
        return HttpResponse(status=200, body=encode(answer), headers=_SAFE)

    def _no_such(self, method: str, path: str) -> str:
        name = path.removeprefix(f"{ROOT}/")
        if name in ENVIRONMENT.left_out:
            return f"there is no call {method} {path}: {ENVIRONMENT.left_out[name]}"
        there = [one for calls in self._table.values() for one in calls.values()]
        calls = {one.path.removeprefix(f"{ROOT}/"): one for one in there}
        near = difflib.get_close_matches(name, calls, n=1)
        hint = (
            f"did you mean {calls[near[0]].method} {calls[near[0]].path}?" if near else f"see GET {ROOT}/openapi.json"
        )
        return f"there is no call {method} {path}; {hint}"


def _status(error: Exception) -> tuple[int, str]:
    """The status and the message of what a call has raised."""
    match error:
        case NotThere():
            return 404, str(error)
        case Over():
            return 503, str(error)
        case MisuseError() | OSError() if not isinstance(error, WaitTimeout):
            return 400, str(error)
        case WaitTimeout():
            return 408, str(error)
        case AssertionError():
            return 409, str(error)
        case LambdaTelemetryError():
            return 410, str(error)
    return 500, f"{type(error).__name__}: {error}"


def _body(request: HttpRequest, query: str) -> dict[str, Any]:
    if query:
        raise MisuseError(f"{request.method} takes its options in the body, as JSON; it was sent the query {query!r}")
    if not request.body:
        return {}
    try:
        value = decode(request.body)
    except DecodeError as error:
        raise MisuseError(error.message) from None
    if not isinstance(value, dict):
        raise MisuseError('the body must be a JSON object of named options, such as {"ms": 100}')
    return value


def _query(operation: Operation, query: str) -> dict[str, Any]:
    """The options of what is read: those that are lists may be given several times, or with commas."""
    given: dict[str, Any] = {}
    lists = {one.name for one in operation.arguments if _takes_a_list(one.annotation)}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in lists:
            given.setdefault(name, []).extend(value.split(","))
        else:
            given[name] = value
    return given


def _takes_a_list(annotation: object) -> bool:
    return any(str(one).startswith("collections.abc.Sequence") for one in kinds_of(annotation))


def _text(text: str, *, page: bool) -> HttpResponse:
    if page:
        shown = _PAGE.format(html.escape(printable(text)))
        return HttpResponse(status=200, body=shown.encode(), content_type="text/html; charset=utf-8", headers=_SAFE)
    plain_text = f"{printable(text)}\n".encode()
    return HttpResponse(status=200, body=plain_text, content_type="text/plain; charset=utf-8", headers=_SAFE)
