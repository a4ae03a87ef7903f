"""Whom a call means with `to=`: an extension's name, an Extension or a Subscription."""

import difflib
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar

from ..engine.run import Engine
from ..engine.subscriber import Subscriber
from ..model.checks import repr_of
from ..model.errors import MisuseError
from ..model.records import Extension, Subscription
from .sandbox import Sandbox

T = TypeVar("T")


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
    if found[0].ended:
        raise MisuseError(
            f"extension {found[0].name!r} has ended, because the environment has shut down: nothing can be sent to it;"
            " restart() begins another environment"
        )
    return found[0]


def those_to(sandbox: Sandbox, to: object, all_of: Iterable[T], subscription: Callable[[T], Subscription]) -> list[T]:
    """What went to a target, of deliveries, batches or subscribers. Raises MisuseError for a target that is nobody.

    Who is there without a subscription is somebody: that nothing went there is what a test may want to know. The caller
    holds the lock.
    """
    subscriptions = [*sandbox.arrivals.past, *(one.subscription for one in sandbox.engine.subscribers)]
    extensions = [one.snapshot for one in sandbox.extensions]
    names = [one.extension_name for one in subscriptions]
    names += [one.name for one in (*extensions, *sandbox.children)]
    match to:
        case str():
            known = to in names
        case Extension():
            owners = [one.extension_id for one in subscriptions]
            known = to.extension_id in [*owners, *(one.extension_id for one in extensions)]
        case Subscription():
            known = any(one is to for one in subscriptions)
        case _:
            known = to is None or _is_no_target(to)
    if not known:
        close = difflib.get_close_matches(to, names, 1) if isinstance(to, str) else []
        there = ", ".join(map(repr, dict.fromkeys(names))) or "none"
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise MisuseError(f"to={to!r} is nobody: {hint}the extensions that are there: {there}")
    return [one for one in all_of if concerns(subscription(one), to)]


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
    return _is_no_target(to)


def _is_no_target(to: object) -> NoReturn:
    raise MisuseError(f"to={repr_of(to)} is not valid: pass an extension's name, an Extension or a Subscription")
