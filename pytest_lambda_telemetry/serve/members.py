"""Which members of which class are called over HTTP, and how each behaves there. Signatures and texts are theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from ..environment import LambdaTelemetry
from ..host.process import ExtensionProcess
from ..sandbox.backend import Backend
from ..sandbox.invocation import Invocation


class Kind(Enum):
    """How a call behaves beside others."""

    READ = auto()
    """Read with GET; changes nothing."""
    NOW = auto()
    """Acts, and waits for nobody."""
    WAIT = auto()
    """Waits in real time; any number of them wait beside each other and beside calls that move time."""
    MOVE = auto()
    """Moves time: one at a time, in order of arrival."""
    FEED = auto()
    """Moves time where no other call does, else only buffers: a listener may emit while it is delivered to."""
    BLOCK = auto()
    """POST begins it, DELETE of its id ends it; both move time."""
    WAITING_BLOCK = auto()
    """The same for one that moves no time; DELETE waits."""


@dataclass(frozen=True, slots=True)
class Members:
    """Of one class: the kind of each member that is called over HTTP, and why the others are not."""

    owner: type
    kinds: Mapping[str, Kind]
    left_out: Mapping[str, str]


_READ = (
    *("runtime_api", "env", "now", "elapsed", "requests", "extensions", "subscriptions", "rejections", "deliveries"),
    *("journal", "timeline", "records", "ledger"),
)
_NOW = (
    *("register", "subscribe", "freeze", "thaw", "fail_next_delivery", "reject_next", "backend"),
    *("check", "save_ndjson", "log_lines", "assert_subscribed", "assert_delivered", "assert_nothing_delivered"),
    *("assert_all_delivered", "close"),
)
_WAIT = (
    *("wait_for_extension", "wait_for_subscription", "wait_until_ready"),
    *("assert_exactly_once", "assert_at_least_once"),
)
_MOVE = (
    *("push", "advance", "flush", "play", "invoke", "end_init", "shutdown", "restart"),
    "run_extension",  # moves no time, but must not come between the steps of a call that ends processes
)

ENVIRONMENT = Members(
    LambdaTelemetry,
    {
        **dict.fromkeys(_READ, Kind.READ),
        **dict.fromkeys(_NOW, Kind.NOW),
        **dict.fromkeys(_WAIT, Kind.WAIT),
        **dict.fromkeys(_MOVE, Kind.MOVE),
        "emit": Kind.FEED,
        "invocation": Kind.BLOCK,
        "expect_rejection": Kind.WAITING_BLOCK,
    },
    {
        "wait_until": "its predicate is code; ask for what you wait for until it is so, or call another wait_…",
        "fresh": "reset begins a fresh environment",
    },
)
BACKEND = Members(
    Backend,
    {
        **dict.fromkeys(("requests", "url", "host", "port", "ca_file", "name", "drop_idle_on_freeze"), Kind.READ),
        **dict.fromkeys(("respond", "fail_next", "hold", "release", "reset"), Kind.NOW),
        "wait_for": Kind.WAIT,
    },
    {},
)
INVOCATION = Members(
    Invocation,
    {"log": Kind.FEED},
    {"deliveries": "they are among the fields of the invocation itself"},
)
PROCESS = Members(
    ExtensionProcess,
    {"wait": Kind.WAIT},
    dict.fromkeys(
        (
            *("running", "returncode", "output", "last_lines", "has_lines", "closed", "take_lines", "take_notes"),
            *("pump", "settled", "stop", "cont", "terminate", "overdue"),
        ),
        "what is public of it is among the fields of the process itself",
    ),
)
