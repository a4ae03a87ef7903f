"""Assertions whose failure says what was expected, what is there, and the nearest miss."""

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any

from ..model import checks
from ..model.errors import MisuseError
from ..model.records import Buffering, Delivery, Destination, Rejection, Subscription, in_words

_FIELDS = (
    "schema_version",
    "types",
    "destination",
    "buffering",
    "body",
    "extension_id",
    "extension_name",
    "raw",
    "headers",
)

_SHOWN_TYPES = 5
_SHOWN_OUTSTANDING = 10
_TEXT = ((str,), "a str")
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "schema_version": _TEXT,
    "destination": ((str, Mapping, Destination), "a URI, or a dict of some of a destination's fields"),
    "buffering": ((Mapping, Buffering), "a dict of some of its fields, such as {'timeout_ms': 100}"),
    "extension_id": _TEXT,
    "extension_name": _TEXT,
    "raw": ((bytes,), "bytes"),
    "headers": ((Mapping,), "a mapping of header fields"),
}
"""What a field may be compared with; `body` may be anything."""

_OUR_NAMES = {"maxItems": "max_items", "maxBytes": "max_bytes", "timeoutMs": "timeout_ms", "URI": "uri"}


def subscribed(
    subscriptions: Sequence[Subscription],
    rejections: Sequence[Rejection],
    name: str | None,
    expected: Mapping[str, Any],  # any value a field of a subscription may be compared with
) -> Subscription:
    """The subscription (of extension `name`) that has all the expected fields; AssertionError otherwise."""
    for field, value in expected.items():
        if field not in _FIELDS:
            raise MisuseError(f"a subscription has no field {field!r}; it has {', '.join(_FIELDS)}")
        _check(field, value)
    checks.extension_name(name)
    candidates = [one for one in subscriptions if name in (None, one.extension_name)]
    misses = []
    for one in candidates:
        wrong = [difference for field, value in expected.items() for difference in _differences(field, value, one)]
        if not wrong:
            return one
        misses.append((len(wrong), one, wrong))
    whose = f" of extension {name!r}" if name else ""
    lines = [f"no subscription{whose} has {_fields(expected)}" if expected else f"there is no subscription{whose}"]
    for _, one, wrong in sorted(misses, key=lambda miss: miss[0]):
        lines += [f"  {one!r} differs:", *(f"    {difference}" for difference in wrong)]
    if not candidates:
        lines += [f"  seen instead: {other!r}" for other in (*subscriptions, *rejections)] or [
            "  nothing was subscribed"
        ]
    raise AssertionError("\n".join(lines))


def delivered(
    deliveries: Sequence[Delivery],
    wanted: tuple[str, ...],
    waiting: Callable[[], tuple[Sequence[Subscription], Sequence["Outstanding"]]],
    own: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
) -> Delivery:
    """The acknowledged delivery that carried exactly these event types in this order; AssertionError otherwise.

    `waiting` tells of the subscriptions, and of what they have not got; `own`, by the identity of a delivery, of the
    types without those that a scenario has added.
    """
    for delivery in deliveries:
        if delivery.ok and own.get(id(delivery), delivery.types) == wanted:
            return delivery
    lines = [f"no acknowledged delivery carried exactly {list(wanted)}"]
    if not deliveries:
        lines.append(_nothing(*waiting()))
    else:
        nearest = max(deliveries, key=lambda one: difflib.SequenceMatcher(None, one.types, wanted).ratio() + one.ok)
        lines.append(f"  nearest: {nearest!r}")
        lines += [f"  also:    {one!r}" for one in deliveries if one is not nearest]
    raise AssertionError("\n".join(lines))


def _nothing(subscriptions: Sequence[Subscription], outstanding: Sequence["Outstanding"]) -> str:
    """Why nothing was delivered, as far as it can be seen."""
    if not subscriptions:
        return "  nothing was delivered: nothing is subscribed"
    if outstanding:
        head, shown = "nothing was delivered yet", [str(one) for one in outstanding[:_SHOWN_OUTSTANDING]]
    else:
        head, shown = (
            "nothing was delivered, for nothing was emitted that these take",
            [repr(one) for one in subscriptions],
        )
    return "\n".join([f"  {head}:", *(f"    {line}" for line in shown)])


