"""Settings: frozen, keyword-only, checked when made."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_lambda_telemetry import LambdaTelemetry, MisuseError, Retry, Settings

DEFAULTS: dict[str, Any] = {
    "function_name": "test-function",
    "function_version": "$LATEST",
    "handler": "lambda_function.lambda_handler",
    "account_id": "123456789012",
    "region": "us-east-1",
    "runtime": "python3.13",
    "tracing": False,
    "memory_mb": 128,
    "timeout_s": 3.0,
    "initialization_type": "on-demand",
    "fidelity": "documented",
    "log_format": "Text",
    "clock": "auto",
    "start": None,
    "platform_events": True,
    "local_testing": False,
    "allow_loopback_destination": False,
    "internal_extensions": (),
    "strict": True,
    "retry": Retry(initial_ms=100, factor=2.0, max_ms=10_000, attempts=None),
    "delivery_timeout_s": 5.0,
    "extension_timeout_s": 5.0,
    "shutdown_timeout_s": 2.0,
}


def test_the_defaults_are_those_of_lambda_and_of_the_documentation() -> None:
    assert dataclasses.asdict(Settings()) == {**DEFAULTS, "retry": dataclasses.asdict(DEFAULTS["retry"])}


@pytest.mark.parametrize("kind", [Settings, Retry])
def test_they_are_frozen_and_take_keywords_only(kind: Any) -> None:
    made = kind()
    name = dataclasses.fields(made)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, name, getattr(made, name))
    with pytest.raises(TypeError, match="positional"):
        kind("test-function")


def test_equal_settings_are_equal_and_hashable() -> None:
    assert Settings(internal_extensions=("a",)) == Settings(internal_extensions=("a",))
    assert len({Settings(), Settings(), Settings(strict=False)}) == 2


def test_a_misspelt_option_fails_at_once() -> None:
    with pytest.raises(TypeError, match="fidelty"):
        Settings(fidelty="observed")  # type: ignore[call-arg]  # this must fail


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("function_name", "", "a non-empty string"),
        ("function_version", 1, "a non-empty string"),
        ("handler", None, "a non-empty string"),
        ("account_id", 123456789012, "a non-empty string"),
        ("region", "", "a non-empty string"),
        ("runtime", "", "the identifier of a Lambda runtime, such as 'python3.13' or 'provided.al2023'"),
        ("runtime", "Python 3.13", "the identifier of a Lambda runtime, such as 'python3.13' or 'provided.al2023'"),
        ("runtime", "python3.13.", "the identifier of a Lambda runtime, such as 'python3.13' or 'provided.al2023'"),
        ("runtime", 3.13, "the identifier of a Lambda runtime, such as 'python3.13' or 'provided.al2023'"),
        ("tracing", "Active", "True or False"),
        ("memory_mb", 0, "a whole number of MB above 0"),
        ("memory_mb", 128.5, "a whole number of MB above 0"),
        ("memory_mb", True, "a whole number of MB above 0"),
        ("timeout_s", 0, "a number of seconds above 0"),
        ("timeout_s", float("nan"), "a number of seconds above 0"),
        ("timeout_s", float("inf"), "a number of seconds above 0"),
        ("timeout_s", "3", "a number of seconds above 0"),
        (
            "initialization_type",
            "cold",
            "one of 'on-demand', 'provisioned-concurrency', 'snap-start', 'lambda-managed-instances'",
        ),
        ("fidelity", "Observed", "one of 'documented', 'observed'"),
        ("log_format", "json", "one of 'Text', 'JSON'"),
        ("clock", "real", "one of 'auto', 'virtual', 'system', 'freezegun', 'time-machine'"),
        ("clock", [], "one of 'auto', 'virtual', 'system', 'freezegun', 'time-machine'"),
        (
            "start",
            "2026-01-01T00:00:00",
            "an aware datetime or an ISO 8601 string with an offset, such as '2026-01-01T00:00:00Z'",
        ),
        (
            "start",
            datetime(2026, 1, 1),
            "an aware datetime or an ISO 8601 string with an offset, such as '2026-01-01T00:00:00Z'",
        ),
        (
            "start",
            "yesterday",
            "an aware datetime or an ISO 8601 string with an offset, such as '2026-01-01T00:00:00Z'",
        ),
        (
            "start",
            "9999-12-31T23:59:59-05:00",
            "an aware datetime or an ISO 8601 string with an offset, such as '2026-01-01T00:00:00Z'",
        ),
        ("platform_events", 1, "True or False"),
        ("local_testing", "yes", "True or False"),
        ("allow_loopback_destination", None, "True or False"),
        ("internal_extensions", "abc", "a tuple of extension names"),
        ("internal_extensions", ("a", 1), "a tuple of extension names"),
        ("strict", 0, "True or False"),
        ("retry", 3, "a Retry, or None to drop a batch that failed"),
        ("delivery_timeout_s", -1, "a number of seconds above 0"),
        ("extension_timeout_s", 0, "a number of seconds above 0"),
        ("shutdown_timeout_s", True, "a number of seconds above 0"),
    ],
)
def test_a_bad_value_is_told_with_what_is_valid(field: str, value: Any, wanted: str) -> None:
    with pytest.raises(MisuseError) as caught:
        Settings(**{field: value})
    assert str(caught.value) == f"{field}={value!r} is not valid: it must be {wanted}"


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("initial_ms", 0, "a number above 0"),
        ("max_ms", -5, "a number above 0"),
        ("factor", 0.5, "a number, 1 or more"),
        ("attempts", 0, "a whole number, 1 or more, or None for no limit"),
        ("attempts", 1.0, "a whole number, 1 or more, or None for no limit"),
        ("attempts", True, "a whole number, 1 or more, or None for no limit"),
    ],
)
def test_a_retry_that_makes_no_schedule_is_refused(field: str, value: Any, wanted: str) -> None:
    with pytest.raises(MisuseError) as caught:
        Retry(**{field: value})
    assert str(caught.value) == f"Retry.{field}={value!r} is not valid: it must be {wanted}"


def test_the_delays_of_a_retry_grow_up_to_the_longest() -> None:
    delays = [Retry().delay_ms(made) for made in (1, 2, 3, 7, 8, 9, 100_000)]
    assert delays == [100, 200, 400, 6400, 10_000, 10_000, 10_000]


@pytest.mark.parametrize("factor", [1.01, 3, 1e6])
def test_the_delays_of_a_retry_reach_the_longest_with_any_factor(factor: float) -> None:
    assert [Retry(factor=factor).delay_ms(made) for made in (1, 2, 100_000)] == [100, min(100 * factor, 10_000), 10_000]


def test_the_attempts_of_a_retry_include_the_first() -> None:
    retry = Retry(initial_ms=10, factor=1, attempts=3)
    assert [retry.delay_ms(made) for made in (1, 2, 3, 4)] == [10, 10, None, None]


def test_options_replace_single_fields() -> None:
    settings = Settings(region="eu-west-1").with_options({"strict": False, "memory_mb": 512})
    assert settings == Settings(region="eu-west-1", strict=False, memory_mb=512)


@pytest.mark.parametrize("name", ["fidelty", "xyz", "profile", "start_time", "with_options", "__init__"])
def test_an_unknown_option_lists_the_valid_ones(name: str) -> None:
    with pytest.raises(MisuseError) as caught:
        Settings().with_options({name: 1})
    text = str(caught.value)
    assert text.startswith(f"there is no setting {name!r}; ")
    assert text.endswith(f"valid settings: {', '.join(DEFAULTS)}")
    assert ("did you mean 'fidelity'?" in text) == (name == "fidelty")


@pytest.mark.parametrize(
    "start", ["2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]
)
def test_start_is_the_first_moment_of_the_environment(start: Any) -> None:
    with LambdaTelemetry(Settings(start=start)) as lambda_telemetry:
        assert lambda_telemetry.now == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert lambda_telemetry.elapsed.total_seconds() == 0


def test_names_of_internal_extensions_become_a_tuple() -> None:
    assert Settings(internal_extensions=["a", "b"]).internal_extensions == ("a", "b")  # type: ignore[arg-type]  # a list too


@pytest.mark.parametrize("wrong", ["observed", {"strict": False}, Settings, 0])
def test_an_environment_takes_settings_and_nothing_else(wrong: Any) -> None:
    with pytest.raises(MisuseError, match="takes a Settings, not "):
        LambdaTelemetry(wrong)
