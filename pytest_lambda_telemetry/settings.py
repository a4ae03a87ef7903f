"""What a test can choose about its environment: one frozen value, checked when it is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal, TypedDict, get_args

from .model.checks import (
    are_texts,
    hint_at,
    is_encodable,
    is_flag,
    is_moment,
    is_number,
    is_one_of,
    is_text,
    is_whole,
    quoted,
    require,
)
from .model.errors import MisuseError
from .protocol.profiles import Fidelity, Profile
from .protocol.schema import RUNTIME, InitializationType

LogFormat = Literal["Text", "JSON"]
ClockName = Literal["auto", "virtual", "system", "freezegun", "time-machine"]


_LIMIT = 1e15
_LONGEST_S = 1e9  # what the system can wait


def _positive(value: object) -> bool:
    return is_number(value) and 0 < value < _LIMIT


def _are_seconds(value: object) -> bool:
    return is_number(value) and 0 < value <= _LONGEST_S


def _one_of(alias: object) -> tuple[Callable[[object], bool], str]:
    values: tuple[str, ...] = get_args(alias)
    return (lambda value: is_one_of(value, values)), f"one of {quoted(values)}"


def _is_runtime(value: object) -> bool:
    return isinstance(value, str) and RUNTIME.fullmatch(value) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """When a batch that failed is tried again, in virtual milliseconds; AWS publishes no schedule.

    The first delay is `initial_ms`, each further one `factor` times longer, `max_ms` at most. `attempts` counts the
    first try too; None tries for ever. Raises MisuseError for values that make no schedule.
    """

    initial_ms: float = 100
    factor: float = 2.0
    max_ms: float = 10_000
    attempts: int | None = None

    def __post_init__(self) -> None:
        for name in ("initial_ms", "max_ms"):
            require(_positive(getattr(self, name)), f"Retry.{name}", getattr(self, name), "a number above 0")
        grows = is_number(self.factor, 1) and self.factor < _LIMIT
        require(grows, "Retry.factor", self.factor, "a number, 1 or more")
        valid = self.attempts is None or is_whole(self.attempts, 1)
        require(valid, "Retry.attempts", self.attempts, "a whole number, 1 or more, or None for no limit")

    def delay_ms(self, attempts_made: int) -> float | None:
        """Milliseconds until the next try after `attempts_made` of them; None when there is none."""
        if self.attempts is not None and attempts_made >= self.attempts:
            return None
        try:
            return min(self.initial_ms * float(self.factor) ** (attempts_made - 1), self.max_ms)
        except OverflowError:  # long beyond max_ms
            return self.max_ms


class SettingsOptions(TypedDict, total=False):
    """The settings by name, as `lambda_telemetry_factory` and the mark take them: see Settings."""

    function_name: str
    function_version: str
    handler: str
    account_id: str
    region: str
    runtime: str
    tracing: bool
    memory_mb: int
    timeout_s: float
    initialization_type: InitializationType
    fidelity: Fidelity
    log_format: LogFormat
    clock: ClockName
    start: datetime | str | None
    platform_events: bool
    local_testing: bool
    allow_loopback_destination: bool
    internal_extensions: tuple[str, ...]
    strict: bool
    retry: Retry | None
    delivery_timeout_s: float
    extension_timeout_s: float
    shutdown_timeout_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything a test can choose, with Lambda's own defaults. Raises MisuseError for a value that cannot be.

    Fidelity and what it changes: README, "Fidelity". `runtime` may have a suffix, such as `python3.14.DurableFunction`;
    with `tracing` (X-Ray active) platform events have `tracing`. `timeout_s` is the function's, in environment time;
    `delivery_timeout_s`, `extension_timeout_s` and `shutdown_timeout_s` are real seconds.
    """

    function_name: str = "test-function"
    function_version: str = "$LATEST"
    handler: str = "lambda_function.lambda_handler"
    account_id: str = "123456789012"
    region: str = "us-east-1"
    runtime: str = "python3.13"
    tracing: bool = False
    memory_mb: int = 128
    timeout_s: float = 3.0
    initialization_type: InitializationType = "on-demand"
    fidelity: Fidelity = "documented"
    log_format: LogFormat = "Text"
    clock: ClockName = "auto"
    start: datetime | str | None = None
    platform_events: bool = True
    local_testing: bool = False
    allow_loopback_destination: bool = False
    internal_extensions: tuple[str, ...] = ()
    strict: bool = True
    retry: Retry | None = Retry()
    delivery_timeout_s: float = 5.0
    extension_timeout_s: float = 5.0
    shutdown_timeout_s: float = 2.0

    def __post_init__(self) -> None:
        for name, (holds, wanted) in _RULES.items():
            require(holds(getattr(self, name)), name, getattr(self, name), wanted)
        for name in _VARIABLES:
            text = getattr(self, name)
            require(is_encodable(text), name, text, "a text that an environment variable can hold")
        object.__setattr__(self, "internal_extensions", tuple(self.internal_extensions))

    def with_options(self, options: Mapping[str, Any]) -> "Settings":
        """These settings with some fields replaced, as the marker does it.

        Raises MisuseError that lists the valid names for one that does not exist.
        """
        require(isinstance(options, Mapping), "options", options, "a dict of settings")
        valid = [field.name for field in fields(self)]
        for name in options:
            if name not in valid:
                hint = hint_at(name, valid)
                raise MisuseError(
                    f"there is no setting {name!r}; {hint and f'{hint} '}valid settings: {', '.join(valid)}"
                )
        return replace(self, **options) if options else self

    @property
    def profile(self) -> Profile:
        """What of this decides a verdict of the protocol."""
        return Profile(
            fidelity=self.fidelity,
            initialization_type=self.initialization_type,
            local_testing=self.local_testing,
            allow_loopback_destination=self.allow_loopback_destination,
            internal_extensions=self.internal_extensions,
        )

    @property
    def start_time(self) -> datetime | None:
        """`start` as an aware datetime; None means now."""
        return datetime.fromisoformat(self.start) if isinstance(self.start, str) else self.start


