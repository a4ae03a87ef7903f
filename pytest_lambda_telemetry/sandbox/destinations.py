"""Where the listener of a subscription may be, and whether it is about to be there."""

from ..api.parties import Extensions
from ..host.names import LOOPBACK, SANDBOX_NAMES
from ..model.records import Subscription
from .children import Children


def addresses(subscription: object, address: str, children: Children) -> tuple[str, ...]:
    """Where a subscription's listener may be: at the sandbox's own address first, which its names resolve to."""
    if not isinstance(subscription, Subscription) or subscription.destination.host not in SANDBOX_NAMES:
        return (LOOPBACK,)
    process = children.of(subscription.extension_name)
    seen = address if process is None else process.address
    return (seen,) if seen == LOOPBACK else (seen, LOOPBACK)  # some listen at localhost, whatever they subscribe with


def may_be_starting(subscription: Subscription, extensions: Extensions, children: Children) -> bool:
    """Its extension subscribed by itself, and has not ended: it is about to listen, if it does not yet."""
    extension = extensions.by_id(subscription.extension_id)
    if extension is None or extension.stand_in or extension.failed:
        return False
    process = children.of(extension.name)
    return process is None or process.returncode is None
