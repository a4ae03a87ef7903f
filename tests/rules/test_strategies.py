"""The public strategies: what they give is what they say, all of it can be reached, and it shrinks to what is small."""

import inspect
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, TypeVar, cast

import pytest
from hypothesis import HealthCheck, find, given, settings, strategies as st

from pytest_lambda_telemetry import MisuseError, Script, Settings, events as builders, strategies
from pytest_lambda_telemetry.protocol.contract import Refusal
from pytest_lambda_telemetry.protocol.fields import DERIVED
from pytest_lambda_telemetry.protocol.subscription import validate
from pytest_lambda_telemetry.strategies import batches, events, json_values, scenarios, scripts, subscribe_bodies
from pytest_lambda_telemetry.strategies.telemetry import EVENTS
from tests.support.oracle import ACCEPTED, Verdict, verdict, verdict_of_bytes

T = TypeVar("T")

DOCUMENTED, OBSERVED = {"fidelity": "documented"}, {"fidelity": "observed"}
RULES: dict[str, tuple[Settings | None, list[dict[str, Any]]]] = {
    "any": (None, [DOCUMENTED, OBSERVED]),
    "documented": (Settings(), [DOCUMENTED]),
    "observed": (Settings(fidelity="observed"), [OBSERVED]),
    "managed": (
        Settings(initialization_type="lambda-managed-instances"),
        [{**DOCUMENTED, "managed_instances": True}],
    ),
    "loopback": (Settings(allow_loopback_destination=True), [{**DOCUMENTED, "allow_loopback": True}]),
}


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


def smallest(strategy: st.SearchStrategy[T], where: Callable[[T], object] = lambda _: True) -> T:
    return find(strategy, lambda value: bool(where(value)), settings=examples(5_000))


