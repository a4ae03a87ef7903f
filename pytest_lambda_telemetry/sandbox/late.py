"""Why an extension may have been late with its next event, for a message."""

from collections.abc import Iterable

from ..api.parties import LiveExtension
from ..engine.subscriber import Subscriber


def outlived(extension: LiveExtension) -> str:
    """Whose extension it may be."""
    if not extension.outlived:
        return ""
    return f"\n  It was registered by {extension.outlived}: let that test wait until it has ended."


def still_buffered(name: str, subscribers: Iterable[Subscriber]) -> str:
    """Why an extension that waits for platform.runtimeDone would wait in vain."""
    for subscriber in subscribers:
        waiting = subscriber.buffer.waiting if subscriber.name == name else ()
        if waiting and not waiting[0].attempts:  # else it was sent, and not taken
            timeout_ms = subscriber.subscription.buffering.timeout_ms
            return (
                f"\n  Telemetry for it is still buffered (timeoutMs {timeout_ms}): if it waits for that, allow a"
                " larger overhead_ms, or let it subscribe with a smaller timeoutMs."
            )
    return ""
