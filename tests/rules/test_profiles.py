"""The table of what the profiles do differently: every row is what the rules do, and nothing but the table decides.

A probe asks the rules, in one profile, for what a row is about. Rows that only a whole environment can show are held by
tests/behaviour/test_profiles.py.
"""

import ast
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import pytest_lambda_telemetry
from pytest_lambda_telemetry.model.headers import Headers
from pytest_lambda_telemetry.protocol import calls, profiles
from pytest_lambda_telemetry.protocol.contract import LOGS, TELEMETRY, Api, Refusal
from pytest_lambda_telemetry.protocol.profiles import DIFFERENCES, Difference, ErrorAnswer, PerApi, Profile
from pytest_lambda_telemetry.protocol.states import ExtensionState
from pytest_lambda_telemetry.protocol.strict_json import read
from pytest_lambda_telemetry.protocol.subscription import Accepted, validate
from tests.support.helpers import IDENTIFIER

DOCUMENTED, OBSERVED = Profile(), Profile(fidelity="observed")
SHOWN_BY_AN_ENVIRONMENT = {"state-again", "record-cut", "line-end"}

ROOT = Path(pytest_lambda_telemetry.__file__).parent
UUID = "00000000-0000-4000-8000-000000000000"


def body(api: Api = TELEMETRY, uri: str = "http://sandbox.localdomain:8080", **changes: Any) -> bytes:
    """A body that is good in both profiles, some of its fields replaced."""
    good = {
        "schemaVersion": api.schema_versions[0],
        "types": ["platform"],
        "destination": {"protocol": "HTTP", "URI": uri},
    }
    return json.dumps(good | changes).encode()


def refusal(raw: bytes, profile: Profile, api: Api = TELEMETRY) -> Refusal:
    verdict = validate(raw, profile, api=api)
    assert isinstance(verdict, Refusal)
    return verdict


def answers(ask: Callable[[Api], Refusal]) -> ErrorAnswer:
    """How the two APIs refuse."""
    telemetry, logs = ask(TELEMETRY), ask(LOGS)
    assert telemetry.status == logs.status
    return ErrorAnswer(telemetry.status, PerApi(telemetry.error_type, logs.error_type))


def max_items(profile: Profile) -> PerApi[int]:
    telemetry, logs = (validate(body(api), profile, api=api) for api in (TELEMETRY, LOGS))
    assert isinstance(telemetry, Accepted)
    assert isinstance(logs, Accepted)
    return PerApi(telemetry.buffering.max_items, logs.buffering.max_items)


def faults_named(profile: Profile) -> int | None:
    """How many of three faults are named; None: all of them."""
    refused = refusal(body(types=[], buffering={"maxItems": 1, "maxBytes": 1}), profile)
    assert refused.message == "; ".join(fault.message for fault in refused.faults)
    return None if len(refused.faults) == 3 else len(refused.faults)


def tcp_port_required(profile: Profile) -> bool:
    by_port = validate(body(destination={"protocol": "TCP", "port": 8080}), profile)
    assert isinstance(by_port, Accepted)
    assert bool(by_port.warnings) is (profile is DOCUMENTED)
    by_uri = validate(body(destination={"protocol": "TCP", "URI": "sandbox:8080"}), profile)
    assert isinstance(by_uri, Accepted) or by_uri.message == "port is not provided"
    return isinstance(by_uri, Refusal)


def subscribe(
    profile: Profile, api: Api, *, after: Api | None = None, subscribed: Sequence[str] = ()
) -> calls.Subscribes | calls.Denied:
    """The verdict on a good Subscribe call of an extension, `after` those that it made with this API."""
    extension = calls.Caller(name="ext", state=ExtensionState.REGISTERED, api=after, subscribed=subscribed)
    environment = calls.Environment(
        profile=profile, init_over=False, names=["ext"], subscription_count=0, find=lambda _identifier: extension
    )
    verdict = calls.subscribe(api, Headers([(IDENTIFIER, UUID)]), read(body(api)), environment)
    assert not isinstance(verdict, calls.Unsupported)
    return verdict


def answer_again(profile: Profile) -> str:
    first = subscribe(profile, TELEMETRY)
    assert isinstance(first, calls.Subscribes)
    assert calls.subscribed_answer(first, profile) == "OK"
    again = subscribe(profile, TELEMETRY, after=TELEMETRY, subscribed=[first.fingerprint])
    assert isinstance(again, calls.Subscribes)
    return calls.subscribed_answer(again, profile)


def single_event(profile: Profile) -> str | None:
    """What is said of a single event, where it differs from what is said of any other value."""
    messages = [refusal(body(types=[name]), profile).message for name in ("platform.runtimeDone", "nonsense")]
    return None if messages[0] == messages[1] else messages[0]


def other_api(profile: Profile) -> ErrorAnswer:
    def ask(api: Api) -> Refusal:
        verdict = subscribe(profile, api, after=LOGS if api is TELEMETRY else TELEMETRY)
        assert isinstance(verdict, calls.Denied)
        return verdict.refusal

    return answers(ask)


