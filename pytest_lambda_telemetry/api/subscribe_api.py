"""Subscribe, of the Telemetry API and of its older twin, the Logs API."""

from ..model.facts import Subscribed, Tolerated
from ..model.ports import Recorder
from ..model.records import Subscription
from ..protocol import calls
from ..protocol.contract import Api
from ..protocol.profiles import Profile
from .exchange import Answer, ApiCall, json_answer, refusal_answer
from .parties import Extensions


class SubscribeApi:
    """Of one environment. The caller holds its lock around every call."""

    def __init__(self, extensions: Extensions, journal: Recorder, profile: Profile) -> None:
        self._extensions = extensions
        self._journal = journal
        self._profile = profile

    def subscribe(self, call: ApiCall, environment: calls.Environment, api: Api, who: str | None) -> Answer:
        """PUT …/telemetry and …/logs; `who` is how the call names its sender."""
        headers = call.request.headers
        verdict = calls.subscribe(api, headers, call.body, environment, loopback_allowed=call.stand_in)
        if isinstance(verdict, calls.Unsupported):
            return Answer(status=verdict.answer.status, body=verdict.answer.body, who=who or "")
        if isinstance(verdict, calls.Denied):
            return refusal_answer(call, "subscribe", verdict.refusal, verdict.who)
        accepted, name = verdict.accepted, verdict.caller.name
        for warning in accepted.warnings:
            self._journal.add(Tolerated(name, warning))
        for remark in accepted.ignored:
            self._journal.add(Tolerated(name, remark, ignored=True))
        extension = self._extensions.by_name(name)
        assert extension is not None  # the verdict found it
        subscription = extension.subscriptions.get(verdict.fingerprint)
        if subscription is None:
            subscription = Subscription(
                extension_name=name,
                extension_id=extension.extension_id,
                schema_version=accepted.schema_version,
                types=accepted.types,
                destination=accepted.destination,
                buffering=accepted.buffering,
                at=call.at,
                content=call.content,
            )
            extension.api = api
            extension.subscriptions[verdict.fingerprint] = subscription
        word = calls.subscribed_answer(verdict, self._profile)
        return json_answer(200, word, name, Subscribed(subscription, again=verdict.again))