def sample(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    found: list[T] = []

    @examples(count)
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", RULES)
def test_a_valid_body_is_one_to_the_oracle_and_an_invalid_one_is_none(case: str) -> None:
    chosen, rules = RULES[case]
    for rule in rules:
        for body in sample(subscribe_bodies(settings=chosen), 200):
            assert verdict(body, **rule) == ACCEPTED
        for raw in sample(subscribe_bodies(encoded=True, settings=chosen), 100):
            assert verdict_of_bytes(raw, **rule) == ACCEPTED
        for body in sample(subscribe_bodies(valid=False, settings=chosen), 400):
            assert_refused(verdict(body, **rule), body)
        for raw in sample(subscribe_bodies(valid=False, encoded=True, settings=chosen), 200):
            assert_refused(verdict_of_bytes(raw, **rule), raw)


def assert_refused(judged: Verdict | None, body: object) -> None:
    assert judged is not None, body
    assert not judged.accepted, body


@examples(50)
@given(body=subscribe_bodies(port=5_000, settings=Settings()))
def test_every_destination_has_the_port_that_was_asked_for(body: strategies.Body) -> None:
    accepted = validate(json.dumps(body).encode(), Settings().profile)
    assert not isinstance(accepted, Refusal)
    assert accepted.destination.port == 5_000


def test_every_form_of_a_valid_body_is_reached() -> None:
    seen: defaultdict[str, set[Any]] = defaultdict(set)
    for body in sample(subscribe_bodies(settings=Settings()), 600):
        destination, buffering = body["destination"], body.get("buffering")
        seen["versions"].add(body["schemaVersion"])
        seen["types"].add(frozenset(body["types"]))
        seen["forms"].add((destination["protocol"], "URI" in destination, "port" in destination))
        seen["sent by AWS"] |= destination.keys() & {"method", "encoding"}
        seen["buffering"] |= {"none"} if buffering is None else buffering.keys() & {"maxItems", "maxBytes", "timeoutMs"}
        seen["ignored"].add(bool(destination.keys() - {"protocol", "URI", "port", "method", "encoding"}))
        seen["hosts"] |= {host for host in ("sandbox:", "sandbox.localdomain:") if host in destination.get("URI", "")}
    assert {name: len(values) for name, values in seen.items()} == {
        "versions": 3,
        "types": 7,
        "forms": 5,
        "sent by AWS": 2,
        "buffering": 4,
        "ignored": 2,
        "hosts": 2,
    }


TEXTS = {
    *("schemaVersion is not provided", "schemaVersion should be a string"),
    "schemaVersion should be one of `2025-01-29`, `2022-12-13`, `2022-07-01`",
    *("types is not provided", "types should be an array", "types should not be empty", "types should be unique"),
    "types should contain only `platform`, `function`, `extension`",
    *("destination is not provided", "destination should be an object"),
    *("protocol is not provided", "protocol should be a string", "protocol should be one of `HTTP`, `TCP`"),
    *("URI is not provided", "URI should be a string", "URI should not be empty", "URI port is not provided"),
    *("URI port should be a number", "URI port should be between 1 and 65535", "URI port 9001 is reserved"),
    "URI should not contain spaces or control characters",
    "URI should not contain a % without two hexadecimal digits behind it",
    *("URI scheme should be http", "URI host should be sandbox.localdomain"),
    *("port should be an integer", "port should be between 1 and 65535", "port 9001 is reserved"),
    "buffering should be an object",
    *("maxItems should be an integer", "maxItems should be between 1000 and 10000"),
    *("maxBytes should be an integer", "maxBytes should be between 262144 and 1048576"),
    *("timeoutMs should be an integer", "timeoutMs should be between 25 and 30000"),
    "unknown field `extensionName`, expected one of `schemaVersion`, `types`, `buffering`, `destination`",
}


def messages(body: object) -> set[str]:
    refused = validate(json.dumps(body).encode(), Settings().profile)
    assert isinstance(refused, Refusal)
    return {fault.message for fault in refused.faults}


def says(text: str, body: object) -> bool:
    return text in messages(body)


def test_every_fault_is_reached() -> None:
    bodies = subscribe_bodies(valid=False, settings=Settings())
    found = [messages(body) for body in sample(bodies, 1_000)]
    assert {len(one) for one in found} >= {1, 2, 3}
    for rare in TEXTS.difference(*found):
        find(bodies, partial(says, rare), settings=examples(50_000))


def test_every_damage_of_bytes_is_reached() -> None:
    said: set[str] = set()
    for raw in sample(subscribe_bodies(valid=False, encoded=True), 1_500):
        refused = validate(raw, Settings().profile)
        assert isinstance(refused, Refusal)
        said |= {fault.message.partition(",")[0].partition(":")[0] for fault in refused.faults}
    assert {"the body should be an object", "the body is not JSON"} <= said


PLAIN: strategies.Body = {
    "schemaVersion": "2025-01-29",
    "types": ["platform"],
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243"},
}


def test_a_body_shrinks_to_its_required_fields() -> None:
    assert smallest(subscribe_bodies()) == PLAIN
    assert smallest(subscribe_bodies(), lambda body: body["destination"]["protocol"] == "TCP") == {
        **PLAIN,
        "destination": {"protocol": "TCP", "port": 4243},
    }
    assert smallest(subscribe_bodies(), lambda body: "timeoutMs" in body.get("buffering", {})) == {
        **PLAIN,
        "buffering": {"timeoutMs": 25},
    }


@pytest.mark.parametrize(
    ("field", "shrunk"),
    [
        ("types", {name: value for name, value in PLAIN.items() if name != "types"}),
        ("schemaVersion", {name: value for name, value in PLAIN.items() if name != "schemaVersion"}),
        ("maxItems", {**PLAIN, "buffering": {"maxItems": 999}}),
        ("timeoutMs", {**PLAIN, "buffering": {"timeoutMs": 24}}),
        ("URI", {**PLAIN, "destination": {"protocol": "HTTP", "URI": ""}}),
        ("unknown", {**PLAIN, "extensionName": "my-extension"}),
    ],
)
def test_a_refused_body_shrinks_to_one_wrong_field(field: str, shrunk: strategies.Body) -> None:
    def is_wrong(body: strategies.Body) -> bool:
        judged = verdict(body)
        return judged is not None and judged.fields == {field}

    assert smallest(subscribe_bodies(valid=False), is_wrong) == shrunk


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"valid": "no"}, "valid='no' is not valid: it must be True or False"),
        ({"encoded": 1}, "encoded=1 is not valid: it must be True or False"),
        ({"port": 9001}, "port=9001 is not valid: it must be a port from 1 to 65535, other than 9001, or None"),
        ({"port": True}, "port=True is not valid: it must be a port from 1 to 65535, other than 9001, or None"),
        ({"settings": "observed"}, "settings='observed' is no Settings; pass Settings(fidelity='observed')"),
    ],
)
def test_what_no_bodies_can_be_made_of(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MisuseError) as raised:
        subscribe_bodies(**options)
    assert str(raised.value) == message


# -- events, batches ---------------------------------------------------------------------------------------------------

BUILDERS = {name: getattr(builders, name) for name in builders.__all__ if name not in ("from_dict", "function_log")}


def test_every_builder_is_there() -> None:
    assert {build().type for build in BUILDERS.values()} == EVENTS.keys()
    assert {event.type for event in sample(events(), 400)} == EVENTS.keys()


