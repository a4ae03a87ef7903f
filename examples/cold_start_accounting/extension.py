"""Counts cold starts, and the milliseconds that somebody had to wait for them."""

from typing import Any


class ColdStarts:
    """`count` cold starts cost `waited_ms`.

    A provisioned environment initializes before anybody calls it, and an initialization that failed is repeated within
    the first invocation: `initReport` tells both.
    """

    def __init__(self) -> None:
        self.count = 0
        self.waited_ms = 0.0

    def handle(self, batch: list[dict[str, Any]]) -> None:
        for event in batch:
            record = event["record"]
            if event["type"] == "platform.initReport" and record["initializationType"] == "on-demand":
                self.count += record["phase"] == "init"
                self.waited_ms += record["metrics"]["durationMs"]
