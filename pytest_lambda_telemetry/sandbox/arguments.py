"""What a test passes in, checked: every wrong value is a MisuseError that says what to pass instead."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import cast

from ..engine.channel import Channel
from ..model.errors import MisuseError
from ..model.event import Event, Record
from ..model.records import Delivery, Extension, Subscription
from ..protocol.fields import STATUSES
from .core import Sandbox

_LONGEST_WAIT_S = 1e9  # a lock takes a little more, but not infinity


def events(given: Iterable[object]) -> list[Event]:
    """A list of events."""
    if isinstance(given, Event | str | bytes) or not isinstance(given, Iterable):
        raise MisuseError(f"a batch is a list of events, not {given!r}")
    checked: list[Event] = []
    for event in given:
        if not isinstance(event, Event):
            raise MisuseError(
                f"{event!r} is no event; make one with a builder such as events.function('a line'), or from a dict with"
                " events.from_dict(...)"
            )
        checked.append(event)
    return checked


def log_records(logs: object) -> list[Record]:
    """What a function logs: a list of lines and objects; one alone counts as such a list."""
    alone = isinstance(logs, str | Mapping)
    if not alone and (isinstance(logs, bytes) or not isinstance(logs, Iterable)):
        raise MisuseError(f"logs={logs!r} is not valid: it must be a list of lines (str) and objects (dict)")
    records = [logs] if alone else list(cast(Iterable[object], logs))
    for index, record in enumerate(records):
        if not isinstance(record, str | Mapping):
            raise MisuseError(f"logs[{index}]={record!r} is not valid: it must be a line (str) or an object (dict)")
    return cast(list[Record], records)


def not_negative(name: str, value: object) -> float:
    """A number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise MisuseError(f"{name}={value!r} is not valid: it must be a number, 0 or more")
    return value


def timeout(value: object) -> float:
    """How long to wait, in real seconds: any number, also one longer than the system can wait."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise MisuseError(f"timeout={value!r} is not valid: it must be a number of seconds")
    return min(value, _LONGEST_WAIT_S)


def duration_us(delta: object, *, seconds: float, ms: float) -> int:
    """How far to advance, in microseconds."""
    if delta is not None and not isinstance(delta, timedelta):
        raise MisuseError(f"advance({delta!r}) does not say in what unit: say ms= or seconds=, or pass a timedelta")
    total = not_negative("seconds", seconds) * 1_000_000 + not_negative("ms", ms) * 1000
    if delta is not None:
        if delta < timedelta(0):
            raise MisuseError(f"advance({delta!r}): time can't go backwards")
        total += delta / timedelta(microseconds=1)
    return round(total)


def invocation(
    *, status: object, error_type: object, texts: Mapping[str, object], numbers: Mapping[str, object]
) -> None:
    """The options of an invocation that could be wrong."""
    for name, value in numbers.items():
        if value is not None:
            not_negative(name, value)
            if name.endswith("_mb") and not isinstance(value, int):
                raise MisuseError(f"{name}={value!r} is not valid: it must be a whole number of MB")
    for name, value in texts.items():
        if value is not None and not (isinstance(value, str) and value):
            raise MisuseError(f"{name}={value!r} is not valid: it must be a non-empty str")
    if status not in STATUSES:
        raise MisuseError(f"status={status!r} is not valid: it must be one of {', '.join(map(repr, STATUSES))}")
    if error_type is not None and status not in ("error", "failure"):
        raise MisuseError(f"error_type={error_type!r} with status={status!r}: it goes with 'error' and 'failure' only")


def channels(sandbox: Sandbox, to: object) -> list[Channel]:
    """The channels of a target; all of them without one."""
    found = [channel for channel in sandbox.engine.channels if _concerns(channel.subscription, to)]
    if to is not None and not found:
        there = ", ".join(repr(one.extension_name) for one in sandbox.subscriptions) or "none"
        raise MisuseError(f"to={to!r} has no subscription; there are subscriptions of: {there}")
    return found


def one_channel(sandbox: Sandbox, to: object) -> Channel:
    """The one channel that is meant."""
    found = channels(sandbox, to)
    if not found:
        raise MisuseError(
            "nothing is subscribed yet, so there is nobody to send to; wait_for_subscription() waits for it"
        )
    if len(found) > 1:
        whose = ", ".join(repr(channel.subscription) for channel in found)
        raise MisuseError(f"there are {len(found)} subscriptions: say which with to=; they are {whose}")
    return found[0]


def deliveries_to(deliveries: Sequence[Delivery], to: object) -> list[Delivery]:
    """Those that went to a target."""
    return [delivery for delivery in deliveries if _concerns(delivery.subscription, to)]


def _concerns(subscription: Subscription, to: object) -> bool:
    match to:
        case None:
            return True
        case str():
            return subscription.extension_name == to
        case Extension():
            return subscription.extension_id == to.extension_id
        case Subscription():
            return subscription == to
    raise MisuseError(f"to={to!r} is not valid: pass an extension's name, an Extension or a Subscription")