@pytest.mark.parametrize("name", BUILDERS)
def test_every_field_of_a_record_comes_and_varies(name: str) -> None:
    """Of a platform event every argument of its builder; but those that follow from the others may stay so."""
    default = BUILDERS[name]()
    if not isinstance(default.record, dict):
        return
    varied: defaultdict[str, set[str]] = defaultdict(set)
    for event in sample(events([default.type]), 400):
        record = cast("dict[str, Any]", event.record)
        flat = {**record, **record.get("metrics", {}), "time": event.time}
        for field, value in flat.items():
            varied[field].add(repr(value))
    parameters = inspect.signature(BUILDERS[name]).parameters.values()
    wanted = {one.name for one in parameters if one.default is not DERIVED}
    few = {field for field in map(wire_name, wanted) if len(varied[field]) < 2}
    assert few == set()


def wire_name(argument: str) -> str:
    first, *others = argument.split("_")
    return first + "".join(part.capitalize() if part != "mb" else "MB" for part in others)


def test_the_record_of_a_log_may_be_anything() -> None:
    records = [event.record for event in sample(events(["function"]), 1_200)]
    assert {type(record) for record in records} == {str, dict, list, int, float, bool, type(None)}
    assert any(isinstance(record, dict) and "timestamp" in record for record in records)
    assert any(isinstance(record, str) and record.endswith("\n") for record in records)


def test_types_may_be_chosen() -> None:
    assert {event.type for event in sample(events(["extension", "platform.start"]), 50)} == {
        "extension",
        "platform.start",
    }
    assert {event.type for event in sample(events(("platform",)), 300)} == EVENTS.keys() - {"function", "extension"}
    with pytest.raises(MisuseError, match=r"^there is no event type 'platform.stat'; did you mean 'platform.start'"):
        events(["platform.stat"])
    wrong: Any
    for wrong in ("function", [], 3):
        with pytest.raises(MisuseError, match=r"is no list of event types; pass a list such as \['function'\]$"):
            batches(wrong)


def test_a_line_shrinks_to_a_short_one() -> None:
    assert smallest(events(["function"])) == builders.function("")
    longer = smallest(events(["function"]), lambda event: isinstance(event.record, str) and len(event.record) > 2)
    assert longer == builders.function("000")
    assert smallest(batches(["extension"]), lambda batch: len(batch) > 1) == [builders.extension("")] * 2


def test_a_platform_event_shrinks_to_a_bare_call() -> None:
    assert smallest(events(["platform.report"])) == builders.platform_report()
    failed = smallest(events(["platform"]), lambda event: cast("Any", event.record).get("status") == "failure")
    assert failed == builders.platform_runtime_done(status="failure")


def test_batches_have_the_size_that_was_asked_for() -> None:
    sizes = {len(batch) for batch in sample(batches(min_size=2, max_size=4), 60)}
    assert sizes == {2, 3, 4}


# -- scripts, scenarios ------------------------------------------------------------------------------------------------


def test_scripts_are_the_ready_made_ones_and_chains_of_them() -> None:
    types = [{type(step.action).__name__ for step in script.steps} for script in sample(scripts(), 300)]
    assert any("Shutdown" in each for each in types)
    assert any("EndInit" in each for each in types)
    lengths = [
        sum(type(step.action).__name__ == "Invoke" for step in script.steps) for script in sample(scripts(), 300)
    ]
    assert {0, 1, 2, 3} <= set(lengths)


def test_a_script_shrinks_to_one_invocation() -> None:
    assert smallest(scripts()) == Script.invocation()
    assert smallest(scripts(), lambda script: "Shutdown" in str(script.steps)) == Script.timeout()


def test_scenarios_come_from_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = ModuleType("pytest_lambda_telemetry.scenarios")
    catalogue.__dict__["ALL"] = ("plain", "listener-down", "late-report")
    strategy = scenarios()  # the catalogue is looked at when something is drawn
    monkeypatch.setitem(sys.modules, catalogue.__name__, catalogue)
    assert set(sample(strategy, 30)) == {"plain", "listener-down", "late-report"}
    assert smallest(scenarios()) == "plain"


@examples(100)
@given(value=json_values())
def test_json_values_can_be_sent(value: strategies.Json) -> None:
    assert json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode()) == value


# -- without Hypothesis ------------------------------------------------------------------------------------------------


def test_without_hypothesis_the_message_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "try: import pytest_lambda_telemetry.strategies\n"
        "except ImportError as error: print(type(error).__name__, error.name, error, error.__cause__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "ModuleNotFoundError hypothesis pytest_lambda_telemetry.strategies needs Hypothesis, which is not installed:"
        " pip install 'pytest-lambda-telemetry[hypothesis]' None"
    )


def test_all_is_sorted_and_can_be_imported() -> None:
    assert strategies.__all__ == sorted(strategies.__all__)
    for name in strategies.__all__:
        assert hasattr(strategies, name)
