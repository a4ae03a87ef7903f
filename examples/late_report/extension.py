"""Puts together what Lambda says of an invocation.

`platform.report` closes an invocation, but the environment freezes before it is delivered: it arrives during the next
invocation, or at shutdown. So a summary must wait for it, and must not be taken for the invocation that runs by then.
"""

from typing import Any


class Summaries:
    """`finished` has a line for each invocation whose report has come; `waiting` the lines logged by the others."""

    def __init__(self) -> None:
        self.finished: list[str] = []
        self.waiting: dict[str, list[str]] = {}
        self._running = ""

    def handle(self, batch: list[dict[str, Any]]) -> None:
        for event in batch:
            record = event["record"]
            match event["type"]:
                case "platform.start":
                    self._running = record["requestId"]
                    self.waiting[self._running] = []
                case "function":
                    self.waiting[self._running].append(record)
                case "platform.report":
                    lines = self.waiting.pop(record["requestId"])
                    used = record["metrics"]["maxMemoryUsedMB"]
                    self.finished.append(f"{record['requestId']}: {', '.join(lines)} ({used} MB)")
