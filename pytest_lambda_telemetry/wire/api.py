"""Request → protocol → response: what each call of an extension is answered, and what it leaves behind."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Condition
from typing import Any, Protocol

from ..model.headers import Headers
from ..model.records import Request
from ..protocol import contract
from ..protocol.contract import LOGS, TELEMETRY, Api, Profile, Refusal
from ..protocol.lifecycle import Call, advance_extension
from ..protocol.registration import error_report, identify, unknown_identifier, validate_registration
from ..protocol.strict_json import DecodeError, decode
from ..protocol.subscription import Accepted, validate
from . import routes
from .exchange import HttpRequest, HttpResponse, Malformed
from .extensions import Extensions, LiveExtension, Poll


class Ports(Protocol):
    """What the API asks of the environment it belongs to. `lock` is held around each call."""

    lock: Condition

    @property
    def profile(self) -> Profile: ...
    @property
    def function(self) -> dict[str, str]: ...
    @property
    def account_id(self) -> str: ...
    @property
    def init_over(self) -> bool: ...
    @property
    def now(self) -> datetime: ...
    def new_identifier(self) -> str: ...
    def is_stray(self, extension_id: str) -> bool: ...
    def record(self, kind: str, who: str, what: str, verdict: str = "") -> None: ...
    def requested(self, request: Request) -> None: ...
    def registered(self, extension: LiveExtension) -> None: ...
    def asked_for_next(self, extension: LiveExtension) -> None: ...
    def subscribed(
        self, extension: LiveExtension, accepted: Accepted, api: Api, raw: bytes, headers: Headers
    ) -> None: ...
    def subscribed_again(self, extension: LiveExtension, accepted: Accepted) -> None: ...
    def refused(self, refused: "Refused") -> None: ...
    def broke(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand(HttpRequest):
    """A request that no extension sent: the test acts as one, without a socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A call that was refused, for the record and for strictness. `injected`: the test itself asked for it."""

    route: str
    who: str | None
    refusal: Refusal
    raw: bytes
    body: Any  # any JSON value an extension may send
    injected: bool = False


@dataclass(slots=True)
class Answer:
    """What a call is answered, on its way out."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    who: str = ""
    refusal: Refusal | None = None
    close: bool = False
    effects: tuple[Callable[[], None], ...] = ()


@dataclass(slots=True)
class Injection:
    """The next answers to a route, made up by the test."""

    route: str
    refusal: Refusal
    times: int


def _json(status: int, value: object, who: str, *effects: Callable[[], None]) -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), who=who, effects=effects)


def loads_or_none(raw: bytes) -> Any:
    """Decoded JSON, or None for bytes that are not."""
    try:
        return decode(raw)
    except DecodeError:
        return None