PROBES: dict[str, Callable[[Profile], object]] = {
    "undecodable-body": lambda profile: answers(lambda api: refusal(b"{", profile, api)),
    "invalid-body": lambda profile: answers(lambda api: refusal(body(api, types=[]), profile, api)),
    "denied-destination": lambda profile: answers(lambda api: refusal(body(api, "http://a.example:80"), profile, api)),
    "denied-host": lambda profile: refusal(body(uri="http://a.example:80"), profile).message,
    "denied-scheme": lambda profile: refusal(body(uri="https://sandbox:8080"), profile).message,
    "faults-named": faults_named,
    "max-items": max_items,
    "tcp-port-required": tcp_port_required,
    "answer-again": answer_again,
    "single-event": single_event,
    "message-first": lambda profile: refusal(b"{", profile).written(profile).startswith(b'{"errorMessage":'),
    "other-api": other_api,
}


def key(row: Difference[object]) -> str:
    return row.key


# -- what the rules do -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [row for row in DIFFERENCES if row.key in PROBES], ids=key)
def test_the_rules_do_what_the_row_says_and_differ(row: Difference[object]) -> None:
    documented, observed = PROBES[row.key](DOCUMENTED), PROBES[row.key](OBSERVED)
    assert documented == row.documented.value
    assert observed == row.observed.value
    assert documented != observed


@pytest.mark.parametrize("profile", [DOCUMENTED, OBSERVED], ids=lambda profile: profile.fidelity)
@pytest.mark.parametrize(
    ("wrong", "row"),
    [
        ({"types": "platform"}, profiles.UNDECODABLE_BODY),  # another kind
        ({"types": ["nonsense"]}, profiles.UNDECODABLE_BODY),  # no such value
        ({"schemaVersion": "2020-01-01"}, profiles.UNDECODABLE_BODY),
        ({"extra": 1}, profiles.UNDECODABLE_BODY),  # unknown
        ({"destination": {"protocol": "HTTP"}}, profiles.UNDECODABLE_BODY),  # missing
        ({"buffering": {"maxItems": 999}}, profiles.INVALID_BODY),
        ({"destination": {"protocol": "TCP", "port": 9001}}, profiles.INVALID_BODY),
        ({"uri": "http://sandbox.localdomain"}, profiles.INVALID_BODY),
        ({"uri": "https://sandbox:8080"}, profiles.DENIED_DESTINATION),
        ({"uri": "http://localhost:8080"}, profiles.DENIED_DESTINATION),
        ({"destination": {"protocol": "TCP", "port": 8080, "URI": "a.example"}}, profiles.DENIED_DESTINATION),
    ],
)
def test_faults_are_answered_as_the_row_about_them_says(
    wrong: dict[str, Any], row: Difference[ErrorAnswer], profile: Profile
) -> None:
    assert answers(lambda api: refusal(body(api, **wrong), profile, api)) == row.under(profile)


def test_with_one_fault_named_it_decides_status_and_type() -> None:
    both = body(uri="https://sandbox:8080", types=[])
    assert (refusal(both, OBSERVED).status, refusal(both, OBSERVED).error_type) == (403, "Telemetry.AccessDenied")
    assert (refusal(both, DOCUMENTED).status, len(refusal(both, DOCUMENTED).faults)) == (400, 2)


# -- the table ---------------------------------------------------------------------------------------------------------


def test_every_row_is_held_by_a_probe() -> None:
    assert PROBES.keys() | SHOWN_BY_AN_ENVIRONMENT == {row.key for row in DIFFERENCES}
    assert PROBES.keys().isdisjoint(SHOWN_BY_AN_ENVIRONMENT)


def test_every_row_of_the_module_is_in_the_table_once_under_its_own_name() -> None:
    rows = {name: row for name, row in vars(profiles).items() if isinstance(row, Difference)}
    assert list(rows.values()) == list(DIFFERENCES)
    for name, row in rows.items():
        assert row.key == name.lower().replace("_", "-")


@pytest.mark.parametrize("row", DIFFERENCES, ids=key)
def test_a_row_takes_the_column_of_the_profile(row: Difference[object]) -> None:
    assert row.documented.value != row.observed.value
    assert row.under(DOCUMENTED) is row.documented.value
    assert row.under(OBSERVED) is row.observed.value


def named(value: object) -> list[str]:
    """What a person must be told of a value."""
    match value:
        case ErrorAnswer(status, error_type):
            return [str(status), *named(error_type)]
        case PerApi(telemetry, logs):
            return [*named(telemetry), *named(logs)]
        case int() if value > 1:
            return [f"{value:,}"]
        case str() if value.strip():
            return [value]
    return []


@pytest.mark.parametrize("row", DIFFERENCES, ids=key)
def test_the_words_of_a_row_name_its_values_and_fit_a_table(row: Difference[object]) -> None:
    for choice in (row.documented, row.observed):
        assert [told for told in named(choice.value) if told not in choice.words] == []
    assert row.documented.words != row.observed.words
    for text in (row.what, row.documented.words, row.observed.words, row.source):
        assert text.strip() == text != ""
        assert not set("|\n") & set(text)
    assert row.source.count("; ") == 1, "one source for each column"


def test_nothing_but_the_table_asks_for_the_fidelity() -> None:
    """A difference that is decided elsewhere would be in no table."""
    asking = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("fidelity", "documented", "observed")
    }
    assert asking == {"protocol/profiles.py", "settings.py"}
