"""Wrong kinds of values for builders, scripts and settings: a MisuseError that helps, or an event that can be sent."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from pytest_lambda_telemetry import Event, MisuseError, Retry, Script, Settings, events
from pytest_lambda_telemetry.protocol.encoding import encode
from pytest_lambda_telemetry.protocol.projection import resolve
from pytest_lambda_telemetry.script import Invoke, Shutdown, Step
from pytest_lambda_telemetry.story.lifecycles import Lifecycles, ScriptOptions
from tests.support.wrong import WRONG, mistake, variations

TIME = "2026-01-01T00:00:00.000Z"
SCRIPTS = [name for name, member in vars(Lifecycles).items() if isinstance(member, classmethod) and name != "_made"]


def send(make: Callable[..., Event], *args: Any, **kwargs: Any) -> None:
    encode(resolve(make(*args, **kwargs), TIME))


@pytest.mark.parametrize("name", events.__all__)
def test_a_builder_takes_what_can_be_sent(name: str) -> None:
    valid = {"message": "x"} if name == "function_log" else {}
    for _, _, args, kwargs in variations(getattr(events, name), valid, {}):
        mistake(send, getattr(events, name), *args, **kwargs)


@pytest.mark.parametrize("field", ["type", "record", "time"])
def test_an_event_is_checked_when_it_is_made_or_sent(field: str) -> None:
    for value in WRONG.values():
        wire: dict[str, Any] = {"type": "function", "record": "x", "time": None, field: value}
        mistake(send, Event, **wire)
        mistake(send, events.from_dict, wire)


def test_spans_that_are_none_are_told() -> None:
    for value in WRONG.values():
        for spans in (value, [value], [{"name": "a", "durationMs": value, "start": None}, value]):
            wire = {"type": "platform.report", "record": {"spans": spans}}
            mistake(send, events.from_dict, wire)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_ready_made_script_takes_what_can_be_played(name: str) -> None:
    def call(**kwargs: Any) -> None:
        script = getattr(Script, name)(**kwargs)
        assert str(script + script.shifted(1) * 2)
        for step in script.steps:
            if isinstance(step.action, Event):
                encode(resolve(step.action, TIME))

    for _, _, _, kwargs in variations(getattr(Script, name), {}, ScriptOptions.__annotations__):
        mistake(call, **kwargs)


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_option_that_no_script_has_is_told_with_those_it_has(name: str) -> None:
    taken = inspect.signature(getattr(Script, name)).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
        return
    own = [parameter.name for parameter in taken if parameter.kind is parameter.KEYWORD_ONLY]
    with pytest.raises(MisuseError) as caught:
        getattr(Script, name)(zzz="x")
    assert str(caught.value) == (
        f"Script.{name} has no option 'zzz'; it has {', '.join([*own, *ScriptOptions.__annotations__])}"
    )


@pytest.mark.parametrize("name", ["shifted", "stretched", "concurrent", "from_ndjson"])
def test_a_method_of_a_script_takes_its_kind(name: str) -> None:
    script = Script.invocation()
    for _, _, _, kwargs in variations(getattr(script, name), {"n": 2} if name == "concurrent" else {}, {}):
        mistake(getattr(script, name), **kwargs)


STEPS: dict[str, Callable[[Any], object]] = {
    "steps": lambda value: Script(value),
    "step": lambda value: Script([value]),
    "pair": lambda value: Script([(value, value)]),
    "offset": lambda value: Script([(value, events.function())]),
    "action": lambda value: Script([(0, value)]),
    "offset of a Step": lambda value: Script([Step(value, events.function())]),
    "action of a Step": lambda value: Script([Step(0, value)]),
    "reason": lambda value: Script([(0, Shutdown(value))]),
    "request_id": lambda value: str(Script([(0, Invoke(request_id=value, deadline_ms=1, tracing="x"))])),
    "deadline_ms": lambda value: str(Script([(0, Invoke(request_id="x", deadline_ms=value, tracing="x"))])),
    "tracing": lambda value: str(Script([(0, Invoke(request_id="x", deadline_ms=1, tracing=value))]) * 2),
}


@pytest.mark.parametrize("what", STEPS)
def test_a_script_takes_steps_that_can_be_carried_out(what: str) -> None:
    for value in WRONG.values():
        mistake(STEPS[what], value)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Shutdown("spin"), "Shutdown with reason='spin'; the valid ones are 'spindown', 'timeout', 'failure'"),  # type: ignore[arg-type]  # must fail
        (
            Invoke(request_id="x", deadline_ms=-1, tracing="x"),
            "Invoke with deadline_ms=-1; pass milliseconds from this step, 0 or more",
        ),
        (Invoke(request_id="", deadline_ms=1, tracing="x"), "Invoke with request_id=''; pass a non-empty str"),
    ],
)
def test_a_step_that_cannot_be_carried_out_is_told_before_it_is_played(step: Any, told: str) -> None:
    with pytest.raises(MisuseError) as caught:
        Script([(0, step)])
    assert str(caught.value) == f"step 0 of the script has {told}"


@pytest.mark.parametrize("copies", [10**9, 10**400, 10**5000], ids=["many", "huge", "no digits"])
def test_more_copies_than_a_machine_holds_are_refused_at_once(copies: int) -> None:
    script = Script.invocation()
    for call in (script.__mul__, script.concurrent):
        with pytest.raises(MisuseError, match="steps are more than 10,000,000 steps; play a shorter one in a loop"):
            call(copies)


@pytest.mark.parametrize("kind", [Settings, Retry])
def test_every_field_takes_its_kind(kind: Any) -> None:
    for field in dataclasses.fields(kind):
        for value in WRONG.values():
            mistake(kind, **{field.name: value})


@pytest.mark.parametrize("field", ["function_name", "function_version", "handler", "account_id", "region"])
@pytest.mark.parametrize("value", ["\ud800", "a\0b"])
def test_a_setting_that_no_variable_can_hold_is_refused(field: str, value: str) -> None:
    options: dict[str, Any] = {field: value}
    with pytest.raises(MisuseError) as caught:
        Settings(**options)
    assert str(caught.value) == (
        f"{field}={value!r} is not valid: it must be a text that an environment variable can hold"
    )


def test_options_are_a_dict() -> None:
    for value in WRONG.values():
        mistake(Settings().with_options, value)
