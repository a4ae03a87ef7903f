"""Whom a call means with `to=`: an extension's name, an Extension or a Subscription."""

from collections.abc import Sequence

from ..engine.run import Engine
from ..engine.subscriber import Subscriber
from ..model.errors import MisuseError
from ..model.records import Delivery, Extension, Subscription


def subscribers(engine: Engine, to: object) -> list[Subscriber]:
    """The subscribers of a target; all of them without one. Raises MisuseError for one that has none."""
    found = [one for one in engine.subscribers if concerns(one.subscription, to)]
    if to is not None and not found:
        there = ", ".join(repr(one.name) for one in engine.subscribers) or "none"
        raise MisuseError(f"to={to!r} has no subscription; there are subscriptions of: {there}")
    return found


def one_subscriber(engine: Engine, to: object) -> Subscriber:
    """The one subscriber that is meant. Raises MisuseError where it is none, or not clear which."""
    found = subscribers(engine, to)
    if not found:
        raise MisuseError(
            "nothing is subscribed yet, so there is nobody to send to; wait_for_subscription() waits for it"
        )
    if len(found) > 1:
        whose = ", ".join(repr(one.subscription) for one in found)
        raise MisuseError(f"there are {len(found)} subscriptions: say which with to=; they are {whose}")
    return found[0]


def deliveries_to(deliveries: Sequence[Delivery], to: object) -> list[Delivery]:
    """Those that went to a target."""
    return [delivery for delivery in deliveries if concerns(delivery.subscription, to)]


def concerns(subscription: Subscription, to: object) -> bool:
    """Whether a subscription is meant. Raises MisuseError for what is no target."""
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