class RuntimeApi:
    """Lambda's side of the Extensions, Telemetry and Logs APIs for one environment."""

    def __init__(self, sandbox: Ports) -> None:
        self.extensions = Extensions()
        self.injections: list[Injection] = []
        self._sandbox = sandbox
        self._over = False

    def end_polls(self) -> None:
        """The test is over: a poll for which there is no event is cut off, as if its extension had been killed."""
        self._over = True
        for extension in self.extensions:
            extension.hang_up()

    # -- dispatch ------------------------------------------------------------------------------------------------------

    def handle(self, request: HttpRequest) -> HttpResponse | None:
        """Answer one request; blocks while `event/next` holds its poll. None: close without an answer."""
        with self._sandbox.lock:
            arrived = self._sandbox.now
            if self._is_stray(request):
                extension_id = request.headers.get("Lambda-Extension-Identifier", "")
                line = f"{request.method} {request.target}"
                self._sandbox.record("stray", extension_id or "?", line, "stray, belongs to an earlier test: 403")
                refusal = unknown_identifier(extension_id)
                return HttpResponse(status=refusal.status, body=refusal.body, close=request.expired())
            answer = self._answer(request)
            if isinstance(answer, Answer):
                return self._finish(request, answer, arrived)
        return answer.wait()

    def _is_stray(self, request: HttpRequest) -> bool:
        identifier = request.headers.get("Lambda-Extension-Identifier", "").lower()
        return request.expired() or self._sandbox.is_stray(identifier)

    def malformed(self, problem: Malformed) -> None:
        """Journal a request that the server itself refused; a Subscribe whose body is too large is a rejection."""
        request = problem.request
        with self._sandbox.lock:
            if problem.status == 500:
                self._sandbox.broke(problem.reason)
            refusal = contract.too_large()
            if request is None or problem.status != refusal.status or self._is_stray(request):
                self._sandbox.record("request", "?", f"not handled: {problem.reason}", str(problem.status))
                return
            route = routes.find(request.target)
            who = self._named(request)
            answer = _refused(refusal, who or "")
            if route is not None and route[0] == request.method:
                answer = self._refuse(route[1], request, refusal, who)
            self._finish(request, answer, self._sandbox.now)

    def _answer(self, request: HttpRequest) -> Answer | Poll:
        route = routes.find(request.target)
        if route is None:
            return _refused(contract.not_found(request.target))
        method, name = route
        if request.method != method:
            answer = _refused(contract.method_not_allowed(method))
            answer.headers = (("Allow", method),)
            return answer
        injected = self._injected(name)
        if injected is not None:
            return self._refuse(name, request, injected, self._named(request), injected=True)
        handlers: dict[str, Callable[[str, HttpRequest], Answer | Poll]] = {
            "register": self._register,
            "next": self._next,
            "init_error": self._report_error,
            "exit_error": self._report_error,
            "subscribe": self._subscribe,
        }
        return handlers[name](name, request)

    def _finish(self, request: HttpRequest, answer: Answer, arrived: datetime) -> HttpResponse:
        verdict = str(answer.status)
        if answer.refusal is not None:
            verdict += f" {answer.refusal.error_type}: {answer.refusal.message}"
        who = answer.who or request.headers.get("Lambda-Extension-Name") or "?"
        self._sandbox.record("request", who, f"{request.method} {request.target}", verdict)
        self._sandbox.requested(
            Request(
                method=request.method,
                path=request.target,
                headers=request.headers,
                body=loads_or_none(request.body),
                raw=request.body,
                status=answer.status,
                response=loads_or_none(answer.body),
                at=arrived,
            )
        )
        for effect in answer.effects:
            effect()
        return HttpResponse(status=answer.status, body=answer.body, headers=answer.headers, close=answer.close)

    # -- refusals ------------------------------------------------------------------------------------------------------

    def _injected(self, route: str) -> Refusal | None:
        for injection in self.injections:
            if injection.route == route:
                injection.times -= 1
                if injection.times == 0:
                    self.injections.remove(injection)
                return injection.refusal
        return None

    def _refuse(
        self, route: str, request: HttpRequest, refusal: Refusal, who: str | None, *, injected: bool = False
    ) -> Answer:
        if isinstance(request, ByHand):
            return _refused(refusal)
        body = loads_or_none(request.body)
        self._sandbox.refused(
            Refused(route=route, who=who, refusal=refusal, raw=request.body, body=body, injected=injected)
        )
        return _refused(refusal, who or "")

    def _named(self, request: HttpRequest) -> str | None:
        extension = self.extensions.by_id(request.headers.get("Lambda-Extension-Identifier", "").lower())
        return extension.name if extension else request.headers.get("Lambda-Extension-Name") or None

    def _identified(self, request: HttpRequest) -> LiveExtension | Refusal:
        extension_id = identify(request.headers.get("Lambda-Extension-Identifier"))
        if isinstance(extension_id, Refusal):
            return extension_id
        return self.extensions.by_id(extension_id) or unknown_identifier(extension_id)

    # -- Extensions API ------------------------------------------------------------------------------------------------

    def _register(self, route: str, request: HttpRequest) -> Answer:
        sandbox = self._sandbox
        name = request.headers.get("Lambda-Extension-Name")
        internal = name in sandbox.profile.internal_extensions
        events = validate_registration(
            name=name,
            raw=request.body,
            profile=sandbox.profile,
            taken=self.extensions.names,
            init_over=sandbox.init_over,
            internal=internal,
        )
        if isinstance(events, Refusal):
            return self._refuse(route, request, events, name or None)
        assert name is not None
        extension = LiveExtension(
            name=name,
            extension_id=sandbox.new_identifier(),
            events=events,
            headers=request.headers,
            at=sandbox.now,
            by_hand=isinstance(request, ByHand),
            internal=internal,
        )
        self.extensions.add(extension)
        body = dict(sandbox.function)
        if "accountId" in _features(request.headers):
            body["accountId"] = sandbox.account_id
        answer = _json(200, body, name, lambda: sandbox.registered(extension))
        answer.headers = (("Lambda-Extension-Identifier", extension.extension_id),)
        return answer

    def _next(self, route: str, request: HttpRequest) -> Answer | Poll:
        sandbox = self._sandbox
        arrived = sandbox.now
        extension = self._identified(request)
        if isinstance(extension, Refusal):
            return self._refuse(route, request, extension, None)
        if extension.poll is not None and not extension.poll.alive():
            extension.give_up_poll()  # its client has gone; this is the poll that counts now
        state = advance_extension(extension.state, Call.NEXT, extension.name)
        if isinstance(state, Refusal):
            return self._refuse(route, request, state, extension.name)
        extension.state = state
        sandbox.asked_for_next(extension)
        payload = extension.take_pending()
        if payload is not None:
            return Answer(200, payload, who=extension.name)
        poll = extension.poll = Poll(
            request.alive, lambda payload: self._finish(request, Answer(200, payload, who=extension.name), arrived)
        )
        if self._over:
            extension.hang_up()
        return poll

    def _report_error(self, route: str, request: HttpRequest) -> Answer:
        extension = self._identified(request)
        if isinstance(extension, Refusal):
            return self._refuse(route, request, extension, None)
        error_type = error_report(request.headers.get("Lambda-Extension-Function-Error-Type"))
        if isinstance(error_type, Refusal):
            return self._refuse(route, request, error_type, extension.name)
        call = Call.INIT_ERROR if route == "init_error" else Call.EXIT_ERROR
        state = advance_extension(extension.state, call, extension.name)
        if isinstance(state, Refusal):
            return self._refuse(route, request, state, extension.name)
        extension.state = state
        extension.errors.append(error_type)
        extension.hang_up()
        return _json(202, {"status": "OK"}, extension.name)

    # -- Telemetry API and Logs API ------------------------------------------------------------------------------------

    def _subscribe(self, route: str, request: HttpRequest) -> Answer:
        sandbox = self._sandbox
        api = LOGS if request.target.startswith(LOGS.path) else TELEMETRY
        if sandbox.profile.local_testing:
            unsupported = contract.not_supported(api)
            return Answer(unsupported.status, unsupported.body, who=self._named(request) or "")
        extension = self._identified(request)
        if isinstance(extension, Refusal):
            return self._refuse(route, request, extension, None)
        verdict = self._verdict(extension, api, request)
        if isinstance(verdict, Refusal):
            return self._refuse(route, request, verdict, extension.name)
        for warning in verdict.warnings:
            sandbox.record("note", extension.name, warning)
        if (api, verdict.body) in extension.accepted:
            word = "AlreadySubscribed" if sandbox.profile.observed else "OK"
            return _json(200, word, extension.name, lambda: sandbox.subscribed_again(extension, verdict))
        extension.api = api
        extension.accepted.append((api, verdict.body))
        raw, headers = request.body, request.headers
        return _json(200, "OK", extension.name, lambda: sandbox.subscribed(extension, verdict, api, raw, headers))

    def _verdict(self, extension: LiveExtension, api: Api, request: HttpRequest) -> Accepted | Refusal:
        sandbox = self._sandbox
        state = advance_extension(extension.state, Call.SUBSCRIBE, extension.name)
        if isinstance(state, Refusal):
            return state
        if sandbox.init_over:
            return contract.subscription_closed(api)
        if extension.api not in (None, api):
            return contract.already_subscribed_elsewhere(sandbox.profile, extension_name=extension.name, api=api)
        return validate(
            request.body,
            sandbox.profile,
            api=api,
            content_type=request.headers.get("Content-Type"),
            loopback_allowed=isinstance(request, ByHand),
        )

    # -- by hand -------------------------------------------------------------------------------------------------------

    def register_by_hand(self, name: str, events: tuple[str, ...]) -> LiveExtension | Refusal:
        """Register as an extension would, without a socket; hand-made extensions count as always ready."""
        headers = Headers([("Lambda-Extension-Name", name)])
        answer = self._by_hand("POST", "/2020-01-01/extension/register", headers, {"events": list(events)})
        if answer.refusal is not None:
            return answer.refusal
        extension = self.extensions.by_name(name)
        assert extension is not None
        return extension

    def subscribe_by_hand(self, extension: LiveExtension, body: object) -> Refusal | None:
        """Subscribe as an extension would, without a socket; loopback destinations are allowed."""
        headers = Headers(
            [("Lambda-Extension-Identifier", extension.extension_id), ("Content-Type", "application/json")]
        )
        return self._by_hand("PUT", TELEMETRY.path, headers, body).refusal

    def _by_hand(self, method: str, target: str, headers: Headers, body: object) -> Answer:
        request = ByHand(
            method=method,
            target=target,
            headers=headers,
            body=json.dumps(body).encode(),
            alive=lambda: True,
            expired=lambda: False,
        )
        with self._sandbox.lock:
            handler = self._register if method == "POST" else self._subscribe
            answer = handler("", request)
            for effect in answer.effects:
                effect()
        return answer


def _refused(refusal: Refusal, who: str = "") -> Answer:
    return Answer(refusal.status, refusal.body, who=who, refusal=refusal)


def _features(headers: Headers) -> list[str]:
    return [feature.strip() for feature in headers.get("Lambda-Extension-Accept-Feature", "").split(",")]
