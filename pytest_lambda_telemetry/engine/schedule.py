"""What is due when: one list of subscriptions, asked for its earliest moment."""

from collections.abc import Iterable

from .channel import Channel


def next_due(channels: Iterable[Channel]) -> tuple[int, Channel] | None:
    """The earliest moment (elapsed microseconds) at which a channel has something to send, and that channel.

    Of several due at one moment the subscription made first comes first.
    """
    earliest: tuple[int, Channel] | None = None
    for channel in channels:
        due_us = channel.buffer.due_us
        if due_us is not None and (earliest is None or due_us < earliest[0]):
            earliest = due_us, channel
    return earliest