_TEXT = (is_text, "a non-empty string")
_FLAG = (is_flag, "True or False")
_SECONDS = (_are_seconds, "a number of seconds above 0")

_VARIABLES = ("function_name", "function_version", "handler", "account_id", "region")
"""What Lambda's environment variables, and headers, are made of."""

_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "function_name": _TEXT,
    "function_version": _TEXT,
    "handler": _TEXT,
    "account_id": _TEXT,
    "region": _TEXT,
    "runtime": (_is_runtime, "the identifier of a Lambda runtime, such as 'python3.13' or 'provided.al2023'"),
    "tracing": _FLAG,
    "memory_mb": (lambda value: is_whole(value, 1) and value < _LIMIT, "a whole number of MB above 0"),
    "timeout_s": _SECONDS,
    "initialization_type": _one_of(InitializationType),
    "fidelity": _one_of(Fidelity),
    "log_format": _one_of(LogFormat),
    "clock": _one_of(ClockName),
    "start": (
        lambda value: value is None or is_moment(value),
        "an aware datetime or an ISO 8601 string with an offset, such as '2026-01-01T00:00:00Z'",
    ),
    "platform_events": _FLAG,
    "local_testing": _FLAG,
    "allow_loopback_destination": _FLAG,
    "internal_extensions": (are_texts, "a tuple of extension names"),
    "strict": _FLAG,
    "retry": (lambda value: value is None or isinstance(value, Retry), "a Retry, or None to drop a batch that failed"),
    "delivery_timeout_s": _SECONDS,
    "extension_timeout_s": _SECONDS,
    "shutdown_timeout_s": _SECONDS,
}

DEFAULTS = Settings()
"""Lambda's defaults: frozen, so that one instance serves every test that chooses nothing."""
