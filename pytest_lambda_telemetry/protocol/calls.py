"""What a call of an extension is answered: (call, where its caller and the environment stand, profile) → verdict.

Pure: nothing is changed here. Each function holds the order of checks of one call; the rules themselves are in
`registration`, `subscription` and `states`. Sources: Extensions API, Lambda Telemetry API reference, Logs API, AWS's
own emulator.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID, uuid5

from ..model.headers import Headers
from . import contract, profiles
from .contract import Api, Refusal
from .profiles import Profile
from .registration import canonical, error_report, identify, replaced, unknown_identifier, validate_registration
from .states import Call, ExtensionState, advance_extension
from .strict_json import Body
from .subscription import Accepted, validate_body

IDENTIFIER = "Lambda-Extension-Identifier"
EVENT_IDENTIFIER = "Lambda-Extension-Event-Identifier"
NAME = "Lambda-Extension-Name"
ACCEPT_FEATURE = "Lambda-Extension-Accept-Feature"
ERROR_TYPE = "Lambda-Extension-Function-Error-Type"
UNNAMED_ERRORS = {Call.INIT_ERROR: "Extension.InitError", Call.EXIT_ERROR: "Extension.ExitError"}
"""What Lambda reports where an extension does not name its error as it should (AWS's emulator)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Where a registered extension stands: what decides how a call of its is answered.

    `api` is the one it has subscribed with, `subscribed` the fingerprints of the bodies that were accepted.
    """

    name: str
    state: ExtensionState
    api: Api | None = None
    subscribed: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the environment stands. `find` looks a caller up by its identifier; `names` are all that registered."""

    profile: Profile
    init_over: bool
    names: Collection[str]
    subscription_count: int
    find: Callable[[str], Caller | None]


@dataclass(frozen=True, slots=True)
class Denied:
    """The call is refused; `who` made it, where that is known."""

    refusal: Refusal
    who: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetIn:
    """An extension may register, for these events. `account_id`: it wants to be told."""

    name: str
    events: tuple[str, ...]
    internal: bool
    account_id: bool


@dataclass(frozen=True, slots=True)
class Waits:
    """The caller waits for its next event; `state` is where it stands then."""

    caller: Caller
    state: ExtensionState


@dataclass(frozen=True, slots=True)
class Reports:
    """The caller has failed, and stands at `state` from now on. `again`: it did before, so that nothing changes.

    `remark` is what is suspicious about the report, for the journal; empty as a rule.
    """

    caller: Caller
    state: ExtensionState
    error_type: str
    again: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Subscribes:
    """The body is good; `again`: the very same was accepted before, so that nothing changes."""

    caller: Caller
    accepted: Accepted
    fingerprint: str
    again: bool


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Local testing: 202, whatever the body says, and nothing is ever delivered."""

    answer: Refusal


def register(headers: Headers, body: Body, environment: Environment, file_name: str | None = None) -> LetIn | Denied:
    """POST /2020-01-01/extension/register; `file_name` is of the file that Lambda started, where that is known."""
    name, profile = headers.get(NAME), environment.profile
    internal = name in profile.internal_extensions
    events = validate_registration(
        name=name,
        body=body,
        profile=profile,
        taken=environment.names,
        init_over=environment.init_over,
        internal=internal,
        file_name=file_name,
    )
    if isinstance(events, Refusal):
        return Denied(events, name or None)
    features = [feature.strip() for feature in headers.get(ACCEPT_FEATURE, "").split(",")]
    return LetIn(name=name or "", events=events, internal=internal, account_id="accountId" in features)


def ask_for_next(headers: Headers, environment: Environment) -> Waits | Denied:
    """GET /2020-01-01/extension/event/next."""
    caller = _identified(headers, environment)
    if isinstance(caller, Denied):
        return caller
    state = advance_extension(caller.state, Call.NEXT, caller.name)
    return Denied(state, caller.name) if isinstance(state, Refusal) else Waits(caller, state)


def event_headers(extension_id: str, event: object) -> dict[str, str]:
    """The headers with which an extension is handed an event: INVOKE has an identifier (AWS's emulator)."""
    match event:
        case {"eventType": "INVOKE", "requestId": str(request_id)}:
            return {EVENT_IDENTIFIER: str(uuid5(UUID(extension_id), request_id))}
    return {}


def report_error(call: Call, headers: Headers, environment: Environment) -> Reports | Denied:
    """POST /2020-01-01/extension/init/error and …/exit/error: identifier, error type, extension, state."""
    extension_id = identify(headers.get(IDENTIFIER))
    if isinstance(extension_id, Refusal):
        return Denied(extension_id, None)
    caller = environment.find(extension_id)
    given = headers.get(ERROR_TYPE, "").strip()
    error_type = error_report(given, UNNAMED_ERRORS[call])
    if isinstance(error_type, Refusal):
        return Denied(error_type, caller.name if caller else None)
    if caller is None:
        return Denied(unknown_identifier(extension_id), None)
    state = advance_extension(caller.state, call, caller.name)
    if isinstance(state, Refusal):
        return Denied(state, caller.name)
    remark = "" if given == error_type else replaced(given, error_type)
    return Reports(caller, state, error_type, again=state is caller.state, remark=remark)


def subscribe(
    api: Api, headers: Headers, body: Body, environment: Environment, *, loopback_allowed: bool = False
) -> Subscribes | Unsupported | Denied:
    """PUT /2022-07-01/telemetry and PUT /2020-08-15/logs: identifier, state, phase, which API, body."""
    profile = environment.profile
    if profile.local_testing:
        return Unsupported(contract.not_supported(api))
    caller = _identified(headers, environment)
    if isinstance(caller, Denied):
        return caller
    state = advance_extension(caller.state, Call.SUBSCRIBE, caller.name)
    if isinstance(state, Refusal):
        return Denied(state, caller.name)
    if environment.init_over:
        return Denied(contract.subscription_closed(api), caller.name)
    if profile.managed_instances and api is contract.LOGS:
        return Denied(contract.no_logs_api(), caller.name)
    if caller.api not in (None, api):
        other = contract.already_subscribed_elsewhere(profile, extension_name=caller.name, api=api)
        return Denied(other, caller.name)
    accepted = validate_body(
        body, profile, api=api, content_type=headers.get("Content-Type"), loopback_allowed=loopback_allowed
    )
    if isinstance(accepted, Refusal):
        return Denied(accepted, caller.name)
    words = json.dumps(accepted.body, sort_keys=True).encode()
    fingerprint = f"{api.name} {sha256(words).hexdigest()}"
    again = fingerprint in caller.subscribed
    if not again and environment.subscription_count >= contract.MAX_SUBSCRIPTIONS:
        return Denied(contract.too_many_subscriptions(api), caller.name)
    return Subscribes(caller, accepted, fingerprint, again)


def registered_answer(let_in: LetIn, function: Mapping[str, str], account_id: str) -> dict[str, str]:
    """What register answers: the function's name, version and handler, and the account for who asked."""
    return {**function, "accountId": account_id} if let_in.account_id else {**function}


def subscribed_answer(verdict: Subscribes, profile: Profile) -> str:
    """What Subscribe answers; the very same subscription again may have a word of its own."""
    return profiles.ANSWER_AGAIN.under(profile) if verdict.again else "OK"


def sender_id(headers: Headers) -> str:
    """The identifier that a request names its sender with, as `Environment.find` takes it; empty where it is none."""
    return canonical(headers.get(IDENTIFIER))


def _identified(headers: Headers, environment: Environment) -> Caller | Denied:
    extension_id = identify(headers.get(IDENTIFIER))
    if isinstance(extension_id, Refusal):
        return Denied(extension_id, None)
    return environment.find(extension_id) or Denied(unknown_identifier(extension_id), None)
