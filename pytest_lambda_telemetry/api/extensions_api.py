"""The Extensions API: register, next, and the two error reports."""

import json
from collections.abc import Callable, Mapping

from ..model.facts import Asked, Registered, Tolerated
from ..model.ports import Recorder
from ..protocol import calls
from ..protocol.states import Call
from ..wire.exchange import HttpRequest, HttpResponse
from .exchange import Answer, ApiCall, json_answer, refusal_answer
from .parties import Extensions, LiveExtension, Poll


class ExtensionsApi:
    """Of one environment. The caller holds its lock around every call.

    `function` and `account_id` are what register answers, `new_identifier` makes the identifier it hands out;
    `file_name` is that of the file from which Lambda started who registers, None where that is not known.
    """

    def __init__(
        self,
        extensions: Extensions,
        journal: Recorder,
        *,
        function: Mapping[str, str],
        account_id: str,
        new_identifier: Callable[[], str],
        file_name: Callable[[HttpRequest, str], str | None],
    ) -> None:
        self._extensions = extensions
        self._journal = journal
        self._function = function
        self._account_id = account_id
        self._new_identifier = new_identifier
        self._file_name = file_name
        self._over = False

    def end_polls(self) -> None:
        """The test is over: a poll for which there is no event is cut off, as if its extension had been killed."""
        self._over = True
        for extension in self._extensions:
            extension.hang_up()

    def begin_anew(self) -> None:
        """Polls are held again."""
        self._over = False

    def register(self, call: ApiCall, environment: calls.Environment) -> Answer:
        """POST …/register."""
        headers = call.request.headers
        file_name = self._file_name(call.request, headers.get(calls.NAME, ""))
        verdict = calls.register(headers, call.body, environment, file_name)
        if isinstance(verdict, calls.Denied):
            return refusal_answer(call, "register", verdict.refusal, verdict.who)
        extension = LiveExtension(
            name=verdict.name,
            extension_id=self._new_identifier(),
            events=verdict.events,
            headers=headers,
            at=call.at,
            stand_in=call.stand_in,
            internal=verdict.internal,
        )
        self._extensions.add(extension)
        body = calls.registered_answer(verdict, self._function, self._account_id)
        outcome = Registered(extension.snapshot, verdict.internal)
        return json_answer(200, body, extension.name, outcome, {calls.IDENTIFIER: extension.extension_id})

    def ask_for_next(
        self, call: ApiCall, environment: calls.Environment, finish: Callable[[Answer], HttpResponse]
    ) -> Answer | Poll:
        """GET …/event/next: the event that waits, or a poll, which `finish` is told of when it is answered."""
        headers = call.request.headers
        extension = self._extensions.by_id(calls.sender_id(headers))
        if extension is not None and extension.poll is not None and not extension.poll.alive():
            extension.give_up_poll()  # its client has gone; this is the poll that counts now
        verdict = calls.ask_for_next(headers, environment)
        if isinstance(verdict, calls.Denied):
            return refusal_answer(call, "next", verdict.refusal, verdict.who)
        assert extension is not None  # the verdict found it
        extension.state, extension.overdue = verdict.state, False
        self._journal.add(Asked(extension.name))
        payload = extension.take_pending()
        if payload is not None:
            return _handed(extension, payload)
        poll = extension.poll = Poll(call.request.alive, lambda payload: finish(_handed(extension, payload)))
        if self._over:
            extension.hang_up()
        return poll

    def report_error(self, call: ApiCall, environment: calls.Environment, route: str) -> Answer:
        """POST …/init/error and …/exit/error."""
        move = Call.INIT_ERROR if route == "init_error" else Call.EXIT_ERROR
        verdict = calls.report_error(move, call.request.headers, environment)
        if isinstance(verdict, calls.Denied):
            return refusal_answer(call, route, verdict.refusal, verdict.who)
        extension = self._extensions.by_name(verdict.caller.name)
        assert extension is not None  # the verdict found it
        if not verdict.again:
            extension.state = verdict.state
            extension.errors.append(verdict.error_type)
            extension.hang_up()
            if verdict.remark:
                self._journal.add(Tolerated(extension.name, verdict.remark))
        return json_answer(202, {"status": "OK"}, extension.name)


def _handed(extension: LiveExtension, payload: bytes) -> Answer:
    """The answer to event/next that hands an event over."""
    headers = calls.event_headers(extension.extension_id, json.loads(payload))
    return Answer(status=200, body=payload, who=extension.name, headers=tuple(headers.items()))
