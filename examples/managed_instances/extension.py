"""Gathers the log lines of each invocation on Lambda Managed Instances.

There an environment serves several invocations at once: their events come in any order, there is no
`platform.runtimeDone`, and only the requestId tells what belongs together.
"""

from collections import defaultdict
from typing import Any


class Invocations:
    """`finished` has, by requestId, the messages of each invocation that was reported, and how long it took."""

    def __init__(self) -> None:
        self.finished: dict[str, tuple[list[str], float]] = {}
        self._messages: defaultdict[str, list[str]] = defaultdict(list)

    def handle(self, batch: list[dict[str, Any]]) -> None:
        for event in batch:
            record = event["record"]
            if event["type"] == "function":
                self._messages[record["requestId"]].append(record["message"])
            elif event["type"] == "platform.report":
                request_id = record["requestId"]
                self.finished[request_id] = self._messages.pop(request_id, []), record["metrics"]["durationMs"]
