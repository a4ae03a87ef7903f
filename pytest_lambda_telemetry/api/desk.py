"""Where every request of an extension arrives: is it ours, which service answers it, and what is recorded of it."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from threading import Condition, Thread
from typing import Protocol

from ..model.facts import Called, Outcome, Refused, Registered, StoodIn, Stray, Subscribed, Unhandled
from ..model.headers import Headers
from ..model.ports import Recorder
from ..model.records import Request
from ..protocol import calls, contract
from ..protocol.contract import TELEMETRY, Refusal
from ..protocol.profiles import Profile
from ..protocol.registration import unknown_identifier
from ..protocol.strict_json import Body, read
from ..wire.exchange import HttpRequest, HttpResponse, Malformed
from .exchange import Answer, ApiCall, error_answer, refusal_answer
from .extensions_api import ExtensionsApi
from .parties import Extensions, Poll
from .routes import LAMBDA, Found
from .subscribe_api import SubscribeApi

_READ_THE_BODY = ("register", "subscribe")
"""The calls that look at other things before their body."""


class Refusals(Protocol):
    """The refusals that the test has planned."""

    def refusal_for(self, route: str) -> Refusal | None: ...


class Reception(Protocol):
    """Told what a call leaves behind, once it is recorded. The lock is held."""

    def called(self, fact: Called, thread: Thread | None) -> None: ...
    def stood_in(self, fact: StoodIn) -> None: ...
    def malformed(self, status: int, reason: str) -> None: ...
    def broke(self, reason: str) -> None: ...


class Desk:
    """Lambda's side of the Extensions, Telemetry and Logs APIs for one environment.

    `lock` is the environment's; `is_stray` knows the identifiers of earlier tests, `outlived` their threads, `thread`
    those of this process by the port they call from; within `one_moment` everything is recorded at the same time: one
    look at the clock for one request.
    """

    def __init__(
        self,
        *,
        lock: Condition,
        profile: Profile,
        init_over: Callable[[], bool],
        is_stray: Callable[[str], bool],
        thread: Callable[[int], Thread | None],
        outlived: Callable[[Thread | None], str],
        one_moment: Callable[[], AbstractContextManager[datetime]],
        journal: Recorder,
        refusals: Refusals,
        reception: Reception,
        extensions: Extensions,
        extensions_api: ExtensionsApi,
        subscribe_api: SubscribeApi,
    ) -> None:
        self._lock = lock
        self._profile = profile
        self._init_over = init_over
        self._identifier_is_stray = is_stray
        self._thread = thread
        self._outlived = outlived
        self._one_moment = one_moment
        self._journal = journal
        self._refusals = refusals
        self._reception = reception
        self._extensions = extensions
        self._extensions_api = extensions_api
        self._subscribe_api = subscribe_api

    # -- over the wire -------------------------------------------------------------------------------------------------

    def handle(self, request: HttpRequest) -> HttpResponse | None:
        """Answer one request; blocks while `event/next` holds its poll. None: close without an answer."""
        with self._lock, self._one_moment() as now:
            if self._is_stray(request):
                extension_id = calls.sender_id(request.headers) or request.headers.get(calls.IDENTIFIER, "")
                self._journal.add(Stray(extension_id, request.method, request.target))
                refusal = unknown_identifier(extension_id)
                body = refusal.written(self._profile)
                return HttpResponse(status=refusal.status, body=body, close=request.expired())
            call = ApiCall(request=request, body=read(request.body), at=now)
            answer = self._answer(call)
            if isinstance(answer, Answer):
                return self._finish(call, answer)
        return answer.wait()

    def malformed(self, problem: Malformed) -> HttpResponse | None:
        """Record a request that the server itself refused.

        One whose body is too large is answered as any other up to the point at which the body is looked at.
        """
        request = problem.request
        with self._lock, self._one_moment() as now:
            if problem.status == 500:
                self._reception.broke(problem.reason)
            if request is None or problem.status != contract.too_large().status or self._is_stray(request):
                self._journal.add(Unhandled(problem.reason, problem.status))
                if problem.status < 500 and not (problem.cut_off or (request is not None and self._is_stray(request))):
                    self._reception.malformed(problem.status, problem.reason)
                return None
            call = ApiCall(request=request, body=Body(b"", too_large=True), at=now)
            answer = self._answer(call)
            assert isinstance(answer, Answer)  # no poll has such a body
            return self._finish(call, answer)

    def _is_stray(self, request: HttpRequest) -> bool:
        return request.expired() or self._identifier_is_stray(calls.sender_id(request.headers))

    def _named(self, request: HttpRequest) -> str | None:
        extension = self._extensions.by_id(calls.sender_id(request.headers))
        return extension.name if extension else request.headers.get(calls.NAME) or None

    # -- dispatch ------------------------------------------------------------------------------------------------------

    def _answer(self, call: ApiCall) -> Answer | Poll:
        request = call.request
        found = LAMBDA.find(request.target)
        if found is None:
            return error_answer(contract.not_found(request.target))
        method = found.route.method
        if request.method != method:
            refusal = contract.method_not_allowed(method)
            return Answer(status=refusal.status, headers=(("Allow", method),), refusal=refusal)
        injected = self._refusals.refusal_for(found.route.name)
        if injected is not None:
            return refusal_answer(call, found.route.name, injected, self._named(request), injected=True)
        if call.body.too_large and found.route.name not in _READ_THE_BODY:
            return refusal_answer(call, found.route.name, contract.too_large(), self._named(request))
        return self._serve(call, found)

    def _serve(self, call: ApiCall, found: Found) -> Answer | Poll:
        scene, route = self._scene(), found.route
        caller = self._extensions.by_id(calls.sender_id(call.request.headers))
        if caller is not None:
            caller.calls_on(self._thread_of(call.request))
        match route.name:
            case "register":
                return self._extensions_api.register(call, scene)
            case "next":
                return self._extensions_api.ask_for_next(call, scene, lambda answer: self._finish(call, answer))
            case "subscribe":
                return self._subscribe_api.subscribe(call, scene, route.api or TELEMETRY, self._named(call.request))
        return self._extensions_api.report_error(call, scene, route.name)

    def _scene(self) -> calls.Environment:
        extensions = self._extensions

        def find(extension_id: str) -> calls.Caller | None:
            found = extensions.by_id(extension_id)
            return found.caller if found else None

        return calls.Environment(
            profile=self._profile,
            init_over=self._init_over(),
            names=extensions.names,
            subscription_count=extensions.subscription_count,
            find=find,
        )

    def _finish(self, call: ApiCall, answer: Answer) -> HttpResponse:
        """Record what a call was answered, and let the environment know what it left behind."""
        request = call.request
        body = answer.refusal.written(self._profile) if answer.refusal else answer.body
        call.content.answer = body
        thread = self._thread_of(request)
        fact = Called(
            who=answer.who or self._named(request) or "?",
            request=Request(
                method=request.method,
                path=request.target,
                status=answer.status,
                at=call.at,
                content=call.content,
            ),
            error=answer.error,
            outcome=self._with_thread(answer.outcome, thread),
        )
        self._journal.add(fact)
        self._reception.called(fact, thread)
        return HttpResponse(status=answer.status, body=body, headers=answer.headers)

    def _thread_of(self, request: HttpRequest) -> Thread | None:
        """The thread that called, where it is one of this process."""
        addresses = request.addresses()
        return self._thread(addresses[0][1]) if addresses else None

    def _with_thread(self, outcome: Outcome, thread: Thread | None) -> Outcome:
        """What a call leaves behind, with the thread that made it, where that belongs to an earlier test."""
        outlived = self._outlived(thread)
        match outcome:
            case Registered(extension):
                registered = self._extensions.by_id(extension.extension_id)
                if registered is not None:
                    registered.calls_on(thread)
                    registered.outlived = outlived
                return replace(outcome, outlived=outlived)
            case Refused(who=str(who)) if outcome.route == "register":
                holder = self._extensions.by_name(who)
                return replace(outcome, outlived=outlived, holder=holder.outlived if holder else "")
            case Refused(who=None):
                return replace(outcome, outlived=outlived)
        return outcome

    # -- without a socket ----------------------------------------------------------------------------------------------

    def register(self, name: str, events: tuple[str, ...]) -> Outcome:
        """Register as an extension would; what a test registers itself counts as always ready. The lock is held."""
        call = self._stand_in("POST", contract.REGISTER, {calls.NAME: name}, {"events": list(events)})
        outcome = self._extensions_api.register(call, self._scene()).outcome
        if isinstance(outcome, Registered):
            self._stood_in(StoodIn(name, outcome))
        return outcome

    def subscribe(self, name: str, extension_id: str, body: object) -> Outcome:
        """Subscribe as an extension would; loopback destinations are allowed. The lock is held."""
        headers = {calls.IDENTIFIER: extension_id, "Content-Type": contract.MEDIA_TYPE}
        call = self._stand_in("PUT", TELEMETRY.path, headers, body)
        outcome = self._subscribe_api.subscribe(call, self._scene(), TELEMETRY, name).outcome
        if isinstance(outcome, Subscribed) and not outcome.again:
            self._stood_in(StoodIn(name, outcome))
        return outcome

    def _stand_in(self, method: str, target: str, headers: Mapping[str, str], body: object) -> ApiCall:
        request = HttpRequest(
            method=method,
            target=target,
            headers=Headers(headers.items()),
            body=json.dumps(body).encode(),
            alive=lambda: True,
            expired=lambda: False,
        )
        with self._one_moment() as now:
            return ApiCall(request=request, body=read(request.body), at=now, stand_in=True)

    def _stood_in(self, fact: StoodIn) -> None:
        self._journal.add(fact)
        self._reception.stood_in(fact)