def nothing_delivered(deliveries: Sequence[Delivery]) -> None:
    """No batch was acknowledged; AssertionError lists those that were."""
    arrived = [one for one in deliveries if one.ok]
    if arrived:
        raise AssertionError("\n".join(["expected no delivery, but there are:", *(f"  {one!r}" for one in arrived)]))


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Events that a subscription has not got: what state they are in, how many, of what types, and why."""

    subscription: Subscription
    state: str
    count: int
    types: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        events = "1 event" if self.count == 1 else f"{self.count} events"
        counted = Counter(self.types)
        shown = dict(islice(counted.items(), _SHOWN_TYPES))
        types = f" [{in_words(shown)}{', …' if len(counted) > len(shown) else ''}]" if shown else ""
        return f"{self.state}: {events}{types}, {self.why}"


def all_delivered(outstanding: Sequence[Outstanding]) -> None:
    """Nothing is outstanding; AssertionError lists what is, by subscription."""
    if not outstanding:
        return
    lines = ["not everything that was emitted is delivered:"]
    for subscription in dict.fromkeys(one.subscription for one in outstanding):
        its = [one for one in outstanding if one.subscription is subscription]
        lines += [f"  {subscription!r}", *(f"    {one}" for one in its[:_SHOWN_OUTSTANDING])]
        if len(its) > _SHOWN_OUTSTANDING:
            rest = sum(one.count for one in its[_SHOWN_OUTSTANDING:])
            lines.append(f"    and {rest} more events")
    raise AssertionError("\n".join(lines))


def nobody_subscribed(emitted: int, rejections: Sequence[Rejection], name: str | None) -> None:
    """Nothing was emitted that somebody could have been sent; AssertionError otherwise."""
    if emitted:
        whose = f" by {name!r}" if name else ""
        seen = [f"  seen instead: {other!r}" for other in rejections]
        events = "1 event was" if emitted == 1 else f"{emitted} events were"
        raise AssertionError("\n".join([f"{events} emitted, but nothing is subscribed{whose}", *seen]))


def _check(field: str, value: object) -> None:
    """A value that a field could never have is the test's mistake, not the extension's."""
    if field == "types":
        checks.texts(field, value, "types")
    elif field in _KINDS:
        kinds, wanted = _KINDS[field]
        checks.require(isinstance(value, kinds), field, value, wanted)
        if isinstance(value, Mapping):
            checks.require(all(isinstance(name, str) for name in value), field, value, wanted)


def _differences(field: str, expected: object, subscription: Subscription) -> list[str]:
    actual = getattr(subscription, field)
    if isinstance(expected, str) and isinstance(actual, Destination):
        field, actual = "destination.uri", actual.uri
    pairs: list[tuple[str, object, object]] = [
        (field, tuple(expected) if isinstance(expected, list) else expected, actual)
    ]
    if isinstance(expected, Mapping) and isinstance(actual, Buffering | Destination):
        named: dict[str, object] = {_OUR_NAMES.get(str(key), str(key)): value for key, value in expected.items()}
        unknown = [key for key in named if key not in type(actual).__slots__]
        if unknown:
            raise MisuseError(f"{field} has no {unknown[0]!r}; it has {', '.join(type(actual).__slots__)}")
        pairs = [(f"{field}.{key}", value, getattr(actual, key)) for key, value in named.items()]
    elif isinstance(expected, set | frozenset) and isinstance(actual, tuple):
        pairs = [(field, set(expected), set(actual))]
    return [
        f"{path}: expected {checks.repr_of(value)}, it is {found!r}" for path, value, found in pairs if value != found
    ]


def _fields(expected: Mapping[str, Any]) -> str:  # any value, as above
    return ", ".join(f"{field}={checks.repr_of(value)}" for field, value in expected.items())
