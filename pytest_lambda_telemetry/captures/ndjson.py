"""Recorded telemetry, one event a line."""

import os
from collections.abc import Sequence

from ..model import checks
from ..model.records import Delivery
from ..protocol.encoding import encode


def save(path: str | os.PathLike[str], deliveries: Sequence[Delivery]) -> None:
    """Write the events that arrived, as they were sent, in the order they arrived."""
    with open(checks.path("path", path), "wb") as file:
        for delivery in deliveries:
            if delivery.ok:
                file.writelines(encode(event) + b"\n" for event in delivery.events)
