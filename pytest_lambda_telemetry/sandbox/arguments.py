"""What a test passes in, checked: every wrong value is a MisuseError that says what to pass instead."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import get_args

from ..engine.channel import Channel
from ..model.errors import MisuseError
from ..model.event import Event
from ..model.records import Delivery, Extension, Subscription
from ..protocol.schema import Status
from .core import Sandbox

STATUSES: tuple[str, ...] = get_args(Status)


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


def not_negative(name: str, value: object) -> float:
    """A number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise MisuseError(f"{name}={value!r} is not valid: it must be a number, 0 or more")
    return value


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
            return subscription is to
    raise MisuseError(f"to={to!r} is not valid: pass an extension's name, an Extension or a Subscription")
